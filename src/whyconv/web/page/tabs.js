/** Views behind tabs: one is seen, the arrow keys go on to the next, the address keeps which. */

import { element } from "./elements.js";

/**
 * @typedef {object} View
 * @property {HTMLElement} element
 * @property {() => void} refresh Called when it is shown, and when the picture changed while it is seen.
 *
 * @typedef {{key: string, title: string, make: () => View}} Tab
 */

/**
 * @param {string} label
 * @param {Tab[]} wanted
 * @param {(error: unknown) => void} trouble Hears what went wrong in a view; the others go on.
 * @returns {{element: DocumentFragment, refresh: () => void}} Views are made when first shown.
 */
export function tabs(label, wanted, trouble) {
  /** @type {Map<string, View>} */
  const made = new Map();
  const list = element("div", { role: "tablist", "aria-label": label });
  const panels = wanted.map(({ key }) =>
    element("div", { role: "tabpanel", id: `panel-${key}`, "aria-labelledby": `tab-${key}`, hidden: true }),
  );
  const heads = wanted.map(({ key, title }, at) =>
    element(
      "button",
      { type: "button", role: "tab", id: `tab-${key}`, "aria-controls": `panel-${key}`, onclick: () => show(at) },
      title,
    ),
  );
  list.append(...heads);
  let seen = 0;

  function show(/** @type {number} */ at) {
    seen = at;
    heads.forEach((head, other) => {
      head.setAttribute("aria-selected", String(other === at));
      head.tabIndex = other === at ? 0 : -1;
      panels[other].hidden = other !== at;
    });
    const { key } = wanted[at];
    if (location.hash !== `#${key}`) history.replaceState(null, "", `#${key}`);
    refresh();
  }

  /** The view that is seen is made where it is not there, and brought up to date. */
  function refresh() {
    const { key, make } = wanted[seen];
    try {
      if (!made.has(key)) {
        const view = make();
        made.set(key, view);
        panels[seen].append(view.element);
      }
      made.get(key)?.refresh();
    } catch (error) {
      trouble(error);
    }
  }

  list.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const last = heads.length - 1;
    /** @type {Record<string, number>} */
    const next = { ArrowRight: seen + 1, ArrowLeft: seen - 1, Home: 0, End: last };
    if (!(event.key in next)) return;
    event.preventDefault();
    show((next[event.key] + heads.length) % heads.length);
    heads[seen].focus();
  });

  const fragment = document.createDocumentFragment();
  fragment.append(list, ...panels);
  show(Math.max(0, wanted.findIndex(({ key }) => `#${key}` === location.hash)));
  return { element: fragment, refresh };
}
