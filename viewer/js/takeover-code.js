// A takeover's code (PROTOCOL section 3): a short authentication string. The asking device commits
// itself to its key and its opening before the nonce of the other is known, and opens only then. So
// whoever stands between has one try in a million, whatever they know of the link.

import { concat, encodeUtf8, equalBytes, randomBytes, sha256, toBase64Url } from "./bytes.js";

/** @typedef {import("./bytes.js").Bytes} Bytes */

const CODES = 1_000_000;
/**
 * Nonces that one device gives in a session's life: each is a try for whoever asks. A nonce given
 * again for the same commitment is none.
 */
export const MAX_NONCES = 8;

/**
 * @param {Bytes} id
 * @param {Bytes} device the asking device's public key
 * @param {Bytes} opening 32 random bytes of the asking device's
 */
export const takeoverCommitment = (id, device, opening) =>
  sha256(concat(encodeUtf8("authloop/1 takeover commitment"), id, device, opening));

/**
 * Six digits that both devices show.
 * @param {Bytes} psk K
 * @param {Bytes} id
 * @param {Bytes} device the asking device's public key
 * @param {Bytes} opening
 * @param {Bytes} nonce of the device that has the session
 */
export async function takeoverCode(psk, id, device, opening, nonce) {
  const key = await crypto.subtle.importKey("raw", psk, { name: "HMAC", hash: "SHA-256" }, false, [
    "sign",
  ]);
  const message = concat(encodeUtf8("authloop/1 takeover"), id, device, opening, nonce);
  const mac = await crypto.subtle.sign("HMAC", key, message);
  return String(new DataView(mac).getUint32(0) % CODES).padStart(6, "0");
}

/** The side of the device that asks; one for the life of its page. */
export class TakeoverRequest {
  opening = randomBytes(32);
  /** @type {Bytes | null} */
  #nonce = null;

  /**
   * @param {Bytes} psk K
   * @param {Bytes} id
   * @param {Bytes} device this device's public key
   */
  constructor(psk, id, device) {
    this.psk = psk;
    this.id = id;
    this.device = device;
  }

  commitment() {
    return takeoverCommitment(this.id, this.device, this.opening);
  }

  /**
   * The code that the other device will show, if it is the one that gave this nonce. Only the first
   * counts: by a second one somebody could choose the code, since the opening is known by then.
   * @param {Bytes | null} nonce
   * @returns {Promise<string | null>}
   */
  async code(nonce) {
    if (nonce?.length !== 32) return null;
    this.#nonce ??= nonce;
    if (!equalBytes(nonce, this.#nonce)) return null;
    return takeoverCode(this.psk, this.id, this.device, this.opening, nonce);
  }

  /** To the server, once the other device's nonce is here. */
  open() {
    return { type: "takeover_open", opening: toBase64Url(this.opening) };
  }
}

/**
 * What a device that has a session remembers of who asked for it, over reloads of its page.
 * @typedef {object} TakeoverMemory
 * @property {number} nonces given so far
 * @property {Bytes} commitment the last one that was answered
 * @property {Bytes} nonce the answer
 */

/**
 * The answer to a commitment, and what is to be remembered before it is given.
 * @param {TakeoverMemory | undefined} memory
 * @param {Bytes} commitment
 * @returns {TakeoverMemory | null} null: nobody gets an answer any more
 */
export function answerCommitment(memory, commitment) {
  if (commitment.length !== 32) return null;
  if (memory && equalBytes(memory.commitment, commitment)) return memory;
  const nonces = (memory?.nonces ?? 0) + 1;
  return nonces > MAX_NONCES ? null : { nonces, commitment, nonce: randomBytes(32) };
}

/**
 * The code of a device that opened its commitment.
 * @param {Bytes} psk K
 * @param {Bytes} id
 * @param {TakeoverMemory} memory of the answer to its commitment
 * @param {Bytes} device
 * @param {Bytes} opening
 * @returns {Promise<string | null>} null: it is not what was committed
 */
export async function codeOfOpened(psk, id, memory, device, opening) {
  if (device.length !== 65 || opening.length !== 32) return null;
  const committed = await takeoverCommitment(id, device, opening);
  if (!equalBytes(committed, memory.commitment)) return null;
  return takeoverCode(psk, id, device, opening, memory.nonce);
}
