// Called on one form field, in a world of its own, before agents see the page again. What the
// document did not bring along was typed while the user had the browser.
function clearField() {
  const kind = this.localName === "textarea" ? "textarea" : this.type;
  const typed = ["text", "password", "email", "tel", "number", "url", "search", "textarea"];
  if (!typed.includes(kind)) return false;
  const says = `${this.autocomplete} ${this.name} ${this.id} ${this.inputMode}`.toLowerCase();
  const secret = kind === "password" || /password|passwd|one-time-code|otp|totp|\bcc-/.test(says);
  if (this.value === "" || (!secret && this.value === this.defaultValue)) return false;
  if (kind === "password") this.removeAttribute("value");
  this.value = "";
  // Scripts that keep a copy of their own learn that it is empty.
  for (const name of ["input", "change"]) this.dispatchEvent(new Event(name, { bubbles: true }));
  return true;
}
