/** The pixels that one unit can depend on. */

/**
 * @param {{rows: any[] | null}} told A unit as the server tells of it: each row with its runs of first and last pixel.
 * @param {number} side
 * @returns {Uint8Array} (side * side,): 1 where the unit can see, 0 elsewhere; all 1 where it is not known.
 */
export function seenPixels({ rows }, side) {
  if (rows === null) return new Uint8Array(side * side).fill(1);
  const seen = new Uint8Array(side * side);
  for (const [y, ...runs] of rows) {
    for (const [first, last] of runs) seen.fill(1, y * side + first, y * side + last + 1);
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
