/** Painting over cells: by a pressed pointer, or by the space bar where the arrow keys have led. */

import { pointing } from "./canvas.js";

/**
 * @param {import("./canvas.js").Cells} board
 * @param {object} hands
 * @param {(y: number, x: number) => void} hands.onpaint
 * @param {(y: number, x: number) => void} hands.onmove The cursor is elsewhere.
 */
export function painting(board, { onpaint, onmove }) {
  let isPressed = false;
  const press = (/** @type {boolean} */ is) => () => (isPressed = is);
  board.canvas.addEventListener("pointerdown", press(true), { capture: true });
  for (const end of ["pointerup", "pointercancel"]) board.canvas.addEventListener(end, press(false));
  pointing(board, {
    onpoint(y, x) {
      onmove(y, x);
      if (isPressed) onpaint(y, x);
    },
    onpress: onpaint,
  });
}
