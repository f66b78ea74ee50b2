// A sheet that asks the user something on behalf of the remote browser. However it is closed, the
// question is answered exactly once.

import { dialog } from "./dom.js";
import { PressGuard } from "./press-guard.js";

export class PromptSheet {
  #open = false;

  /**
   * @param {string} id of the dialog element
   * @param {() => void} dismissed it was closed without an answer
   * @param {() => void} closed after each end, whichever
   */
  constructor(id, dismissed, closed) {
    this.sheet = dialog(id);
    this.guard = new PressGuard(this.sheet);
    this.sheet.addEventListener("click", (e) => {
      if (
        e.target === this.sheet ||
        (e.target instanceof Element && e.target.closest("[data-close]"))
      )
        this.sheet.close();
    });
    this.sheet.addEventListener("close", () => {
      // This event comes a moment late. What was asked right behind the last question has the sheet
      // by then.
      if (!this.#open || this.sheet.open) return;
      this.#open = false;
      dismissed();
      closed();
    });
    this.closed = closed;
  }

  get open() {
    return this.#open;
  }

  /** The other side asks: nothing answers before the user can have seen it. @param {HTMLElement} focus */
  show(focus) {
    this.#showModal();
    this.guard.appear(focus);
  }

  /** It answers a press of the user's, and takes the next at once. @param {HTMLElement} [focus] */
  showAtOnce(focus) {
    this.#showModal();
    focus?.focus();
  }

  #showModal() {
    this.#open = true;
    if (!this.sheet.open) this.sheet.showModal();
  }

  /** Closes it as answered, or as no longer asked. */
  end() {
    if (!this.#open) return;
    this.#open = false;
    this.sheet.close();
    this.closed();
  }
}
