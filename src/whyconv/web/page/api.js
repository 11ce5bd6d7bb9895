/** The server's answers: one function a route. Nothing else in the page asks for anything. */

/**
 * @typedef {object} Recognizer
 * @property {string} name
 * @property {string[]} classes
 * @property {number} side Pixels of the square picture that the network takes.
 * @property {number} channels 1 gray, 3 color.
 * @property {string} network
 * @property {{side: number, number: number} | null} window Of those averaged; maps are of the first.
 * @property {number} temperature
 * @property {string} version
 * @property {Record<string, number>} parts
 * @property {Record<string, boolean>} has What can be asked for.
 * @property {{max_body: number, max_pictures: number}} limits Of one request.
 *
 * @typedef {import("./choice.js").Choice} Choice
 * @typedef {{label: string, probability: number}} Ranked
 * @typedef {{name: string, labels: Ranked[], error: string | null, is_unsure?: boolean | null}} Prediction
 */

const PIXELS = "application/x-whyconv-pixels";

/** What the server says when it cannot answer. */
export class ApiError extends Error {
  /**
   * @param {number} status 0 where no answer came.
   * @param {string} kind
   * @param {string} message
   * @param {number | null} retryAfter Seconds after which to come again, where the server has too much to do.
   */
  constructor(status, kind, message, retryAfter = null) {
    super(message);
    this.status = status;
    this.kind = kind;
    this.retryAfter = retryAfter;
  }
}

/** @returns {Promise<Recognizer>} */
export const recognizer = () => json("/v1/recognizer");

/** @returns {Promise<Record<string, string>>} Key -> sentence. */
export const texts = (/** @type {string} */ language) => json(`/v1/texts?${query({ lang: language })}`);

/** @returns {Promise<any>} What `whyconv why` measured. */
export const why = () => json("/v1/why");

/** @returns {Promise<any[]>} */
export const layers = async () => (await json("/v1/layers")).layers;

/** @returns {Promise<any>} What `whyconv layer --json` prints; whole numbers of 16 digits and more are BigInt. */
export const count = async (/** @type {Record<string, number>} */ layer) =>
  withAllDigits(await (await answered(`/v1/count?${query(layer)}`)).text());

/** @returns {Promise<{shape: number[], values: any}>} The weights of one detector. */
export const weights = (/** @type {string} */ layer, /** @type {number} */ filter) =>
  json(`/v1/layers/${encodeURIComponent(layer)}/weights?${query({ filter })}`);

/** @returns {Promise<Prediction>} */
export const predict = async (/** @type {Uint8Array} */ pixels, /** @type {number} */ top) =>
  (await json(`/v1/predict?${query({ top })}`, pixelRequest(pixels))).predictions[0];

/** @returns {Promise<Prediction[]>} One for each file, in their order. */
export const predictFiles = async (/** @type {File[]} */ files, /** @type {number} */ top) => {
  const body = new FormData();
  for (const file of files) body.append("image", file);
  return (await json(`/v1/predict?${query({ top })}`, { method: "POST", body })).predictions;
};

/** @returns {Promise<Blob>} PNG: the picture as the network sees it. */
export const prepared = async (/** @type {Blob} */ picture) => {
  // What the browser calls it follows from its name alone; the server looks at what is in it.
  const headers = { "Content-Type": "application/octet-stream" };
  return (await answered("/v1/prepared", { method: "POST", body: picture, headers })).blob();
};

/** @returns {Promise<{maps: string[]}>} Maps of some detectors of one layer: float32 in base64, row after row. */
export const maps = (/** @type {Uint8Array} */ pixels, /** @type {string} */ layer, /** @type {number[]} */ filters) =>
  json(`/v1/maps?${query({ layer, filters: filters.join(","), format: "float32" })}`, pixelRequest(pixels));

/** @returns {Promise<any>} One unit: its value, and the pixels that it can depend on. */
export const unit = (/** @type {Uint8Array} */ pixels, /** @type {Choice} */ { layer, filter, y, x }) =>
  json(`/v1/units?${query({ layer, filter, y, x })}`, pixelRequest(pixels));

/** @returns {Promise<any>} One output of a convolution taken apart. */
export const step = (/** @type {Uint8Array} */ pixels, /** @type {Choice} */ { layer, filter, y, x }) =>
  json(`/v1/steps?${query({ layer, filter, y, x })}`, pixelRequest(pixels));

/** @returns {Promise<Prediction>} What the dense twin answers. */
export const twin = async (/** @type {Uint8Array} */ pixels, /** @type {number} */ top) =>
  (await json(`/v1/twin?${query({ top })}`, pixelRequest(pixels))).predictions[0];

/** @returns {Promise<any>} Why the recognizer answers so. */
export const explain = (/** @type {Uint8Array} */ pixels) => json("/v1/explain", pixelRequest(pixels));

/** @returns {Promise<any>} Small pictures that training saw. */
export const thumbnails = (/** @type {number} */ number) => json(`/v1/thumbnails?${query({ count: number })}`);

/** @returns {Promise<any>} How the three controls of the run's square change a picture. */
export const controls = () => json("/v1/controls");

/** @param {Uint8Array} pixels */
function pixelRequest(pixels) {
  return { method: "POST", body: pixels, headers: { "Content-Type": PIXELS } };
}

/** @param {Record<string, string | number>} values */
function query(values) {
  return new URLSearchParams(Object.entries(values).map(([key, value]) => [key, String(value)]));
}

/**
 * Reads JSON; of long whole numbers, JavaScript's own reading rounds the last digits.
 * @param {string} text
 */
function withAllDigits(text) {
  const marked = text.replace(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g, (token) =>
    /^-?\d{16,}$/.test(token) ? `{"digits":"${token}"}` : token,
  );
  return JSON.parse(marked, (_, value) => (typeof value?.digits === "string" ? BigInt(value.digits) : value));
}

/**
 * @param {string} path
 * @param {RequestInit} [request]
 */
async function json(path, request) {
  return (await answered(path, request)).json();
}

/**
 * @param {string} path
 * @param {RequestInit} [request]
 */
async function answered(path, request) {
  const answer = await fetch(path, request).catch((error) => {
    throw new ApiError(0, "", error.message);
  });
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  const wait = answer.headers.get("Retry-After") ?? "";
  const retryAfter = /^\d+$/.test(wait) ? Number(wait) : null;
  throw new ApiError(answer.status, told.error?.kind ?? "", told.error?.message ?? answer.statusText, retryAfter);
}
