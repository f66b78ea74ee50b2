// A remote field in a few lines: what the viewer tells, applied.
import assert from "node:assert/strict";

/** What a remote field would hold: the model that every edit must keep equal to the local one. */
export class Remote {
  constructor(value = "") {
    this.before = [...value];
    this.after = [];
    this.comp = "";
  }
  get value() {
    return this.before.join("") + this.comp + this.after.join("");
  }
  apply(events) {
    for (const e of events) {
      if (e.t === "text") {
        this.comp = "";
        this.before.push(...e.text);
      } else if (e.t === "composition") this.comp = e.text;
      else if (e.t === "replace") {
        this.comp = "";
        this.before = [...e.text];
        this.after = [];
      } else if (e.t === "delete") {
        assert.equal(this.comp, "");
        for (let i = 0; i < e.before; i++) this.#backspace();
      } else if (e.t === "move") {
        assert.equal(this.comp, "", "no move while composing");
        this.#move(e.by);
      }
    }
    return this;
  }

  // By grapheme, as a browser's caret goes.
  #move(by) {
    for (let i = 0; i < Math.abs(by); i++) {
      const g = by < 0 ? segments(this.before).at(-1) : segments(this.after)[0];
      if (!g) return;
      if (by < 0) {
        this.before.splice(-[...g].length);
        this.after.unshift(...g);
      } else {
        this.after.splice(0, [...g].length);
        this.before.push(...g);
      }
    }
  }

  // An emoji or a flag goes whole; of a letter with accents the last accent goes first.
  #backspace() {
    const last = segments(this.before).at(-1) ?? "";
    const whole = /\p{Emoji_Presentation}|\p{Regional_Indicator}|\ufe0f/u.test(last);
    this.before.splice(-(whole ? [...last].length : 1));
  }
}

const segments = (characters) =>
  [...new Intl.Segmenter("en", { granularity: "grapheme" }).segment(characters.join(""))].map(
    (x) => x.segment,
  );
