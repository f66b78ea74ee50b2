// What a key press is: the page's, the local input's, the user's own browser's. Pure.

import { modifiers } from "./pointer.js";

/**
 * The part of a KeyboardEvent that is looked at.
 * @typedef {Pick<KeyboardEvent, "key" | "code" | "keyCode" | "altKey" | "ctrlKey" | "metaKey" |
 *   "shiftKey"
 *   | "isComposing" | "repeat"> & {getModifierState(name: string): boolean}} KeyPress
 */
/**
 * - `send`: to the page, and not to the local input
 * - `edit`: the local input changes, and the change is told
 * - `paste`: a paste event follows
 * - `own`: a shortcut of the user's own browser, which it keeps
 * - `leave`: out of the remote page, to the toolbar
 * @typedef {"send" | "edit" | "paste" | "own" | "leave"} KeyUse
 */

const ALT = 1;
const CTRL = 2;
const META = 4;

const FUNCTION_KEYS = new Set([
  "F5",
  "F6",
  "F11",
  "F12",
  "BrowserBack",
  "BrowserForward",
  "BrowserRefresh",
]);
// Reload, address bar, new tab, window and private window, close, quit, hide, next tab, zoom.
const BROWSER_KEYS = new Set([
  "r",
  "l",
  "t",
  "n",
  "w",
  "q",
  "tab",
  "+",
  "-",
  "=",
  "0",
  "pageup",
  "pagedown",
]);
const MAC_BROWSER_KEYS = new Set(["h", "m", ",", "`"]);

/**
 * @param {KeyPress} e
 * @param {boolean} mac
 * @returns {KeyUse}
 */
export function classifyKey(e, mac) {
  if (e.key === "Escape" && e.ctrlKey && e.altKey) return "leave";
  // 229 is an IME at work; its text comes as input and composition events.
  if (
    e.isComposing ||
    e.keyCode === 229 ||
    ["Process", "Dead", "Unidentified", "Compose"].includes(e.key)
  )
    return "edit";
  const key = shortcutKey(e);
  const command = mac ? e.metaKey && !e.ctrlKey : e.ctrlKey && !e.metaKey;
  if ((command && !e.altKey && key === "v") || (e.shiftKey && !e.ctrlKey && key === "insert"))
    return "paste";
  if (FUNCTION_KEYS.has(e.key)) return "own";
  if (command && !e.altKey && (BROWSER_KEYS.has(key) || (mac && MAC_BROWSER_KEYS.has(key))))
    return "own";
  if (!e.code) {
    // A soft keyboard's key has no place on a keyboard. Its text and deletions are read from the
    // input, where suggestions and autocorrection need them; the other keys are keys.
    if (isCharacter(e.key) || key === "backspace" || key === "delete") return "edit";
  }
  return "send";
}

/**
 * What a key is in a shortcut: the character on it, but on a layout of another script (Cyrillic, Greek, Hebrew…)
 * the Latin letter in its place, as all systems have it.
 * @param {KeyPress} e
 */
function shortcutKey(e) {
  const key = e.key.toLowerCase();
  const [, letter] = /^Key([A-Z])$/.exec(e.code) ?? [];
  return letter && isCharacter(key) && !/\p{Script=Latin}/u.test(key) && /\p{L}/u.test(key)
    ? letter.toLowerCase()
    : key;
}

/** @param {string} key a character (of one code point) and not a name */
export const isCharacter = (key) => [...key].length === 1;

/**
 * Modifiers as the remote side, a browser on Linux, is to see them: AltGr and Option make
 * characters there as here, so they are no modifiers of them; Command is Control.
 * @param {KeyPress} e
 * @param {boolean} mac
 */
export function remoteModifiers(e, mac) {
  let mods = modifiers(e);
  if (isCharacter(e.key)) {
    if (e.getModifierState("AltGraph")) mods &= ~(ALT | CTRL);
    else if (mac && e.altKey && !e.ctrlKey && !e.metaKey) mods &= ~ALT;
  }
  if (mac && mods & META) mods = (mods & ~META) | CTRL;
  return mods;
}

/**
 * Modifier keys that are held according to what was sent, but not according to the event: their
 * keyup was swallowed (by the system, another window, a menu).
 * @param {Iterable<string>} held codes
 * @param {KeyPress} e
 */
export function stuckModifiers(held, e) {
  /** @type {[RegExp, boolean][]} */
  const groups = [
    [/^Shift(Left|Right)$/, e.shiftKey],
    [/^Control(Left|Right)$/, e.ctrlKey || e.getModifierState("AltGraph")],
    [/^Alt(Left|Right)$/, e.altKey || e.getModifierState("AltGraph")],
    [/^Meta(Left|Right)$/, e.metaKey],
  ];
  return [...held].filter(
    (code) => code !== e.code && groups.some(([re, down]) => re.test(code) && !down),
  );
}

/** Whether two Escapes make a "let me out". Pure. */
export class DoubleEscape {
  #last = -Infinity;

  /**
   * @param {string} key
   * @param {boolean} repeat
   * @param {number} time ms
   */
  press(key, repeat, time) {
    if (repeat) return false;
    const twice = key === "Escape" && time - this.#last < 500;
    this.#last = key === "Escape" && !twice ? time : -Infinity;
    return twice;
  }
}
