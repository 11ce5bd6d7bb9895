/** The pixels that one unit can depend on. */

/**
 * @param {any} told A unit as the server tells of it.
 * @param {number} side
 * @returns {Uint8Array} (side * side,): 1 where the unit can see, 0 elsewhere.
 */
export function seenPixels({ rows }, side) {
  const seen = new Uint8Array(side * side);
  for (const [y, ...spans] of rows) {
    for (let at = 0; at + 1 < spans.length; at += 2) seen.fill(1, y * side + spans[at], y * side + spans[at + 1]);
  }
  return seen;
}

/**
 * The smallest frame around all of them.
 * @param {Uint8Array} seen
 * @param {number} side
 * @returns {import("./canvas.js").Frame[]} None where nothing is seen.
 */
export function frameOf(seen, side) {
  let [top, left, bottom, right] = [side, side, -1, -1];
  seen.forEach((is, at) => {
    if (!is) return;
    const [y, x] = [Math.floor(at / side), at % side];
    [top, left, bottom, right] = [Math.min(top, y), Math.min(left, x), Math.max(bottom, y), Math.max(right, x)];
  });
  return bottom < 0 ? [] : [{ top, left, height: bottom - top + 1, width: right - left + 1 }];
}
