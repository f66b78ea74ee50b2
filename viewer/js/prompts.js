// What the remote browser would ask in windows that nobody sees: joins the sheets to the handoff.

import { decodeUtf8, encodeUtf8 } from "./bytes.js";
import { button, el, input, onEnter } from "./dom.js";
import { t } from "./i18n.js";
import { isolate } from "./origin-panel.js";
import { Pickers } from "./pickers.js";
import { plain } from "./plain-text.js";
import { PromptSheet } from "./prompt-sheet.js";
import { announce, showNotice } from "./ui.js";
import { Upload } from "./upload.js";

/** @typedef {import("./events.js").InputEvent} InputEvent */
/** @typedef {import("./events.js").Output} Output */
/** @typedef {import("./events.js").Tab} Tab */

export class Prompts {
  /** @type {number | null} */
  #challengeId = null;
  /** @type {Tab[]} */
  #tabs = [];

  /**
   * @param {object} on
   * @param {(event: InputEvent) => string} on.send
   * @param {() => void} on.flush
   * @param {() => void} on.closed a sheet is gone: the keyboard may have the focus again
   * @param {() => void} on.secret a password is being typed, or no longer
   * @param {() => void} on.cannotSignIn the user cannot sign in this way
   */
  constructor(on) {
    this.on = on;
    this.pickers = new Pickers(on);
    this.upload = new Upload(on);
    this.auth = new PromptSheet(
      "sheet-auth",
      () => this.#answerAuth(false),
      () => {
        on.secret();
        on.closed();
      },
    );
    button("auth-send").addEventListener("click", () => this.#sendAuth());
    for (const id of ["auth-user", "auth-password"]) onEnter(input(id), () => this.#sendAuth());
    this.passkey = new PromptSheet("sheet-passkey", () => {}, on.closed);
    button("passkey-cannot").addEventListener("click", () => {
      this.passkey.end();
      on.cannotSignIn();
    });
    this.windows = new PromptSheet("sheet-windows", () => {}, on.closed);
    button("windows").addEventListener("click", () => this.windows.showAtOnce());
  }

  /** Whether what is typed now must be hidden in its timing, too. */
  get secret() {
    return this.auth.open;
  }

  /** @param {Output} output */
  output(output) {
    switch (output.t) {
      case "picker":
        return this.pickers.show(output.picker);
      case "auth":
        return this.#showAuth(output);
      case "auth_closed":
        if (output.id === this.#challengeId) {
          this.#challengeId = null;
          this.#clearAuth();
          this.auth.end();
        }
        return;
      case "file_chooser":
        return this.upload.show(output);
      case "file_chooser_closed":
        return this.upload.close(output.id);
      case "tabs":
        return this.#showTabs(output.tabs);
      case "notice":
        if (output.code !== "passkey_required") return showNotice(output.code, output.message);
        announce(t("passkey.title"));
        return this.passkey.show(button("passkey-other"));
      default:
    }
  }

  /** The handoff is over, or the other side is another one. */
  reset() {
    this.pickers.show(null);
    this.#showTabs([]);
  }

  /** @param {Extract<Output, {t: "auth"}>} asked */
  #showAuth(asked) {
    this.#challengeId = asked.id;
    el("auth-title").textContent = t("auth.title", { origin: isolate(asked.origin) });
    el("auth-realm").textContent = t("auth.realm", { realm: isolate(asked.realm) });
    el("auth-realm").hidden = plain(asked.realm) === "";
    const warnings = [
      ...(asked.expected ? [] : [t("auth.unexpected")]),
      ...(asked.secure ? [] : [t("auth.insecure")]),
    ];
    el("auth-warning").textContent = warnings.join(" ");
    el("auth-warning").hidden = warnings.length === 0;
    this.#clearAuth();
    this.auth.show(input("auth-user"));
    this.on.secret();
  }

  #sendAuth() {
    this.#answerAuth(true);
    this.auth.end();
  }

  /** @param {boolean} give */
  #answerAuth(give) {
    const id = this.#challengeId;
    this.#challengeId = null;
    // A lone surrogate has no UTF-8 form.
    const [user, password] = [input("auth-user"), input("auth-password")].map((field) =>
      decodeUtf8(encodeUtf8(field.value)),
    );
    this.#clearAuth();
    if (id !== null) this.on.send({ t: "auth", id, ...(give ? { user, password } : {}) });
  }

  /**
   * They stand in no form and are emptied before the sheet closes: nothing for a browser to save.
   */
  #clearAuth() {
    input("auth-user").value = input("auth-password").value = "";
  }

  /** @param {Tab[]} tabs */
  #showTabs(tabs) {
    const opened = tabs.length > 1 && tabs.length > this.#tabs.length && this.#tabs.length > 0;
    const first = tabs.length > 1 && this.#tabs.length === 0;
    this.#tabs = tabs;
    button("windows").hidden = tabs.length < 2;
    el("windows-count").textContent = String(tabs.length);
    if (tabs.length < 2) this.windows.end();
    el("windows-list").replaceChildren(...tabs.map((tab) => this.#tabRow(tab)));
    if (opened || first) showNotice("new_window");
  }

  /** @param {Tab} tab */
  #tabRow(tab) {
    const title = plain(tab.title) || t("windows.untitled");
    const show = document.createElement("button");
    show.type = "button";
    if (tab.shown) show.setAttribute("aria-current", "true");
    const [name, origin] = [document.createElement("strong"), document.createElement("span")];
    name.append(bdi(title));
    origin.append(bdi(tab.origin === "null" ? "" : plain(tab.origin)));
    show.append(name, origin);
    show.addEventListener("click", () => {
      this.windows.end();
      if (!tab.shown) this.on.send({ t: "tab", id: tab.id, action: "show" });
    });
    const close = document.createElement("button");
    close.type = "button";
    close.className = "icon";
    close.setAttribute("aria-label", t("windows.close", { title: isolate(title) }));
    close.append(icon("i-close"));
    close.addEventListener("click", () => this.on.send({ t: "tab", id: tab.id, action: "close" }));
    const row = document.createElement("li");
    row.append(show, close);
    return row;
  }
}

/** @param {string} words */
function bdi(words) {
  const element = document.createElement("bdi");
  element.textContent = words;
  return element;
}

/** @param {string} symbol */
function icon(symbol) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#${symbol}`);
  svg.append(use);
  return svg;
}
