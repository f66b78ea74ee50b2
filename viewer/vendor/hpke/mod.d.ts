// Written by vendor.mjs: types come from the package itself.
export { CipherSuite, DhkemP256HkdfSha256, HkdfSha256, Aes256Gcm } from "@hpke/core";
