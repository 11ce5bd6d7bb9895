/** Translation invariance: the picture is moved by pixels; what do answers and maps do, and what the dense twin? */

import * as api from "./api.js";
import { ranked } from "./answers.js";
import { arrow, cells, colorsOfPixels, colorsOfValues, reachOf } from "./canvas.js";
import { chooser } from "./choice.js";
import { button, element, radios } from "./elements.js";
import { askMaps } from "./maps.js";
import { paced } from "./pace.js";
import { modulo, shift } from "./pixels.js";

const TOP = 3;

/**
 * What is told of one picture.
 * @typedef {object} Told
 * @property {import("./api.js").Prediction} own
 * @property {import("./api.js").Prediction | null} dense
 * @property {number[]} map Empty where there is none.
 */

/**
 * @param {import("./main.js").Context} context
 * @returns {import("./tabs.js").View}
 */
export function invariance(context) {
  const { texts, picture, choice, trouble } = context;
  const { say } = texts;
  const maps = movedMaps(context, () => again());
  const board = cells({ rows: picture.side, columns: picture.side, label: say("page_drag_keys"), size: 240 });
  const answers = element("div", { class: "side-by-side" });
  const where = element("output", {});
  const verdict = element("div", { "aria-live": "polite", class: "verdict" });
  let [down, right] = [0, 0];
  /** @type {"circular" | "zero"} */
  let border = "circular";

  const look = paced(
    "move",
    async () => {
      const pixels = shift(picture.pixels, picture, down, right, border);
      board.paint(colorsOfPixels(pixels, picture.channels));
      where.textContent = say("page_moved_by", { down, right });
      const layer = maps?.layer() ?? null;
      const [first, now] = await Promise.all([whatStands(layer), askAll(context, pixels, layer)]);
      const own = [first.own, now.own];
      const dense = first.dense && now.dense ? [first.dense, now.dense] : null;
      answers.replaceChildren(
        column(texts, say("page_own_network"), own),
        dense ? column(texts, say("page_dense_twin"), dense) : element("p", { class: "about" }, say("page_no_twin")),
      );
      verdict.replaceChildren(...[own, ...(dense ? [dense] : [])].map((pair, at) => changeOf(texts, pair, at === 1)));
      if (layer) maps?.draw(layer, first.map, now.map);
    },
    trouble,
  );

  /** @type {{key: string, pixels: Uint8Array, told: Told} | null} */
  let stands = null;
  /** The picture as it is, asked about once. */
  async function whatStands(/** @type {import("./choice.js").Layer | null} */ layer) {
    const [key, pixels] = [`${layer?.name} ${choice.filter}`, picture.pixels];
    if (stands?.key !== key || stands.pixels !== pixels) {
      stands = { key, pixels, told: await askAll(context, pixels, layer) };
    }
    return stands.told;
  }

  function move(/** @type {number} */ newDown, /** @type {number} */ newRight) {
    [down, right] = [kept(newDown, picture.side, border), kept(newRight, picture.side, border)];
    look();
  }
  dragging(board, { now: () => [down, right], ondrag: move });

  function again() {
    maps?.refresh();
    look();
  }
  return {
    element: element(
      "div",
      {},
      element("h2", {}, say("page_invariance")),
      element("p", {}, say("page_invariance_means")),
      element(
        "div",
        { class: "side-by-side" },
        element(
          "div",
          { class: "narrow" },
          element("figure", {}, board.canvas, element("figcaption", {}, say("page_drag"))),
          radios(
            say("page_border"),
            [
              ["circular", say("page_border_circular")],
              ["zero", say("page_border_zero")],
            ],
            border,
            (value) => {
              border = /** @type {"circular" | "zero"} */ (value);
              move(down, right);
            },
          ),
          element("div", { class: "row" }, arrows(say, () => [down, right], move), where),
        ),
        answers,
      ),
      verdict,
      element("h3", {}, say("page_maps_move")),
      maps?.element ?? element("p", {}, say("page_no_moved_maps")),
    ),
    refresh: again,
  };
}

/**
 * The maps of one detector for the picture as it is and as it was moved; null where no layer's maps have rows.
 * @param {import("./main.js").Context} context
 * @param {() => void} onchange After another detector was chosen.
 */
function movedMaps(context, onchange) {
  const { say } = context.texts;
  const accepts = (/** @type {import("./choice.js").Layer} */ { rows }) => rows > 1;
  if (!context.recognizer.has.maps || !context.layers.some(accepts)) return null;
  const found = chooser(context, { accepts, withPlace: false, onchange });
  const [still, moved] = [element("div"), element("div")];
  return {
    layer: found.layer,
    refresh: found.refresh,
    draw(/** @type {import("./choice.js").Layer} */ layer, /** @type {number[]} */ first, /** @type {number[]} */ now) {
      const reach = Math.max(reachOf(first), reachOf(now));
      still.replaceChildren(mapCanvas(layer, say("page_map_still"), first, reach));
      moved.replaceChildren(mapCanvas(layer, say("page_map_moved"), now, reach));
    },
    element: element(
      "div",
      {},
      found.element,
      element(
        "div",
        { class: "side-by-side" },
        element("figure", {}, still, element("figcaption", {}, say("page_map_still"))),
        element("figure", {}, moved, element("figcaption", {}, say("page_map_moved"))),
      ),
      element("p", { class: "about" }, say("page_maps_move_means")),
    ),
  };
}

/**
 * @param {import("./choice.js").Layer} layer
 * @param {string} label
 * @param {number[]} values
 * @param {number} reach The value of the strongest color.
 */
function mapCanvas({ rows, columns }, label, values, reach) {
  const board = cells({ rows, columns, label, size: 180 });
  board.paint(colorsOfValues(values, reach));
  return board.canvas;
}

/**
 * @param {import("./main.js").Context} context
 * @param {Uint8Array} pixels
 * @param {import("./choice.js").Layer | null} layer
 * @returns {Promise<Told>}
 */
async function askAll({ recognizer, choice }, pixels, layer) {
  const [own, dense, [map]] = await Promise.all([
    api.predict(pixels, TOP),
    recognizer.has.dense_twin ? api.twin(pixels, TOP) : null,
    layer ? askMaps(pixels, layer.name, [choice.filter]) : [[]],
  ]);
  return { own, dense, map };
}

/**
 * Around the ring, steps between -side/2 and side/2: further is nearer. With a real border, until nothing is left.
 * @param {number} steps
 * @param {number} side
 * @param {"circular" | "zero"} border
 */
function kept(steps, side, border) {
  if (border === "zero") return Math.max(-side, Math.min(side, steps));
  return modulo(steps + Math.floor(side / 2), side) - Math.floor(side / 2);
}

/**
 * @param {import("./texts.js").Texts} texts
 * @param {string} title
 * @param {import("./api.js").Prediction[]} pair As it stands, and moved.
 */
function column(texts, title, [still, moved]) {
  return element(
    "div",
    { class: "answers" },
    element("h3", {}, title),
    element("h4", {}, texts.say("page_as_it_is")),
    ranked(texts, still.labels),
    element("h4", {}, texts.say("page_as_moved")),
    ranked(texts, moved.labels),
  );
}

/**
 * @param {import("./texts.js").Texts} texts
 * @param {import("./api.js").Prediction[]} pair
 * @param {boolean} isTwin
 */
function changeOf(texts, [still, moved], isTwin) {
  const [first, now] = [still.labels[0].label, moved.labels[0].label];
  const network = texts.say(isTwin ? "page_dense_twin" : "page_own_network");
  const key = first === now ? "page_answer_stays" : "page_answer_changes";
  const made = element("p", {}, texts.say(key, { network, first, now }));
  made.dataset.moved = String(first !== now);
  return made;
}

/**
 * @param {(key: string) => string} say
 * @param {() => [number, number]} now
 * @param {(down: number, right: number) => void} move
 */
function arrows(say, now, move) {
  const by = (/** @type {number} */ down, /** @type {number} */ right) => () => move(now()[0] + down, now()[1] + right);
  const made = [
    ["←", "page_left", by(0, -1)],
    ["→", "page_right", by(0, 1)],
    ["↑", "page_up", by(-1, 0)],
    ["↓", "page_down", by(1, 0)],
  ].map(([sign, key, go]) =>
    button(/** @type {string} */ (sign), /** @type {() => void} */ (go), {
      "aria-label": say(/** @type {string} */ (key)),
      class: "small",
    }),
  );
  return element("span", { class: "arrows" }, ...made, button(say("page_back"), () => move(0, 0)));
}

/**
 * Moves by the pointer or by arrow keys.
 * @param {import("./canvas.js").Cells} board
 * @param {object} hands
 * @param {() => [number, number]} hands.now
 * @param {(down: number, right: number) => void} hands.ondrag
 */
function dragging({ canvas, rows }, { now, ondrag }) {
  /** @type {{y: number, x: number, from: [number, number]} | null} */
  let held = null;
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.classList.add("drag");
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    held = { y: event.clientY, x: event.clientX, from: now() };
  });
  canvas.addEventListener("pointermove", (event) => {
    if (held === null) return;
    const cell = canvas.getBoundingClientRect().height / rows;
    const down = held.from[0] + Math.round((event.clientY - held.y) / cell);
    const right = held.from[1] + Math.round((event.clientX - held.x) / cell);
    if (down !== now()[0] || right !== now()[1]) ondrag(down, right);
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (held = null));
  canvas.addEventListener("keydown", (event) => {
    const steps = arrow(event);
    if (steps === null) return;
    event.preventDefault();
    ondrag(now()[0] + steps[0], now()[1] + steps[1]);
  });
}
