// The invitation: who asks for what, and the host's keys (PROTOCOL section 1). Pure.

import { decodeUtf8, equalBytes, fromBase64Url, sha256 } from "./bytes.js";

/** @typedef {import("./bytes.js").Bytes} Bytes */
/**
 * @typedef {object} Invitation
 * @property {Bytes} id
 * @property {Bytes} hpke the host's HPKE public key, SEC1 uncompressed
 * @property {string} fingerprint the host's DTLS certificate, `sha-256 AA:…`
 * @property {string} requester
 * @property {string} reason
 * @property {string[]} origins
 * @property {number} expires unix seconds
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
];
const FINGERPRINT = /^sha-256 [0-9A-F]{2}(:[0-9A-F]{2}){31}$/;

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
    Number.isSafeInteger(o.expires);
  if (!good || !id || !hpke) return null;
  const { fingerprint, requester, reason, origins, expires } = o;
  return { id, hpke, fingerprint, requester, reason, origins, expires };
}
