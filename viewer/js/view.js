// The place for the picture: its size, its zoom, and the soft keyboard that takes half of it.

import { contain, shiftFor, toClient, toPage, zoomAround } from "./geometry.js";

/** @typedef {import("./events.js").InputEvent} InputEvent */
/** @typedef {import("./events.js").Field} Field */

const RESIZE_DELAY_MS = 200;
// Less than this is a browser's own bar coming and going, not a keyboard.
const MIN_KEYBOARD_PX = 120;

export const hasCoarsePointer = () => matchMedia("(pointer: coarse)").matches;

export class View {
  /** @type {import("./geometry.js").Zoom} */
  #zoom = { zoom: 1, x: 0, y: 0 };
  #shift = 0;
  /** @type {Field | null} */
  #field = null;
  #fullHeight = 0;
  #keyboardOpen = false;
  /** @type {ReturnType<typeof setTimeout> | null} */
  #timer = null;
  #sent = "";

  /**
   * @param {object} el
   * @param {HTMLElement} el.app
   * @param {HTMLElement} el.banners above the stage
   * @param {HTMLElement} el.stage
   * @param {HTMLElement} el.page
   * @param {HTMLVideoElement} el.video
   * @param {object} on
   * @param {(event: InputEvent) => string} on.send
   * @param {() => boolean} on.typing whether a local input for a remote field has focus
   * @param {() => void} on.layout
   */
  constructor(el, on) {
    this.el = el;
    this.on = on;
    new ResizeObserver(() => this.#onResize()).observe(el.stage);
    visualViewport?.addEventListener("resize", () => this.#followVisualViewport());
    visualViewport?.addEventListener("scroll", () => this.#followVisualViewport());
    el.video.addEventListener("resize", () => on.layout());
    this.#followVisualViewport();
  }

  /** The picture's rectangle on screen. */
  pictureRect() {
    const { video } = this.el;
    return contain(video.getBoundingClientRect(), video.videoWidth, video.videoHeight);
  }

  /**
   * @param {number} x client coordinates
   * @param {number} y client coordinates
   */
  toPage(x, y) {
    return toPage(this.pictureRect(), x, y);
  }

  /**
   * The field's rectangle inside the page element, before any zoom.
   * @param {Field} field
   */
  fieldRect(field) {
    const { page, video } = this.el;
    const box = { left: 0, top: 0, width: page.offsetWidth, height: page.offsetHeight };
    return toClient(contain(box, video.videoWidth, video.videoHeight), field.rect);
  }

  /** @param {Field | null} field */
  setField(field) {
    this.#field = field;
    this.#applyTransform();
  }

  /**
   * @param {number} factor
   * @param {number} cx client coordinates of the fixed point
   * @param {number} cy
   * @param {number} dx
   * @param {number} dy
   */
  zoomBy(factor, cx, cy, dx = 0, dy = 0) {
    const stage = this.el.stage.getBoundingClientRect();
    this.#zoom = zoomAround(this.#zoom, factor, cx - stage.left, cy - stage.top, dx, dy, stage);
    this.#applyTransform();
  }

  get zoomed() {
    return this.#zoom.zoom > 1.01;
  }

  /** Tells the host the size of the place, if it is not the one told before. */
  announceSize(force = false) {
    const { page } = this.el;
    const width = Math.round(page.offsetWidth);
    const height = this.#keyboardOpen ? page.offsetHeight : this.#placeHeight;
    if (width < 1 || height < 1) return;
    /** @type {InputEvent} */
    const event = {
      t: "viewport",
      width: Math.min(width, 65535),
      height: Math.min(height, 65535),
      scale: Math.round(Math.min(devicePixelRatio || 1, 2) * 100),
      mobile: hasCoarsePointer(),
    };
    const told = JSON.stringify(event);
    if (!force && told === this.#sent) return;
    if (this.on.send(event) === "ok") this.#sent = told;
  }

  /** Of the picture's place, without a banner: nobody resizes the remote page by asking something. */
  get #placeHeight() {
    const { stage, banners } = this.el;
    return Math.round(
      stage.getBoundingClientRect().height + banners.getBoundingClientRect().height,
    );
  }

  /** iOS and Android lay the soft keyboard over the page; only the visual viewport tells. */
  #followVisualViewport() {
    const vv = visualViewport;
    if (!vv || vv.scale > 1.01) return; // the user's own zoom of this page is theirs
    const { style } = this.el.app;
    style.setProperty("--app-height", `${vv.height}px`);
    style.setProperty("--app-top", `${vv.offsetTop}px`);
  }

  #onResize() {
    const { stage, page } = this.el;
    if (stage.clientHeight === 0) return;
    const height = this.#placeHeight;
    const sameWidth = page.offsetWidth === 0 || Math.abs(page.offsetWidth - stage.clientWidth) < 2;
    // The remote page keeps its size under a soft keyboard, as a page on a phone does.
    this.#keyboardOpen =
      hasCoarsePointer() &&
      sameWidth &&
      this.on.typing() &&
      this.#fullHeight - height > MIN_KEYBOARD_PX;
    document.documentElement.toggleAttribute("data-soft-keyboard", this.#keyboardOpen);
    if (this.#keyboardOpen) {
      page.style.setProperty("block-size", `${this.#fullHeight}px`);
    } else {
      page.style.removeProperty("block-size");
      this.#fullHeight = height;
      if (this.#timer !== null) clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.announceSize(), RESIZE_DELAY_MS);
    }
    this.#applyTransform();
  }

  #applyTransform() {
    const { stage, page } = this.el;
    this.#shift = 0;
    if (this.#keyboardOpen && this.#field) {
      const rect = this.fieldRect(this.#field);
      const top = rect.top * this.#zoom.zoom + this.#zoom.y;
      this.#shift = shiftFor(
        top,
        rect.height * this.#zoom.zoom,
        stage.clientHeight,
        page.offsetHeight * this.#zoom.zoom,
      );
    }
    const { zoom, x, y } = this.#zoom;
    page.style.transform =
      zoom === 1 && this.#shift === 0
        ? ""
        : `translate(${x}px, ${y - this.#shift}px) scale(${zoom})`;
    this.on.layout();
  }
}
