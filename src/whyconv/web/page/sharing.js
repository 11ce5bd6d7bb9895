/** Parameter sharing: one detector, its weights, its map over the picture, the same weights at every place. */

import * as api from "./api.js";
import { cells, colorsOfPixels, colorsOfValues, reachOf, silent } from "./canvas.js";
import { chooser } from "./choice.js";
import { button, element } from "./elements.js";
import { frameOf, seenPixels } from "./field.js";
import { askMaps } from "./maps.js";
import { paced } from "./pace.js";
import { placeMap } from "./place.js";

const PAGE = 16;
const MOST_CHANNELS = 12;

/**
 * @param {import("./main.js").Context} context
 * @returns {import("./tabs.js").View}
 */
export function sharing(context) {
  const { texts, picture, recognizer, choice, trouble } = context;
  const { say } = texts;
  const found = chooser(context, {
    accepts: ({ isConvolution }) => isConvolution,
    withPlace: true,
    onchange: () => show(picture.pixels),
  });
  const input = cells({ rows: picture.side, columns: picture.side, label: say("page_window"), size: 200 });
  const place = placeMap(context, found, 220, () => point(picture.pixels));
  const [weights, sum] = [element("div", { class: "weights" }), element("p")];
  const at = element("p", { "aria-live": "polite" });
  const caption = recognizer.window ? say("page_map_of_window", recognizer.window) : say("page_map");
  const detectors = element("div", { class: "detectors" });

  const point = paced(
    "sharing-place",
    async (/** @type {Uint8Array} */ pixels) => {
      const [{ y, x }, told] = [{ ...choice }, await api.unit(pixels, choice)];
      place.frame();
      input.paint(colorsOfPixels(pixels, picture.channels));
      input.frame(frameOf(seenPixels(told, picture.side), picture.side));
      at.textContent = say("page_at_place", { row: y, column: x, value: texts.real(told.value) });
    },
    trouble,
  );
  const show = paced(
    "sharing",
    async (/** @type {Uint8Array} */ pixels) => {
      const [layer, { filter }] = [found.layer(), choice];
      const first = filter - (filter % PAGE);
      const filters = Array.from({ length: Math.min(PAGE, layer.filters - first) }, (_, index) => first + index);
      const [maps, told] = await Promise.all([askMaps(pixels, layer.name, filters), api.weights(layer.name, filter)]);
      place.show(maps[filter - first]);
      weights.replaceChildren(...weightBoards(context, told));
      sum.textContent = sumOf(context, layer);
      const isThere = detectors.contains(document.activeElement);
      detectors.replaceChildren(...maps.map((map, index) => detectorButton(context, layer, first + index, map, pick)));
      if (isThere) detectors.children[choice.filter - first]?.focus();
      point(pixels);
    },
    trouble,
  );

  function pick(/** @type {number} */ filter) {
    choice.filter = filter;
    refresh();
  }

  function refresh() {
    found.refresh();
    show(picture.pixels);
  }
  return {
    element: element(
      "div",
      {},
      element("h2", {}, say("page_sharing")),
      element("p", {}, say("page_sharing_means")),
      found.element,
      element(
        "div",
        { class: "side-by-side" },
        element("figure", {}, weights, element("figcaption", {}, say("page_weights"))),
        element("figure", {}, input.canvas, element("figcaption", {}, say("page_window"))),
        element("figure", {}, place.element, element("figcaption", {}, caption)),
      ),
      at,
      sum,
      element("p", { class: "about" }, say("page_colors")),
      element("h3", {}, say("page_detectors")),
      detectors,
    ),
    refresh,
  };
}

/**
 * A detector's map as the button that chooses it.
 * @param {import("./main.js").Context} context
 * @param {import("./choice.js").Layer} layer
 * @param {number} filter
 * @param {number[]} map
 * @param {(filter: number) => void} pick
 */
function detectorButton({ texts, choice }, layer, filter, map, pick) {
  const board = cells({ rows: layer.rows, columns: layer.columns, label: "", size: 52 });
  board.paint(colorsOfValues(map, reachOf(map)));
  const label = texts.say("page_detector_number", { number: filter });
  const pressed = String(filter === choice.filter);
  const attributes = { "aria-label": label, "aria-pressed": pressed, class: "example" };
  const made = button("", () => pick(filter), attributes);
  made.append(silent(board.canvas));
  return made;
}

/**
 * @param {import("./main.js").Context} context
 * @param {import("./choice.js").Layer} layer
 */
function sumOf({ texts }, layer) {
  const each = (layer.weights ?? 0) / layer.filters;
  const places = layer.rows * layer.columns;
  const fields = { each: texts.number(each), places: texts.number(places), own: texts.number(each * places) };
  return texts.say("page_sharing_sum", { ...fields, sharing: texts.number(layer.sharing ?? 1, 2) });
}

/**
 * The weights of one detector: a small board for each channel that it sees.
 * @param {import("./main.js").Context} context
 * @param {{shape: number[], values: any}} told
 */
function weightBoards({ texts }, { shape, values }) {
  const [channels, rows, columns] = shape;
  const flat = [values].flat(4);
  const reach = reachOf(flat);
  const boards = Array.from({ length: Math.min(channels, MOST_CHANNELS) }, (_, channel) => {
    const own = flat.slice(channel * rows * columns, (channel + 1) * rows * columns);
    const label = texts.say("page_weights_of", { channel, values: own.map(texts.real).join(", ") });
    const board = cells({ rows, columns, label, size: channels === 1 ? 120 : 48 });
    board.paint(colorsOfValues(own, reach));
    return board.canvas;
  });
  const more = channels - boards.length;
  return more > 0 ? [...boards, element("small", {}, texts.say("page_more", { n: texts.number(more) }))] : boards;
}
