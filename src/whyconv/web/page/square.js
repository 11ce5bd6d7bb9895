/** The run's control square: four networks, and three changes of every picture that some of them cannot notice. */

import * as api from "./api.js";
import { cells, colorsOfPixels } from "./canvas.js";
import { button, element, table } from "./elements.js";
import { note, paced } from "./pace.js";
import { rearrange, resize } from "./pixels.js";

const CONTROLS = ["permuted", "signs", "multiplied"];
const PLACES = ["still", "moved"];
const CORNERS = ["dense", "local", "shared_global", "convolution"];
/** Narrower is rounding. */
const NO_WIDTH = 1e-10;

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
  /** @type {any} */
  let changes = null;
  let control = "none";

  const refresh = paced(
    "square",
    async () => {
      if (!recognizer.has.why) {
        box.replaceChildren(element("p", {}, say("page_no_why")));
        return;
      }
      told ??= await api.why();
      if (told.square) draw(told.square, (changes ??= await api.controls()));
      else box.replaceChildren(element("p", {}, say("page_no_square")));
    },
    trouble,
  );

  function draw(/** @type {any} */ found, /** @type {any} */ done) {
    const start = performance.now();
    box.replaceChildren(
      pressed(done, (name) => {
        control = name;
        draw(found, done);
      }),
      element(
        "div",
        { class: "side-by-side" },
        pictureOf(context, done, "none"),
        control === "none" ? "" : pictureOf(context, done, control),
      ),
      element("p", { "aria-live": "polite" }, say(`page_control_${control}_means`, { multiplier: done.multiplier })),
      ...PLACES.map((place) => accuracies(texts, found, control, place)),
      element("p", { class: "about" }, basis(texts, found)),
      isWithoutWidth(found, control) ? element("p", { class: "about" }, say("page_no_width")) : "",
    );
    note("control", start);
  }

  function pressed(/** @type {any} */ done, /** @type {(name: string) => void} */ onpress) {
    const make = (/** @type {string} */ name) => {
      const press = () => {
        onpress(name);
        /** @type {HTMLElement | null} */ (box.querySelector('[aria-pressed="true"]'))?.focus();
      };
      const text = say(`page_control_${name}`, { multiplier: done.multiplier });
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
  board.paint(colorsOfPixels(changed, shape.channels));
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
  const cell = (/** @type {string} */ corner) => cornerCell(texts, found, { corner, place, control });
  return table(
    say(`page_square_${place}`),
    ["", say("page_own_weights"), say("page_shared_weights")],
    [
      [say("page_sees_all"), cell("dense"), cell("shared_global")],
      [say("page_sees_near"), cell("local"), cell("convolution")],
    ],
  );
}

/**
 * What was measured of one corner: its accuracy, and what the control took from it.
 * @param {any} found
 * @param {{corner: string, place: string, control: string}} wanted
 */
function measured(found, { corner, place, control }) {
  const name = control === "none" ? null : control;
  const largest = found.protocol.sizes.at(-1);
  const isWanted = (/** @type {any} */ one) => one.corner === corner && one.place === place && one.control === name;
  const score = found.scores.find(
    (/** @type {any} */ one) => isWanted(one) && one.arm === "plain" && one.n_train === largest,
  );
  return { score, loss: name ? found.losses.find(isWanted) : null };
}

/**
 * Whether all draws gave one and the same number somewhere in the tables shown: no certainty, though it looks like it.
 * @param {any} found
 * @param {string} control
 */
function isWithoutWidth(found, control) {
  const shown = PLACES.flatMap((place) => CORNERS.map((corner) => measured(found, { corner, place, control })));
  const estimates = shown.flatMap(({ score, loss }) => [score?.accuracy, loss?.is_unmoved ? null : loss?.points]);
  return estimates.some((one) => one && one.n > 1 && one.high - one.low < NO_WIDTH);
}

/**
 * @param {import("./texts.js").Texts} texts
 * @param {any} found
 * @param {{corner: string, place: string, control: string}} wanted
 */
function cornerCell(texts, found, { corner, place, control }) {
  const { say } = texts;
  const { score, loss } = measured(found, { corner, place, control });
  const taken = loss?.is_unmoved ? say("page_unmoved_exactly") : loss ? points(loss.points) : "";
  return element(
    "div",
    { class: "corner" },
    element("strong", {}, say(`page_corner_${corner}`)),
    element("span", {}, score ? interval(texts, score.accuracy) : say("page_not_measured")),
    taken ? element("span", { class: "taken" }, say("page_taken", { points: taken })) : null,
    element("small", {}, say("page_hidden_weights", { n: texts.number(found.weights[corner]) })),
  );
}

/**
 * @param {import("./texts.js").Texts} texts
 * @param {{value: number, low: number, high: number}} estimate
 */
const interval = (texts, { value, low, high }) =>
  `${texts.percent(value)} (${texts.fixed(100 * low, 1)} – ${texts.fixed(100 * high, 1)})`;

/**
 * A difference in percentage points; t intervals reach equally far both ways.
 * @param {{value: number, low: number, high: number}} estimate
 */
const points = ({ value, low, high }) =>
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
