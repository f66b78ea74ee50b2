// The screens, and what the live screen says besides the picture.

import { button, byId, el, setIcon } from "./dom.js";
import { formatRelative, hasText, t } from "./i18n.js";
import { siteItems } from "./origin-panel.js";
import { plain, plainLines } from "./plain-text.js";
import { showRoomOffer } from "./room-panel.js";

/** @typedef {import("./events.js").Outcome} Outcome */
/** @typedef {"invitation" | "connecting" | "live" | "reconnecting" | "ended" | "error"} State */

const root = document.documentElement;
const SCREENS = ["invitation", "connecting", "live", "ended", "error"];
const STEPS = ["server", "host", "path", "verify", "picture"];
const NOTICE_DURATION_MS = 8000;
const MAX_NOTICES = 3;

/** @param {State} state */
export function showState(state) {
  root.dataset.state = state;
  const screen = state === "reconnecting" ? "live" : state;
  // While connecting, the live screen lies invisible below: the place for the picture has its size.
  const below = screen === "connecting" ? "live" : "";
  for (const name of SCREENS) el(`screen-${name}`).hidden = name !== screen && name !== below;
  el("screen-live").inert = screen !== "live";
}

/**
 * Says something to those who do not see the screen change.
 * @param {string} text
 */
export function announce(text) {
  el("status").textContent = text;
}

/** @param {import("./invitation.js").Invitation} invitation */
export function showInvitation(invitation) {
  el("requester").textContent = invitation.requester;
  el("reason").textContent = invitation.reason;
  document.title = t("title", { requester: invitation.requester });
  showRoomOffer(invitation.room);
  el("sites").replaceChildren(...siteItems(invitation.origins));
  const time = byId("expires", HTMLTimeElement);
  time.dateTime = new Date(invitation.expires * 1000).toISOString();
  time.textContent = formatRelative(invitation.expires - Date.now() / 1000);
  showState("invitation");
}

/**
 * Over a picture that takes nothing: why not.
 * @param {object} of
 * @param {boolean} of.away the connection is lost, or not verified
 * @param {boolean} of.verified
 * @param {{title: string, text: string} | null} of.waiting keys of what the room waits for
 */
export function showOverlay({ away, verified, waiting }) {
  const lost = {
    title: "reconnecting.title",
    text: waiting?.title ?? (verified ? "reconnecting.text" : "reconnecting.new"),
  };
  const words = away ? lost : waiting;
  el("overlay").hidden = words === null;
  el("overlay-title").textContent = words ? t(words.title) : "";
  el("overlay-text").textContent = words ? t(words.text) : "";
}

/**
 * @param {string} step
 */
export function showStep(step) {
  const at = STEPS.indexOf(step === "offer" ? "host" : step);
  if (at < 0) return;
  for (const li of /** @type {NodeListOf<HTMLElement>} */ (
    document.querySelectorAll("#steps li")
  )) {
    const i = STEPS.indexOf(li.dataset.step ?? "");
    li.dataset.done = String(i < at);
    if (i === at) li.setAttribute("aria-current", "step");
    else li.removeAttribute("aria-current");
  }
  announce(t(`connecting.${STEPS[at]}`));
}

/** @param {string | null} note */
export function showConnectingNote(note) {
  el("connecting-note").hidden = note === null;
  el("connecting-note").textContent = note ?? "";
}

/**
 * @param {object} of
 * @param {boolean} of.verified
 * @param {boolean} of.trouble
 * @param {boolean} of.open the room takes what the user does
 * @param {boolean} of.typing what is typed now is taken
 * @param {string} of.frame the name that owns the focused field, where it is not the page's
 */
export function showSeal({ verified, trouble, open, typing, frame }) {
  const key = trouble
    ? "reconnecting"
    : !verified
      ? "unverified"
      : !open
        ? "closed"
        : !typing
          ? "locked"
          : frame
            ? "frame"
            : "verified";
  el("seal-line").dataset.seal = key;
  el("seal-text").textContent = t(`live.${key}`, { name: frame });
  el("seal-brief").textContent = key === "verified" ? t("live.verified_brief") : "";
  root.dataset.verified = String(verified);
  root.dataset.keyboard = typing ? "enabled" : "disabled";
  for (const id of ["keyboard", "paste", "compose"]) button(id).disabled = !typing;
  for (const id of ["reload", "done"]) button(id).disabled = !verified || !open;
  if (!verified || !open) button("back").disabled = true;
}

/**
 * A short message over the picture. The same one is not shown twice at once.
 * @param {string} code of a text in the catalog
 * @param {string} [message] shown when the catalog has none
 */
export function showNotice(code, message = "") {
  const key = `notice.${code}`;
  const text = hasText(key) ? t(key) : plain(message);
  if (!text) return;
  const list = el("notices");
  for (const li of list.children)
    if (/** @type {HTMLElement} */ (li).dataset.code === code) li.remove();
  while (list.children.length >= MAX_NOTICES) list.firstElementChild?.remove();
  const li = document.createElement("li");
  li.dataset.code = code;
  const bdi = document.createElement("bdi");
  bdi.textContent = text;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "icon";
  close.setAttribute("aria-label", t("notice.dismiss"));
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS("http://www.w3.org/2000/svg", "use"));
  svg.firstElementChild?.setAttribute("href", "#i-close");
  close.append(svg);
  close.addEventListener("click", () => li.remove());
  li.append(bdi, close);
  list.append(li);
  setTimeout(() => li.remove(), NOTICE_DURATION_MS);
}

/**
 * @param {Outcome} outcome
 * @param {string} message from the host
 * @param {{title: string, texts: string[]}} ending keys of what is true of it
 */
export function showOutcome(outcome, message, ending) {
  const title = t(ending.title);
  const text = ending.texts.map((key) => t(key)).join(" ");
  root.dataset.outcome = outcome;
  root.dataset.keyboard = "disabled";
  const good = outcome === "resolved" && ending.title === "ended.resolved";
  setIcon("ended-icon", good ? "i-check" : outcome === "failed" ? "i-warn" : "i-close");
  el("screen-ended").dataset.outcome = outcome;
  el("ended-title").textContent = title;
  el("ended-text").textContent = text;
  showMessage("ended-message", message);
  showState("ended");
  announce(`${title}. ${text}`);
  el("ended-title").focus();
}

/**
 * @param {string} code
 * @param {string} [message] from the other side
 * @param {"" | "retry" | "take-over"} [action] the button to offer
 */
export function showError(code, message = "", action = "") {
  const known = hasText(`error.${code}`) ? code : "internal";
  root.dataset.keyboard = "disabled";
  root.dataset.error = code;
  el("error-title").textContent = t(`error.${known}`);
  el("error-text").textContent = t(`error.${known}_text`);
  el("error-code").textContent = code;
  el("error-actions").hidden = action === "";
  for (const id of ["retry", "take-over"]) button(id).hidden = id !== action;
  showMessage("error-message", message);
  showState("error");
  announce(`${t(`error.${known}`)}. ${t(`error.${known}_text`)}`);
  el("error-title").focus();
}

/**
 * @param {string} id
 * @param {string} message
 */
function showMessage(id, message) {
  const p = el(id);
  const bdi = p.querySelector("bdi");
  const text = plainLines(message);
  if (bdi) bdi.textContent = text;
  p.hidden = text === "";
}
