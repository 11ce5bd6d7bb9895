/** The unit that is looked at: layer, detector and place, the same in every view; and the fields that choose it. */

import { button, element, numberField } from "./elements.js";

/**
 * @typedef {object} Layer
 * @property {string} name As the server knows it.
 * @property {string} title As people read it.
 * @property {string} kind
 * @property {number} filters Maps that it gives, or numbers where it has no places.
 * @property {number} rows
 * @property {number} columns
 * @property {number[] | null} kernel
 * @property {number | null} weights
 * @property {number | null} connections
 * @property {number | null} sharing
 * @property {boolean} isConvolution
 *
 * @typedef {{layer: string, filter: number, y: number, x: number}} Choice
 */

const KINDS = {
  Conv: "convolution",
  ConvTranspose: "convolution",
  Gemm: "dense",
  MatMul: "dense",
  MaxPool: "maximum",
  GlobalMaxPool: "maximum",
  AveragePool: "mean",
  GlobalAveragePool: "mean",
  ReduceMean: "mean",
  BatchNormalization: "normalization",
  Relu: "relu",
  Softmax: "softmax",
  Flatten: "flatten",
};

/**
 * @param {any[]} rows What the server tells of the layers.
 * @param {import("./texts.js").Texts} texts
 * @returns {Layer[]} Those whose maps have a shape.
 */
export function readLayers(rows, texts) {
  return rows
    .filter((row) => row.output?.length)
    .map((row, at) => {
      const [filters, height = 1, width = 1] = row.output;
      const word = /** @type {Record<string, string>} */ (KINDS)[row.kind];
      const kind = word ? texts.say(`page_kind_${word}`) : row.kind;
      const kernel = row.kernel ? ` ${row.kernel.join(" × ")}` : "";
      return {
        name: row.map,
        title: `${at + 1}. ${kind}${kernel} → ${row.output.join(" × ")}`,
        kind: row.kind,
        filters,
        rows: height,
        columns: width,
        kernel: row.kernel ?? null,
        weights: row.weights ?? null,
        connections: row.connections ?? null,
        sharing: row.sharing_factor ?? null,
        isConvolution: row.kind === "Conv" && row.output.length === 3 && Boolean(row.weights),
      };
    });
}

/**
 * Fields for layer, detector and, where wished, place; below them what of the picture the layer is for.
 * @param {import("./main.js").Context} context
 * @param {object} wanted
 * @param {(layer: Layer) => boolean} wanted.accepts Which layers can be chosen.
 * @param {boolean} wanted.withPlace
 * @param {(isLayerNew: boolean) => void} wanted.onchange After `context.choice` was changed here.
 * @returns {{element: HTMLElement, layer: () => Layer, refresh: () => void}}
 */
export function chooser({ texts, recognizer, layers, choice }, { accepts, withPlace, onchange }) {
  const { say } = texts;
  const offered = layers.filter(accepts);
  const select = element("select", {}, ...offered.map(({ name, title }) => element("option", { value: name }, title)));
  const layer = () => offered.find(({ name }) => name === choice.layer) ?? offered[0];
  const field = (/** @type {string} */ key, /** @type {"filter" | "y" | "x"} */ part) =>
    numberField(texts, key, { value: 0, min: 0, max: 0 }, (value) => {
      choice[part] = value;
      onchange(false);
    });
  const filter = field("page_detector", "filter");
  const [row, column] = [field("page_row", "y"), field("page_column", "x")];

  function step(/** @type {number} */ by) {
    choice.filter = (choice.filter + by + layer().filters) % layer().filters;
    refresh();
    onchange(false);
  }

  /** Shows the choice, kept within what the layer has. */
  function refresh() {
    const chosen = layer();
    Object.assign(choice, {
      layer: chosen.name,
      filter: Math.min(choice.filter, chosen.filters - 1),
      y: Math.min(choice.y, chosen.rows - 1),
      x: Math.min(choice.x, chosen.columns - 1),
    });
    select.value = chosen.name;
    filter.show(choice.filter, chosen.filters - 1);
    row.show(choice.y, chosen.rows - 1);
    column.show(choice.x, chosen.columns - 1);
  }

  select.addEventListener("change", () => {
    const chosen = /** @type {Layer} */ (offered.find(({ name }) => name === select.value));
    const middle = { y: Math.floor(chosen.rows / 2), x: Math.floor(chosen.columns / 2) };
    Object.assign(choice, { layer: chosen.name }, middle);
    refresh();
    onchange(true);
  });
  const made = element(
    "div",
    { class: "chooser" },
    element("label", { class: "field wide" }, element("span", {}, say("page_layer")), select),
    filter.element,
    button("−", () => step(-1), { "aria-label": say("page_detector_before"), class: "small" }),
    button("+", () => step(1), { "aria-label": say("page_detector_next"), class: "small" }),
    withPlace ? row.element : null,
    withPlace ? column.element : null,
  );
  const { window } = recognizer;
  const part = window ? element("p", { class: "about" }, say("page_first_window", window)) : null;
  return { element: element("div", {}, made, part), layer, refresh };
}
