// Who this device is to the server: its first frame, and what it keeps of the answer.

import { toBase64Url } from "./bytes.js";
import { signClaim, signResume } from "./device.js";

/** @typedef {import("./bytes.js").Bytes} Bytes */
/** @typedef {import("./device.js").SessionRecord} SessionRecord */
/** @typedef {import("./device.js").SessionStore} SessionStore */

/**
 * A claim (or, where another device has the session, a wish for it) while there is a token to
 * spend, else a resume.
 * @param {SessionRecord} record
 * @param {SessionStore} store
 * @param {Bytes} id
 * @param {Bytes} challenge
 * @param {object} how
 * @param {boolean} how.probing resume, although no claim is known to have been accepted
 * @param {import("./takeover-code.js").TakeoverRequest | null} how.takeover
 * @returns {Promise<object>}
 */
export async function openingMessage(record, store, id, challenge, { probing, takeover }) {
  const key = record.keys.privateKey;
  if (record.token && !probing) {
    const signature = toBase64Url(await signClaim(key, id, challenge, record.token));
    // Written down first: if the answer is lost, the claim may still have won.
    record.attempted = true;
    await store.put(record);
    const claim = {
      token: toBase64Url(record.token),
      device: toBase64Url(record.device),
      signature,
    };
    if (!takeover) return { type: "claim", ...claim };
    return { type: "takeover", ...claim, commitment: toBase64Url(await takeover.commitment()) };
  }
  return { type: "resume", signature: toBase64Url(await signResume(key, id, challenge)) };
}

/**
 * The server said welcome: the token is spent.
 * @param {SessionRecord} record
 * @param {SessionStore} store
 */
export async function markClaimed(record, store) {
  record.claimed = true;
  record.token = null;
  await store.put(record);
}
