// The live screen: joins picture, pointer, keyboard and toolbar to a handoff.

import { foreignFrame, TypingConsent } from "./consent.js";
import { button, byId, el, input } from "./dom.js";
import { actsOnPage } from "./events.js";
import { spreadCode } from "./field-attributes.js";
import { t } from "./i18n.js";
import { Keyboard } from "./keyboard.js";
import { ownerName, showFrame, showPage, showUnexpected, wireOriginPanel } from "./origin-panel.js";
import { plain } from "./plain-text.js";
import { Pointer } from "./pointer.js";
import { Prompts } from "./prompts.js";
import { RoomPanel } from "./room-panel.js";
import {
  Compose,
  closeAllSheets,
  openCheckResult,
  openDecline,
  PageDialog,
  wireCheckResult,
  wireDecline,
} from "./sheets.js";
import { announce, showNotice, showOverlay, showSeal, showState } from "./ui.js";
import { hasCoarsePointer, View } from "./view.js";

/** @typedef {import("./events.js").InputEvent} InputEvent */
/** @typedef {import("./events.js").Output} Output */
/** @typedef {import("./events.js").Field} Field */
/** @typedef {import("./handoff.js").Handoff} Handoff */

const MAX_TAP_AGE_MS = 2000;
const SMALL_CHIP_PX = 52;

export class Live {
  #verified = false;
  #trouble = false;
  #frameSeen = false;
  #lastOrigin = "";
  #tappedAt = -Infinity;
  #consent = new TypingConsent();
  /** @type {import("./events.js").Page | null} */
  #page = null;
  /** @type {Field | null} */
  #field = null;

  /**
   * @param {Handoff} handoff
   * @param {import("./room.js").Room} room
   */
  constructor(handoff, room) {
    this.handoff = handoff;
    this.room = room;
    this.video = byId("video", HTMLVideoElement);
    const send = (/** @type {InputEvent} */ e) => this.#send(e);
    this.view = new View(
      {
        app: el("app"),
        banners: el("banners"),
        stage: el("stage"),
        page: el("page"),
        video: this.video,
      },
      { send, typing: () => this.keyboard.focused, layout: () => this.#layout() },
    );
    this.keyboard = new Keyboard(input("pad"), byId("pad-multi", HTMLTextAreaElement), {
      send,
      paste: (text) => this.#paste(text),
      leave: () => button("done").focus(),
      focus: () => this.#layout(),
    });
    this.pointer = new Pointer(el("page"), this.view, {
      send,
      enabled: () => this.enabled && !this.#trouble,
      before: () => {
        this.keyboard.restart();
        this.#play();
      },
      tap: (x, y, touch) => this.#tap(x, y, touch),
    });
    this.compose = new Compose((e, secret) => {
      this.keyboard.restart();
      this.#send(e, secret);
    });
    this.dialogs = new PageDialog((e) => this.#send(e));
    this.prompts = new Prompts({
      send,
      flush: () => this.keyboard.flush(),
      closed: () => this.enabled && !hasCoarsePointer() && this.keyboard.focus(),
      secret: () => this.#updateTick(),
      cannotSignIn: () => void this.handoff.decline("cannot_complete"),
    });
    this.roomPanel = new RoomPanel(room, {
      send,
      finish: () => this.#finish("done"),
      changed: () => this.#onRoom(),
      closed: () => !hasCoarsePointer() && this.keyboard.focusSoon(),
    });
    this.#wire();
    this.#refresh();
  }

  /** Whether what the user does to the page is taken. */
  get enabled() {
    return this.#verified && this.room.takesInput && !this.#consent.lockedPage(this.#page);
  }

  /** Whether what the user types now is taken. */
  get typing() {
    return this.enabled && !this.#consent.lockedFrame(this.#field, this.#page);
  }

  /** @param {boolean} verified */
  setVerified(verified) {
    this.#verified = verified;
    this.#refresh();
    if (!verified) return;
    this.view.announceSize(true);
    announce(t("live.keyboard_on"));
    this.#showScreen();
  }

  /** @param {boolean} trouble */
  setTrouble(trouble) {
    this.#trouble = trouble;
    if (trouble) this.pointer.release();
    this.#refresh();
    this.#showScreen();
  }

  /** @param {MediaStream} stream */
  setVideo(stream) {
    this.video.srcObject = stream;
    this.#play();
    const [track] = stream.getVideoTracks();
    const seen = () => {
      // A connection that ends without ever having had a path leaves a black frame.
      if (this.video.srcObject !== stream || track?.readyState !== "live") return;
      this.#frameSeen = true;
      document.documentElement.dataset.firstFrame = String(Math.round(performance.now()));
      this.handoff.firstFrame();
      this.#showScreen();
    };
    if (this.#frameSeen) return;
    const video = /** @type {HTMLVideoElement} */ (this.video);
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(seen);
    else video.addEventListener("loadeddata", seen, { once: true });
  }

  /** Muted video plays by itself, but not in every phone's power saving: then a tap starts it. */
  #play() {
    if (this.video.paused && this.video.srcObject) void this.video.play().catch(() => {});
  }

  /** @param {Output} output */
  output(output) {
    if (this.roomPanel.output(output)) this.#onRoom();
    switch (output.t) {
      case "page":
        return this.#onPage(output);
      case "field":
        return this.#onField(output.field);
      case "video":
        return this.#layout();
      case "dialog":
        return this.dialogs.open(
          output,
          [output.origin, this.#page?.origin].find((o) => o && o !== "null") ?? t("live.title"),
        );
      case "dialog_closed":
        return this.dialogs.closed(output.id);
      case "checked":
        return openCheckResult(output.verdict);
      case "notice":
        if (this.room.waiting && output.code === "agent_browser_away") return this.#showScreen();
        return this.prompts.output(output);
      case "refused":
        this.prompts.upload.onRefused();
        return showNotice(
          ["epoch", "locked"].includes(output.reason)
            ? `refused_${output.reason}`
            : "refused_other",
        );
      default:
        this.prompts.output(output);
    }
  }

  end() {
    this.#verified = false;
    this.keyboard.setEnabled(false);
    this.prompts.reset();
    this.roomPanel.end();
    closeAllSheets();
    this.video.srcObject = null;
  }

  /** The user is somewhere else now, or nowhere. */
  #onRoom() {
    const { waiting } = this.room;
    this.pointer.release();
    this.prompts.reset();
    this.#consent.reset();
    this.#refresh();
    this.#showScreen();
    if (!waiting && !hasCoarsePointer()) this.keyboard.focusSoon();
    announce(t(waiting ? waiting.title : `room.${this.room.words.kind}`));
  }

  /** The live screen shows once there is something to see; before that, the steps. */
  #showScreen() {
    const { state } = document.documentElement.dataset;
    const shown = state === "live" || state === "reconnecting";
    const { waiting } = this.room;
    if (!shown && !(this.#verified && (this.#frameSeen || waiting))) return;
    const away = this.#trouble || !this.#verified;
    showState(away ? "reconnecting" : "live");
    showOverlay({ away, verified: this.#verified, waiting });
    if (!shown && !hasCoarsePointer()) this.keyboard.focusSoon();
    if (this.#trouble) announce(t("live.reconnecting"));
  }

  #refresh() {
    const frame = foreignFrame(this.#field, this.#page);
    showSeal({
      verified: this.#verified,
      trouble: this.#trouble,
      open: this.room.takesInput,
      typing: this.typing,
      frame: ownerName(frame),
    });
    showFrame(frame);
    const page = this.#consent.lockedPage(this.#page);
    const locked = page || this.#consent.lockedFrame(this.#field, this.#page);
    showUnexpected(locked ? { origin: locked, frame: page === "" } : null);
    this.keyboard.setEnabled(this.typing);
    if (this.#page && this.room.takesInput)
      button("back").disabled = !this.#verified || !this.#page.can_go_back;
    this.roomPanel.setReady(this.#verified && !this.#trouble);
    el("page").dataset.enabled = String(this.enabled && !this.#trouble);
    this.#layout();
  }

  /** @param {import("./events.js").Page} page */
  #onPage(page) {
    this.#page = page;
    if (page.origin !== this.#lastOrigin) {
      this.#lastOrigin = page.origin;
      announce(plain(page.origin));
    }
    showPage(page);
    this.#refresh();
  }

  /** @param {Field | null} field */
  #onField(field) {
    this.#field = field;
    this.#updateTick();
    this.keyboard.setField(field, hasCoarsePointer());
    this.view.setField(field);
    this.#refresh();
    // A field that got the focus by the user's tap opens the keyboard; one that the page focused by
    // itself does not. Android opens it while the tap is fresh; iOS only within the tap, and gets
    // a button over the field instead.
    if (field && hasCoarsePointer() && performance.now() - this.#tappedAt < MAX_TAP_AGE_MS)
      this.keyboard.focus();
    this.#layout();
  }

  #updateTick() {
    this.handoff.setTick(this.#field?.secret === true || this.prompts.secret);
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {boolean} touch
   */
  #tap(x, y, touch) {
    if (!touch) return this.keyboard.focus();
    this.#tappedAt = performance.now();
    if (!this.#field) return;
    const at = this.view.toPage(x, y);
    const [left, top, width, height] = this.#field.rect;
    if (at.x >= left && at.x <= left + width && at.y >= top && at.y <= top + height)
      this.keyboard.focus();
  }

  /** Local inputs lie over the remote field. */
  #layout() {
    const chip = button("type-here");
    const field = this.#field;
    const typing = this.keyboard.focused;
    el("stage").dataset.typing = String(typing);
    button("keyboard").setAttribute("aria-pressed", String(typing));
    chip.hidden = !field || !this.typing || this.#trouble || !hasCoarsePointer() || typing;
    if (!field) return;
    const r = this.view.fieldRect(field);
    // What the field holds stays readable beside the button.
    const small = field.length > 0 && r.width > 3 * SMALL_CHIP_PX;
    chip.toggleAttribute("data-small", small);
    for (const target of [this.keyboard.pad, chip]) {
      const aside = target === chip && small ? r.width - SMALL_CHIP_PX : 0;
      target.style.left = `${r.left + aside}px`;
      target.style.top = `${r.top}px`;
      target.style.width = `${Math.max(r.width - aside, 44)}px`;
      target.style.height = `${Math.max(r.height, 24)}px`;
    }
  }

  /**
   * @param {InputEvent} event
   * @param {boolean} secret whether not even its length may show
   */
  #send(event, secret = this.#field?.secret === true) {
    if (!this.room.takesInput && actsOnPage(event) && event.t !== "in_place") return "locked";
    const block = secret && (event.t === "replace" || event.t === "paste");
    let result = /** @type {ReturnType<Handoff["send"]>} */ ("ok");
    for (const part of spreadCode(event, this.#field)) {
      result = this.handoff.send(part, block);
      if (result === "too_long" || result === "full") showNotice(result);
      if (result !== "ok") break;
    }
    return result;
  }

  /** @param {string} text */
  #paste(text) {
    if (text === "") return showNotice("paste_empty");
    this.keyboard.restart();
    this.#send({ t: "paste", text });
  }

  async #pasteButton() {
    try {
      this.#paste(await navigator.clipboard.readText());
      if (!hasCoarsePointer()) this.keyboard.focus();
    } catch {
      // Not allowed, or not there: the user pastes by hand.
      this.compose.open(this.#field?.secret === true, "paste");
    }
  }

  /** @param {"done" | "finish_anyway"} how */
  #finish(how) {
    this.keyboard.flush();
    if (this.#send({ t: how }) !== "ok") return;
    this.room.mayHaveMoved();
    announce(t("live.finishing"));
  }

  #wire() {
    const on = (/** @type {string} */ id, /** @type {() => void} */ work) =>
      button(id).addEventListener("click", work);
    const decline = (/** @type {import("./events.js").DeclineReason} */ reason) =>
      void this.handoff.decline(reason);
    wireDecline(decline);
    wireOriginPanel(this.handoff.invitation);
    wireCheckResult({
      finishAnyway: () => this.#finish("finish_anyway"),
      goOn: () => this.enabled && !hasCoarsePointer() && this.keyboard.focus(),
    });
    on("decline", openDecline);
    on("unexpected-decline", openDecline);
    on("unexpected-continue", () => {
      const frame = foreignFrame(this.#field, this.#page);
      this.#consent.accept(this.#consent.lockedPage(this.#page) || frame);
      this.#refresh();
      if (!hasCoarsePointer() || this.#field) this.keyboard.focus();
    });
    on("done", () => (this.room.isPrivate ? this.roomPanel.askDone() : this.#finish("done")));
    on("back", () => this.#send({ t: "navigate", action: "back" }));
    on("reload", () => this.#send({ t: "navigate", action: "reload" }));
    on("paste", () => void this.#pasteButton());
    on("compose", () =>
      this.compose.open(this.#field?.secret === true, this.#field ? "replace" : "paste"),
    );
    on("type-here", () => this.keyboard.focus());
    // A press must not take the focus (and the soft keyboard) away before the click decides.
    for (const id of ["keyboard", "overlay"]) {
      for (const type of ["pointerdown", "mousedown"])
        el(id).addEventListener(type, (e) => e.preventDefault());
    }
    on("keyboard", () => {
      if (this.keyboard.focused && hasCoarsePointer()) this.keyboard.blur();
      else if (!this.#field && hasCoarsePointer()) showNotice("no_field");
      else this.keyboard.focus();
    });
  }
}
