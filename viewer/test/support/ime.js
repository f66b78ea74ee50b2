// A soft keyboard's or input method's way with an input, as events: played in the viewer page.
// Each call makes the events that browsers make, in their order (UI Events, Input Events 2):
// Chromium on Android wraps each in keydown and keyup of code 229, WebKit on iOS does not.
class Ime {
  #from = -1;
  #to = -1;

  constructor(android = true) {
    this.android = android;
  }

  get pad() {
    return document.activeElement;
  }

  get composing() {
    // A page that sets the value takes the composition away, as browsers do.
    return this.#from >= 0 && this.#to <= this.pad.value.length;
  }

  #fire(type, Kind, init) {
    return this.pad.dispatchEvent(
      new Kind(type, { bubbles: true, cancelable: type !== "input", ...init }),
    );
  }

  #key(type) {
    if (this.android)
      this.#fire(type, KeyboardEvent, {
        key: "Unidentified",
        code: "",
        keyCode: 229,
        isComposing: this.composing,
      });
  }

  #edit(inputType, data, from, to, text) {
    const isComposing = inputType === "insertCompositionText";
    const { pad } = this;
    if (
      !this.#fire("beforeinput", InputEvent, {
        inputType,
        data,
        isComposing,
        cancelable: !isComposing,
      })
    )
      return;
    if (isComposing) this.#fire("compositionupdate", CompositionEvent, { data: text });
    pad.setRangeText(text, from, to, "end");
    if (isComposing) [this.#from, this.#to] = [from, from + text.length];
    this.#fire("input", InputEvent, { inputType, data, isComposing });
  }

  #range() {
    return this.composing
      ? [this.#from, this.#to]
      : [this.pad.selectionStart, this.pad.selectionEnd];
  }

  /** setComposingText: the word on its way. */
  compose(text) {
    this.#key("keydown");
    const [from, to] = this.#range();
    if (!this.composing) {
      [this.#from, this.#to] = [from, to];
      this.#fire("compositionstart", CompositionEvent, { data: "" });
    }
    this.#edit("insertCompositionText", text, from, to, text);
    this.#key("keyup");
  }

  /** finishComposingText: what is there stays. */
  finish() {
    if (!this.composing) return;
    const data = this.pad.value.slice(this.#from, this.#to);
    this.#from = this.#to = -1;
    this.#fire("compositionend", CompositionEvent, { data });
  }

  /** commitText: in the composition's place, or at the caret. */
  commit(text) {
    this.#key("keydown");
    const [from, to] = this.#range();
    if (this.composing) {
      this.#edit("insertCompositionText", text, from, to, text);
      this.finish();
    } else {
      this.#edit("insertText", text, from, to, text);
    }
    this.#key("keyup");
  }

  /** setComposingRegion: a word is taken up again. */
  take(word) {
    const from = this.pad.value.lastIndexOf(word);
    [this.#from, this.#to] = [from, from + word.length];
    this.#fire("compositionstart", CompositionEvent, { data: word });
    this.#fire("compositionupdate", CompositionEvent, { data: word });
  }

  /** deleteSurroundingText, in UTF-16 code units before the caret. */
  delete(units) {
    this.#key("keydown");
    const end = this.pad.selectionEnd;
    this.#edit("deleteContentBackward", null, Math.max(0, end - units), end, "");
    this.#key("keyup");
  }

  /** WebKit's autocorrection: a word replaced without a composition. */
  correct(word, by) {
    const from = this.pad.value.lastIndexOf(word);
    this.#edit("insertReplacementText", by, from, from + word.length, by);
    this.pad.setSelectionRange(this.pad.value.length, this.pad.value.length);
  }

  /** Autofill, or a manager: the whole value. */
  fill(text) {
    this.pad.value = text;
    this.#fire("input", InputEvent, { inputType: "insertReplacementText", data: text });
    this.#fire("change", Event, {});
  }

  /** A key that a soft keyboard names, such as Enter. */
  press(key, keyCode) {
    this.#fire("keydown", KeyboardEvent, { key, code: "", keyCode });
    this.#fire("keyup", KeyboardEvent, { key, code: "", keyCode });
  }
}
globalThis.Ime = Ime;
