/** The one picture that every view speaks of, as the network takes it. */

/**
 * @typedef {object} Picture
 * @property {number} side
 * @property {number} channels
 * @property {Uint8Array} pixels
 * @property {string} name
 * @property {(pixels: Uint8Array, name: string) => void} set
 * @property {() => () => boolean} wish A person wishes for another one; says until when no newer wish has come.
 * @property {(listener: () => void) => void} onchange
 * @property {() => void} forget Nobody listens any more.
 */

/**
 * @param {import("./pixels.js").Shape} shape
 * @returns {Picture} Black, until one is set.
 */
export function createPicture({ side, channels }) {
  /** @type {(() => void)[]} */
  const listeners = [];
  let wishes = 0;
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
    wish() {
      const mine = ++wishes;
      return () => mine === wishes;
    },
    onchange(listener) {
      listeners.push(listener);
    },
    forget() {
      listeners.length = 0;
    },
  };
}
