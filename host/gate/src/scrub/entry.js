// Evaluated in one document, in a world of its own: makes its history entry one that is asked for again
// by its address. An entry keeps the form that was sent for it, and a reload would tell it to whoever
// listens. Says whether it is done.
(() => {
  try {
    history.replaceState(history.state, "", document.URL);
    return true;
  } catch {
    // Nothing was sent for a document that came from no server.
    return !/^https?:/.test(document.URL);
  }
})();
