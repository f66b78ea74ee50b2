// This device's key and what it remembers of a session, in IndexedDB (PROTOCOL section 3).

import { concat, encodeUtf8, sha256, toBase64Url } from "./bytes.js";

/** @typedef {import("./bytes.js").Bytes} Bytes */
/**
 * What a reload of the page needs. The key pair cannot leave the browser; the token is dropped
 * once it is spent; all of it is deleted when the session ends.
 * @typedef {object} SessionRecord
 * @property {string} id b64u
 * @property {Bytes} psk K
 * @property {Bytes | null} token T, until the claim is accepted
 * @property {Bytes} invitationHash
 * @property {CryptoKeyPair} keys
 * @property {Bytes} device D's public form, SEC1 uncompressed
 * @property {boolean} attempted a claim was sent; its answer may have been lost
 * @property {boolean} claimed
 * @property {number} expires unix seconds of this device's own clock, which may be wrong: when no session of
 *   that time can live any more
 * @property {import("./takeover-code.js").TakeoverMemory} [takeover]
 */

const KEY_ALGORITHM = { name: "ECDSA", namedCurve: "P-256" };
const SIGNATURE_ALGORITHM = { name: "ECDSA", hash: "SHA-256" };

/** @returns {Promise<{keys: CryptoKeyPair, device: Bytes}>} */
export async function newDevice() {
  const keys = await crypto.subtle.generateKey(KEY_ALGORITHM, false, ["sign", "verify"]);
  return { keys, device: new Uint8Array(await crypto.subtle.exportKey("raw", keys.publicKey)) };
}

/**
 * @param {CryptoKey} key
 * @param {...Uint8Array} parts
 * @returns {Promise<Bytes>} 64 bytes, r || s (IEEE P1363)
 */
async function sign(key, ...parts) {
  return new Uint8Array(await crypto.subtle.sign(SIGNATURE_ALGORITHM, key, concat(...parts)));
}

/**
 * @param {CryptoKey} key
 * @param {Bytes} id
 * @param {Bytes} challenge
 * @param {Bytes} token
 */
export async function signClaim(key, id, challenge, token) {
  return sign(key, encodeUtf8("authloop/1 claim"), id, challenge, await sha256(token));
}

/**
 * @param {CryptoKey} key
 * @param {Bytes} id
 * @param {Bytes} challenge
 */
export async function signResume(key, id, challenge) {
  return sign(key, encodeUtf8("authloop/1 resume"), id, challenge);
}

/**
 * @param {CryptoKey} key
 * @param {Bytes} id
 * @param {Bytes} enc
 * @param {Bytes} nonce
 * @param {string} fingerprint
 */
export async function signHello(key, id, enc, nonce, fingerprint) {
  return sign(key, encodeUtf8("authloop/1 hello"), id, enc, nonce, encodeUtf8(fingerprint));
}

/**
 * Session records, kept by the browser or, where it refuses, for the life of the page. Each is kept
 * under its own device key: a link that names a session's id, which is no secret, replaces nothing.
 */
export class SessionStore {
  /** @type {Map<string, SessionRecord>} by device */
  #memory = new Map();
  /** @type {IDBDatabase | null} */
  #db = null;

  /** @param {number} now unix seconds */
  async open(now) {
    try {
      this.#db = await openDatabase();
      for (const record of /** @type {SessionRecord[]} */ (
        await this.#transact("readonly", (s) => s.getAll())
      )) {
        if (record.expires < now) await this.delete(record);
      }
    } catch {
      this.#db = null; // private windows of some browsers; a reload will then need the link again
    }
  }

  /**
   * What this device knows of a session: a record that may have claimed it comes first.
   * @param {Bytes} id
   * @returns {Promise<SessionRecord[]>}
   */
  async of(id) {
    const key = toBase64Url(id);
    const all = /** @type {SessionRecord[]} */ (
      this.#db
        ? await this.#transact("readonly", (s) => s.index("id").getAll(key))
        : [...this.#memory.values()].filter((record) => record.id === key)
    );
    const rank = (/** @type {SessionRecord} */ r) => Number(r.claimed) * 2 + Number(r.attempted);
    return all.sort((a, b) => rank(b) - rank(a) || b.expires - a.expires);
  }

  /** @param {SessionRecord} record */
  async put(record) {
    this.#memory.set(toBase64Url(record.device), record);
    try {
      if (this.#db) await this.#transact("readwrite", (s) => s.put(record));
    } catch {
      this.#db = null;
    }
  }

  /** @param {SessionRecord} record */
  async delete(record) {
    this.#memory.delete(toBase64Url(record.device));
    try {
      if (this.#db) await this.#transact("readwrite", (s) => s.delete(record.device));
    } catch {
      // The record dies by its expiry at the latest.
    }
  }

  /**
   * @param {IDBTransactionMode} mode
   * @param {(store: IDBObjectStore) => IDBRequest} work
   */
  #transact(mode, work) {
    return new Promise((resolve, reject) => {
      if (!this.#db) return reject(new Error("no database"));
      const tx = this.#db.transaction("sessions", mode);
      const request = work(tx.objectStore("sessions"));
      tx.oncomplete = () => resolve(request.result);
      tx.onerror = tx.onabort = () => reject(tx.error ?? request.error);
    });
  }
}

/** @returns {Promise<IDBDatabase>} */
function openDatabase() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("authloop", 2);
    request.onupgradeneeded = () => {
      const db = request.result;
      // Version 1 kept one record for each id.
      if (db.objectStoreNames.contains("sessions")) db.deleteObjectStore("sessions");
      const store = db.createObjectStore("sessions", { keyPath: "device" });
      store.createIndex("id", "id");
    };
    request.onsuccess = () => {
      request.result.onversionchange = () => request.result.close();
      resolve(request.result);
    };
    request.onerror = request.onblocked = () => reject(request.error ?? new Error("blocked"));
  });
}
