/** Sentences in the language chosen, and numbers as that language writes them. */

/**
 * @typedef {object} Texts
 * @property {string} language
 * @property {(key: string, values?: Record<string, string | number>) => string} say
 * @property {(value: number | bigint, digits?: number) => string} number At most `digits` after the point.
 * @property {(value: number, digits: number) => string} fixed Exactly `digits` after the point.
 * @property {(value: number) => string} real A measured number with six digits that count.
 * @property {(fraction: number, digits?: number) => string} percent
 */

/**
 * @param {string} language
 * @param {Record<string, string>} sentences Key -> sentence with {fields}.
 * @returns {Texts}
 */
export function createTexts(language, sentences) {
  const fixed = (/** @type {number} */ value, /** @type {number} */ digits) =>
    value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return {
    language,
    say(key, values = {}) {
      const sentence = sentences[key];
      if (sentence === undefined) throw new Error(`There is no sentence ${key}`);
      return sentence.replace(/\{(\w+)\}/g, (_, field) => {
        if (!(field in values)) throw new Error(`${key} lacks ${field}`);
        return String(values[field]);
      });
    },
    number: (value, digits = 0) => value.toLocaleString(language, { maximumFractionDigits: digits }),
    real: (value) => (value === 0 ? "0" : Math.abs(value) < 1e-4 ? value.toExponential(3) : value.toPrecision(6)),
    fixed,
    percent: (fraction, digits = 1) => `${fixed(100 * fraction, digits)} %`,
  };
}

/**
 * Fills every element that names a sentence.
 * @param {ParentNode} root
 * @param {Texts} texts
 */
export function fill(root, texts) {
  for (const element of root.querySelectorAll("[data-text]")) {
    element.textContent = texts.say(/** @type {HTMLElement} */ (element).dataset.text ?? "");
  }
}

/**
 * The language to begin with: the address', else that chosen last, else the browser's.
 * @returns {string}
 */
export function firstLanguage() {
  const asked = new URLSearchParams(location.search).get("lang") ?? remembered();
  return (asked ?? navigator.language).startsWith("ko") ? "ko" : "en";
}

function remembered() {
  try {
    return localStorage.getItem("language");
  } catch {
    return null; // the browser keeps nothing for pages, and says so by an error
  }
}

/** @param {string} language Chosen: the next visit begins with it, where the browser keeps something for pages. */
export function remember(language) {
  try {
    localStorage.setItem("language", language);
  } catch {
    // A convenience alone.
  }
}
