/** Maps of detectors as the server sends them, shown as cells. */

import * as api from "./api.js";
import { cells, colorsOfValues, reachOf } from "./canvas.js";
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

/**
 * A board that fits a layer's maps.
 * @param {import("./choice.js").Layer} layer
 * @param {string} label
 * @param {number} [size]
 */
export const mapBoard = ({ rows, columns }, label, size) => cells({ rows, columns, label, size });

/**
 * @param {import("./canvas.js").Cells} board
 * @param {number[]} values
 * @param {number} [reach] The value of the strongest color; by default the largest there is.
 */
export function showMap(board, values, reach = reachOf(values)) {
  board.paint(colorsOfValues(values, reach));
}

/**
 * The frame of one cell.
 * @param {number} y
 * @param {number} x
 * @returns {import("./canvas.js").Frame}
 */
export const oneCell = (y, x) => ({ top: y, left: x, height: 1, width: 1 });
