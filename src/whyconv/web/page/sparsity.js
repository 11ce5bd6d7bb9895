/** Sparse connections: the pixels that one unit can depend on; whatever happens outside, its number stands still. */

import * as api from "./api.js";
import { cells, colorsOfPixels } from "./canvas.js";
import { chooser } from "./choice.js";
import { button, element, radios } from "./elements.js";
import { frameOf, seenPixels } from "./field.js";
import { askMaps } from "./maps.js";
import { paced } from "./pace.js";
import { painting } from "./painting.js";
import { scramble } from "./pixels.js";
import { placeMap } from "./place.js";

/**
 * A unit on the picture that it was asked about: all numbers of this view speak of these two.
 * @typedef {object} Looked
 * @property {Uint8Array} pixels
 * @property {import("./choice.js").Choice} unit
 * @property {Uint8Array} seen
 * @property {number} value
 */

/**
 * @param {import("./main.js").Context} context
 * @returns {import("./tabs.js").View}
 */
export function sparsity(context) {
  const { texts, picture, choice, trouble } = context;
  const { say } = texts;
  const { side, channels } = picture;
  const found = chooser(context, { accepts: () => true, withPlace: true, onchange: () => look() });
  const paper = cells({ rows: side, columns: side, label: say("page_scribble"), size: 280 });
  const place = placeMap(context, found, 200, () => look());
  const numbers = element("dl", { class: "numbers" });
  const verdict = element("p", { "aria-live": "polite", class: "verdict" });
  const reach = element("p", {});
  /** @type {Looked | null} Null where the last look failed: a scribble could be compared with nothing. */
  let looked = null;
  let scribbled = picture.pixels;
  let brush = "outside";

  const look = paced(
    "unit",
    async () => {
      const [pixels, unit] = [picture.pixels, { ...choice }];
      const [told, [map]] = await Promise.all([api.unit(pixels, unit), askMaps(pixels, unit.layer, [unit.filter])]);
      looked = { pixels, unit, seen: seenPixels(told, side), value: told.value };
      scribbled = pixels;
      place.show(map);
      paper.shade(looked.seen);
      paper.frame(frameOf(looked.seen, side));
      reach.textContent = reachSentence(texts, told, looked.seen);
      tell(looked, pixels, told.value);
    },
    (error) => {
      forget();
      trouble(error);
    },
  );
  const measure = paced(
    "scribble",
    async (/** @type {Uint8Array} */ pixels, /** @type {Looked} */ asked) => {
      const { value } = await api.unit(pixels, asked.unit);
      // What was scribbled for one unit says nothing of the next.
      if (asked === looked) tell(asked, pixels, value);
    },
    trouble,
  );

  /** What stands there is of another unit or another picture. */
  function forget() {
    looked = null;
    paper.shade(null);
    paper.frame([]);
    paper.paint(colorsOfPixels(picture.pixels, channels));
    numbers.replaceChildren();
    for (const sentence of [verdict, reach]) sentence.textContent = "";
  }

  /**
   * @param {Looked} before
   * @param {Uint8Array} measured Not what was scribbled since: of that nothing is known yet.
   * @param {number} now Their number.
   */
  function tell({ pixels, seen, value }, measured, now) {
    paper.paint(colorsOfPixels(measured, channels));
    const changed = changedPixels(measured, pixels, seen, channels);
    numbers.replaceChildren(
      ...row(say("page_before"), texts.real(value)),
      ...row(say("page_now"), texts.real(now)),
      ...row(say("page_changed_outside"), texts.number(changed.outside)),
      ...row(say("page_changed_inside"), texts.number(changed.inside)),
    );
    const key = now === value ? "page_unmoved" : "page_moved";
    verdict.textContent = changed.outside + changed.inside ? say(key) : say("page_not_scribbled");
    verdict.dataset.moved = String(now !== value);
  }

  /** @param {(isSeen: boolean, at: number) => boolean} isMarked */
  function scribble(isMarked) {
    if (looked === null) return;
    const marked = looked.seen.map((is, at) => (isMarked(Boolean(is), at) ? 1 : 0));
    if (!marked.some(Boolean)) return;
    scribbled = scramble(scribbled, picture, marked);
    measure(scribbled, looked);
  }

  painting(paper, {
    onpaint(y, x) {
      const marked = dab(y, x, side);
      const isAllowed = (/** @type {boolean} */ isSeen) => brush === "anywhere" || isSeen === (brush === "inside");
      scribble((isSeen, at) => Boolean(marked[at]) && isAllowed(isSeen));
    },
    onmove(y, x) {
      const frames = looked ? frameOf(looked.seen, side) : [];
      paper.frame([...frames, { top: y, left: x, height: 1, width: 1 }]);
    },
  });
  const brushes = radios(
    say("page_brush"),
    ["outside", "inside", "anywhere"].map((where) => [where, say(`page_brush_${where}`)]),
    brush,
    (value) => (brush = value),
  );
  return {
    element: element(
      "div",
      {},
      element("h2", {}, say("page_sparsity")),
      element("p", {}, say("page_sparsity_means")),
      found.element,
      element(
        "div",
        { class: "side-by-side" },
        element("figure", {}, place.element, element("figcaption", {}, say("page_point_at"))),
        element("figure", {}, paper.canvas, element("figcaption", {}, say("page_scribble"))),
        element("div", { class: "told" }, numbers, verdict),
      ),
      reach,
      brushes,
      element(
        "div",
        { class: "row" },
        button(say("page_scribble_outside"), () => scribble((isSeen) => !isSeen)),
        button(say("page_scribble_inside"), () => scribble((isSeen) => isSeen)),
        button(say("page_restore"), look),
      ),
    ),
    refresh() {
      found.refresh();
      look();
    },
  };
}

/**
 * @param {string} name
 * @param {string} value
 */
const row = (name, value) => [element("dt", {}, name), element("dd", {}, value)];

/**
 * How many pixels the unit can depend on; a bound, or the reason why it is not known, is said to be one.
 * @param {import("./texts.js").Texts} texts
 * @param {any} told
 * @param {Uint8Array} seen
 */
function reachSentence({ say, number, percent }, told, seen) {
  if (told.rows === null) return say("page_sees_unknown", { reason: told.reason });
  const n = seen.reduce((sum, is) => sum + is, 0);
  const fields = { n: number(n), all: number(seen.length), share: percent(n / seen.length) };
  return say(told.is_bound ? "page_sees_at_most" : "page_sees", fields);
}

/**
 * How many pixels differ, outside and inside of what the unit sees.
 * @param {Uint8Array} pixels
 * @param {Uint8Array} original
 * @param {Uint8Array} seen
 * @param {number} channels
 */
function changedPixels(pixels, original, seen, channels) {
  const changed = { outside: 0, inside: 0 };
  seen.forEach((is, at) => {
    const from = at * channels;
    const isSame = pixels.subarray(from, from + channels).every((value, index) => value === original[from + index]);
    if (!isSame) changed[is ? "inside" : "outside"] += 1;
  });
  return changed;
}

/**
 * The cells under a brush: one for every 32 pixels of the side, at least one.
 * @param {number} y
 * @param {number} x
 * @param {number} side
 */
function dab(y, x, side) {
  const marked = new Uint8Array(side * side);
  const width = Math.max(1, Math.round(side / 32));
  for (let row = y; row < Math.min(side, y + width); row++) {
    marked.fill(1, row * side + x, row * side + Math.min(side, x + width));
  }
  return marked;
}
