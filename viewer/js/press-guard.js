// Controls that appear by another's will: the remote page's, another device's, the host's. They are
// inert until the user can have seen them, so that a press or a key that was meant for the remote
// page does not answer a question that has just come up.

/** How long a control must stand still before a press counts, and a field have the focus. */
export const SETTLING_MS = 1000;
const SAMPLING_INTERVAL_MS = 100;

const BUTTONS = "button, summary, a[href]";
const FIELDS = "input, select, textarea";
const isField = (/** @type {EventTarget | null} */ e) => e instanceof Element && e.matches(FIELDS);

/** @type {Set<PressGuard>} those whose controls are shown */
const shown = new Set();
/** When the last press of a pointer began, in the time of events. */
let lastPointerDown = -Infinity;
let lastKey = -Infinity;

/** Whether the user has typed a moment ago. */
export const isTyping = () => performance.now() - lastKey < SETTLING_MS;

export class PressGuard {
  /** From when on a press counts; Infinity while it is not known. */
  #liveFrom = Infinity;
  /** It has just appeared: the user's presses and keys, wherever they go, put it off. */
  #appearing = false;
  #place = "";
  #fieldFocusedAt = -Infinity;
  /** @type {HTMLElement | null} gets the focus once it is live */
  #focus = null;
  /** @type {ReturnType<typeof setInterval> | null} */
  #timer = null;

  /** @param {HTMLElement} container of the controls: a dialog, or what is shown and hidden */
  constructor(container) {
    this.container = container;
    listen();
    container.addEventListener("focusin", (e) => {
      if (isField(e.target)) this.#fieldFocusedAt = e.timeStamp;
    });
    container.addEventListener("close", () => this.#sample());
    // A phone's gesture for "back" is no key.
    container.addEventListener("cancel", (e) => this.#appearing && e.preventDefault());
  }

  /**
   * The container is shown, or asks something else than before.
   * @param {HTMLElement | null} [focus] gets the focus once a press counts
   */
  appear(focus = null) {
    this.#focus = focus;
    this.#appearing = true;
    shown.add(this);
    if (this.container instanceof HTMLDialogElement) {
      this.container.tabIndex = -1;
      this.container.focus({ preventScroll: true });
    }
    this.#settle(BUTTONS, FIELDS);
    this.#timer ??= setInterval(() => this.#sample(), SAMPLING_INTERVAL_MS);
  }

  get isModal() {
    return this.container instanceof HTMLDialogElement;
  }

  get isAppearing() {
    return this.#appearing && this.#isShown();
  }

  /** The user is busy, perhaps just here, with something that was there before. */
  disturb() {
    if (this.#appearing) this.#liveFrom = performance.now() + SETTLING_MS;
  }

  /** @param {number} at when the press began */
  counts(at) {
    this.#sample();
    return at >= this.#liveFrom;
  }

  /** @param {KeyboardEvent} e at one of its controls */
  countsKey(e) {
    if (e.key !== "Enter" && e.key !== " " && e.key !== "Escape") return true;
    if (e.repeat) return false; // held down since before
    if (e.key === "Enter" && isField(e.target))
      return e.timeStamp - this.#fieldFocusedAt >= SETTLING_MS;
    return e.key === "Escape" || isField(e.target) || this.counts(e.timeStamp);
  }

  /** @param {string[]} kinds of controls that take nothing for now */
  #settle(...kinds) {
    this.#liveFrom = performance.now() + SETTLING_MS;
    this.#place = this.#whereControlsAre();
    const held = document.activeElement;
    for (const control of this.#controls(kinds.join())) {
      if (control === held) this.#focus ??= control;
      control.inert = true;
    }
  }

  #sample() {
    if (!this.#isShown()) return this.#leave();
    if (this.#whereControlsAre() !== this.#place) {
      // In a field the user may go on: a soft keyboard moves what it opens for.
      this.#settle(BUTTONS);
    } else if (performance.now() >= this.#liveFrom) this.#arrive();
  }

  #arrive() {
    this.#appearing = false;
    for (const control of this.#controls(`${BUTTONS}, ${FIELDS}`)) control.inert = false;
    const [focus, held] = [this.#focus, document.activeElement];
    this.#focus = null;
    if (focus && (held === null || held === document.body || held === this.container))
      focus.focus({ preventScroll: true });
  }

  #leave() {
    shown.delete(this);
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = this.#focus = null;
    this.#liveFrom = Infinity;
    this.#appearing = false;
    for (const control of this.#controls(`${BUTTONS}, ${FIELDS}`)) control.inert = false;
  }

  #isShown() {
    const { container } = this;
    return container instanceof HTMLDialogElement ? container.open : !container.hidden;
  }

  /** @param {string} kinds @returns {NodeListOf<HTMLElement>} */
  #controls(kinds) {
    return this.container.querySelectorAll(kinds);
  }

  /** What the user scrolls has not moved. */
  #whereControlsAre() {
    const scrolled = this.container.scrollTop;
    return [...this.#controls(`${BUTTONS}, ${FIELDS}`)]
      .map((control) => {
        const { x, y, width, height } = control.getBoundingClientRect();
        return [x, y + scrolled, width, height].map(Math.round).join();
      })
      .join(" ");
  }
}

let listening = false;

/** Before any other listener: what does not count must not be heard by anybody. */
function listen() {
  if (listening) return;
  listening = true;
  const options = { capture: true };
  addEventListener("pointerdown", onPointerDown, options);
  addEventListener("click", onClick, options);
  addEventListener("keydown", onKeyDown, options);
  addEventListener("beforeinput", onTyped, options); // soft keyboards, and dictation
  // What appeared while nobody looked appears now.
  document.addEventListener("visibilitychange", () => {
    for (const guard of shown) if (guard.isAppearing) guard.disturb();
  });
}

/** @param {Event} e */
const guardOf = (e) =>
  [...shown].find((guard) => e.target instanceof Node && guard.container.contains(e.target));

/** @param {Event} e */
function drop(e) {
  e.preventDefault();
  e.stopImmediatePropagation();
}

/** @param {PointerEvent} e */
function onPointerDown(e) {
  lastPointerDown = e.timeStamp;
  for (const guard of shown) guard.disturb();
}

/** @param {MouseEvent} e */
function onClick(e) {
  // A key's click has no pointer, nor has that of an assistive technology.
  const began = e.detail > 0 ? lastPointerDown : e.timeStamp;
  const guard = guardOf(e);
  const button = e.target instanceof Element && e.target.closest(BUTTONS);
  const decides = guard && (button || e.target === guard.container || guard.isAppearing);
  if (decides && !guard.counts(began)) drop(e);
}

/** @param {Event} e */
function onTyped(e) {
  lastKey = e.timeStamp;
  for (const guard of shown) guard.disturb();
}

/** @param {KeyboardEvent} e */
function onKeyDown(e) {
  onTyped(e);
  const modal = [...shown].find((guard) => guard.isModal && guard.isAppearing);
  const own = e.ctrlKey || e.metaKey; // the browser's own, as to reload
  if (modal && !own) return drop(e);
  if (guardOf(e)?.countsKey(e) === false) drop(e);
}
