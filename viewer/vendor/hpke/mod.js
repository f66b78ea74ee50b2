// Written by vendor.mjs.
export { CipherSuite, DhkemP256HkdfSha256, HkdfSha256 } from "./core/src/native.js";
export { Aes256Gcm } from "./core/src/aeads/aesGcm.js";
