/** The lecture's table: what a layer of any size costs, dense, local, shared and as a convolution. */

import * as api from "./api.js";
import { element, numberField, table } from "./elements.js";
import { paced } from "./pace.js";

/** A color picture of 32 x 32 and six filters of 5 x 5, as in the lecture. */
const FIRST = { side: 32, in_channels: 3, out_channels: 6, kernel: 5, stride: 1, padding: 0 };
const MOST = { side: 4096, in_channels: 4096, out_channels: 4096, kernel: 255, stride: 64, padding: 128 };
const CORNERS = ["dense", "local", "shared_global", "convolution"];

/**
 * @param {import("./main.js").Context} context
 * @returns {import("./tabs.js").View}
 */
export function layerTable({ texts, trouble, calm }) {
  const { say } = texts;
  const wanted = { ...FIRST };
  const result = element("div", { "aria-live": "polite" });

  const ask = paced(
    "count",
    async () => {
      result.replaceChildren(...shown(texts, await api.count(wanted)));
    },
    trouble,
  );
  const fields = Object.entries(FIRST).map(
    ([name, value]) =>
      numberField(texts, `page_size_${name}`, { value, min: name === "padding" ? 0 : 1, max: MOST[name] }, (found) => {
        calm();
        wanted[/** @type {keyof typeof FIRST} */ (name)] = found;
        ask();
      }).element,
  );
  return {
    element: element(
      "div",
      {},
      element("h2", {}, say("page_table")),
      element("p", {}, say("page_table_means")),
      element("div", { class: "chooser" }, ...fields),
      result,
    ),
    refresh: ask,
  };
}

/**
 * @param {import("./texts.js").Texts} texts
 * @param {any} report What `whyconv layer --json` prints.
 */
function shown(texts, report) {
  const { say, number } = texts;
  const shapes = [report.input_shape, report.output_shape].map((shape) => shape.join(" × ")).join(" → ");
  const rows = CORNERS.map((corner) => {
    const { weights, biases, connections, multiply_adds } = report[corner];
    const numbers = [weights, biases, connections, multiply_adds];
    return [say(`page_corner_${corner}`), ...numbers.map((value) => number(value))];
  });
  const factors = [report.weight_ratio, report.locality_factor, report.sharing_factor];
  const [ratio, locality, sharing] = factors.map((value) => number(value, 2));
  return [
    element("p", { class: "first" }, shapes),
    square(texts, report),
    element("p", { class: "identity" }, say("page_identity", { ratio, locality, sharing })),
    table(
      say("page_table"),
      ["", ...["weights", "biases", "connections", "multiply_adds"].map((name) => say(`page_column_${name}`))],
      rows,
    ),
  ];
}

/**
 * The four corners: local or not, shared or not.
 * @param {import("./texts.js").Texts} texts
 * @param {any} report
 */
function square({ say, number }, report) {
  const cell = (/** @type {string} */ corner) => `${say(`page_corner_${corner}`)}: ${number(report[corner].weights)}`;
  return table(
    say("page_corners"),
    ["", say("page_own_weights"), say("page_shared_weights")],
    [
      [say("page_sees_all"), cell("dense"), cell("shared_global")],
      [say("page_sees_near"), cell("local"), cell("convolution")],
    ],
  );
}
