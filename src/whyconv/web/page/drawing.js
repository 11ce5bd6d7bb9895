/** A board to draw on, by pointer or by keys; what is drawn is the picture at once. */

import { arrow } from "./canvas.js";
import { button, element } from "./elements.js";
import { fromRgba, resize } from "./pixels.js";

const SIDE = 256;
const PEN = 30;
const KEY_STEP = 8;
/** The faintest level that counts as ink. */
const INK = 64;
const WHOLE = { left: 0, top: 0, side: SIDE };
/** A seven, so that there is something to look at. */
const FIRST = [
  [72, 52],
  [184, 52],
  [156, 108],
  [132, 160],
  [116, 212],
];

/**
 * @param {import("./main.js").Context} context
 * @returns {HTMLDetailsElement}
 */
export function drawing({ texts, picture, recognizer, calm }) {
  const { say } = texts;
  const canvas = element("canvas", {
    width: SIDE,
    height: SIDE,
    tabindex: 0,
    role: "application",
    "aria-label": say("page_board"),
    "aria-describedby": "board-keys",
    class: "board",
  });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const state = element("output", { class: "about" });
  const ink = picture.channels === 3 ? element("input", { type: "color", value: "#ffffff" }) : null;
  let place = [SIDE / 2, SIDE / 2];
  let isDown = false;

  function line(/** @type {number[]} */ from, /** @type {number[]} */ to) {
    context.strokeStyle = ink?.value ?? "#fff";
    context.lineWidth = PEN;
    context.lineCap = "round";
    context.beginPath();
    context.moveTo(from[0], from[1]);
    context.lineTo(to[0], to[1] + 0.01);
    context.stroke();
  }

  const fills = element("input", { type: "checkbox", checked: true, onchange: () => give() });

  function tell() {
    const { channels } = picture;
    const drawn = fromRgba(context.getImageData(0, 0, SIDE, SIDE).data, channels);
    const { left, top, side } = fills.checked ? boxOfInk(drawn, channels) : WHOLE;
    const fitted = new OffscreenCanvas(SIDE, SIDE);
    const inner = /** @type {OffscreenCanvasRenderingContext2D} */ (fitted.getContext("2d"));
    inner.fillRect(0, 0, SIDE, SIDE);
    inner.drawImage(canvas, left, top, side, side, 0, 0, SIDE, SIDE);
    const pixels = fromRgba(inner.getImageData(0, 0, SIDE, SIDE).data, channels);
    picture.set(resize(pixels, { side: SIDE, channels }, picture), say("page_drawn"));
  }

  /** At a person's wish. */
  function give() {
    calm();
    picture.wish();
    tell();
  }

  function clear() {
    context.fillStyle = "#000";
    context.fillRect(0, 0, SIDE, SIDE);
  }

  function go(/** @type {number[]} */ next) {
    if (isDown) line(place, next);
    place = next;
    if (isDown) give();
  }

  listen(canvas, {
    down(next) {
      place = next;
      isDown = true;
      go(next);
    },
    move: (next) => isDown && go(next),
    up: () => (isDown = false),
    step([down, right]) {
      const inside = (/** @type {number} */ value) => Math.max(0, Math.min(SIDE, value));
      go([inside(place[0] + right * KEY_STEP), inside(place[1] + down * KEY_STEP)]);
      sayWhere();
    },
    toggle() {
      isDown = !isDown;
      go(place);
      sayWhere();
    },
  });
  function sayWhere() {
    const key = isDown ? "page_pen_down" : "page_pen_up";
    state.textContent = say(key, { row: Math.round(place[1] / KEY_STEP), column: Math.round(place[0] / KEY_STEP) });
  }
  clear();
  FIRST.slice(1).forEach((point, at) => line(FIRST[at], point));
  if (picture.name === "" && !recognizer.has.thumbnails) tell();
  const emptied = () => {
    clear();
    give();
  };
  return element(
    "details",
    {},
    element("summary", {}, say("page_draw")),
    canvas,
    element("p", { class: "about", id: "board-keys" }, say("page_board_keys")),
    element(
      "div",
      { class: "row" },
      button(say("page_use_drawing"), give),
      button(say("page_clear"), emptied),
      ink && element("label", { class: "field" }, element("span", {}, say("page_ink")), ink),
    ),
    element("label", { class: "check" }, fills, say("page_fill")),
    state,
  );
}

/**
 * The smallest square around all ink, in the middle of it; the whole board where there is none.
 * @param {Uint8Array} drawn
 * @param {number} channels
 * @returns {{left: number, top: number, side: number}}
 */
function boxOfInk(drawn, channels) {
  let [top, left, bottom, right] = [SIDE, SIDE, -1, -1];
  drawn.forEach((level, at) => {
    if (level < INK) return;
    const place = Math.floor(at / channels);
    const [y, x] = [Math.floor(place / SIDE), place % SIDE];
    [top, left, bottom, right] = [Math.min(top, y), Math.min(left, x), Math.max(bottom, y), Math.max(right, x)];
  });
  if (bottom < 0) return WHOLE;
  const side = Math.max(bottom - top, right - left) + 1;
  return { left: (left + right + 1 - side) / 2, top: (top + bottom + 1 - side) / 2, side };
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {object} hands
 * @param {(place: number[]) => void} hands.down
 * @param {(place: number[]) => void} hands.move
 * @param {() => void} hands.up
 * @param {(steps: [number, number]) => void} hands.step
 * @param {() => void} hands.toggle
 */
function listen(canvas, { down, move, up, step, toggle }) {
  const at = (/** @type {PointerEvent} */ event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE];
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    down(at(event));
  });
  canvas.addEventListener("pointermove", (event) => event.buttons && move(at(event)));
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", up);
  canvas.addEventListener("keydown", (event) => {
    const steps = arrow(event);
    if (steps !== null) step(steps);
    else if (event.key === " " || event.key === "Enter") toggle();
    else return;
    event.preventDefault();
  });
}
