// Dialogs: the page's own (drawn by the viewer, labelled with the page's origin), declining,
// composing.

import { button, byId, dialog, el, input, onEnter } from "./dom.js";
import { t } from "./i18n.js";
import { isolate } from "./origin-panel.js";
import { plainLines } from "./plain-text.js";
import { PressGuard } from "./press-guard.js";

/** @typedef {import("./events.js").DeclineReason} DeclineReason */
/** @typedef {import("./events.js").InputEvent} InputEvent */

/** A click on a `data-close` button or on the backdrop closes a sheet of the viewer's own. */
export function wireSheets() {
  for (const id of ["sheet-site", "sheet-decline", "sheet-compose", "sheet-checked"]) {
    const sheet = dialog(id);
    sheet.addEventListener("click", (e) => {
      if (e.target === sheet || (e.target instanceof Element && e.target.closest("[data-close]")))
        sheet.close();
    });
  }
}

/** @param {(reason: DeclineReason) => void} decline */
export function wireDecline(decline) {
  for (const choice of /** @type {NodeListOf<HTMLElement>} */ (
    document.querySelectorAll("dialog [data-reason]")
  )) {
    choice.addEventListener("click", () => {
      choice.closest("dialog")?.close();
      decline(/** @type {DeclineReason} */ (choice.dataset.reason));
    });
  }
}

/** @type {PressGuard | null} */
let checkGuard = null;

/**
 * The host looked, and the user does not seem to be signed in, or nobody can tell.
 * @param {{finishAnyway: () => void, goOn: () => void}} on
 */
export function wireCheckResult(on) {
  const sheet = dialog("sheet-checked");
  checkGuard = new PressGuard(sheet);
  button("checked-finish").addEventListener("click", () => {
    sheet.returnValue = "finish";
    sheet.close();
    on.finishAnyway();
  });
  // The browser gives the focus back to the button that the user pressed before: not what they want
  // now.
  sheet.addEventListener("close", () => sheet.returnValue === "finish" || on.goOn());
}

/** @param {"signed_in" | "not_signed_in" | "inconclusive"} verdict */
export function openCheckResult(verdict) {
  const sheet = dialog("sheet-checked");
  const which = verdict === "inconclusive" ? "checked.unclear_" : "checked.";
  el("sheet-checked-title").textContent = t(`${which}title`);
  el("sheet-checked-text").textContent = t(`${which}text`);
  sheet.returnValue = "";
  if (!sheet.open) sheet.showModal();
  checkGuard?.appear(button("checked-retry"));
}

export const openDecline = () => dialog("sheet-decline").showModal();

/**
 * Compose and send: the text is written here and goes as one block of a fixed size.
 * The secret's input is a real password field, so that a manager may fill it. It is emptied
 * before the sheet closes and stands in no form, so there is nothing for a browser to save.
 */
export class Compose {
  #secret = false;
  /** @type {"replace" | "paste"} */
  #as = "replace";

  /** @param {(event: InputEvent, secret: boolean) => void} send */
  constructor(send) {
    this.send = send;
    const sheet = dialog("sheet-compose");
    button("compose-send").addEventListener("click", () => this.#submit());
    onEnter(input("compose-secret"), () => this.#submit());
    input("compose-show").addEventListener("change", () => {
      input("compose-secret").type = input("compose-show").checked ? "text" : "password";
    });
    sheet.addEventListener("close", () => this.#clear());
  }

  /**
   * @param {boolean} secret
   * @param {"replace" | "paste"} as
   */
  open(secret, as) {
    this.#secret = secret;
    this.#as = as;
    const area = byId("compose-text", HTMLTextAreaElement);
    input("compose-secret").hidden =
      el("compose-show-row").hidden =
      el("compose-label").hidden =
        !secret;
    area.hidden = secret;
    el("compose-hint").textContent = t(
      as === "paste" ? "compose.hint_paste" : secret ? "compose.hint_secret" : "compose.hint_text",
    );
    dialog("sheet-compose").showModal();
    (secret ? input("compose-secret") : area).focus();
  }

  #submit() {
    const text = this.#secret
      ? input("compose-secret").value
      : byId("compose-text", HTMLTextAreaElement).value;
    this.#clear();
    dialog("sheet-compose").close();
    this.send({ t: this.#as, text }, this.#secret);
  }

  #clear() {
    input("compose-secret").value = "";
    input("compose-secret").type = "password";
    input("compose-show").checked = false;
    byId("compose-text", HTMLTextAreaElement).value = "";
  }
}

/** JavaScript dialogs of the remote page. */
export class PageDialog {
  /** @type {number | null} */
  #id = null;
  #guard = new PressGuard(dialog("page-dialog"));

  /** @param {(event: InputEvent) => void} send */
  constructor(send) {
    this.send = send;
    button("page-dialog-ok").addEventListener("click", () => this.#answer(true));
    button("page-dialog-cancel").addEventListener("click", () => this.#answer(false));
    onEnter(input("page-dialog-input"), () => this.#answer(true));
    dialog("page-dialog").addEventListener("cancel", (e) => {
      e.preventDefault();
      if (!this.#guard.isAppearing) this.#answer(false);
    });
  }

  /**
   * @param {Extract<import("./events.js").Output, {t: "dialog"}>} d
   * @param {string} origin
   */
  open(d, origin) {
    this.#id = d.id;
    const field = input("page-dialog-input");
    el("page-dialog-from").textContent = t("dialog.from", { origin: isolate(origin) });
    const message = plainLines(d.message);
    el("page-dialog-message").textContent =
      d.kind === "beforeunload" && message === "" ? t("dialog.leave") : message;
    field.hidden = d.kind !== "prompt";
    field.value = d.kind === "prompt" ? d.default : "";
    button("page-dialog-cancel").hidden = d.kind === "alert";
    if (!dialog("page-dialog").open) dialog("page-dialog").showModal();
    this.#guard.appear(d.kind === "prompt" ? field : button("page-dialog-ok"));
  }

  /** @param {number | null} id null: whichever is open */
  closed(id) {
    if (id !== null && id !== this.#id) return;
    this.#id = null;
    dialog("page-dialog").close();
  }

  /** @param {boolean} accept */
  #answer(accept) {
    const id = this.#id;
    if (id === null) return;
    const field = input("page-dialog-input");
    const text = accept && !field.hidden ? { text: field.value } : {};
    field.value = "";
    this.closed(id);
    this.send({ t: "dialog", id, accept, ...text });
  }
}

export function closeAllSheets() {
  for (const sheet of document.querySelectorAll("dialog")) sheet.close();
}
