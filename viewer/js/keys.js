// Keys from the link's secret and the transcript both ends compare (PROTOCOL sections 2 and 8).

import { concat, encodeU32, encodeUtf8, sha256 } from "./bytes.js";

/** @typedef {import("./bytes.js").Bytes} Bytes */

/**
 * @param {Bytes} secret S, 32 bytes
 * @param {string} origin the public signaling origin, ASCII serialised (RFC 6454 section 6.2)
 * @param {Bytes} id 16 bytes
 * @returns {Promise<{token: Bytes, psk: Bytes}>} T and K
 */
export async function deriveKeys(secret, origin, id) {
  const name = encodeUtf8(origin);
  const salt = concat(encodeUtf8("authloop/1 salt"), encodeU32(name.length), name, id);
  const key = await crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveBits"]);
  const expand = async (/** @type {string} */ label) =>
    new Uint8Array(
      await crypto.subtle.deriveBits(
        { name: "HKDF", hash: "SHA-256", salt, info: encodeUtf8(label) },
        key,
        256,
      ),
    );
  return { token: await expand("authloop/1 claim"), psk: await expand("authloop/1 psk") };
}

/**
 * @param {object} of
 * @param {Bytes} of.id
 * @param {Bytes} of.helloHash H(hello blob)
 * @param {string} of.offer the SDP as it travelled sealed
 * @param {string} of.answer the SDP as it travelled sealed
 * @param {string} of.hostFingerprint `sha-256 AA:…`, of the certificate DTLS really presented
 * @param {string} of.viewerFingerprint this page's own
 * @returns {Promise<Bytes>}
 */
export async function transcript({
  id,
  helloHash,
  offer,
  answer,
  hostFingerprint,
  viewerFingerprint,
}) {
  return sha256(
    concat(
      encodeUtf8("authloop/1 transcript"),
      id,
      helloHash,
      await sha256(encodeUtf8(offer)),
      await sha256(encodeUtf8(answer)),
      encodeUtf8(hostFingerprint),
      new Uint8Array(1),
      encodeUtf8(viewerFingerprint),
    ),
  );
}
