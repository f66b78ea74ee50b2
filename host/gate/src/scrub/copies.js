// Called on one form field of any type with what was taken out of others: scripts copy what is typed
// into hidden fields.
function clearCopy(taken) {
  const attribute = this.getAttribute("value") ?? "";
  const copied = (text) => taken.some((secret) => text.includes(secret));
  if (this.type === "file" || !(copied(this.value) || copied(attribute))) return;
  this.removeAttribute("value");
  this.value = "";
}
