/** The map of the chosen detector, on which a place is pointed at. */

import { cells, colorsOfValues, pointing, reachOf } from "./canvas.js";
import { element } from "./elements.js";

/**
 * @param {import("./main.js").Context} context
 * @param {{layer: () => import("./choice.js").Layer, refresh: () => void}} chooser
 * @param {number} size Longer side on the screen.
 * @param {() => void} onpoint After `context.choice` was changed here.
 * @returns {{element: HTMLElement, show: (values: number[]) => void, frame: () => void}}
 */
export function placeMap({ texts, choice }, chooser, size, onpoint) {
  const box = element("div");
  /** @type {import("./canvas.js").Cells | null} */
  let board = null;
  let name = "";
  let moveCursor = (/** @type {number} */ _y, /** @type {number} */ _x) => {};

  /** Another layer: another size of map. */
  function fit() {
    const layer = chooser.layer();
    if (board !== null && name === layer.name) return;
    name = layer.name;
    board = cells({ rows: layer.rows, columns: layer.columns, label: texts.say("page_map_keys"), size });
    moveCursor = pointing(board, {
      start: [choice.y, choice.x],
      onpoint(y, x) {
        Object.assign(choice, { y, x });
        chooser.refresh();
        onpoint();
      },
    });
    box.replaceChildren(board.canvas);
  }

  function frame() {
    moveCursor(choice.y, choice.x);
    board?.frame([{ top: choice.y, left: choice.x, height: 1, width: 1 }]);
  }

  return {
    element: box,
    show(values) {
      const { rows, columns } = chooser.layer();
      if (values.length !== rows * columns) return; // the choice went on while these were asked for
      fit();
      board?.paint(colorsOfValues(values, reachOf(values)));
      frame();
    },
    frame,
  };
}
