/** One output of one convolution, product by product, on the numbers of this network and this picture. */

import * as api from "./api.js";
import { chooser } from "./choice.js";
import { button, element, numberField, table } from "./elements.js";
import { note, paced } from "./pace.js";

/**
 * @param {import("./main.js").Context} context
 * @returns {import("./tabs.js").View}
 */
export function steps(context) {
  const { texts, picture, trouble } = context;
  const { say } = texts;
  const found = chooser(context, {
    accepts: ({ isConvolution }) => isConvolution,
    withPlace: true,
    onchange: () => refresh(),
  });
  const grids = element("div", { class: "side-by-side tight" });
  const sums = element("div");
  const running = element("p", { "aria-live": "polite", class: "verdict" });
  const channel = numberField(texts, "page_channel", { value: 0, min: 0, max: 0 }, (value) => {
    shown = value;
    at = 0;
    draw();
  });
  /** @type {any} */
  let told = null;
  let shown = 0;
  let at = 0;

  const ask = paced(
    "steps",
    async (/** @type {Uint8Array} */ pixels) => {
      told = await api.step(pixels, context.choice);
      shown = Math.min(shown, told.inputs.length - 1);
      channel.show(shown, told.inputs.length - 1);
      at = 0;
      draw();
    },
    trouble,
  );

  function draw() {
    if (told === null) return; // nothing is answered yet
    const products = productsOf(told, shown);
    at = Math.max(0, Math.min(products.length, at));
    grids.replaceChildren(
      grid(say("page_patch"), told.inputs[shown], at),
      element("span", { class: "sign", "aria-hidden": "true" }, "×"),
      grid(say("page_weights"), told.weights[shown], at),
      element("span", { class: "sign", "aria-hidden": "true" }, "="),
      grid(say("page_products"), chunk(products, told.inputs[shown][0].length), at),
    );
    running.textContent = runningSum(context, told, shown, at);
    sums.replaceChildren(sumTable(context, told));
  }

  function go(/** @type {number} */ to) {
    const start = performance.now();
    at = to;
    draw();
    note("step", start);
  }

  function refresh() {
    found.refresh();
    ask(picture.pixels);
  }
  return {
    element: element(
      "div",
      {},
      element("h2", {}, say("page_steps")),
      element("p", {}, say("page_steps_means")),
      found.element,
      element(
        "div",
        { class: "row" },
        channel.element,
        button(say("page_step_first"), () => go(0)),
        button(say("page_step_back"), () => go(at - 1)),
        button(say("page_step_next"), () => go(at + 1)),
        button(say("page_step_all"), () => go(Infinity)),
      ),
      grids,
      running,
      sums,
    ),
    refresh,
  };
}

/**
 * @param {any} told
 * @param {number} channel
 * @returns {number[]}
 */
function productsOf({ inputs, weights }, channel) {
  const flat = weights[channel].flat();
  return inputs[channel].flat().map((/** @type {number} */ value, /** @type {number} */ tap) => value * flat[tap]);
}

/** @param {number[]} values */
const sum = (values) => values.reduce((total, value) => total + value, 0);

/**
 * @param {number[]} values
 * @param {number} length
 * @returns {number[][]}
 */
const chunk = (values, length) =>
  Array.from({ length: values.length / length }, (_, row) => values.slice(row * length, (row + 1) * length));

/**
 * @param {string} caption
 * @param {number[][]} values
 * @param {number} at Taps already done; the next one stands out.
 */
function grid(caption, values, at) {
  const columns = values[0].length;
  const rows = values.map((line, row) =>
    element(
      "tr",
      {},
      ...line.map((value, column) => {
        const tap = row * columns + column;
        return element("td", { class: tap < at ? "done" : tap === at ? "next" : null }, short(value));
      }),
    ),
  );
  return element(
    "div",
    { class: "scroll", tabindex: 0, role: "group", "aria-label": caption },
    element("table", { class: "taps" }, element("caption", {}, caption), element("tbody", {}, ...rows)),
  );
}

/** @param {number} value */
function short(value) {
  if (value === 0) return "0";
  return Math.abs(value) < 1e-3 ? value.toExponential(1) : value.toFixed(4);
}

/**
 * @param {import("./main.js").Context} context
 * @param {any} told
 * @param {number} channel
 * @param {number} at
 */
function runningSum({ texts }, told, channel, at) {
  const products = productsOf(told, channel);
  const sofar = texts.real(sum(products.slice(0, at)));
  if (at === 0) return texts.say("page_step_none", { n: texts.number(products.length) });
  const tap = at - 1;
  const value = told.inputs[channel].flat()[tap];
  const weight = told.weights[channel].flat()[tap];
  const fields = { tap: at, n: texts.number(products.length), value: texts.real(value), weight: texts.real(weight) };
  return texts.say("page_step_one", { ...fields, product: texts.real(products[tap]), sum: sofar });
}

/**
 * The sums of all channels, the bias, the whole, and what the network itself has there.
 * @param {import("./main.js").Context} context
 * @param {any} told
 */
function sumTable({ texts }, told) {
  const { say } = texts;
  const channels = Array.from(told.inputs, (_, channel) => sum(productsOf(told, channel)));
  const bias = told.bias ?? 0;
  const whole = sum(channels) + bias;
  const n = channels.length * told.inputs[0].flat().length;
  const products = say("page_all_products", { n: texts.number(n), channels: texts.number(channels.length) });
  return table(
    say("page_step_sum"),
    ["", say("page_value")],
    [
      [products, texts.real(sum(channels))],
      [say("page_bias"), texts.real(bias)],
      [say("page_whole"), texts.real(whole)],
      [say("page_network_says"), texts.real(told.value)],
      [say("page_difference"), Math.abs(whole - told.value).toExponential(1)],
    ],
  );
}
