/** Parameter sharing: one detector, its weights, its map over the whole picture, the same weights at every place. */

import * as api from "./api.js";
import { cells, colorsOfPixels, colorsOfValues, pointing, reachOf } from "./canvas.js";
import { chooser } from "./choice.js";
import { button, element } from "./elements.js";
import { frameOf, seenPixels } from "./field.js";
import { askMaps, mapBoard, oneCell, showMap } from "./maps.js";
import { paced } from "./pace.js";

const PAGE = 16;
const MOST_CHANNELS = 12;

/**
 * @param {import("./main.js").Context} context
 * @returns {import("./tabs.js").View}
 */
export function sharing(context) {
  const { texts, picture, choice, trouble } = context;
  const { say } = texts;
  const found = chooser(context, {
    accepts: ({ isConvolution }) => isConvolution,
    withPlace: true,
    onchange: (isLayerNew) => (isLayerNew ? rebuild() : refresh()),
  });
  const input = cells({ rows: picture.side, columns: picture.side, label: say("page_window"), size: 200 });
  const [weights, place, sum] = [element("div", { class: "weights" }), element("div"), element("p")];
  const at = element("p", { "aria-live": "polite" });
  const detectors = element("div", { class: "detectors" });
  let board = mapBoard(found.layer(), "");

  /** Another layer: another size of map. */
  function rebuild() {
    const layer = found.layer();
    board = mapBoard(layer, say("page_map_keys"));
    pointing(board, { start: [choice.y, choice.x], onpoint: (y, x) => go(y, x) });
    place.replaceChildren(board.canvas);
    refresh();
  }

  function go(/** @type {number} */ y, /** @type {number} */ x) {
    Object.assign(choice, { y, x });
    found.refresh();
    point(picture.pixels);
  }

  const point = paced(
    "sharing-place",
    async (/** @type {Uint8Array} */ pixels) => {
      const told = await api.unit(pixels, choice);
      board.frame([oneCell(choice.y, choice.x)]);
      input.paint(colorsOfPixels(pixels, picture.channels));
      input.frame(frameOf(seenPixels(told, picture.side), picture.side));
      at.textContent = say("page_at_place", { row: choice.y, column: choice.x, value: texts.real(told.value) });
    },
    trouble,
  );
  const show = paced(
    "sharing",
    async (/** @type {Uint8Array} */ pixels) => {
      const layer = found.layer();
      const first = choice.filter - (choice.filter % PAGE);
      const filters = Array.from({ length: Math.min(PAGE, layer.filters - first) }, (_, index) => first + index);
      const [maps, told] = await Promise.all([
        askMaps(pixels, layer.name, filters),
        api.weights(layer.name, choice.filter),
      ]);
      showMap(board, maps[choice.filter - first]);
      weights.replaceChildren(...weightBoards(context, told));
      sum.textContent = sumOf(context, layer);
      detectors.replaceChildren(...maps.map((map, index) => oneOf(layer, first + index, map)));
      point(pixels);
    },
    trouble,
  );

  function oneOf(
    /** @type {import("./choice.js").Layer} */ layer,
    /** @type {number} */ filter,
    /** @type {number[]} */ map,
  ) {
    const small = quiet(mapBoard(layer, "", 52));
    showMap(small, map);
    const pick = () => {
      choice.filter = filter;
      refresh();
      /** @type {HTMLElement | undefined} */ (detectors.children[filter % PAGE])?.focus();
    };
    const attributes = { "aria-label": say("page_detector_number", { number: filter }), class: "example" };
    const made = button("", pick, { ...attributes, "aria-pressed": filter === choice.filter });
    made.append(small.canvas);
    return made;
  }

  function refresh() {
    found.refresh();
    show(picture.pixels);
  }
  found.refresh();
  rebuild();
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
        element("figure", {}, place, element("figcaption", {}, say("page_map"))),
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

/**
 * A board that only its button speaks of.
 * @param {import("./canvas.js").Cells} board
 */
function quiet(board) {
  board.canvas.removeAttribute("role");
  board.canvas.removeAttribute("aria-label");
  board.canvas.setAttribute("aria-hidden", "true");
  return board;
}
