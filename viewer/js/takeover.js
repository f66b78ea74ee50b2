// Another device of the user's asks to go on with the session: the question here, and the code by
// which they see that it is theirs.

import { fromBase64Url } from "./bytes.js";
import { button, el } from "./dom.js";
import { t } from "./i18n.js";
import { takeoverCode } from "./keys.js";
import { isolate } from "./origin-panel.js";
import { PressGuard } from "./press-guard.js";

/** @typedef {import("./bytes.js").Bytes} Bytes */
/** @typedef {import("./device.js").SessionRecord} SessionRecord */

/** @type {PressGuard | null} one for the life of the page, as the question has one place */
let guard = null;

export class Takeover {
  /** @type {Bytes | null} the device that asks */
  #device = null;

  /**
   * @param {SessionRecord} record
   * @param {object} on each says whether it could be told
   * @param {(device: Bytes) => boolean} on.give
   * @param {(device: Bytes) => boolean} on.keep
   */
  constructor(record, on) {
    this.record = record;
    guard ??= new PressGuard(el("takeover"));
    this.#wireButton("takeover-consent", on.give);
    this.#wireButton("takeover-refuse", on.keep);
  }

  /** @param {Bytes} device */
  code(device) {
    return takeoverCode(this.record.psk, fromBase64Url(this.record.id) ?? new Uint8Array(), device);
  }

  /**
   * Not a dialog: a key that the user is just pressing for the remote page must not answer it.
   * @param {Bytes | null} device null: nobody asks any more
   */
  async show(device) {
    this.#device = device;
    const code = device && (await this.code(device));
    if (device !== this.#device) return;
    el("takeover-text").textContent = code ? t("takeover.text", { code: isolate(code) }) : "";
    el("takeover").hidden = !code;
    if (code) guard?.appear();
  }

  /**
   * @param {string} id
   * @param {(device: Bytes) => boolean} say
   */
  #wireButton(id, say) {
    // Not added: a second handoff of this page's life replaces the first's.
    button(id).onclick = () => {
      if (this.#device && say(this.#device)) void this.show(null);
    };
  }
}
