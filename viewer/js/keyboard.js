// The keyboard: physical keys as keys, everything else through a real local input.
//
// Two inputs (one line, several lines) lie transparent over the remote field and take its type,
// inputmode, autocomplete and enterkeyhint, so that the device shows the right keyboard, offers
// the right codes and passwords, and places its IME window where the text is.

import { padAttributes, sameField } from "./field-attributes.js";
import { InputMirror, isLatin, keyPress } from "./input-mirror.js";
import { classifyKey, DoubleEscape, remoteModifiers, stuckModifiers } from "./keymap.js";

/** @typedef {import("./events.js").InputEvent} InputEvent */
/** @typedef {import("./events.js").Field} Field */

const IS_MAC = /mac|iphone|ipad|ipod/i.test(navigator.platform);
const IS_ANDROID = /android/i.test(navigator.userAgent);
const CTRL = 2;

const DELETION_KEYS = new Map([
  ["deleteWordBackward", keyPress("Backspace", CTRL)],
  ["deleteWordForward", keyPress("Delete", CTRL)],
  ["deleteSoftLineBackward", [...keyPress("Home", 8), ...keyPress("Backspace")]],
  ["deleteHardLineBackward", [...keyPress("Home", 8), ...keyPress("Backspace")]],
  ["deleteContentForward", keyPress("Delete")],
]);

export class Keyboard {
  /** @type {Field | null} */
  #field = null;
  #enabled = false;
  /** It had the focus when it was disabled, or is to get it. */
  #refocus = false;
  #mirror = new InputMirror();
  /** @type {HTMLInputElement | HTMLTextAreaElement} */
  #pad;
  /** @type {string | null} the local composition's text */
  #composition = null;
  /** Keys sent down and not yet up. @type {Map<string, {key: string}>} */
  #held = new Map();
  #escapes = new DoubleEscape();

  /**
   * @param {HTMLInputElement} single
   * @param {HTMLTextAreaElement} multi
   * @param {object} on
   * @param {(event: InputEvent) => string} on.send
   * @param {(text: string) => void} on.paste
   * @param {() => void} on.leave
   * @param {() => void} on.focus the pad got or lost the focus
   */
  constructor(single, multi, on) {
    this.single = single;
    this.multi = multi;
    this.on = on;
    this.#pad = single;
    for (const pad of [single, multi]) this.#listen(pad);
    this.#applyNeutralAttributes();
    addEventListener("blur", () => this.release());
    addEventListener("pagehide", () => this.release());
    document.addEventListener(
      "visibilitychange",
      () => document.visibilityState === "hidden" && this.release(),
    );
  }

  /** Whether the local input has the focus. */
  get focused() {
    return document.activeElement === this.#pad;
  }

  get pad() {
    return this.#pad;
  }

  /** @param {boolean} enabled */
  setEnabled(enabled) {
    if (enabled === this.#enabled) return;
    this.#enabled = enabled;
    if (!enabled) {
      this.#refocus = this.focused;
      this.#held.clear();
      this.#clear();
    }
    for (const pad of [this.single, this.multi]) pad.disabled = !enabled;
    // A disabled input loses the focus to nobody; it gets it back if nobody took it meanwhile.
    if (enabled && this.#refocus && document.activeElement === document.body) this.focus();
  }

  /**
   * The focused remote field changed.
   * @param {Field | null} field
   * @param {boolean} soft the device types by a soft keyboard
   */
  setField(field, soft) {
    const old = this.#field;
    this.#field = field;
    if (sameField(old, field)) {
      // The same, scrolled; or its neighbour below, to which nothing may be carried.
      const moved =
        old && field && field.id === undefined && Math.abs(old.rect[1] - field.rect[1]) > 330;
      if (moved && this.#composition === null) this.#clear();
      return;
    }
    const had = this.focused;
    // The remote side has committed what was composing when the focus left the field: told once
    // more, it would go to the next one.
    if (!old) this.flush();
    const pad = field && padAttributes(field).multiline ? this.multi : this.single;
    const other = pad === this.single ? this.multi : this.single;
    this.#pad = pad;
    if (field) this.#applyAttributes(padAttributes(field));
    else this.#applyNeutralAttributes();
    pad.tabIndex = 0;
    other.tabIndex = -1;
    this.#clear();
    if (!field && soft && had)
      pad.blur(); // no field, no keyboard
    // A keyboard that is already open may follow the focus to the next field.
    else if (had) this.focus();
  }

  /** Opens the soft keyboard when called within a user's gesture. */
  focus() {
    if (!this.#enabled) return;
    this.#pad.focus({ preventScroll: true });
    this.#caretToEnd();
  }

  /** The same, or once it is enabled, if nobody has taken the focus by then. */
  focusSoon() {
    this.#refocus = true;
    this.focus();
  }

  blur() {
    this.#pad.blur();
  }

  /** Text that is still composing is committed before something else happens. */
  flush() {
    this.#send(this.#mirror.flush());
  }

  /**
   * Something else changes the field or moves its caret, as a tap or a paste does: what the local
   * input holds is no longer what stands before the remote caret.
   */
  restart() {
    this.flush();
    if (!this.#mirror.empty) this.#clear();
  }

  /** Everything held is let go, here and there. */
  release() {
    this.flush();
    if (this.#held.size === 0) return;
    this.#held.clear();
    this.on.send({ t: "release_all" });
  }

  /** @param {HTMLInputElement | HTMLTextAreaElement} pad */
  #listen(pad) {
    pad.addEventListener("keydown", (e) => this.#keydown(/** @type {KeyboardEvent} */ (e)));
    pad.addEventListener("keyup", (e) => this.#keyup(/** @type {KeyboardEvent} */ (e)));
    pad.addEventListener("beforeinput", (e) =>
      this.#beforeinput(
        /** @type {InputEvent & globalThis.InputEvent} */ (/** @type {unknown} */ (e)),
      ),
    );
    pad.addEventListener("input", () => this.#input());
    pad.addEventListener("compositionstart", () => (this.#composition = ""));
    pad.addEventListener(
      "compositionupdate",
      (e) => (this.#composition = /** @type {CompositionEvent} */ (e).data),
    );
    pad.addEventListener("compositionend", () => {
      this.#composition = null;
      this.#input();
    });
    pad.addEventListener("paste", (e) => {
      e.preventDefault();
      const text = /** @type {ClipboardEvent} */ (e).clipboardData?.getData("text/plain") ?? "";
      this.#clear();
      this.on.paste(text);
    });
    pad.addEventListener("drop", (e) => e.preventDefault());
    pad.addEventListener("focus", () => this.on.focus());
    pad.addEventListener("blur", () => {
      this.#composition = null;
      this.release();
      this.on.focus();
    });
  }

  /** @param {KeyboardEvent} e */
  #keydown(e) {
    const use = classifyKey(e, IS_MAC);
    if (use === "leave" || this.#escapes.press(e.key, e.repeat, e.timeStamp)) {
      e.preventDefault();
      this.release();
      this.on.leave();
      return;
    }
    this.#releaseStuckModifiers(e);
    if (use === "paste" || use === "own" || use === "edit") return;
    e.preventDefault();
    this.flush();
    // What a key changes in the remote field the local input does not know: start it afresh.
    if (!this.#mirror.empty && !/^(Shift|Control|Alt|Meta|AltGraph|CapsLock)$/.test(e.key))
      this.#clear();
    const code = e.code || (/^[A-Z][A-Za-z0-9]+$/.test(e.key) ? e.key : "");
    this.#key(true, code, e);
    if (e.code) this.#held.set(e.code, { key: e.key });
    else this.#key(false, code, e); // a soft keyboard's keyup may never come
  }

  /** @param {KeyboardEvent} e */
  #keyup(e) {
    if (e.code && this.#held.delete(e.code)) {
      e.preventDefault();
      this.#key(false, e.code, e);
    }
    // macOS tells of no keyup while Command is held.
    if (e.key === "Meta" && IS_MAC) this.release();
    this.#releaseStuckModifiers(e);
  }

  /** @param {KeyboardEvent} e */
  #releaseStuckModifiers(e) {
    for (const code of stuckModifiers(this.#held.keys(), e)) {
      const key = this.#held.get(code)?.key ?? "";
      this.#held.delete(code);
      this.on.send({
        t: "key",
        down: false,
        code,
        key,
        mods: remoteModifiers(e, IS_MAC),
        repeat: false,
      });
    }
  }

  /**
   * @param {boolean} down
   * @param {string} code
   * @param {KeyboardEvent} e
   */
  #key(down, code, e) {
    const key = e.key === "Meta" && IS_MAC ? "Control" : e.key;
    const place = IS_MAC ? code.replace(/^Meta/, "Control") : code;
    this.on.send({
      t: "key",
      down,
      code: place,
      key,
      mods: remoteModifiers(e, IS_MAC),
      repeat: down && e.repeat,
    });
  }

  /** @param {globalThis.InputEvent} e */
  #beforeinput(e) {
    if (e.inputType === "insertLineBreak" || e.inputType === "insertParagraph") {
      e.preventDefault();
      this.flush();
      this.#clear();
      this.#send(keyPress("Enter"));
      return;
    }
    const keys = DELETION_KEYS.get(e.inputType);
    const refused = /^(history|format|insertFrom(Drop|Paste|Yank))/.test(e.inputType);
    if ((!keys && !refused) || !e.cancelable || e.isComposing) return;
    e.preventDefault();
    if (keys) {
      this.flush();
      this.#clear();
      this.#send(keys);
    }
  }

  #input() {
    const pad = this.#pad;
    const text = this.#composition;
    // Secrets are never left composing; Android composes every word, which is no reason for the
    // page to see one.
    const composing = text !== null && !this.#field?.secret && !(IS_ANDROID && isLatin(text));
    const end = pad.selectionEnd ?? pad.value.length;
    this.#send(this.#mirror.update(pad.value, composing ? { text, end } : null));
    const secret = this.#field?.secret === true && text === null;
    const eaten = text === null && !pad.value.startsWith(this.#mirror.blank);
    if (secret || eaten) this.#clear();
  }

  /** The input is as if nothing had been typed; nothing is told. */
  #clear() {
    this.#mirror.reset();
    this.#composition = null;
    for (const pad of [this.single, this.multi]) {
      const value = pad === this.#pad ? this.#mirror.blank : "";
      if (pad.value !== value) pad.value = value;
    }
    this.#caretToEnd();
  }

  #caretToEnd() {
    const pad = this.#pad;
    if (this.focused) pad.setSelectionRange(pad.value.length, pad.value.length);
  }

  /** @param {import("./field-attributes.js").PadAttributes} a */
  #applyAttributes(a) {
    // One sentinel for a secret: browsers find a single character not worth saving.
    this.#mirror.padding = a.type === "password" ? 1 : 8;
    const pad = this.#pad;
    if (pad instanceof HTMLInputElement) pad.type = a.type;
    else this.single.type = "text";
    pad.inputMode = a.inputmode;
    pad.enterKeyHint = a.enterkeyhint;
    pad.autocapitalize = a.autocapitalize;
    pad.spellcheck = a.assist;
    pad.setAttribute("autocomplete", a.autocomplete);
    pad.setAttribute("autocorrect", a.assist ? "on" : "off");
  }

  /** No field: keys go to the page all the same, but no soft keyboard comes up. */
  #applyNeutralAttributes() {
    this.#applyAttributes({
      multiline: false,
      type: "text",
      inputmode: "none",
      autocomplete: "off",
      enterkeyhint: "",
      autocapitalize: "none",
      assist: false,
    });
  }

  /** @param {InputEvent[]} events */
  #send(events) {
    for (const event of events) this.on.send(event);
  }
}
