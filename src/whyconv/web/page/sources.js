/** How a picture comes in: dropped, pasted, chosen, from the camera, drawn, or one that training saw. */

import * as api from "./api.js";
import { camera } from "./camera.js";
import { cells, colorsOfPixels, silent } from "./canvas.js";
import { drawing } from "./drawing.js";
import { button, element } from "./elements.js";
import { note } from "./pace.js";
import { patiently } from "./patience.js";
import { decode, fromBase64 } from "./pixels.js";

const EXAMPLES = 12;
const TOP = 1;
/** Bytes around each file of a form, at most. */
const HEAD = 1000;

/**
 * @param {import("./main.js").Context} context
 * @param {AbortSignal} signal Ends what the page listens to.
 * @returns {DocumentFragment}
 */
export function sources(context, signal) {
  const { texts, picture } = context;
  const { say } = texts;
  const seen = cells({ rows: picture.side, columns: picture.side, label: say("page_seen"), size: 240 });
  const name = element("figcaption", {});
  const answers = element("div", {});
  const input = element("input", { type: "file", multiple: true, accept: "image/*", class: "unseen" });
  const take = (/** @type {File[]} */ files) => {
    if (files.length) wished(context, (isNewest) => bring(context, files, answers, isNewest));
  };

  const draw = () => {
    seen.paint(colorsOfPixels(picture.pixels, picture.channels));
    name.textContent = say("page_seen_caption", { name: picture.name, side: picture.side });
  };
  picture.onchange(draw);
  draw();
  input.addEventListener("change", () => {
    take([...input.files]);
    input.value = "";
  });
  const fragment = document.createDocumentFragment();
  fragment.append(
    element("h2", { id: "source-title" }, say("page_picture")),
    element("figure", { class: "seen" }, seen.canvas, name),
    element(
      "div",
      { class: "row" },
      element("label", { class: "button" }, input, say("page_choose")),
      camera(context, (file) => take([file]), signal),
    ),
    element("p", { class: "about" }, say("page_drop")),
    answers,
    drawing(context),
    examples(context, signal),
  );
  listen(take, signal);
  return fragment;
}

/**
 * A person wishes for a picture: what was told before is taken back. Where another one is wished for before this one is
 * there, nothing is heard of it any more.
 * @param {import("./main.js").Context} context
 * @param {(isNewest: () => boolean) => Promise<void>} work
 */
function wished({ picture, calm, trouble }, work) {
  calm();
  const isNewest = picture.wish();
  work(isNewest).catch((error) => isNewest() && trouble(error));
}

/**
 * The whole page takes what is dropped or pasted.
 * @param {(files: File[]) => void} take
 * @param {AbortSignal} signal Ends it.
 */
function listen(take, signal) {
  const isPicture = (/** @type {File} */ file) => file.type === "" || file.type.startsWith("image/");
  document.addEventListener(
    "dragover",
    (event) => {
      event.preventDefault();
      document.body.classList.add("dropping");
    },
    { signal },
  );
  document.addEventListener("dragleave", () => document.body.classList.remove("dropping"), { signal });
  document.addEventListener(
    "drop",
    (event) => {
      event.preventDefault();
      document.body.classList.remove("dropping");
      take([...(event.dataTransfer?.files ?? [])]);
    },
    { signal },
  );
  document.addEventListener("paste", (event) => take([...(event.clipboardData?.files ?? [])].filter(isPicture)), {
    signal,
  });
}

/**
 * Shows the first of the files; several are answered together, and each that can be read can be shown.
 * @param {import("./main.js").Context} context
 * @param {File[]} files
 * @param {HTMLElement} box Of the list of answers, the newest alone.
 * @param {() => boolean} isNewest
 */
async function bring(context, files, box, isNewest) {
  const start = performance.now();
  const list = element("ul", { class: "files" });
  box.replaceChildren(list);
  if (files.length > 1) {
    /** @type {File | undefined} */
    let good;
    for (const group of groups(files, context.recognizer.limits)) {
      const found = await answersTo(group);
      list.append(...found.map((answer, at) => fileRow(context, group[at], answer)));
      good ??= group.find((_, at) => !found[at].error);
    }
    if (good) await show(context, good, isNewest);
  } else {
    await show(context, files[0], isNewest);
  }
  note("bring", start);
}

/**
 * The answers to a group of files; where it is refused, each file has the reason.
 * @param {File[]} group
 * @returns {Promise<import("./api.js").Prediction[]>}
 */
async function answersTo(group) {
  try {
    return await patiently(() => api.predictFiles(group, TOP));
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    return group.map(({ name }) => ({ name, labels: [], error: error.message }));
  }
}

/**
 * @param {import("./main.js").Context} context
 * @param {File} file
 * @param {() => boolean} isNewest
 */
async function show({ texts, picture }, file, isNewest) {
  const pixels = await decode(await patiently(() => api.prepared(file), isNewest), picture.channels);
  if (isNewest()) picture.set(pixels, file.name || texts.say("page_pasted"));
}

/**
 * Files in their order, as many together as one request may hold.
 * @param {File[]} files
 * @param {{max_body: number, max_pictures: number}} limits
 * @returns {File[][]}
 */
function groups(files, { max_body, max_pictures }) {
  /** @type {File[][]} */
  const made = [];
  let size = Infinity;
  for (const file of files) {
    const cost = file.size + HEAD;
    if (size + cost > max_body || made.at(-1)?.length === max_pictures) {
      made.push([]);
      size = 0;
    }
    made.at(-1)?.push(file);
    size += cost;
  }
  return made;
}

/**
 * @param {import("./main.js").Context} context
 * @param {File} file
 * @param {import("./api.js").Prediction} answer
 */
function fileRow(context, file, answer) {
  const { texts } = context;
  if (answer.error) return element("li", { class: "bad" }, `${file.name}: ${answer.error}`);
  const [{ label, probability }] = answer.labels;
  const text = `${file.name}: ${label} (${texts.percent(probability)})`;
  const use = () => wished(context, (isNewest) => show(context, file, isNewest));
  return element("li", {}, button(text, use, { class: "link" }));
}

/**
 * Pictures that training saw, one after the other: together they are more than a server may have room for.
 * @param {import("./main.js").Context} context
 * @param {AbortSignal} signal Ends it.
 */
function examples(context, signal) {
  const { texts, picture, recognizer, trouble } = context;
  const list = element("ul", { class: "examples" });
  const isWide = matchMedia("(min-width: 821px)").matches;
  const made = element("details", { open: isWide }, element("summary", {}, texts.say("page_examples")), list);
  if (!recognizer.has.thumbnails) return element("p", { class: "about" }, texts.say("page_no_examples"));
  api
    .thumbnails(EXAMPLES)
    .then(async ({ side, pngs }) => {
      const small = side < picture.side ? texts.say("page_examples_small", { side }) : "";
      if (small) made.append(element("p", { class: "about" }, small));
      for (const [at, png] of pngs.entries()) {
        const pixels = await patiently(() => fromPng(png, picture), () => !signal.aborted);
        if (signal.aborted) return;
        const use = () => picture.set(pixels, texts.say("page_example", { number: at + 1 }));
        list.append(exampleRow(context, pixels, at, use));
        if (picture.name === "") use();
      }
    })
    .catch((error) => signal.aborted || trouble(error));
  return made;
}

/**
 * @param {import("./main.js").Context} context
 * @param {Uint8Array} pixels
 * @param {number} at
 * @param {() => void} use
 */
function exampleRow({ texts, picture, calm }, pixels, at, use) {
  const { side, channels } = picture;
  const small = cells({ rows: side, columns: side, label: "", size: 40 });
  small.paint(colorsOfPixels(pixels, channels));
  const choose = () => {
    calm();
    picture.wish();
    use();
  };
  const made = button("", choose, { "aria-label": texts.say("page_example", { number: at + 1 }), class: "example" });
  made.append(silent(small.canvas));
  return element("li", {}, made);
}

/**
 * @param {string} png In base64.
 * @param {import("./picture.js").Picture} shape
 */
async function fromPng(png, { channels }) {
  return decode(await api.prepared(new Blob([fromBase64(png)], { type: "image/png" })), channels);
}
