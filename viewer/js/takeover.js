// Another device of the user's asks to go on with the session: the question here, and the code by
// which they see that it is theirs.

import { fromBase64Url, toBase64Url } from "./bytes.js";
import { button, el } from "./dom.js";
import { t } from "./i18n.js";
import { isolate } from "./origin-panel.js";
import { PressGuard } from "./press-guard.js";
import { answerCommitment, codeOfOpened } from "./takeover-code.js";

/** @typedef {import("./bytes.js").Bytes} Bytes */
/** @typedef {import("./device.js").SessionRecord} SessionRecord */
/** @typedef {import("./device.js").SessionStore} SessionStore */

/** @type {PressGuard | null} one for the life of the page, as the question has one place */
let guard = null;

export class Takeover {
  /** @type {Bytes | null} the commitment of the device that asks */
  #commitment = null;
  /** @type {Bytes | null} that device, once it has opened it */
  #device = null;

  /**
   * @param {SessionRecord} record
   * @param {SessionStore} store
   * @param {object} on each says whether it could be told
   * @param {(message: object) => boolean} on.answer to the server
   * @param {(device: Bytes) => boolean} on.give the session
   */
  constructor(record, store, on) {
    this.record = record;
    this.store = store;
    this.on = on;
    guard ??= new PressGuard(el("takeover"));
    this.#wireButton("takeover-consent", () => this.#device !== null && on.give(this.#device));
    this.#wireButton(
      "takeover-refuse",
      () => this.#commitment !== null && this.#refuse(this.#commitment),
    );
  }

  /** @param {any} m of the server's, which is not trusted */
  async hear(m) {
    const bytes = (/** @type {unknown} */ text) =>
      (typeof text === "string" && fromBase64Url(text)) || new Uint8Array();
    if (m.type === "takeover_opened") await this.#opened(bytes(m.device), bytes(m.opening));
    else await this.#asked(m.commitment === null ? null : bytes(m.commitment));
  }

  /** @param {Bytes | null} commitment of a device that asks; null: nobody asks any more */
  async #asked(commitment) {
    this.#hide();
    if (!commitment) return;
    const memory = answerCommitment(this.record.takeover, commitment);
    if (!memory) return void this.#refuse(commitment);
    // Written down first: a reload must give no second nonce for it.
    this.record.takeover = memory;
    await this.store.put(this.record);
    this.#commitment = commitment;
    this.on.answer({
      type: "takeover_nonce",
      commitment: toBase64Url(commitment),
      nonce: toBase64Url(memory.nonce),
    });
  }

  /** @param {Bytes} commitment of a device that does not get the session */
  #refuse(commitment) {
    return this.on.answer({ type: "takeover_refuse", commitment: toBase64Url(commitment) });
  }

  /**
   * Not a dialog: a key that the user is just pressing for the remote page must not answer it.
   * @param {Bytes} device that says it asked
   * @param {Bytes} opening
   */
  async #opened(device, opening) {
    const [commitment, memory] = [this.#commitment, this.record.takeover];
    if (!commitment || !memory || this.#device) return;
    const { psk, id } = this.record;
    const code = await codeOfOpened(
      psk,
      fromBase64Url(id) ?? new Uint8Array(),
      memory,
      device,
      opening,
    );
    if (commitment !== this.#commitment) return;
    if (!code) {
      this.#refuse(commitment);
      return this.#hide();
    }
    this.#device = device;
    el("takeover-text").textContent = t("takeover.text", { code: isolate(code) });
    el("takeover").hidden = false;
    guard?.appear();
  }

  #hide() {
    this.#commitment = this.#device = null;
    el("takeover-text").textContent = "";
    el("takeover").hidden = true;
  }

  /**
   * @param {string} id
   * @param {() => boolean} say
   */
  #wireButton(id, say) {
    // Not added: a second handoff of this page's life replaces the first's.
    button(id).onclick = () => {
      if (say()) this.#hide();
    };
  }
}
