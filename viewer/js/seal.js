// Everything that is sealed: the hello, the signaling records and the data channel
// (PROTOCOL sections 6 and 8). HPKE by @hpke/core, AES-GCM by WebCrypto; no cryptography by hand.

import { Aes256Gcm, CipherSuite, DhkemP256HkdfSha256, HkdfSha256 } from "../vendor/hpke/mod.js";
import {
  concat,
  decodeUtf8,
  encodeU64,
  encodeUtf8,
  equalBytes,
  readU64,
  sha256,
  toBase64Url,
} from "./bytes.js";
import { signHello } from "./device.js";

/** @typedef {import("./bytes.js").Bytes} Bytes */
/**
 * @typedef {{signalH2v: CryptoKey, signalV2h: CryptoKey, dataH2v: CryptoKey, dataV2h: CryptoKey}}
 *   SessionKeys
 */

const HELLO_TYPE = 0x01;
const RECORD_TYPE = 0x02;
/** A sealed input frame, in bytes. */
export const FRAME_LENGTH = 256;
/** What a sealed frame holds, in bytes. */
export const PLAINTEXT_LENGTH = 232;

export class SealError extends Error {}

const suite = () =>
  new CipherSuite({ kem: new DhkemP256HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm() });

/** @param {Bytes} id @param {Bytes} psk */
const pskOf = (id, psk) => ({
  id: concat(encodeUtf8("authloop/1 psk"), id).buffer,
  key: psk.slice().buffer,
});

/** @param {Bytes} invitationHash */
const infoOf = (invitationHash) => concat(encodeUtf8("authloop/1 hpke"), invitationHash).buffer;

/**
 * @param {{export(info: ArrayBuffer, length: number): Promise<ArrayBuffer>}} context
 * @returns {Promise<SessionKeys>}
 */
async function exportKeys(context) {
  const key = async (/** @type {string} */ label) =>
    crypto.subtle.importKey(
      "raw",
      await context.export(encodeUtf8(label).buffer, 32),
      "AES-GCM",
      false,
      ["encrypt", "decrypt"],
    );
  return {
    signalH2v: await key("authloop/1 signal h2v"),
    signalV2h: await key("authloop/1 signal v2h"),
    dataH2v: await key("authloop/1 data h2v"),
    dataV2h: await key("authloop/1 data v2h"),
  };
}

/**
 * Seals the viewer's first blob to the host.
 * @param {object} of
 * @param {Bytes} of.id
 * @param {Bytes} of.psk K
 * @param {Bytes} of.invitationHash
 * @param {Bytes} of.hostKey the invitation's HPKE public key
 * @param {string} of.fingerprint this page's DTLS certificate
 * @param {CryptoKey} of.deviceKey
 * @param {Bytes} of.device
 * @param {Bytes} of.nonce 32 bytes
 * @param {Bytes} of.stream 16 bytes
 * @returns {Promise<{blob: Bytes, hash: Bytes, keys: SessionKeys}>}
 */
export async function sealHello(of) {
  const s = suite();
  const context = await s.createSenderContext({
    recipientPublicKey: await s.kem.deserializePublicKey(of.hostKey),
    info: infoOf(of.invitationHash),
    psk: pskOf(of.id, of.psk),
  });
  const enc = new Uint8Array(context.enc);
  const hello = {
    fingerprint: of.fingerprint,
    device: toBase64Url(of.device),
    nonce: toBase64Url(of.nonce),
    stream: toBase64Url(of.stream),
    signature: toBase64Url(await signHello(of.deviceKey, of.id, enc, of.nonce, of.fingerprint)),
  };
  const ct = new Uint8Array(await context.seal(encodeUtf8(JSON.stringify(hello)), of.id));
  const blob = concat(new Uint8Array([HELLO_TYPE]), enc, ct);
  return { blob, hash: await sha256(blob), keys: await exportKeys(context) };
}

/**
 * The host's side of {@link sealHello}; the tests' fake host and the shared vectors use it.
 * @param {object} of
 * @param {Bytes} of.blob
 * @param {Bytes} of.id
 * @param {Bytes} of.psk
 * @param {Bytes} of.invitationHash
 * @param {CryptoKeyPair | CryptoKey} of.hostKeys
 */
export async function openHello(of) {
  if (of.blob[0] !== HELLO_TYPE || of.blob.length < 66) throw new SealError("not a hello");
  const context = await suite().createRecipientContext({
    recipientKey: of.hostKeys,
    enc: of.blob.slice(1, 66),
    info: infoOf(of.invitationHash),
    psk: pskOf(of.id, of.psk),
  });
  const json = JSON.parse(decodeUtf8(new Uint8Array(await context.open(of.blob.slice(66), of.id))));
  return { json, hash: await sha256(of.blob), keys: await exportKeys(context) };
}

/** @param {number} counter */
const nonceOf = (counter) => concat(new Uint8Array(4), encodeU64(counter));

/**
 * @param {CryptoKey} key
 * @param {number} counter
 * @param {Bytes} aad
 * @param {Bytes} plaintext
 * @returns {Promise<Bytes>}
 */
async function encrypt(key, counter, aad, plaintext) {
  const algorithm = { name: "AES-GCM", iv: nonceOf(counter), additionalData: aad };
  return new Uint8Array(await crypto.subtle.encrypt(algorithm, key, plaintext));
}

/**
 * @param {CryptoKey} key
 * @param {number} counter
 * @param {Bytes} aad
 * @param {Bytes} ciphertext
 * @returns {Promise<Bytes>}
 */
async function decrypt(key, counter, aad, ciphertext) {
  const algorithm = { name: "AES-GCM", iv: nonceOf(counter), additionalData: aad };
  try {
    return new Uint8Array(await crypto.subtle.decrypt(algorithm, key, ciphertext));
  } catch {
    throw new SealError("the seal does not open");
  }
}

/** One hello's signaling records, both directions. */
export class RecordBox {
  #sent = 0;
  #next = 0;

  /**
   * @param {Bytes} helloHash
   * @param {CryptoKey} sendKey
   * @param {CryptoKey} receiveKey
   */
  constructor(helloHash, sendKey, receiveKey) {
    this.prefix = helloHash.slice(0, 8);
    this.sendKey = sendKey;
    this.receiveKey = receiveKey;
  }

  /** @param {object} json @returns {Promise<Bytes>} */
  async seal(json) {
    const counter = this.#sent++;
    const header = concat(new Uint8Array([RECORD_TYPE]), this.prefix, encodeU64(counter));
    return concat(
      header,
      await encrypt(this.sendKey, counter, header, encodeUtf8(JSON.stringify(json))),
    );
  }

  /**
   * The JSON; null when the blob belongs to another hello; throws when it is forged or replayed.
   * @param {Bytes} blob
   * @returns {Promise<any>}
   */
  async open(blob) {
    if (blob[0] !== RECORD_TYPE || blob.length < 17 + 16) throw new SealError("not a record");
    if (!equalBytes(blob.slice(1, 9), this.prefix)) return null;
    const counter = readU64(blob, 9);
    if (counter < this.#next) throw new SealError("a record was replayed");
    const plaintext = await decrypt(this.receiveKey, counter, blob.slice(0, 17), blob.slice(17));
    // Only an authentic record moves the counter on.
    this.#next = counter + 1;
    return JSON.parse(decodeUtf8(plaintext));
  }
}

/**
 * Seals one input frame.
 * @param {CryptoKey} key data v2h
 * @param {number} counter
 * @param {Bytes} plaintext 232 bytes
 * @returns {Promise<Bytes>} 256 bytes
 */
export async function sealFrame(key, counter, plaintext) {
  const header = encodeU64(counter);
  return concat(header, await encrypt(key, counter, header, plaintext));
}

/**
 * Opens one input frame; the tests' fake host uses it.
 * @param {CryptoKey} key
 * @param {number} counter expected
 * @param {Bytes} frame
 */
export async function openFrame(key, counter, frame) {
  if (frame.length !== FRAME_LENGTH || readU64(frame, 0) !== counter)
    throw new SealError("not the frame expected");
  return decrypt(key, counter, frame.slice(0, 8), frame.slice(8));
}

/**
 * Seals a host record; the tests' fake host uses it.
 * @param {CryptoKey} key data h2v
 * @param {number} counter
 * @param {object} json
 */
export async function sealOutput(key, counter, json) {
  const body = encodeUtf8(JSON.stringify(json));
  const plaintext = new Uint8Array(Math.ceil((4 + body.length) / 64) * 64);
  new DataView(plaintext.buffer).setUint32(0, body.length);
  plaintext.set(body, 4);
  const header = encodeU64(counter);
  return concat(header, await encrypt(key, counter, header, plaintext));
}

/**
 * Opens the host's record number `counter` on the data channel.
 * @param {CryptoKey} key data h2v
 * @param {number} counter expected
 * @param {Bytes} record
 * @returns {Promise<any>}
 */
export async function openOutput(key, counter, record) {
  if (record.length < 8 + 16 + 4 || readU64(record, 0) !== counter)
    throw new SealError("not the record expected");
  const plaintext = await decrypt(key, counter, record.slice(0, 8), record.slice(8));
  const length = new DataView(plaintext.buffer).getUint32(0);
  if (length > plaintext.length - 4) throw new SealError("the record's length is wrong");
  return JSON.parse(decodeUtf8(plaintext.subarray(4, 4 + length)));
}
