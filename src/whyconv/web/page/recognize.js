/** What the picture shows: ranked answers, how sure, and why. */

import * as api from "./api.js";
import { ranked } from "./answers.js";
import { cells, colorsOfPixels, reachOf } from "./canvas.js";
import { element } from "./elements.js";
import { paced } from "./pace.js";
import { decode, fromBase64 } from "./pixels.js";

const TOP = 5;
const FOR = [40, 110, 225];
const AGAINST = [240, 110, 20];
/** What the map does not say: the server's notes that have a sentence here. */
const CAUTIONS = {
  evidence_field_closer: "page_evidence_field_closer",
  evidence_occlusion_small: "page_evidence_occlusion_small",
};

/**
 * @param {import("./main.js").Context} context
 * @returns {import("./tabs.js").View}
 */
export function recognize(context) {
  const { texts, picture, recognizer, trouble } = context;
  const { say } = texts;
  const answer = element("div", { "aria-live": "polite" });
  const evidence = element("div", { class: "evidence" });
  const validation = recognizer.parts.validation ?? 0;
  const calibrated = validation ? say("page_calibrated", { n: texts.number(validation) }) : say("page_not_calibrated");

  const ask = paced(
    "predict",
    async (/** @type {Uint8Array} */ pixels) => {
      const { labels, is_unsure } = await api.predict(pixels, TOP);
      const badge = is_unsure ? element("span", { class: "badge" }, say("page_unsure")) : null;
      answer.replaceChildren(
        element("p", { class: "first" }, element("bdi", {}, labels[0].label), badge),
        ...(is_unsure ? [element("p", {}, say("page_unsure_means"))] : []),
        ranked(texts, labels),
      );
      // Only now: what takes longer does not hold up the answer.
      if (recognizer.has.evidence) explain(pixels);
      else evidence.replaceChildren(element("p", { class: "about" }, say("page_no_evidence")));
    },
    (error) => {
      // What stands there is of another picture.
      for (const old of [answer, evidence]) old.replaceChildren();
      trouble(error);
    },
  );
  const explain = paced(
    "explain",
    async (/** @type {Uint8Array} */ pixels) => {
      const found = await api.explain(pixels);
      evidence.replaceChildren(...(await shownEvidence(context, found, pixels)));
    },
    (error) => evidence.replaceChildren(element("p", { class: "about" }, reasonOf(error))),
  );
  return {
    element: element(
      "div",
      {},
      element("h2", {}, say("page_recognize")),
      answer,
      element("p", { class: "about" }, calibrated),
      element("h3", {}, say("page_evidence")),
      evidence,
    ),
    refresh: () => ask(picture.pixels),
  };
}

/** @param {unknown} error */
const reasonOf = (error) => (error instanceof Error ? error.message : String(error));

/**
 * @param {import("./main.js").Context} context
 * @param {any} found
 * @param {Uint8Array} pixels
 */
async function shownEvidence(context, found, pixels) {
  const { texts, picture } = context;
  const { say } = texts;
  const { side, channels } = picture;
  const kind = found.kind === "occlusion" ? "occlusion" : "activation";
  const label = say(`page_evidence_${kind}`, { label: found.label });
  const board = cells({ rows: side, columns: side, label, size: 200 });
  board.paint(heated(colorsOfPixels(pixels, channels), side, found));
  const seen = found.field?.bounds?.length ? found.field : null;
  if (seen) board.frame([frameOfBounds(seen.bounds)]);
  const field = seen && { n: texts.number(seen.num_pixels), share: texts.percent(seen.fraction) };
  const nearest = await Promise.all((found.nearest ?? []).map((/** @type {any} */ one) => neighbor(context, one)));
  return [
    element("figure", {}, board.canvas, element("figcaption", {}, label)),
    ...(field ? [element("p", { class: "about" }, say("page_evidence_field", field))] : []),
    ...cautions(texts, found.notes),
    ...(nearest.length
      ? [element("h4", {}, say("page_nearest")), element("ul", { class: "nearest" }, ...nearest)]
      : [element("p", { class: "about" }, say("page_no_nearest"))]),
  ];
}

/**
 * @param {import("./texts.js").Texts} texts
 * @param {{key: string, values: Record<string, any>}[]} notes
 */
function cautions({ say }, notes) {
  const known = /** @type {Record<string, string>} */ (CAUTIONS);
  return notes
    .filter(({ key }) => key in known)
    .map(({ key, values }) => element("p", { class: "about" }, say(known[key], values)));
}

/**
 * The first and last row and column as a frame.
 * @param {[[number, number], [number, number]]} bounds
 * @returns {import("./canvas.js").Frame}
 */
const frameOfBounds = ([[top, bottom], [left, right]]) => ({
  top,
  left,
  height: bottom - top + 1,
  width: right - left + 1,
});

/**
 * A picture in gray, blue where the map speaks for the answer, orange where it speaks against it.
 * @param {Uint8ClampedArray} rgba Of the picture.
 * @param {number} side
 * @param {{values: number[][], box: number[]}} map Its box over the picture: top, left, height, width.
 */
function heated(rgba, side, { values, box }) {
  const [top, left, height, width] = box;
  const reach = reachOf(values.flat()) || 1;
  for (let at = 0; at < side * side; at++) {
    const y = Math.floor(((Math.floor(at / side) + 0.5 - top) / height) * values.length);
    const x = Math.floor((((at % side) + 0.5 - left) / width) * values[0].length);
    const value = (values[y]?.[x] ?? 0) / reach;
    const gray = (rgba[4 * at] + rgba[4 * at + 1] + rgba[4 * at + 2]) / 3;
    const end = value < 0 ? AGAINST : FOR;
    end.forEach((level, color) => {
      rgba[4 * at + color] = 0.7 * gray * (1 - Math.abs(value)) + Math.abs(value) * level;
    });
  }
  return rgba;
}

/**
 * @param {import("./main.js").Context} context
 * @param {{label: string | null, distance: number, png: string}} one
 */
async function neighbor({ texts, picture }, { label, distance, png }) {
  const pixels = await decode(new Blob([fromBase64(png)], { type: "image/png" }), picture.channels);
  const side = Math.sqrt(pixels.length / picture.channels);
  const fields = { label: label ?? "", distance: texts.number(distance, 3) };
  const text = texts.say(label === null ? "page_neighbor_unnamed" : "page_neighbor", fields);
  const board = cells({ rows: side, columns: side, label: text, size: 72 });
  board.paint(colorsOfPixels(pixels, picture.channels));
  return element("li", {}, board.canvas, element("small", {}, text));
}
