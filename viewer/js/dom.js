// Typed access to the elements of index.html.

/**
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
export function byId(id, type) {
  const el = document.getElementById(id);
  if (!(el instanceof type)) throw new Error(`no #${id}`);
  return el;
}

/** @param {string} id */
export const el = (id) => byId(id, HTMLElement);
/** @param {string} id */
export const button = (id) => byId(id, HTMLButtonElement);
/** @param {string} id */
export const input = (id) => byId(id, HTMLInputElement);
/** @param {string} id */
export const dialog = (id) => byId(id, HTMLDialogElement);

/**
 * Enter in a field. The key ends here: what gets the focus next, as the remote page, must not take it.
 * @param {HTMLElement} field
 * @param {() => void} work
 */
export function onEnter(field, work) {
  field.addEventListener("keydown", (e) => {
    if (e.key !== "Enter" || e.isComposing) return;
    e.preventDefault();
    work();
  });
}

/**
 * @param {string} id of an svg
 * @param {string} symbol
 */
export const setIcon = (id, symbol) => {
  const svg = document.getElementById(id);
  (svg instanceof SVGUseElement ? svg : svg?.querySelector("use"))?.setAttribute(
    "href",
    `#${symbol}`,
  );
};
