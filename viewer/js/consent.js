// Where the user may type: on expected sites, and on others once they chose to. Pure.

/** @typedef {import("./events.js").Page} Page */
/** @typedef {import("./events.js").Field} Field */

/**
 * The focused field's frame, if it is another site's than the page.
 * @param {Field | null} field
 * @param {Page | null} page
 * @returns {string} its origin, or nothing
 */
export const foreignFrame = (field, page) =>
  field?.origin && field.origin !== page?.origin ? field.origin : "";

export class TypingConsent {
  /** The user chose to type on these unexpected origins. @type {Set<string>} */
  #accepted = new Set();

  /**
   * An unexpected site takes nothing before the user says so.
   * @param {Page | null} page
   * @returns {string} its origin, or nothing
   */
  lockedPage(page) {
    return page && !page.expected && !this.#accepted.has(page.origin) ? page.origin : "";
  }

  /**
   * The focused field is in a frame of an unexpected site: typing waits, clicks may leave it.
   * @param {Field | null} field
   * @param {Page | null} page
   * @returns {string} that frame's origin, or nothing
   */
  lockedFrame(field, page) {
    const frame = foreignFrame(field, page);
    return field?.expected === false && !this.#accepted.has(frame) ? frame : "";
  }

  /** @param {string} origin */
  accept(origin) {
    this.#accepted.add(origin);
  }

  /** What was chosen was for another browser. */
  reset() {
    this.#accepted.clear();
  }
}
