// The session link's fragment (PROTOCOL section 1). Pure.

import { fromBase64Url, toBase64Url } from "./bytes.js";

/** @typedef {import("./bytes.js").Bytes} Bytes */
/**
 * What the address bar held when the page was opened.
 * @typedef {{kind: "link", id: Bytes, secret: Bytes, invitationHash: Bytes}
 *   | {kind: "known", id: Bytes}
 *   | {kind: "none"}
 *   | {kind: "incomplete"}} Fragment
 */

const LINK_VERSION = 1;
const ID_LENGTH = 16;
const LINK_LENGTH = 1 + ID_LENGTH + 32 + 32;
/** A whole link, and the stop, bracket or blank after it that was taken along. */
const WITH_MORE = /^([\w-]{108})(?:[^\w-].*)$/su;

/**
 * @param {string} hash `location.hash`, with or without its `#`
 * @returns {Fragment}
 */
export function parseFragment(hash) {
  const value = hash.startsWith("#") ? hash.slice(1) : hash;
  if (value === "") return { kind: "none" };
  const bytes = fromBase64Url(WITH_MORE.exec(value)?.[1] ?? value);
  if (bytes?.length === ID_LENGTH) return { kind: "known", id: bytes };
  if (bytes?.length !== LINK_LENGTH || bytes[0] !== LINK_VERSION) return { kind: "incomplete" };
  return {
    kind: "link",
    id: bytes.slice(1, 17),
    secret: bytes.slice(17, 49),
    invitationHash: bytes.slice(49, 81),
  };
}

/**
 * What may stay in the address bar: the id, which is no secret, or nothing.
 * @param {Fragment} fragment
 */
export function publicFragment(fragment) {
  return "id" in fragment ? `#${toBase64Url(fragment.id)}` : "";
}
