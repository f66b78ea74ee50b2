// Evaluated in each new document while the gate is closed, in a world of its own and before the page's
// own scripts: remembers which elements the user has typed into. Values do not tell, because scripts
// write what is typed into the attribute that the document brought along.
(() => {
  const typed = new WeakSet();
  const remember = (event) => {
    const [innermost] = event.composedPath();
    if (innermost) typed.add(innermost);
  };
  for (const kind of ["input", "change"]) addEventListener(kind, remember, true);
  // From outside of a closed shadow root its host is what was typed into.
  globalThis.authloopWasTyped = (element) => {
    for (let at = element; at; at = at.getRootNode().host) if (typed.has(at)) return true;
    return false;
  };
})();
