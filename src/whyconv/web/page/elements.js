/** Elements of the page, made in one call; text is always text. */

/**
 * @param {string} tag
 * @param {Record<string, any>} [attributes] `on...` are listeners, true is an attribute without value, null none.
 * @param {...(Node | string | null)} children
 * @returns {any}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== null && value !== false) made.setAttribute(name, String(value));
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/**
 * @param {string} text
 * @param {() => void} onclick
 * @param {Record<string, any>} [attributes]
 * @returns {HTMLButtonElement}
 */
export function button(text, onclick, attributes = {}) {
  return element("button", { type: "button", onclick, ...attributes }, text);
}

/**
 * @typedef {object} NumberField
 * @property {HTMLElement} element
 * @property {(value: number, max: number) => void} show Shows a number of the program's own, and what may be typed.
 */

let fields = 0;

/**
 * A number with its label; one that does not count is marked, and what would count is said.
 * @param {import("./texts.js").Texts} texts
 * @param {string} key Of the label.
 * @param {{value: number, min: number, max: number}} range
 * @param {(value: number) => void} onchange Hears whole numbers within the range only.
 * @returns {NumberField}
 */
export function numberField({ say, number }, key, { value, min, max }, onchange) {
  const id = `range-${++fields}`;
  const input = element("input", { type: "number", value, min, max, step: 1, "aria-describedby": id });
  const range = element("small", { id, class: "range", "aria-live": "polite" });

  function counts() {
    const found = input.valueAsNumber;
    const is = Number.isInteger(found) && found >= min && found <= max;
    input.setAttribute("aria-invalid", String(!is));
    range.textContent = is ? "" : say("page_number_range", { min: number(min), max: number(max) });
    return is;
  }

  input.addEventListener("input", () => {
    if (counts()) onchange(input.valueAsNumber);
  });
  return {
    element: element("div", { class: "field" }, range, element("label", {}, element("span", {}, say(key)), input)),
    show(shown, most) {
      max = most;
      input.max = String(most);
      if (input.valueAsNumber !== shown) input.value = String(shown);
      counts();
    },
  };
}

/**
 * A group of radio buttons under one name.
 * @param {string} legend
 * @param {[string, string][]} options Value and text of each.
 * @param {string} chosen
 * @param {(value: string) => void} onchange
 * @returns {HTMLFieldSetElement}
 */
export function radios(legend, options, chosen, onchange) {
  const name = `radio-${legend}`;
  const made = options.map(([value, text]) =>
    element(
      "label",
      {},
      element("input", { type: "radio", name, value, checked: value === chosen, onchange: () => onchange(value) }),
      text,
    ),
  );
  return element("fieldset", { class: "radios" }, element("legend", {}, legend), ...made);
}

/**
 * A table; the first cell of every row is its head.
 * @param {string} caption
 * @param {(string | Node)[]} head
 * @param {(string | Node)[][]} rows
 * @returns {HTMLDivElement} In a box of its own that scrolls sideways.
 */
export function table(caption, head, rows) {
  const line = (/** @type {(string | Node)[]} */ cells) =>
    element("tr", {}, ...cells.map((cell, at) => element(at ? "td" : "th", at ? {} : { scope: "row" }, cell)));
  const columns = head.map((cell) => (cell === "" ? element("td") : element("th", { scope: "col" }, cell)));
  return element(
    "div",
    { class: "scroll", tabindex: 0, role: "group", "aria-label": caption },
    element(
      "table",
      {},
      element("caption", {}, caption),
      element("thead", {}, element("tr", {}, ...columns)),
      element("tbody", {}, ...rows.map(line)),
    ),
  );
}
