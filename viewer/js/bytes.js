// Bytes, text and base64url: the few helpers every other module shares.

/** @typedef {Uint8Array<ArrayBuffer>} Bytes */

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** @param {string} text @returns {Bytes} */
export function encodeUtf8(text) {
  return encoder.encode(text);
}

/**
 * Strict UTF-8; throws on malformed input.
 * @param {Uint8Array} bytes
 */
export function decodeUtf8(bytes) {
  return decoder.decode(bytes);
}

/** @param {...Uint8Array} parts @returns {Bytes} */
export function concat(...parts) {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** @param {number} value @returns {Bytes} big-endian */
export function encodeU32(value) {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setUint32(0, value);
  return out;
}

/** @param {number} value below 2^53 @returns {Bytes} big-endian */
export function encodeU64(value) {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, BigInt(value));
  return out;
}

/**
 * @param {Uint8Array} bytes
 * @param {number} at
 */
export function readU64(bytes, at) {
  return Number(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(at));
}

/** @param {Uint8Array} bytes base64url without padding (RFC 4648 section 5) */
export function toBase64Url(bytes) {
  let s = "";
  for (const b of bytes) s += String.fromCharCode(b);
  return btoa(s).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/**
 * The bytes, or null for anything but canonical unpadded base64url.
 * @param {unknown} value
 * @returns {Bytes | null}
 */
export function fromBase64Url(value) {
  if (typeof value !== "string" || !/^[A-Za-z0-9_-]*$/.test(value) || value.length % 4 === 1)
    return null;
  const s = atob(value.replaceAll("-", "+").replaceAll("_", "/"));
  const out = new Uint8Array(s.length);
  for (let i = 0; i < s.length; i++) out[i] = s.charCodeAt(i);
  // Trailing bits that are not zero would give one value two spellings.
  return toBase64Url(out) === value ? out : null;
}

/**
 * Compares without an early exit.
 * @param {Uint8Array} a
 * @param {Uint8Array} b
 */
export function equalBytes(a, b) {
  if (a.length !== b.length) return false;
  let diff = 0;
  for (let i = 0; i < a.length; i++) diff |= (a[i] ?? 0) ^ (b[i] ?? 0);
  return diff === 0;
}

/** @param {Uint8Array} bytes @returns {Promise<Bytes>} */
export async function sha256(bytes) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", concat(bytes)));
}

/** @param {number} n @returns {Bytes} */
export function randomBytes(n) {
  return crypto.getRandomValues(new Uint8Array(n));
}
