// Mouse, pen, wheel and fingers over the picture.

/** @typedef {import("./events.js").InputEvent} InputEvent */
/** @typedef {import("./view.js").View} View */

const BUTTONS = /** @type {const} */ (["left", "middle", "right", "back", "forward"]);
const MIDDLE_BUTTON = 1;
const MAX_CLICK_INTERVAL_MS = 500;
const CLICK_SLOP_PX = 5;
const MAX_FINGERS = 5;
const TAP_SLOP_PX = 10;
// A finger that rests so long and is lifted asks for the menu. One that rests longer holds
// something of the page's ("press and hold"), which must see it come and go.
const LONG_PRESS_MS = [500, 1500];
const LINE_HEIGHT_PX = 40;
// A refresh of most screens: moves closer than that say nothing more of a finger.
const STEP_MS = 16;

/**
 * CDP's bits: Alt 1, Control 2, Meta 4, Shift 8. Pure.
 * @param {{altKey: boolean, ctrlKey: boolean, metaKey: boolean, shiftKey: boolean}} e
 */
export const modifiers = (e) =>
  (e.altKey ? 1 : 0) | (e.ctrlKey ? 2 : 0) | (e.metaKey ? 4 : 0) | (e.shiftKey ? 8 : 0);

/** Counts clicks, as pointer events do not. Pure. */
export class ClickCounter {
  #count = 0;
  #last = { time: -Infinity, x: 0, y: 0, button: -1 };

  /**
   * @param {number} time ms
   * @param {number} x
   * @param {number} y
   * @param {number} button
   */
  down(time, x, y, button) {
    const l = this.#last;
    const again =
      time - l.time < MAX_CLICK_INTERVAL_MS &&
      button === l.button &&
      Math.hypot(x - l.x, y - l.y) <= CLICK_SLOP_PX &&
      this.#count < 3;
    this.#count = again ? this.#count + 1 : 1;
    this.#last = { time, x, y, button };
    return this.#count;
  }

  get count() {
    return this.#count;
  }
}

export class Pointer {
  #clicks = new ClickCounter();
  /**
   * @type {Map<number, {id: number, x: number, y: number, startX: number, startY: number, since:
   *   number}>} by pointerId
   */
  #fingers = new Map();
  /** @type {"none" | "page" | "view"} who has the fingers */
  #touchFor = "none";
  #buttons = 0;

  /**
   * @param {HTMLElement} page
   * @param {View} view
   * @param {object} on
   * @param {(event: InputEvent) => string} on.send
   * @param {() => boolean} on.enabled
   * @param {() => void} on.before a press: text that is still composing is committed first
   * @param {(x: number, y: number, touch: boolean) => void} on.tap within the user's gesture
   */
  constructor(page, view, on) {
    this.page = page;
    this.view = view;
    this.on = on;
    page.addEventListener("pointerdown", (e) => this.#down(e));
    page.addEventListener("pointermove", (e) => this.#move(e));
    page.addEventListener("pointerup", (e) => this.#up(e));
    page.addEventListener("pointercancel", (e) => this.#cancel(e));
    page.addEventListener("wheel", (e) => this.#wheel(e), { passive: false });
    // The press must not move the focus away from the local input, nor start a drag or a menu.
    for (const type of ["mousedown", "contextmenu", "dragstart", "selectstart"]) {
      page.addEventListener(type, (e) => !ownButton(e) && e.preventDefault());
    }
    // At its release, Chromium on X11 would paste what is selected anywhere into the local input.
    for (const type of ["mouseup", "auxclick"]) {
      page.addEventListener(type, (e) => {
        if (/** @type {MouseEvent} */ (e).button === MIDDLE_BUTTON) e.preventDefault();
      });
    }
    // The user's own browser would open a dropped file in the place of this page.
    for (const type of ["dragover", "drop"]) page.addEventListener(type, refuseDrop);
    // iOS would zoom on a double tap and pan with two fingers whatever touch-action says.
    for (const type of ["touchstart", "touchmove", "gesturestart"]) {
      page.addEventListener(type, (e) => !ownButton(e) && e.cancelable && e.preventDefault(), {
        passive: false,
      });
    }
  }

  /** Everything held is let go. */
  release() {
    this.#fingers.clear();
    this.#touchFor = "none";
    this.#buttons = 0;
  }

  /** @param {PointerEvent} e */
  #down(e) {
    if (ownButton(e) || !this.on.enabled()) return;
    if (e.pointerType === "touch") return this.#fingerDown(e);
    const at = this.view.toPage(e.clientX, e.clientY);
    if (!at.inside) return;
    this.page.setPointerCapture(e.pointerId);
    this.on.before();
    const clicks = this.#clicks.down(e.timeStamp, e.clientX, e.clientY, e.button);
    this.#pointer("down", e, clicks);
    this.on.tap(e.clientX, e.clientY, false);
  }

  /** @param {PointerEvent} e */
  #move(e) {
    if (!this.on.enabled()) return;
    if (e.pointerType === "touch") return this.#fingerMove(e);
    // A second button that changes while one is held comes as a move.
    if (e.button >= 0 && e.buttons !== this.#buttons) {
      const pressed = (e.buttons & ~this.#buttons) !== 0;
      this.#pointer(pressed ? "down" : "up", e, 1);
      return;
    }
    if (this.#buttons === 0 && !this.view.toPage(e.clientX, e.clientY).inside) return;
    this.#pointer("move", e, 0);
  }

  /** @param {PointerEvent} e */
  #up(e) {
    if (e.pointerType === "touch") return this.#fingerUp(e, "end");
    if (this.#buttons === 0) return; // its press was not the page's
    this.#pointer("up", e, this.#clicks.count);
  }

  /** @param {PointerEvent} e */
  #cancel(e) {
    if (e.pointerType === "touch") return this.#fingerUp(e, "cancel");
    if (this.#buttons !== 0) this.on.send({ t: "release_all" });
    this.#buttons = 0;
  }

  /**
   * @param {"move" | "down" | "up"} phase
   * @param {PointerEvent} e
   * @param {number} clicks
   */
  #pointer(phase, e, clicks) {
    const { x, y } = this.view.toPage(e.clientX, e.clientY);
    this.#buttons = e.buttons & 31;
    const button = phase === "move" ? null : (BUTTONS[e.button] ?? "left");
    this.on.send({
      t: "pointer",
      phase,
      x,
      y,
      button,
      buttons: this.#buttons,
      clicks,
      mods: modifiers(e),
    });
  }

  /** @param {WheelEvent} e */
  #wheel(e) {
    if (!this.on.enabled()) return;
    e.preventDefault();
    const unit =
      e.deltaMode === 1 ? LINE_HEIGHT_PX : e.deltaMode === 2 ? this.page.clientHeight : 1;
    // A trackpad's pinch.
    if (e.ctrlKey) return this.view.zoomBy(Math.exp(-e.deltaY * unit * 0.01), e.clientX, e.clientY);
    const at = this.view.toPage(e.clientX, e.clientY);
    if (!at.inside) return;
    const clamp = (/** @type {number} */ d) =>
      Math.round(Math.min(32767, Math.max(-32767, d * unit)));
    const sideways = e.shiftKey && e.deltaX === 0;
    const dx = clamp(sideways ? e.deltaY : e.deltaX);
    const dy = clamp(sideways ? 0 : e.deltaY);
    if (dx !== 0 || dy !== 0)
      this.on.send({ t: "wheel", x: at.x, y: at.y, dx, dy, mods: modifiers(e) });
  }

  // One finger is the page's: tap, long press, drag, and scrolling with the page's own momentum.
  // Two fingers are the view's: pinch and pan.

  /** @param {PointerEvent} e */
  #fingerDown(e) {
    if (this.#fingers.size === 0) {
      if (!this.view.toPage(e.clientX, e.clientY).inside) return;
      this.#touchFor = "page";
    }
    if (this.#fingers.size >= MAX_FINGERS) return;
    const used = new Set([...this.#fingers.values()].map((f) => f.id));
    let id = 0;
    while (used.has(id)) id += 1;
    this.page.setPointerCapture(e.pointerId);
    const { clientX: x, clientY: y } = e;
    this.#fingers.set(e.pointerId, { id, x, y, startX: x, startY: y, since: e.timeStamp });
    if (this.#fingers.size === 2 && this.#touchFor === "page") {
      this.#touchFor = "view";
      this.on.send({ t: "touch", phase: "cancel", points: [], at: when(e) });
    }
    if (this.#touchFor === "page") {
      this.on.before();
      this.on.send({ t: "touch", phase: "start", points: this.#points(), at: when(e) });
    }
  }

  /** @param {PointerEvent} e */
  #fingerMove(e) {
    const finger = this.#fingers.get(e.pointerId);
    if (!finger) return;
    if (this.#touchFor === "page") {
      for (const step of steps(e)) {
        finger.x = step.clientX;
        finger.y = step.clientY;
        this.on.send({ t: "touch", phase: "move", points: this.#points(), at: when(step) });
      }
      return;
    }
    const before = pinch([...this.#fingers.values()]);
    finger.x = e.clientX;
    finger.y = e.clientY;
    if (this.#fingers.size >= 2) {
      const after = pinch([...this.#fingers.values()]);
      this.view.zoomBy(
        after.span / before.span,
        after.x,
        after.y,
        after.x - before.x,
        after.y - before.y,
      );
    }
  }

  /**
   * @param {PointerEvent} e
   * @param {"end" | "cancel"} phase
   */
  #fingerUp(e, phase) {
    const finger = this.#fingers.get(e.pointerId);
    if (!finger) return;
    this.#fingers.delete(e.pointerId);
    if (this.#touchFor === "page") {
      const still = Math.hypot(finger.x - finger.startX, finger.y - finger.startY) < TAP_SLOP_PX;
      if (
        phase === "end" &&
        still &&
        this.#fingers.size === 0 &&
        isLongPress(e.timeStamp - finger.since)
      )
        this.#openMenu(finger);
      else this.on.send({ t: "touch", phase, points: this.#points(), at: when(e) });
      if (phase === "end" && still) this.on.tap(finger.x, finger.y, true);
    }
    if (this.#fingers.size === 0) this.#touchFor = "none";
  }

  /**
   * The remote browser makes no menu of touches: the finger is taken away, and the right button
   * pressed.
   * @param {{x: number, y: number}} at
   */
  #openMenu(at) {
    this.on.send({ t: "touch", phase: "cancel", points: [], at: 0 });
    const { x, y } = this.view.toPage(at.x, at.y);
    const press = {
      t: /** @type {const} */ ("pointer"),
      x,
      y,
      button: /** @type {const} */ ("right"),
      clicks: 1,
      mods: 0,
    };
    this.on.send({ ...press, phase: "down", buttons: 2 });
    this.on.send({ ...press, phase: "up", buttons: 0 });
  }

  #points() {
    return [...this.#fingers.values()].map(({ id, x, y }) => {
      const at = this.view.toPage(x, y);
      return { id, x: at.x, y: at.y };
    });
  }
}

/**
 * The page's milliseconds, never 0: the speed of a finger is lost on the way, so its times are
 * told.
 * @param {PointerEvent} e
 */
const when = (e) => Math.max(1, Math.round(e.timeStamp)) % 2 ** 32;

/**
 * The moves that an event stands for: a busy page is told of several at once, and a finger of which
 * nothing was told for a while has no momentum at the remote page. Pure.
 * @param {PointerEvent} e
 */
export function steps(e) {
  /** @type {PointerEvent[]} */
  const kept = [];
  const isApart = (/** @type {PointerEvent} */ step) =>
    step.timeStamp - (kept.at(-1)?.timeStamp ?? 0) >= STEP_MS;
  for (const step of e.getCoalescedEvents?.() ?? []) if (isApart(step)) kept.push(step);
  if (!isApart(e)) kept.pop();
  return [...kept, e];
}

/** @param {number} ms how long a finger rested. Pure. */
export const isLongPress = (ms) => ms >= (LONG_PRESS_MS[0] ?? 0) && ms <= (LONG_PRESS_MS[1] ?? 0);

/** @param {Event} e */
function refuseDrop(e) {
  e.preventDefault();
  const data = /** @type {DragEvent} */ (e).dataTransfer;
  if (data) data.dropEffect = "none";
}

/** @param {Event} e a button of the viewer's own that lies over the picture */
const ownButton = (e) => e.target instanceof Element && e.target.closest("button") !== null;

/**
 * Centre and span of the first two fingers.
 * @param {{x: number, y: number}[]} fingers
 */
function pinch([a, b]) {
  if (!a || !b) return { x: a?.x ?? 0, y: a?.y ?? 0, span: 1 };
  return {
    x: (a.x + b.x) / 2,
    y: (a.y + b.y) / 2,
    span: Math.max(20, Math.hypot(a.x - b.x, a.y - b.y)),
  };
}
