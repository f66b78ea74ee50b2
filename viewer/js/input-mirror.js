// What the local input says and what the remote field has been told, kept equal. Pure.
//
// Soft keyboards, IMEs, autocorrection, dictation and autofill do not tell keys: they change a
// value. The local input starts with a few invisible characters, so that there is something to
// delete; the difference between its value and what was told before becomes deletions,
// insertions and compositions. Nothing is told twice, whatever order events come in.

/** @typedef {import("./events.js").InputEvent} InputEvent */

export const SENTINEL = "\u200b";
const MAX_CARET_STEPS = 2000;
// What Backspace takes away whole; of anything else it takes the last code point.
const DELETED_WHOLE =
  /\p{Extended_Pictographic}|\p{Regional_Indicator}|[\u20e3\ufe00-\ufe0f\u{e0100}-\u{e01ef}]/u;

export class InputMirror {
  /** What the remote field has of this input, without a composition. */
  #committed = "";
  /** Where its caret is, in UTF-16 code units of that. */
  #caret = 0;
  /** The composition the remote shows at its caret. @type {string | null} */
  #composing = null;

  /** @param {number} padding how many sentinels the input starts with */
  constructor(padding = 8) {
    this.padding = padding;
  }

  /** The value of a fresh input. */
  get blank() {
    return SENTINEL.repeat(this.padding);
  }

  /** Whether the input holds nothing beyond its padding. */
  get empty() {
    return this.#committed === "" && this.#composing === null;
  }

  reset() {
    this.#committed = "";
    this.#caret = 0;
    this.#composing = null;
  }

  /**
   * @param {string} value of the local input, now
   * @param {{text: string, end: number} | null} composition and where it ends in the value
   * @returns {InputEvent[]}
   */
  update(value, composition = null) {
    let left = 0;
    while (left < this.padding && value[left] === SENTINEL) left += 1;
    const body = value.slice(left).replaceAll(SENTINEL, "");
    if (left === 0 && this.padding > 0 && (body !== "" || this.padding > 1) && !composition)
      return this.#replaced(body);
    const events = composition
      ? this.#compose(body, composition.text, composition.end - left)
      : this.#commit(body);
    if (left < this.padding) {
      // Deleted beyond what was typed here, into what the field held before.
      events.push(...this.#moveTo(0), { t: "delete", before: this.padding - left, after: 0 });
    }
    return events;
  }

  /** Commits what is composing, as a click elsewhere does. @returns {InputEvent[]} */
  flush() {
    if (this.#composing === null) return [];
    const text = this.#composing;
    this.#composing = null;
    this.#committed =
      this.#committed.slice(0, this.#caret) + text + this.#committed.slice(this.#caret);
    this.#caret += text.length;
    return [text === "" ? { t: "composition", text: "", start: 0, end: 0 } : { t: "text", text }];
  }

  /** The whole value was replaced: by autofill, a manager, or select-all. @param {string} body */
  #replaced(body) {
    const events = this.#cancel();
    this.#committed = body;
    this.#caret = body.length;
    return [...events, /** @type {InputEvent} */ ({ t: "replace", text: body })];
  }

  /** @returns {InputEvent[]} */
  #cancel() {
    if (this.#composing === null) return [];
    this.#composing = null;
    return [{ t: "composition", text: "", start: 0, end: 0 }];
  }

  /**
   * @param {string} body
   * @param {string} text of the composition
   * @param {number} end of the composition in the body
   * @returns {InputEvent[]}
   */
  #compose(body, text, end) {
    let start = end - text.length;
    if (body.slice(start, end) !== text) start = Math.max(0, body.lastIndexOf(text));
    const committed = body.slice(0, start) + body.slice(start + text.length);
    /** @type {InputEvent[]} */
    const events = [];
    if (committed !== this.#committed || (this.#composing !== null && start !== this.#caret)) {
      events.push(...this.#cancel(), ...this.#edit(committed));
    }
    if (this.#composing === null) events.push(...this.#moveTo(start));
    if (this.#composing !== text)
      events.push({ t: "composition", text, start: text.length, end: text.length });
    this.#composing = text;
    return events;
  }

  /** @param {string} body @returns {InputEvent[]} */
  #commit(body) {
    if (this.#composing === null) return this.#edit(body);
    const head = this.#committed.slice(0, this.#caret);
    const tail = this.#committed.slice(this.#caret);
    if (body.length >= head.length + tail.length && body.startsWith(head) && body.endsWith(tail)) {
      // Inserting text ends the composition at the remote side too, in its place.
      this.#composing = body.slice(head.length, body.length - tail.length);
      return this.flush();
    }
    return [...this.#cancel(), ...this.#edit(body)];
  }

  /** @param {string} next @returns {InputEvent[]} */
  #edit(next) {
    const old = this.#committed;
    if (next === old) return [];
    // By what a reader calls characters: carets go by those, and an emoji is never cut between its
    // parts.
    const was = graphemes(old);
    const is = graphemes(next);
    let head = 0;
    while (head < was.length && head < is.length && was[head] === is[head]) head += 1;
    let end = 0;
    while (
      end < was.length - head &&
      end < is.length - head &&
      was.at(-1 - end) === is.at(-1 - end)
    )
      end += 1;
    const removed = was.slice(head, was.length - end);
    const inserted = is.slice(head, is.length - end).join("");
    const tail = was.slice(was.length - end).join("").length;
    const events = this.#moveTo(old.length - tail);
    if (removed.length > 0)
      events.push({
        t: "delete",
        before: removed.map(backspaces).reduce((a, b) => a + b),
        after: 0,
      });
    if (inserted !== "") events.push({ t: "text", text: inserted });
    this.#committed = next;
    this.#caret = next.length - tail;
    return events;
  }

  /**
   * The remote caret follows an edit in the middle.
   * @param {number} place
   * @returns {InputEvent[]}
   */
  #moveTo(place) {
    if (place === this.#caret) return [];
    const between = this.#committed.slice(
      Math.min(place, this.#caret),
      Math.max(place, this.#caret),
    );
    const steps = Math.min(MAX_CARET_STEPS, graphemes(between).length);
    const by = place < this.#caret ? -steps : steps;
    this.#caret = place;
    return [{ t: "move", by }];
  }
}

/**
 * @param {string} key a named key whose code has the same name
 * @param {number} mods
 * @returns {InputEvent[]}
 */
export function keyPress(key, mods = 0) {
  const event = { t: /** @type {const} */ ("key"), code: key, key, mods, repeat: false };
  return [
    { ...event, down: true },
    { ...event, down: false },
  ];
}

/** @param {string} s @returns {string[]} */
function graphemes(s) {
  if (typeof Intl.Segmenter !== "function") return [...s];
  return [...new Intl.Segmenter(undefined, { granularity: "grapheme" }).segment(s)].map(
    (g) => g.segment,
  );
}

/**
 * How many times Backspace for one user-perceived character, as Chromium does it.
 * @param {string} grapheme
 */
const backspaces = (grapheme) => (DELETED_WHOLE.test(grapheme) ? 1 : [...grapheme].length);

/**
 * Whether a composition is only a Latin word on its way, as Gboard makes of every word.
 * @param {string} text
 */
export const isLatin = (text) =>
  /^[\p{Script=Latin}\p{Script=Common}\p{Script=Inherited}]*$/u.test(text);
