// From the link to the live screen. boot.js has taken the secret out of the address bar.

import { fragment } from "./boot.js";
import { loadBrand, showBrand } from "./brand.js";
import { equalBytes, toBase64Url } from "./bytes.js";
import { newDevice, SessionStore } from "./device.js";
import { button, el } from "./dom.js";
import { tellParent } from "./embed.js";
import { Handoff } from "./handoff.js";
import { loadLocale, t, translatePage } from "./i18n.js";
import { hasExpired, InvitationError, openInvitation } from "./invitation.js";
import { deriveKeys } from "./keys.js";
import { Live } from "./live.js";
import { Room } from "./room.js";
import { openDecline, wireDecline, wireSheets } from "./sheets.js";
import { backoff, fetchSession } from "./signaling.js";
import { Takeover } from "./takeover.js";
import {
  announce,
  showConnectingNote,
  showError,
  showInvitation,
  showNotice,
  showOutcome,
  showState,
  showStep,
} from "./ui.js";

/** @typedef {import("./device.js").SessionRecord} SessionRecord */
/** @typedef {import("./invitation.js").Invitation} Invitation */

/** The longest that a session may live (PROTOCOL section 5). */
const MAX_SESSION_S = 86_400;

const origin = location.origin;
const store = new SessionStore();
/** @type {Handoff | null} */
let handoff = null;
/** @type {Live | null} */
let live = null;

async function main() {
  const [brand] = await Promise.all([loadBrand(), loadLocale(navigator.languages)]);
  translatePage();
  showBrand(brand);
  tellParent(brand.embed, "id" in fragment ? toBase64Url(fragment.id) : "");
  wireSheets();
  if (!isSecureContext || !crypto.subtle) return showError("insecure_context");
  if (typeof RTCPeerConnection !== "function" || !("generateCertificate" in RTCPeerConnection))
    return showError("no_webrtc");
  if (fragment.kind === "none") return showError("no_link");
  if (fragment.kind === "incomplete") return showError("link_incomplete");
  const now = Math.floor(Date.now() / 1000);
  await store.open(now);
  const record = await recordFor(fragment);
  if (!record) return showError("unknown_session");
  await openSession(record, fragment.id);
}

/**
 * What this device knows of the session. What a link makes known is kept once its invitation has been
 * opened: before any gesture, so that a reload of the invitation does not lose it, but not on the
 * word of whoever made the link.
 * @param {Extract<import("./link.js").Fragment, {id: Uint8Array}>} from
 * @returns {Promise<SessionRecord | null>}
 */
async function recordFor(from) {
  const known = await store.of(from.id);
  if (from.kind === "known") return known[0] ?? null;
  const { token, psk } = await deriveKeys(from.secret, origin, from.id);
  from.secret.fill(0);
  const same = known.find(
    (record) =>
      equalBytes(record.psk, psk) && equalBytes(record.invitationHash, from.invitationHash),
  );
  if (same) return same;
  const { keys, device } = await newDevice();
  return {
    id: toBase64Url(from.id),
    psk,
    token,
    invitationHash: from.invitationHash,
    keys,
    device,
    attempted: false,
    claimed: false,
    expires: Math.floor(Date.now() / 1000) + MAX_SESSION_S,
  };
}

/**
 * @param {SessionRecord} record
 * @param {import("./bytes.js").Bytes} id
 */
async function openSession(record, id) {
  const session = await untilReachable(() => fetchSession(origin, id));
  if (!session) {
    await store.delete(record);
    return showError("not_found");
  }
  /** @type {Invitation} */
  let invitation;
  try {
    invitation = await openInvitation(session.invitation, record.invitationHash, id);
  } catch (error) {
    return showError(error instanceof InvitationError ? "invitation_mismatch" : "internal");
  }
  await store.put(record);
  if (session.state === "ended") {
    // Of how it ended the server's word is worth nothing, and the keys are kept for a server that lies.
    if (!hasExpired(invitation)) return showError("ended", "", "retry");
    await store.delete(record);
    return showExpired(record, invitation);
  }
  button("take-over").addEventListener("click", () =>
    connect(invitation, record, { takeover: true }),
  );
  if (session.state === "claimed" && !record.claimed && !record.attempted) {
    await store.delete(record);
    return showError("already_claimed", "", "take-over");
  }
  if (record.claimed) return connect(invitation, record);
  // The claim needs a gesture, so that the bots that preview links cannot spend it.
  button("open").addEventListener("click", () => connect(invitation, record), { once: true });
  button("decline-start").addEventListener(
    "click",
    () => connect(invitation, record, { declining: "not_requested" }),
    { once: true },
  );
  showInvitation(invitation);
}

/** @param {SessionRecord} record @param {Invitation} invitation */
function showExpired(record, invitation) {
  if (!record.claimed) return showError("expired");
  showOutcome("expired", "", new Room(invitation.room, false).ending("expired"));
}

/**
 * @param {Invitation} invitation
 * @param {SessionRecord} record
 * @param {Parameters<Handoff["start"]>[0]} [how]
 */
function connect(invitation, record, how) {
  const takeover = new Takeover(record, store, {
    answer: (message) => handoff?.answerTakeover(message) === true,
    give: (device) => handoff?.handOver(device) === "ok",
  });
  const fromStart = !record.attempted && !record.claimed && !how?.takeover;
  const room = live?.room ?? new Room(invitation.room, fromStart);
  if (!fromStart) room.mayHaveMoved();
  showWaiting(how?.takeover === true);
  showState("connecting");
  handoff = new Handoff(
    { invitation, record, store, origin },
    {
      step: (step) => showStep(step),
      verified: (verified) => {
        if (verified) showStep("picture");
        live?.setVerified(verified);
      },
      video: (stream) => live?.setVideo(stream),
      output: (output) => live?.output(output),
      trouble: (trouble) => live?.setTrouble(trouble),
      takeover: (message) => takeover.hear(message),
      waiting: (code) =>
        showConnectingNote(code ? t("takeover.waiting", { code }) : t("takeover.reaching")),
      peer: (present) => {
        showWaiting(false);
        showConnectingNote(present ? null : t("connecting.host_away"));
        if (!present) showNotice("host_away");
      },
      secondClaim: () => showNotice("second_claim"),
      applied: (applied) => (document.documentElement.dataset.applied = String(applied)),
      ended: (outcome, message) => {
        live?.end();
        showOutcome(outcome, message, room.ending(outcome));
      },
      fatal: (code, message) => {
        live?.end();
        showError(
          code,
          message,
          ["replaced", "ended"].includes(code)
            ? "retry"
            : code === "already_claimed"
              ? "take-over"
              : "",
        );
      },
    },
  );
  if (live) live.handoff = handoff;
  else live = new Live(handoff, room);
  button("decline-connecting").addEventListener("click", openDecline);
  wireDecline(() => showConnectingNote(t("live.finishing")));
  void handoff.start(how).catch(() => showError("no_webrtc"));
}

/**
 * Whoever only asks for a session has nothing to decline yet.
 * @param {boolean} asking
 */
function showWaiting(asking) {
  button("decline-connecting").hidden = asking;
  el("connecting-note").classList.toggle("fine", !asking);
}

/**
 * Tries until the server answers, and says so meanwhile.
 * @template T
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
async function untilReachable(work) {
  for (let attempt = 0; ; attempt++) {
    try {
      const result = await work();
      if (attempt > 0) showState("connecting");
      return result;
    } catch {
      if (attempt === 0) showError("unreachable");
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, backoff(attempt, Math.random()));
        const online = () => {
          clearTimeout(timer);
          resolve(null);
        };
        addEventListener("online", online, { once: true });
      });
    }
  }
}

button("retry").addEventListener("click", () => location.reload());
addEventListener("hashchange", () => location.reload()); // another link was opened in this tab
main().catch(() => {
  announce("");
  showError("internal");
});
