// Inside another page: its owner hears how the session stands, and nothing else.
//
// Frames are let in by the server's `frame-ancestors`; messages go to the same allow-listed origins
// and to nobody else. None is taken: the link in the frame's address is all that the parent gives.

/** @typedef {import("../embed.js").AuthloopEvent} AuthloopEvent */
/** @typedef {import("../embed.js").AuthloopState} AuthloopState */

const root = document.documentElement;

/**
 * Where a message may go: the parent's own origin, if it is allowed. Pure.
 * @param {readonly string[]} allowed
 * @param {string | undefined} parent where the browser tells it
 * @returns {readonly string[]} delivered only to a parent of exactly that origin
 */
export function messageTargets(allowed, parent) {
  if (parent === undefined) return allowed;
  return allowed.includes(parent) ? [parent] : [];
}

/**
 * Tells the parent of each state from now on.
 * @param {readonly string[]} allowed origins
 * @param {string} session its id, which is no secret; empty where the link has none
 */
export function tellParent(allowed, session) {
  if (window.parent === window || allowed.length === 0) return;
  const to = messageTargets(allowed, location.ancestorOrigins?.[0]);
  root.toggleAttribute("data-embedded", true);
  let last = "";
  const tell = () => {
    const event = stateEvent(root.dataset, session);
    const told = JSON.stringify(event);
    if (told === last) return;
    last = told;
    for (const origin of to) window.parent.postMessage(event, origin);
  };
  new MutationObserver(tell).observe(root, { attributeFilter: ["data-state"] });
  tell();
}

/**
 * @param {DOMStringMap} data
 * @param {string} session
 * @returns {AuthloopEvent}
 */
function stateEvent(data, session) {
  const state = /** @type {AuthloopState} */ (data.state);
  const base = {
    source: /** @type {const} */ ("authloop"),
    version: /** @type {const} */ (1),
    session,
  };
  if (state === "ended")
    return { ...base, state, outcome: /** @type {import("./events.js").Outcome} */ (data.outcome) };
  if (state === "error") return { ...base, state, code: data.error ?? "internal" };
  return { ...base, state };
}
