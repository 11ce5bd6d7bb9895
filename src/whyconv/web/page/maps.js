/** Maps of detectors as the server sends them. */

import * as api from "./api.js";
import { fromBase64 } from "./pixels.js";

/**
 * @param {Uint8Array} pixels
 * @param {string} layer
 * @param {number[]} filters
 * @returns {Promise<number[][]>} Of each detector its values, row after row.
 */
export async function askMaps(pixels, layer, filters) {
  const { maps } = await api.maps(pixels, layer, filters);
  return maps.map((/** @type {string} */ map) => Array.from(new Float32Array(fromBase64(map).buffer)));
}
