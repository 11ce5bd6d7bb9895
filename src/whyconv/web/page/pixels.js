/** Pictures as arrays: uint8, rows after rows, channels last; and what the page does to them. */

/**
 * @typedef {object} Shape
 * @property {number} side
 * @property {number} channels
 */

/**
 * The picture moved; what leaves comes in on the other side, or is lost and black comes in.
 * @param {Uint8Array} pixels
 * @param {Shape} shape
 * @param {number} down
 * @param {number} right
 * @param {"circular" | "zero"} border
 * @returns {Uint8Array}
 */
export function shift(pixels, { side, channels }, down, right, border) {
  const moved = new Uint8Array(pixels.length);
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      let y = row - down;
      let x = column - right;
      if (border === "circular") [y, x] = [modulo(y, side), modulo(x, side)];
      if (y < 0 || x < 0 || y >= side || x >= side) continue;
      const from = (y * side + x) * channels;
      moved.set(pixels.subarray(from, from + channels), (row * side + column) * channels);
    }
  }
  return moved;
}

/**
 * Every pixel from the place that `source` names, some turned around the mean; all channels alike.
 * @param {Uint8Array} pixels
 * @param {Shape} shape
 * @param {number[]} source
 * @param {number[]} signs 1 or -1.
 * @returns {Uint8Array}
 */
export function rearrange(pixels, { channels }, source, signs) {
  const changed = new Uint8Array(pixels.length);
  source.forEach((from, to) => {
    for (let channel = 0; channel < channels; channel++) {
      const value = pixels[from * channels + channel];
      changed[to * channels + channel] = signs[to] < 0 ? 255 - value : value;
    }
  });
  return changed;
}

/**
 * Another value at random for each pixel that is marked.
 * @param {Uint8Array} pixels
 * @param {Shape} shape
 * @param {Uint8Array} marked (side * side,): not 0 where a pixel changes.
 * @returns {Uint8Array}
 */
export function scramble(pixels, { channels }, marked) {
  return pixels.map((value, at) =>
    marked[Math.floor(at / channels)] ? (value + 1 + Math.floor(255 * Math.random())) % 256 : value,
  );
}

/**
 * The mean over areas: from pixels of a larger or a smaller square to this shape's.
 * @param {Uint8Array} pixels
 * @param {Shape} from
 * @param {Shape} to Of as many channels, or 3 where there was 1, or 1 where there were 3.
 * @returns {Uint8Array}
 */
export function resize(pixels, from, to) {
  const { channels } = from;
  const parts = overlaps(from.side, to.side);
  const length = from.side * channels;
  const lines = new Float64Array(to.side * length);
  for (const [row, y, share] of parts) {
    for (let at = 0; at < length; at++) lines[row * length + at] += share * pixels[y * length + at];
  }
  const sums = new Float64Array(to.side * to.side * channels);
  for (const [column, x, share] of parts) {
    for (let row = 0; row < to.side; row++) {
      const [into, out] = [(row * to.side + column) * channels, row * length + x * channels];
      for (let channel = 0; channel < channels; channel++) sums[into + channel] += share * lines[out + channel];
    }
  }
  const rounded = new Uint8Array(sums.length);
  for (let at = 0; at < sums.length; at++) rounded[at] = Math.round(sums[at]);
  return recolor(rounded, channels, to.channels);
}

/**
 * @param {Uint8Array} pixels
 * @param {number} from
 * @param {number} to
 */
export function recolor(pixels, from, to) {
  if (from === to) return pixels;
  const number = pixels.length / from;
  return Uint8Array.from({ length: number * to }, (_, at) => {
    const start = Math.floor(at / to) * from;
    return from === 1 ? pixels[start] : Math.round((pixels[start] + pixels[start + 1] + pixels[start + 2]) / 3);
  });
}

/**
 * Pairs of a new cell and an old one that lie on each other, with the share of the new one that the old one covers.
 * @param {number} from
 * @param {number} to
 * @returns {[number, number, number][]}
 */
function overlaps(from, to) {
  /** @type {[number, number, number][]} */
  const found = [];
  for (let cell = 0; cell < to; cell++) {
    const [start, end] = [(cell * from) / to, ((cell + 1) * from) / to];
    for (let old = Math.floor(start); old < end && old < from; old++) {
      const share = (Math.min(end, old + 1) - Math.max(start, old)) / (end - start);
      if (share > 1e-9) found.push([cell, old, share]);
    }
  }
  return found;
}

/**
 * @param {Blob} picture PNG without transparency.
 * @param {number} channels
 * @returns {Promise<Uint8Array>}
 */
export async function decode(picture, channels) {
  const bitmap = await createImageBitmap(picture, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
  return fromRgba(data, channels);
}

/**
 * @param {Uint8ClampedArray} rgba
 * @param {number} channels 1: the red alone, as gray has it thrice.
 * @returns {Uint8Array}
 */
export function fromRgba(rgba, channels) {
  const pixels = new Uint8Array((rgba.length / 4) * channels);
  for (let at = 0; at < rgba.length / 4; at++) {
    for (let channel = 0; channel < channels; channel++) pixels[at * channels + channel] = rgba[4 * at + channel];
  }
  return pixels;
}

/**
 * @param {string} text In base64.
 * @returns {Uint8Array}
 */
export function fromBase64(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/**
 * @param {number} value
 * @param {number} length
 */
export const modulo = (value, length) => ((value % length) + length) % length;
