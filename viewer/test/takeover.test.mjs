// A takeover's code against those who know the link and stand between.
import assert from "node:assert/strict";
import { createECDH, createHash, createHmac, randomBytes } from "node:crypto";
import { test } from "node:test";
import {
  answerCommitment,
  codeOfOpened,
  MAX_NONCES,
  TakeoverRequest,
  takeoverCode,
  takeoverCommitment,
} from "../js/takeover-code.js";

const bytes = (n) => new Uint8Array(randomBytes(n));
const [psk, id] = [bytes(32), bytes(16)];
const newKey = () => new Uint8Array(createECDH("prime256v1").generateKeys());
const hmac = (...parts) => {
  const mac = createHmac("sha256", psk).update("authloop/1 takeover").update(id);
  for (const part of parts) mac.update(part);
  return String(mac.digest().readUInt32BE(0) % 1_000_000).padStart(6, "0");
};
/** The attackers here are content with four of the six digits, so that a test can wait for them. */
const alike = (a, b) => a.slice(-4) === b.slice(-4);

test("both devices show the same six digits, of all that they said", async () => {
  const device = newKey();
  const asking = new TakeoverRequest(psk, id, device);
  const answer = answerCommitment(undefined, await asking.commitment());
  assert.deepEqual(
    await asking.commitment(),
    new Uint8Array(
      createHash("sha256")
        .update("authloop/1 takeover commitment")
        .update(id)
        .update(device)
        .update(asking.opening)
        .digest(),
    ),
  );
  const shown = await asking.code(answer.nonce);
  assert.equal(shown, hmac(device, asking.opening, answer.nonce));
  assert.equal(await codeOfOpened(psk, id, answer, device, asking.opening), shown);
  for (let n = 0; n < 30; n++)
    assert.match(await takeoverCode(psk, id, device, bytes(32), bytes(32)), /^\d{6}$/);
});

test("a key that is found for the code of another is not taken", async () => {
  // The user's own device asks. The attacker has the link and carries the messages: it asks with a
  // key of its own, and looks for one that shows what the user's device shows.
  const user = new TakeoverRequest(psk, id, newKey());
  const [key, opening] = [newKey(), bytes(32)];
  const answer = answerCommitment(undefined, await takeoverCommitment(id, key, opening));
  const wanted = await user.code(answer.nonce);
  let found = null;
  for (let tries = 0; !found; tries++) {
    // Another opening is as good as another key, and cheaper.
    const other = bytes(32);
    if (alike(hmac(key, other, answer.nonce), wanted)) found = other;
    assert.ok(tries < 1_000_000);
  }
  assert.ok(alike(await takeoverCode(psk, id, key, found, answer.nonce), wanted), "it would fit");
  assert.equal(await codeOfOpened(psk, id, answer, key, found), null);
  assert.equal(await codeOfOpened(psk, id, answer, newKey(), opening), null);
  assert.match(await codeOfOpened(psk, id, answer, key, opening), /^\d{6}$/);
});

test("a nonce that is found for the code of another is not taken", async () => {
  // The other way round: the attacker's key is committed, and its code known; now it looks for the
  // nonce that has the user's device show it.
  const user = new TakeoverRequest(psk, id, newKey());
  const wanted = hmac(newKey(), bytes(32), bytes(32));
  // What the user's device opens only after a nonce, the attacker needs before it.
  await user.code(bytes(32));
  let found = null;
  for (let tries = 0; !found; tries++) {
    const other = bytes(32);
    if (alike(hmac(user.device, user.opening, other), wanted)) found = other;
    assert.ok(tries < 1_000_000);
  }
  assert.equal(await user.code(found), null);
});

test("asking again and again gives a handful of tries, and the same question one", async () => {
  let memory;
  const commitment = bytes(32);
  memory = answerCommitment(memory, commitment);
  assert.deepEqual(answerCommitment(structuredClone(memory), commitment).nonce, memory.nonce);
  const nonces = new Set([memory.nonce.join()]);
  for (;;) {
    const next = answerCommitment(memory, bytes(32));
    if (!next) break;
    nonces.add(next.nonce.join());
    memory = next;
  }
  assert.equal(nonces.size, MAX_NONCES);
  assert.ok(MAX_NONCES <= 10, "each is a try in a million");
  assert.equal(answerCommitment(undefined, bytes(31)), null);
});
