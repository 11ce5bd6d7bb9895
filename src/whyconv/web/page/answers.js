/** Ranked answers as a list with bars. */

import { element } from "./elements.js";

/**
 * @param {import("./texts.js").Texts} texts
 * @param {import("./api.js").Ranked[]} labels Most probable first.
 * @returns {HTMLOListElement}
 */
export function ranked(texts, labels) {
  return element(
    "ol",
    { class: "ranked" },
    ...labels.map(({ label, probability }) => {
      const bar = element("span", { class: "bar", "aria-hidden": "true" });
      bar.style.setProperty("--share", String(probability));
      const share = element("span", { class: "share" }, texts.percent(probability));
      return element("li", {}, element("bdi", {}, label), bar, share);
    }),
  );
}
