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
  let seen = new Uint8Array(side * side).fill(1);
  let scribbled = picture.pixels;
  let before = 0;
  /** Counts the units looked at: what was scribbled for one of them says nothing of the next. */
  let looked = 0;
  let brush = "outside";

  const look = paced(
    "unit",
    async () => {
      const pixels = picture.pixels;
      const [told, [map]] = await Promise.all([
        api.unit(pixels, choice),
        askMaps(pixels, choice.layer, [choice.filter]),
      ]);
      [seen, before, scribbled] = [seenPixels(told, side), told.value, pixels];
      looked += 1;
      place.show(map);
      paper.shade(seen);
      paper.frame(frameOf(seen, side));
      reach.textContent = reachSentence(texts, told, seen);
      tell(before);
    },
    trouble,
  );
  const measure = paced(
    "scribble",
    async (/** @type {Uint8Array} */ pixels, /** @type {number} */ asked) => {
      const { value } = await api.unit(pixels, choice);
      if (asked === looked) tell(value);
    },
    trouble,
  );

  function tell(/** @type {number} */ now) {
    paper.paint(colorsOfPixels(scribbled, channels));
    const changed = changedPixels(scribbled, picture.pixels, seen, channels);
    numbers.replaceChildren(
      ...row(say("page_before"), texts.real(before)),
      ...row(say("page_now"), texts.real(now)),
      ...row(say("page_changed_outside"), texts.number(changed.outside)),
      ...row(say("page_changed_inside"), texts.number(changed.inside)),
    );
    const key = now === before ? "page_unmoved" : "page_moved";
    verdict.textContent = changed.outside + changed.inside ? say(key) : say("page_not_scribbled");
    verdict.dataset.moved = String(now !== before);
  }

  function scribble(/** @type {Uint8Array} */ marked) {
    scribbled = scramble(scribbled, picture, marked);
    measure(scribbled, looked);
  }

  painting(paper, {
    onpaint(y, x) {
      const marked = dab(y, x, side);
      const kept = marked.map((is, at) => {
        const isAllowed = brush === "anywhere" || Boolean(seen[at]) === (brush === "inside");
        return is && isAllowed ? 1 : 0;
      });
      if (kept.some(Boolean)) scribble(kept);
    },
    onmove: (y, x) => paper.frame([...frameOf(seen, side), { top: y, left: x, height: 1, width: 1 }]),
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
        button(say("page_scribble_outside"), () => scribble(seen.map((is) => 1 - is))),
        button(say("page_scribble_inside"), () => scribble(seen)),
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
