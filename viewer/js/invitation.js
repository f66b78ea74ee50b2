// The invitation: who asks for what, and the host's keys (PROTOCOL section 1). Pure.

import { decodeUtf8, equalBytes, fromBase64Url, sha256 } from "./bytes.js";
import { plain } from "./plain-text.js";

/** @typedef {import("./bytes.js").Bytes} Bytes */
/**
 * @typedef {object} Invitation
 * @property {Bytes} id
 * @property {Bytes} hpke the host's HPKE public key, SEC1 uncompressed
 * @property {string} fingerprint the host's DTLS certificate, `sha-256 AA:…`
 * @property {string} requester plain text
 * @property {string} reason plain text
 * @property {string[]} origins
 * @property {number} expires unix seconds
 * @property {PrivateRoom | null} room null: the user is in the agent's own browser
 *
 * @typedef {object} PrivateRoom a browser that the agent cannot see
 * @property {"fresh" | "as_is"} start as_is: begun from the agent's page
 * @property {string[]} sites whose session the agent gets, as an origin writes a host
 */

export class InvitationError extends Error {
  /** @param {"mismatch" | "malformed"} code */
  constructor(code) {
    super(`the invitation is refused: ${code}`);
    this.code = code;
  }
}

const INVITATION_KEYS = [
  "v",
  "id",
  "hpke",
  "fingerprint",
  "requester",
  "reason",
  "origins",
  "expires",
  "room",
];
const FINGERPRINT = /^sha-256 [0-9A-F]{2}(:[0-9A-F]{2}){31}$/;
const MAX_SITES = 8;
// The end of the year 9999: past it no date can be written.
const MAX_EXPIRES = 253_402_300_799;
// Names in other scripts come as punycode: nothing of an agent's choice passes for another name.
const SITE = /^(?=.{1,253}$)(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])$/;

/**
 * The hash is compared before a byte of the invitation is looked at.
 * @param {Bytes} bytes as the server returned them
 * @param {Bytes} hash from the link
 * @param {Bytes} id from the link
 * @returns {Promise<Invitation>}
 */
export async function openInvitation(bytes, hash, id) {
  if (bytes.length > 8192 || !equalBytes(await sha256(bytes), hash))
    throw new InvitationError("mismatch");
  const parsed = parse(bytes);
  if (!parsed || !equalBytes(parsed.id, id)) throw new InvitationError("malformed");
  return parsed;
}

/** By this device's clock, which is nobody else's word. @param {Invitation} invitation */
export const hasExpired = (invitation) => invitation.expires <= Date.now() / 1000;

/** @param {Bytes} bytes @returns {Invitation | null} */
function parse(bytes) {
  let o;
  try {
    o = JSON.parse(decodeUtf8(bytes));
  } catch {
    return null;
  }
  if (typeof o !== "object" || o === null || Array.isArray(o)) return null;
  const id = fromBase64Url(o.id);
  const hpke = fromBase64Url(o.hpke);
  const good =
    Object.keys(o).every((k) => INVITATION_KEYS.includes(k)) &&
    o.v === 1 &&
    id?.length === 16 &&
    hpke?.length === 65 &&
    typeof o.fingerprint === "string" &&
    FINGERPRINT.test(o.fingerprint) &&
    typeof o.requester === "string" &&
    typeof o.reason === "string" &&
    Array.isArray(o.origins) &&
    o.origins.length <= 16 &&
    o.origins.every((/** @type {unknown} */ s) => typeof s === "string" && s.length <= 255) &&
    Number.isSafeInteger(o.expires) &&
    o.expires >= 0 &&
    o.expires <= MAX_EXPIRES &&
    (!("room" in o) || isPrivateRoom(o.room));
  if (!good || !id || !hpke) return null;
  const { fingerprint, origins, expires, room = null } = o;
  const [requester, reason] = [plain(o.requester), plain(o.reason)];
  if (requester === "") return null;
  return { id, hpke, fingerprint, requester, reason, origins, expires, room };
}

/** @param {any} o @returns {o is PrivateRoom} */
function isPrivateRoom(o) {
  return (
    typeof o === "object" &&
    o !== null &&
    Object.keys(o).every((k) => k === "start" || k === "sites") &&
    (o.start === "fresh" || o.start === "as_is") &&
    Array.isArray(o.sites) &&
    o.sites.length >= 1 &&
    o.sites.length <= MAX_SITES &&
    o.sites.every(isSite)
  );
}

/** @param {unknown} site */
function isSite(site) {
  if (typeof site !== "string" || !SITE.test(site)) return false;
  if (!site.startsWith("[")) return true;
  try {
    return new URL(`http://${site}/`).port === "";
  } catch {
    return false;
  }
}
