/** Pictures and maps as cells on a canvas, with frames, shade and a cursor; pointed at by hand or by arrow keys. */

import { element } from "./elements.js";

/**
 * @typedef {object} Frame A frame around cells, in cells.
 * @property {number} top
 * @property {number} left
 * @property {number} height
 * @property {number} width
 *
 * @typedef {object} Cells
 * @property {HTMLCanvasElement} canvas
 * @property {number} rows
 * @property {number} columns
 * @property {(rgba: Uint8ClampedArray) => void} paint
 * @property {(frames: Frame[]) => void} frame
 * @property {(kept: Uint8Array | null) => void} shade Dims every cell where this is 0.
 */

// As in reports: blue above, orange below.
const ABOVE = [33, 102, 190];
const BELOW = [200, 88, 8];

/**
 * @param {{rows: number, columns: number, label: string, size?: number}} wanted `size`: longer side on the screen.
 * @returns {Cells}
 */
export function cells({ rows, columns, label, size = 240 }) {
  const scale = Math.max(1, Math.ceil(size / Math.max(rows, columns)));
  const canvas = element("canvas", { width: columns * scale, height: rows * scale, role: "img", "aria-label": label });
  canvas.style.width = `${(size * columns) / Math.max(rows, columns)}px`;
  const small = new OffscreenCanvas(columns, rows);
  const inner = /** @type {OffscreenCanvasRenderingContext2D} */ (small.getContext("2d"));
  const outer = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  /** @type {Frame[]} */
  let frames = [];
  /** @type {Uint8Array | null} */
  let kept = null;

  function draw() {
    outer.imageSmoothingEnabled = false;
    outer.clearRect(0, 0, canvas.width, canvas.height);
    outer.drawImage(small, 0, 0, canvas.width, canvas.height);
    if (kept !== null) dim(outer, kept, columns, scale);
    for (const frame of frames) outline(outer, frame, scale);
  }

  return {
    canvas,
    rows,
    columns,
    paint(rgba) {
      inner.putImageData(new ImageData(rgba, columns, rows), 0, 0);
      draw();
    },
    frame(wanted) {
      frames = wanted;
      draw();
    },
    shade(wanted) {
      kept = wanted;
      draw();
    },
  };
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Uint8Array} kept
 * @param {number} columns
 * @param {number} scale
 */
function dim(context, kept, columns, scale) {
  context.fillStyle = "rgb(120 130 145 / 62%)";
  kept.forEach((keep, at) => {
    if (!keep) context.fillRect((at % columns) * scale, Math.floor(at / columns) * scale, scale, scale);
  });
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Frame} frame
 * @param {number} scale
 */
function outline(context, { top, left, height, width }, scale) {
  for (const [color, line] of /** @type {[string, number][]} */ ([["#000", 5], ["#ffd23f", 2.5]])) {
    context.strokeStyle = color;
    context.lineWidth = line;
    context.strokeRect(left * scale + 2, top * scale + 2, width * scale - 4, height * scale - 4);
  }
}

/**
 * @param {Uint8Array} pixels
 * @param {number} channels
 * @returns {Uint8ClampedArray}
 */
export function colorsOfPixels(pixels, channels) {
  const rgba = new Uint8ClampedArray((pixels.length / channels) * 4).fill(255);
  for (let at = 0; at < pixels.length / channels; at++) {
    for (let color = 0; color < 3; color++) rgba[4 * at + color] = pixels[at * channels + (channels === 1 ? 0 : color)];
  }
  return rgba;
}

/**
 * White at zero, blue above, orange below.
 * @param {ArrayLike<number>} values
 * @param {number} reach The value of the strongest color, either way.
 * @returns {Uint8ClampedArray}
 */
export function colorsOfValues(values, reach) {
  const rgba = new Uint8ClampedArray(values.length * 4).fill(255);
  for (let at = 0; at < values.length; at++) {
    const share = Math.min(1, Math.abs(values[at]) / (reach || 1));
    const end = values[at] < 0 ? BELOW : ABOVE;
    for (let color = 0; color < 3; color++) rgba[4 * at + color] = 255 + share * (end[color] - 255);
  }
  return rgba;
}

/**
 * The largest distance from zero.
 * @param {ArrayLike<number>} values
 */
export function reachOf(values) {
  let reach = 0;
  for (let at = 0; at < values.length; at++) reach = Math.max(reach, Math.abs(values[at]));
  return reach;
}

/**
 * Lets a person point at cells: by a pressed pointer, or by arrow keys (with Shift: eight cells).
 * @param {Cells} board
 * @param {object} listeners
 * @param {(y: number, x: number) => void} listeners.onpoint At every cell that is newly pointed at.
 * @param {((y: number, x: number) => void)} [listeners.onpress] Enter or the space bar.
 * @param {[number, number]} [listeners.start]
 * @returns {(y: number, x: number) => void} Moves the cursor without telling.
 */
export function pointing(board, { onpoint, onpress, start = [0, 0] }) {
  const { canvas, rows, columns } = board;
  let [y, x] = start;
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");

  function go(/** @type {number} */ row, /** @type {number} */ column, /** @type {boolean} */ isAlways) {
    const [newY, newX] = [clamp(row, rows), clamp(column, columns)];
    if (!isAlways && newY === y && newX === x) return;
    [y, x] = [newY, newX];
    onpoint(y, x);
  }

  function seen(/** @type {PointerEvent} */ event) {
    const box = canvas.getBoundingClientRect();
    const row = Math.floor(((event.clientY - box.top) / box.height) * rows);
    go(row, Math.floor(((event.clientX - box.left) / box.width) * columns), event.type === "pointerdown");
  }

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    seen(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.buttons) seen(event);
  });
  canvas.addEventListener("keydown", (event) => {
    const steps = arrow(event);
    if (steps !== null) go(y + steps[0], x + steps[1], false);
    else if (onpress && (event.key === " " || event.key === "Enter")) onpress(y, x);
    else return;
    event.preventDefault();
  });
  return (row, column) => {
    [y, x] = [clamp(row, rows), clamp(column, columns)];
  };
}

/**
 * Lets a canvas say nothing: the button that it lies in speaks.
 * @param {HTMLCanvasElement} canvas
 */
export function silent(canvas) {
  canvas.removeAttribute("role");
  canvas.removeAttribute("aria-label");
  canvas.setAttribute("aria-hidden", "true");
  return canvas;
}

/**
 * The steps down and right that an arrow key means; null for every other key.
 * @param {KeyboardEvent} event
 * @returns {[number, number] | null}
 */
export function arrow(event) {
  const far = event.shiftKey ? 8 : 1;
  /** @type {Record<string, [number, number]>} */
  const steps = { ArrowUp: [-far, 0], ArrowDown: [far, 0], ArrowLeft: [0, -far], ArrowRight: [0, far] };
  return steps[event.key] ?? null;
}

/**
 * @param {number} value
 * @param {number} length
 */
const clamp = (value, length) => Math.max(0, Math.min(length - 1, value));
