// Controls that the remote browser cannot show: lists, calendars, colours. The user gets a real one
// of this device, so a phone shows its own picker.

import { button, el, onEnter } from "./dom.js";
import { t } from "./i18n.js";
import { plain } from "./plain-text.js";
import { isTyping } from "./press-guard.js";
import { PromptSheet } from "./prompt-sheet.js";
import { hasCoarsePointer } from "./view.js";

/** @typedef {import("./events.js").Picker} Picker */
/** @typedef {import("./events.js").InputEvent} InputEvent */

const MAX_LIST_ROWS = 8;

export class Pickers {
  /** @type {Picker | null} */
  #picker = null;
  /** @type {HTMLSelectElement | HTMLInputElement | null} */
  #control = null;
  /** @type {number | null} the picker whose suggestions are shown */
  #suggesting = null;

  /**
   * @param {object} on
   * @param {(event: InputEvent) => void} on.send
   * @param {() => void} on.closed
   * @param {() => void} on.flush what is typed goes before what is picked
   */
  constructor(on) {
    this.on = on;
    this.prompt = new PromptSheet("sheet-picker", () => this.#answer({}), on.closed);
    button("picker-set").addEventListener("click", () => this.#submit());
    button("picker-clear").addEventListener("click", () => this.#answerAndClose({ value: "" }));
    el("suggestions").addEventListener("pointerdown", (e) => e.preventDefault());
    el("suggestions").addEventListener("mousedown", (e) => e.preventDefault());
  }

  /** @param {Picker | null} picker null: it is gone */
  show(picker) {
    if (picker?.kind === "datalist") {
      this.#forget();
      return this.#showSuggestions(picker);
    }
    this.#showSuggestions(null);
    if (!picker) return this.#forget();
    this.#picker = picker;
    const control = picker.kind === "select" ? selectControl(picker) : inputControl(picker);
    this.#control = control;
    control.id = "picker-control";
    control.setAttribute("aria-labelledby", "picker-title");
    if (control instanceof HTMLSelectElement && !picker.multiple) {
      // A phone's own list has said its last word; with a keyboard, each arrow is a change.
      control.addEventListener("change", () => hasCoarsePointer() && this.#submit());
    }
    if (control instanceof HTMLInputElement) onEnter(control, () => this.#submit());
    el("picker-title").textContent = plain(picker.label) || t("picker.choose");
    el("picker-place").replaceChildren(control);
    el("picker-truncated").hidden = !picker.truncated;
    button("picker-clear").hidden =
      picker.kind === "select" || picker.kind === "color" || picker.value === "";
    // Only a tap in the remote page opens one, and what is picked goes to that page alone; but it
    // must not take what the user types into another field.
    if (isTyping()) return this.prompt.show(control);
    this.prompt.showAtOnce(control);
    if (!hasCoarsePointer()) return;
    try {
      control.showPicker();
    } catch {
      // The tap is too old, or the browser has none: the control is there to be tapped.
    }
  }

  #submit() {
    const control = this.#control;
    if (control instanceof HTMLInputElement) return this.#answerAndClose({ value: control.value });
    if (!control) return;
    const options = [...control.options]
      .filter((option) => option.selected)
      .map((option) => Number(option.value));
    // Without a choice there is nothing to say of a list from which one must be chosen.
    this.#answerAndClose(options.length === 0 && !control.multiple ? {} : { options });
  }

  /** @param {{options?: number[], value?: string}} answer */
  #answerAndClose(answer) {
    this.#answer(answer);
    this.prompt.end();
  }

  /** @param {{options?: number[], value?: string}} answer */
  #answer(answer) {
    if (!this.#picker) return;
    const { id } = this.#picker;
    this.#picker = this.#control = null;
    this.on.send({ t: "pick", id, ...answer });
  }

  #forget() {
    this.#picker = this.#control = null;
    this.prompt.end();
  }

  /** @param {Picker | null} picker */
  #showSuggestions(picker) {
    this.#suggesting = picker?.id ?? null;
    const buttons = (picker?.options ?? []).map((option, i) => {
      const chip = document.createElement("button");
      chip.type = "button";
      const text = document.createElement("bdi");
      text.textContent = plain(option.label);
      chip.append(text);
      chip.addEventListener("click", () => {
        if (this.#suggesting === null) return;
        this.on.flush();
        this.on.send({ t: "pick", id: this.#suggesting, options: [i] });
        this.#showSuggestions(null);
      });
      return chip;
    });
    el("suggestions").replaceChildren(...buttons);
    el("suggestions").hidden = buttons.length === 0;
  }
}

/** @param {Picker} picker */
function selectControl(picker) {
  const control = document.createElement("select");
  control.multiple = picker.multiple;
  // With several to choose from, or on a laptop, the list lies open; a phone has its own.
  const groups = new Set(picker.options.map((option) => option.group ?? "")).size;
  if (picker.multiple && !hasCoarsePointer())
    control.size = Math.min(MAX_LIST_ROWS, picker.options.length + groups);
  /** @type {HTMLOptGroupElement | null} */
  let group = null;
  picker.options.forEach((option, i) => {
    const o = document.createElement("option");
    o.value = String(i);
    o.textContent = plain(option.label);
    o.disabled = option.disabled === true;
    o.selected = option.selected === true;
    const name = plain(option.group ?? "");
    if (name === "") group = null;
    else if (group?.label !== name) {
      group = document.createElement("optgroup");
      group.label = name;
      control.append(group);
    }
    (group ?? control).append(o);
  });
  if (!picker.multiple && !picker.options.some((option) => option.selected))
    control.selectedIndex = -1;
  return control;
}

/** @param {Picker} picker */
function inputControl(picker) {
  const control = document.createElement("input");
  control.type = picker.kind;
  control.autocomplete = "off";
  for (const name of /** @type {const} */ (["min", "max", "step"])) {
    if (picker[name]) control[name] = picker[name];
  }
  control.value = picker.value;
  return control;
}
