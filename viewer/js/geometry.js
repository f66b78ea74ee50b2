// Where the picture is, and which of its points a finger is on. Pure.

/** @typedef {{left: number, top: number, width: number, height: number}} Rect */

/** Coordinates run from 0 to this, over the visible page. */
export const FULL_SCALE = 65535;

/**
 * The picture inside its box, as `object-fit: contain` places it.
 * @param {Rect} box
 * @param {number} width of the picture
 * @param {number} height of the picture
 * @returns {Rect}
 */
export function contain(box, width, height) {
  if (width <= 0 || height <= 0 || box.width <= 0 || box.height <= 0) return box;
  const scale = Math.min(box.width / width, box.height / height);
  const w = width * scale;
  const h = height * scale;
  return {
    left: box.left + (box.width - w) / 2,
    top: box.top + (box.height - h) / 2,
    width: w,
    height: h,
  };
}

/**
 * @param {Rect} picture
 * @param {number} x client coordinates
 * @param {number} y client coordinates
 * @returns {{x: number, y: number, inside: boolean}} 0..=65535, clamped
 */
export function toPage(picture, x, y) {
  const fx = picture.width > 0 ? (x - picture.left) / picture.width : 0;
  const fy = picture.height > 0 ? (y - picture.top) / picture.height : 0;
  const clamp = (/** @type {number} */ f) => Math.round(Math.min(1, Math.max(0, f)) * FULL_SCALE);
  return { x: clamp(fx), y: clamp(fy), inside: fx >= 0 && fx <= 1 && fy >= 0 && fy <= 1 };
}

/**
 * @param {Rect} picture
 * @param {readonly [number, number, number, number]} rect x, y, w, h in 0..=65535
 * @returns {Rect}
 */
export function toClient(picture, [x, y, w, h]) {
  return {
    left: picture.left + (x / FULL_SCALE) * picture.width,
    top: picture.top + (y / FULL_SCALE) * picture.height,
    width: (w / FULL_SCALE) * picture.width,
    height: (h / FULL_SCALE) * picture.height,
  };
}

/**
 * @typedef {{zoom: number, x: number, y: number}} Zoom scale and translation, origin at top left
 */

/**
 * Zooms around a point that stays where it is, and keeps the picture over its place.
 * @param {Zoom} from
 * @param {number} factor
 * @param {number} cx the fixed point, in the box
 * @param {number} cy
 * @param {number} dx a shift besides
 * @param {number} dy
 * @param {{width: number, height: number}} box
 * @returns {Zoom}
 */
export function zoomAround(from, factor, cx, cy, dx, dy, box) {
  const zoom = Math.min(5, Math.max(1, from.zoom * factor));
  const f = zoom / from.zoom;
  const x = cx - (cx - from.x) * f + dx;
  const y = cy - (cy - from.y) * f + dy;
  return {
    zoom,
    x: Math.min(0, Math.max(box.width * (1 - zoom), x)),
    y: Math.min(0, Math.max(box.height * (1 - zoom), y)),
  };
}

/**
 * How far up the page must go so that the field is seen above the soft keyboard.
 * @param {number} top of the field, in the unshifted page
 * @param {number} height of the field
 * @param {number} visible height of the place that is left
 * @param {number} full height of the page
 */
export function shiftFor(top, height, visible, full) {
  if (visible >= full) return 0;
  const wanted = top + Math.min(height, visible) / 2 - visible * 0.45;
  return Math.min(full - visible, Math.max(0, wanted));
}
