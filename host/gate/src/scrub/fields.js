// Called on one form field, in a world of its own, before agents see the page again; returns what it has
// taken out. What the document did not bring along was typed while the user had the browser.
function clearField() {
  const kind = this.localName === "textarea" ? "textarea" : this.type;
  const unwritten = [
    "hidden",
    "button",
    "submit",
    "reset",
    "image",
    "checkbox",
    "radio",
    "range",
    "color",
  ];
  if (unwritten.includes(kind)) return [];
  if (kind === "file") {
    if (this.value !== "") this.value = "";
    return [];
  }
  const attribute = this.getAttribute("value") ?? "";
  const says = `${this.autocomplete} ${this.name} ${this.id} ${this.inputMode}`.toLowerCase();
  const secret = kind === "password" || /password|passwd|one-time-code|otp|totp|\bcc-/.test(says);
  // Where nobody has watched, everything may have been typed.
  const typed = globalThis.authloopWasTyped?.(this) ?? true;
  if (this.value === "" && attribute === "") return [];
  if (!typed && !secret && this.value === this.defaultValue) return [];
  const taken = [this.value, attribute, this.defaultValue].filter((text) => text !== "");
  this.value = "";
  // Scripts that keep a copy of their own learn that it is empty.
  for (const name of ["input", "change"]) this.dispatchEvent(new Event(name, { bubbles: true }));
  this.defaultValue = "";
  this.removeAttribute("value");
  this.value = "";
  return [...new Set(taken)];
}
