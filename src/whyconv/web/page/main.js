/** Puts the page together: texts, the picture, the views; and does so again when the language is changed. */

import * as api from "./api.js";
import { readLayers } from "./choice.js";
import { element } from "./elements.js";
import { invariance } from "./invariance.js";
import { createPicture } from "./picture.js";
import { recognize } from "./recognize.js";
import { sharing } from "./sharing.js";
import { sources } from "./sources.js";
import { sparsity } from "./sparsity.js";
import { square } from "./square.js";
import { steps } from "./steps.js";
import { layerTable } from "./table.js";
import { tabs } from "./tabs.js";
import { createTexts, fill, firstLanguage, remember } from "./texts.js";

/**
 * What every view is given.
 * @typedef {object} Context
 * @property {import("./texts.js").Texts} texts
 * @property {import("./api.js").Recognizer} recognizer
 * @property {import("./choice.js").Layer[]} layers
 * @property {import("./picture.js").Picture} picture
 * @property {import("./choice.js").Choice} choice
 * @property {(error: unknown) => void} trouble Tells what went wrong.
 * @property {() => void} calm Takes back what was told.
 */

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** @param {unknown} error */
function trouble(error) {
  byId("trouble").textContent = error instanceof Error ? error.message : String(error);
}

function calm() {
  byId("trouble").textContent = "";
}

/**
 * @param {Context} context
 * @returns {import("./tabs.js").Tab[]}
 */
function views(context) {
  const { texts, layers, recognizer } = context;
  const hasMaps = recognizer.has.maps && layers.length > 0;
  const hasConvolution = hasMaps && layers.some(({ isConvolution }) => isConvolution);
  /** @type {[string, (context: Context) => import("./tabs.js").View, boolean][]} */
  const wanted = [
    ["recognize", recognize, true],
    ["sharing", sharing, hasConvolution],
    ["sparsity", sparsity, hasMaps],
    ["invariance", invariance, true],
    ["steps", steps, hasConvolution],
    ["table", layerTable, true],
    ["square", square, true],
  ];
  return wanted.map(([key, view, isThere]) => ({
    key,
    title: texts.say(`page_tab_${key}`),
    make: () => (isThere ? view(context) : { element: element("p", {}, texts.say("page_no_maps")), refresh() {} }),
  }));
}

/**
 * @param {string} language
 * @param {Context | null} before
 * @returns {Promise<Context>}
 */
async function build(language, before) {
  const [sentences, recognizer] = await Promise.all([api.texts(language), before?.recognizer ?? api.recognizer()]);
  const rows = recognizer.has.layers ? await api.layers() : [];
  const texts = createTexts(language, sentences);
  const layers = readLayers(rows, texts);
  const first = layers.find(({ isConvolution }) => isConvolution) ?? layers[0];
  const middle = { y: Math.floor((first?.rows ?? 1) / 2), x: Math.floor((first?.columns ?? 1) / 2) };
  const choice = before?.choice ?? { layer: first?.name ?? "", filter: 0, ...middle };
  // The same picture in every language: one that is still on its way arrives there.
  const picture = before?.picture ?? createPicture(recognizer);
  return { texts, recognizer, layers, picture, choice, trouble, calm };
}

/**
 * @param {Context} context
 * @returns {AbortController} Ends what the page listens to.
 */
function show(context) {
  const { texts, recognizer, picture } = context;
  const listening = new AbortController();
  picture.forget();
  document.documentElement.lang = texts.language;
  document.title = `whyconv: ${recognizer.name}`;
  fill(document, texts);
  const { side, channels, classes } = recognizer;
  byId("about").textContent = texts.say("page_about", {
    name: recognizer.name,
    network: recognizer.network,
    classes: texts.number(classes.length),
    side,
    channels: texts.say(channels === 1 ? "page_gray" : "page_color"),
  });
  byId("source").replaceChildren(sources(context, listening.signal));
  const found = tabs(texts.say("page_views"), views(context), trouble);
  byId("views").replaceChildren(found.element);
  picture.onchange(() => found.refresh());
  return listening;
}

async function main() {
  const select = /** @type {HTMLSelectElement} */ (byId("language"));
  select.value = firstLanguage();
  let context = await build(select.value, null);
  let listening = show(context);
  select.addEventListener("change", async () => {
    const language = select.value;
    remember(language);
    try {
      const next = await build(language, context);
      if (language !== select.value) return; // another one was chosen meanwhile
      listening.abort();
      context = next;
      listening = show(context);
    } catch (error) {
      trouble(error);
    }
  });
  document.documentElement.dataset.ready = "true";
}

main().catch(trouble);
