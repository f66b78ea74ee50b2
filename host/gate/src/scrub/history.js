// Evaluated in one document, in a world of its own, before agents see the page again: takes back
// what was edited, and forgets that it was. Else undo and redo, which an agent may ask for, would
// bring typed text back into emptied fields. Says whether nothing is left; Chromium remembers a
// thousand edits.
(() => {
  const has = (command) => document.queryCommandEnabled(command);
  try {
    for (let left = 2000; has("undo") && left > 0; left -= 1) document.execCommand("undo");
    if (has("undo")) return false;
    if (!has("redo")) return true;
  } catch {
    // Only HTML documents have these commands; without a field, others have nothing to take back.
    return document.querySelector("input, textarea, [contenteditable]") === null;
  }
  // An edit ends what could be redone. In a dialog of its own it does so whatever else is inert,
  // and focus comes back.
  const [dialog, pad] = [document.createElement("dialog"), document.createElement("textarea")];
  dialog.style.cssText = "opacity: 0";
  dialog.append(pad);
  document.documentElement.append(dialog);
  dialog.showModal();
  pad.focus();
  document.execCommand("insertText", false, " ");
  dialog.close();
  dialog.remove();
  return !has("redo");
})();
