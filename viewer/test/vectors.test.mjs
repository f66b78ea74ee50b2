// The shared vectors of protocol/vectors, written by the Rust side.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { concat, fromBase64Url, sha256, toBase64Url } from "../js/bytes.js";
import { signClaim, signResume } from "../js/device.js";
import { encodeFrame } from "../js/frames.js";
import { openInvitation } from "../js/invitation.js";
import { deriveKeys, transcript } from "../js/keys.js";
import { parseFragment } from "../js/link.js";
import { plain, plainLines } from "../js/plain-text.js";
import { iceServers, munge, parseIce, SdpError } from "../js/sdp.js";
import {
  openFrame,
  openHello,
  openOutput,
  RecordBox,
  sealFrame,
  sealHello,
  sealOutput,
} from "../js/seal.js";

const load = (name) =>
  JSON.parse(readFileSync(new URL(`../../protocol/vectors/${name}.json`, import.meta.url), "utf8"));
const link = load("link");
const hello = load("hello");
const device = load("device");
const frames = load("frames");
const ice = load("ice");
const id = fromBase64Url(link.id);

const aes = (key) =>
  crypto.subtle.importKey("raw", fromBase64Url(key), "AES-GCM", false, ["encrypt", "decrypt"]);
const verifier = (raw) =>
  crypto.subtle.importKey("raw", fromBase64Url(raw), { name: "ECDSA", namedCurve: "P-256" }, true, [
    "verify",
  ]);
const verify = async (raw, signature, message) =>
  crypto.subtle.verify(
    { name: "ECDSA", hash: "SHA-256" },
    await verifier(raw),
    fromBase64Url(signature),
    message,
  );

async function hostKeys() {
  const point = fromBase64Url(hello.host_public);
  const jwk = {
    kty: "EC",
    crv: "P-256",
    d: hello.host_private,
    x: toBase64Url(point.slice(1, 33)),
    y: toBase64Url(point.slice(33)),
  };
  const privateKey = await crypto.subtle.importKey(
    "jwk",
    jwk,
    { name: "ECDH", namedCurve: "P-256" },
    true,
    ["deriveBits"],
  );
  const publicKey = await crypto.subtle.importKey(
    "raw",
    point,
    { name: "ECDH", namedCurve: "P-256" },
    true,
    [],
  );
  return { privateKey, publicKey };
}

test("link and keys", async () => {
  const f = parseFragment(`#${link.fragment}`);
  assert.equal(f.kind, "link");
  assert.equal(toBase64Url(f.id), link.id);
  assert.equal(toBase64Url(f.secret), link.secret);
  assert.equal(toBase64Url(f.invitationHash), link.invitation_hash);
  const { token, psk } = await deriveKeys(f.secret, link.origin, f.id);
  assert.equal(toBase64Url(token), link.claim_token);
  assert.equal(toBase64Url(psk), link.psk);
  assert.equal(toBase64Url(await sha256(token)), link.claim_hash);
  const invitation = await openInvitation(fromBase64Url(link.invitation), f.invitationHash, f.id);
  assert.deepEqual(invitation.origins, ["https://login.example"]);
  assert.equal(invitation.room, null);
  const room = await openInvitation(
    fromBase64Url(link.private_invitation),
    fromBase64Url(link.private_invitation_hash),
    f.id,
  );
  assert.deepEqual(room.room, { start: "as_is", sites: ["login.example", "[2001:db8::1]"] });
});

test("device signatures", async () => {
  assert.ok(
    await verify(device.device, device.claim_signature, fromBase64Url(device.claim_message)),
  );
  assert.ok(
    await verify(device.device, device.resume_signature, fromBase64Url(device.resume_message)),
  );
  // Ours are over the same bytes.
  const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, [
    "sign",
    "verify",
  ]);
  const own = toBase64Url(new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey)));
  const challenge = fromBase64Url(device.challenge);
  const claim = await signClaim(pair.privateKey, id, challenge, fromBase64Url(link.claim_token));
  assert.ok(await verify(own, toBase64Url(claim), fromBase64Url(device.claim_message)));
  const resume = await signResume(pair.privateKey, id, challenge);
  assert.ok(await verify(own, toBase64Url(resume), fromBase64Url(device.resume_message)));
});

test("hello, records and transcript", async () => {
  const of = {
    blob: fromBase64Url(hello.blob),
    id,
    psk: fromBase64Url(link.psk),
    invitationHash: fromBase64Url(link.invitation_hash),
    hostKeys: await hostKeys(),
  };
  const opened = await openHello(of);
  assert.equal(toBase64Url(opened.hash), hello.hello_hash);
  for (const k of ["device", "nonce", "stream"]) assert.equal(opened.json[k], hello[k]);
  assert.equal(opened.json.fingerprint, hello.viewer_fingerprint);
  const enc = of.blob.slice(1, 66);
  const signed = concat(
    new TextEncoder().encode("authloop/1 hello"),
    id,
    enc,
    fromBase64Url(hello.nonce),
    new TextEncoder().encode(hello.viewer_fingerprint),
  );
  assert.ok(await verify(hello.device, opened.json.signature, signed));

  const viewer = new RecordBox(opened.hash, opened.keys.signalV2h, opened.keys.signalH2v);
  const host = new RecordBox(opened.hash, opened.keys.signalH2v, opened.keys.signalV2h);
  for (const r of hello.offer_records)
    assert.deepEqual(await viewer.open(fromBase64Url(r)), { t: "offer", sdp: hello.offer });
  for (const r of hello.answer_records)
    assert.deepEqual(await host.open(fromBase64Url(r)), { t: "answer", sdp: hello.answer });
  // Sealing is deterministic: fresh boxes make the same blobs.
  const again = new RecordBox(opened.hash, opened.keys.signalV2h, opened.keys.signalH2v);
  for (const r of hello.answer_records)
    assert.equal(toBase64Url(await again.seal({ t: "answer", sdp: hello.answer })), r);

  const h = await transcript({
    id,
    helloHash: opened.hash,
    offer: hello.offer,
    answer: hello.answer,
    hostFingerprint: hello.host_fingerprint,
    viewerFingerprint: hello.viewer_fingerprint,
  });
  assert.equal(toBase64Url(h), hello.transcript);

  // The exported data keys are those of the vector: what one seals the other opens.
  const mine = await sealOutput(opened.keys.dataH2v, 0, { t: "pong", n: 1 });
  assert.deepEqual(await openOutput(await aes(hello.data_h2v), 0, mine), { t: "pong", n: 1 });
  const frame = await sealFrame(opened.keys.dataV2h, 0, new Uint8Array(232));
  assert.equal((await openFrame(await aes(hello.data_v2h), 0, frame)).length, 232);
});

test("our own hello opens, and only with the right link", async () => {
  const keys = await hostKeys();
  const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, [
    "sign",
    "verify",
  ]);
  const common = {
    id,
    psk: fromBase64Url(link.psk),
    invitationHash: fromBase64Url(link.invitation_hash),
  };
  const sealed = await sealHello({
    ...common,
    hostKey: fromBase64Url(hello.host_public),
    fingerprint: hello.viewer_fingerprint,
    deviceKey: pair.privateKey,
    device: fromBase64Url(hello.device),
    nonce: fromBase64Url(hello.nonce),
    stream: fromBase64Url(hello.stream),
  });
  const opened = await openHello({ ...common, blob: sealed.blob, hostKeys: keys });
  assert.deepEqual(opened.hash, sealed.hash);
  const record = await new RecordBox(
    sealed.hash,
    sealed.keys.signalV2h,
    sealed.keys.signalH2v,
  ).seal({ t: "decline", reason: "declined" });
  assert.deepEqual(
    await new RecordBox(opened.hash, opened.keys.signalH2v, opened.keys.signalV2h).open(record),
    { t: "decline", reason: "declined" },
  );
  const psk = common.psk.slice();
  psk[0] ^= 1;
  await assert.rejects(openHello({ ...common, psk, blob: sealed.blob, hostKeys: keys }));
  const bent = sealed.blob.slice();
  bent[100] ^= 1;
  await assert.rejects(openHello({ ...common, blob: bent, hostKeys: keys }));
});

test("records refuse replay, forgery and other hellos", async () => {
  const key = await aes(link.psk);
  const hash = new Uint8Array(32);
  const a = new RecordBox(hash, key, key);
  const b = new RecordBox(hash, key, key);
  const first = await a.seal({ n: 0 });
  const second = await a.seal({ n: 1 });
  assert.deepEqual(await b.open(second), { n: 1 });
  await assert.rejects(b.open(first), /replayed/);
  await assert.rejects(b.open(second), /replayed/);
  const third = await a.seal({ n: 2 });
  const bent = third.slice();
  bent[20] ^= 1;
  await assert.rejects(b.open(bent));
  assert.deepEqual(await b.open(third), { n: 2 }, "a forgery does not spend the counter");
  const other = third.slice();
  other[1] ^= 1;
  assert.equal(await b.open(other), null);
  await assert.rejects(b.open(new Uint8Array(5)));
});

test("input frames and host records", async () => {
  const v2h = await aes(frames.data_v2h);
  const h2v = await aes(frames.data_h2v);
  for (const [counter, f] of frames.frames.entries()) {
    const plaintext = encodeFrame({
      sequence: f.sequence,
      epoch: f.epoch,
      flags: f.flags,
      body: fromBase64Url(f.body),
    });
    assert.equal(toBase64Url(await sealFrame(v2h, counter, plaintext)), f.sealed);
    assert.deepEqual(await openFrame(v2h, counter, fromBase64Url(f.sealed)), plaintext);
    await assert.rejects(openFrame(v2h, counter + 1, fromBase64Url(f.sealed)));
  }
  for (const [counter, r] of frames.records.entries()) {
    assert.deepEqual(await openOutput(h2v, counter, fromBase64Url(r.sealed)), r.message);
    await assert.rejects(openOutput(h2v, counter + 1, fromBase64Url(r.sealed)));
  }
});

test("the relay's ICE parameters", () => {
  const candidates = (sdp) => sdp.split("\r\n").filter((line) => line.startsWith("a=candidate:"));
  for (const vector of ice.good) {
    const taken = parseIce({ type: "ice", ...vector.ice });
    assert.deepEqual(candidates(munge("v=0\r\nm=video 9 x 96\r\n", taken)), vector.lines);
    assert.deepEqual(iceServers(taken), vector.ice.turn ? [vector.ice.turn] : []);
  }
  for (const bent of ice.bad)
    assert.throws(() => parseIce({ ...ice.good[0].ice, ...bent }), SdpError, JSON.stringify(bent));
});

test("what somebody else wrote stays in its place", () => {
  for (const { text, plain: expected } of load("plain")) assert.equal(plain(text), expected, text);
  assert.equal(plainLines("one\n\n\r\n two \u202e\u2028three"), "one\ntwo\nthree");
});
