/** The run's control square: four networks, and three changes of every picture that some of them cannot notice. */

import * as api from "./api.js";
import { cells, colorsOfPixels } from "./canvas.js";
import { button, element, table } from "./elements.js";
import { note, paced } from "./pace.js";
import { rearrange, recolor, resize } from "./pixels.js";

const CONTROLS = ["permuted", "signs", "multiplied"];
const CORNERS = ["dense", "local", "shared_global", "convolution"];
const PLACES = ["still", "moved"];

/**
 * @param {import("./main.js").Context} context
 * @returns {import("./tabs.js").View}
 */
export function square(context) {
  const { texts, picture, recognizer, trouble } = context;
  const { say } = texts;
  const box = element("div");
  /** @type {any} */
  let told = null;
  let control = "none";

  const refresh = paced(
    "square",
    async () => {
      if (!recognizer.has.why) {
        box.replaceChildren(element("p", {}, say("page_no_why")));
        return;
      }
      const [{ square: found }, changes] = told ?? (await Promise.all([api.why(), api.controls()]));
      told = [{ square: found }, changes];
      if (!found) box.replaceChildren(element("p", {}, say("page_no_square")));
      else draw(found, changes);
    },
    trouble,
  );

  function draw(/** @type {any} */ found, /** @type {any} */ changes) {
    const start = performance.now();
    box.replaceChildren(
      pressed(changes, (name) => {
        control = name;
        draw(found, changes);
      }),
      element(
        "div",
        { class: "side-by-side" },
        pictureOf(context, changes, "none"),
        control === "none" ? "" : pictureOf(context, changes, control),
      ),
      element("p", { "aria-live": "polite" }, say(`page_control_${control}_means`, { multiplier: changes.multiplier })),
      ...PLACES.map((place) => accuracies(texts, found, control, place)),
      element("p", { class: "about" }, basis(texts, found)),
    );
    note("control", start);
  }

  function pressed(/** @type {any} */ changes, /** @type {(name: string) => void} */ onpress) {
    const make = (/** @type {string} */ name) => {
      const press = () => {
        onpress(name);
        /** @type {HTMLElement | null} */ (box.querySelector('[aria-pressed="true"]'))?.focus();
      };
      const text = say(`page_control_${name}`, { multiplier: changes.multiplier });
      return button(text, press, { "aria-pressed": String(name === control) });
    };
    const attributes = { class: "row", role: "group", "aria-label": say("page_controls") };
    return element("div", attributes, ...["none", ...CONTROLS].map(make));
  }

  return {
    element: element("div", {}, element("h2", {}, say("page_square")), element("p", {}, say("page_square_means")), box),
    refresh,
  };
}

/**
 * The picture at the square's size, changed.
 * @param {import("./main.js").Context} context
 * @param {any} changes
 * @param {string} control
 */
function pictureOf({ texts, picture }, changes, control) {
  const shape = { side: changes.side, channels: picture.channels };
  const small = resize(picture.pixels, picture, shape);
  const still = Array.from({ length: shape.side ** 2 }, (_, at) => at);
  const upright = still.map(() => 1);
  const source = control === "permuted" || control === "multiplied" ? changes[control] : still;
  const changed = rearrange(small, shape, source, control === "signs" ? changes.signs : upright);
  const label = texts.say(`page_control_${control}`, { multiplier: changes.multiplier });
  const board = cells({ rows: shape.side, columns: shape.side, label, size: 200 });
  board.paint(colorsOfPixels(recolor(changed, shape.channels, shape.channels), shape.channels));
  return element("figure", {}, board.canvas, element("figcaption", {}, label));
}

/**
 * Accuracies of the four corners after training on pictures changed so, and what the change took.
 * @param {import("./texts.js").Texts} texts
 * @param {any} found
 * @param {string} control
 * @param {string} place
 */
function accuracies(texts, found, control, place) {
  const { say } = texts;
  const wanted = control === "none" ? null : control;
  const largest = found.protocol.sizes.at(-1);
  const rows = CORNERS.map((corner) => {
    const score = found.scores.find((/** @type {any} */ one) => {
      const isPlain = one.arm === "plain" && one.n_train === largest;
      return isPlain && one.corner === corner && one.place === place && one.control === wanted;
    });
    const loss = found.losses.find(
      (/** @type {any} */ one) => one.corner === corner && one.place === place && one.control === wanted,
    );
    const taken = loss ? (loss.is_unmoved ? say("page_unmoved_exactly") : points(texts, loss.points)) : "";
    const shown = score ? interval(texts, score.accuracy) : "–";
    const cells = [say(`page_corner_${corner}`), texts.number(found.weights[corner]), shown];
    return wanted ? [...cells, taken] : cells;
  });
  const head = ["", say("page_hidden_weights"), say("page_accuracy")];
  return table(say(`page_square_${place}`), wanted ? [...head, say("page_taken")] : head, rows);
}

/**
 * @param {import("./texts.js").Texts} texts
 * @param {{value: number, low: number, high: number}} estimate
 */
const interval = (texts, { value, low, high }) =>
  `${texts.percent(value)} (${texts.number(100 * low, 1)} – ${texts.number(100 * high, 1)})`;

/**
 * A difference in percentage points; t intervals reach equally far both ways.
 * @param {import("./texts.js").Texts} texts
 * @param {{value: number, low: number, high: number}} estimate
 */
const points = (texts, { value, low, high }) =>
  `${value > 0 ? "+" : ""}${(100 * value).toFixed(1)} ± ${(50 * (high - low)).toFixed(1)}`;

/**
 * What the numbers are over.
 * @param {import("./texts.js").Texts} texts
 * @param {any} found
 */
function basis(texts, found) {
  const { num_draws, sizes, side } = found.protocol;
  const fields = { draws: num_draws, train: texts.number(sizes.at(-1)), test: texts.number(found.num_test), side };
  return texts.say("page_square_basis", fields);
}
