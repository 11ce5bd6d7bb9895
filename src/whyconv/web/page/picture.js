/** The one picture that every view speaks of, as the network takes it. */

/**
 * @typedef {object} Picture
 * @property {number} side
 * @property {number} channels
 * @property {Uint8Array} pixels
 * @property {string} name
 * @property {(pixels: Uint8Array, name: string) => void} set
 * @property {(listener: () => void) => void} onchange
 */

/**
 * @param {import("./pixels.js").Shape} shape
 * @returns {Picture} Black, until one is set.
 */
export function createPicture({ side, channels }) {
  /** @type {(() => void)[]} */
  const listeners = [];
  return {
    side,
    channels,
    pixels: new Uint8Array(side * side * channels),
    name: "",
    set(pixels, name) {
      this.pixels = pixels;
      this.name = name;
      for (const listener of listeners) listener();
    },
    onchange(listener) {
      listeners.push(listener);
    },
  };
}
