/** The key that a storage state is sealed to. HPKE by `@hpke/core`. */

import { Aes256Gcm, CipherSuite, DhkemP256HkdfSha256, HkdfSha256 } from "@hpke/core";
import { StorageStateError } from "./errors.js";
import { object, type StorageState, text } from "./models.js";

const INFO = "authloop storage-state v1 ";

/** A key pair for one session; the private half cannot be exported. */
export class StorageKey {
  readonly #suite: CipherSuite;
  readonly #private: CryptoKey;

  private constructor(
    suite: CipherSuite,
    key: CryptoKey,
    /** The public half, as the host wants it. */ readonly recipient: string,
  ) {
    this.#suite = suite;
    this.#private = key;
  }

  static async generate(): Promise<StorageKey> {
    const kem = new DhkemP256HkdfSha256();
    const suite = new CipherSuite({ kem, kdf: new HkdfSha256(), aead: new Aes256Gcm() });
    const pair = await suite.kem.generateKeyPair();
    const point = await suite.kem.serializePublicKey(pair.publicKey);
    return new StorageKey(suite, pair.privateKey, b64u(new Uint8Array(point)));
  }

  /**
   * Opens what the host sealed for this session.
   * @throws StorageStateError it was sealed to another key or session, or was changed on its way
   */
  async open(sealed: unknown, sessionId: string): Promise<StorageState> {
    const raw = object(sealed, "a sealed storage state");
    const enc = unb64u(text(raw, "enc"));
    const ciphertext = unb64u(text(raw, "ciphertext"));
    // Not the answer's own `info`: the caller knows which session it asked for.
    const info = new TextEncoder().encode(INFO + sessionId);
    let clear: ArrayBuffer;
    try {
      clear = await this.#suite.open(
        { recipientKey: this.#private, enc: enc.buffer, info: info.buffer },
        ciphertext.buffer,
      );
    } catch (cause) {
      throw new StorageStateError("the storage state was not sealed to this session's key", {
        cause,
      });
    }
    return JSON.parse(new TextDecoder().decode(clear)) as StorageState;
  }
}

function b64u(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replace(/=+$/, "");
}

function unb64u(encoded: string): Uint8Array<ArrayBuffer> {
  try {
    return Uint8Array.from(atob(encoded.replaceAll("-", "+").replaceAll("_", "/")), (c) =>
      c.charCodeAt(0),
    );
  } catch (cause) {
    throw new StorageStateError("the storage state is not base64url", { cause });
  }
}
