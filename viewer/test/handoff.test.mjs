// A handoff whose peer connections, socket and clock are stand-ins.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { fromBase64Url, sha256, toBase64Url } from "../js/bytes.js";
import { newDevice } from "../js/device.js";
import { transcript } from "../js/keys.js";
import { formatFingerprint } from "../js/sdp.js";
import { openHello, RecordBox, sealOutput } from "../js/seal.js";

const random = (n) => new Uint8Array(randomBytes(n));
const [hostCertificate, viewerCertificate] = [random(100), random(100)];
const hostPrint = await formatFingerprint(await sha256(hostCertificate));
const viewerPrint = await formatFingerprint(await sha256(viewerCertificate));

function sdp(fingerprint, setup) {
  const media = (line) =>
    `${line}\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n` +
    `a=fingerprint:${fingerprint}\r\na=setup:${setup}\r\n`;
  return (
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n" +
    media("m=video 9 UDP/TLS/RTP/SAVPF 96") +
    media("m=application 9 UDP/DTLS/SCTP webrtc-datachannel")
  );
}

const connections = [];
class FakeConnection {
  static async generateCertificate() {
    return {
      getFingerprints: () => [
        { algorithm: "sha-256", value: viewerPrint.slice("sha-256 ".length) },
      ],
    };
  }
  connectionState = "new";
  iceConnectionState = "new";
  sctp = { transport: { getRemoteCertificates: () => [hostCertificate.buffer] } };
  channel = { bufferedAmount: 0, sent: [], send: (b) => this.channel.sent.push(b), close() {} };
  constructor() {
    connections.push(this);
  }
  createDataChannel() {
    return this.channel;
  }
  async setRemoteDescription(description) {
    this.currentRemoteDescription = description;
  }
  async createAnswer() {
    return { type: "answer", sdp: sdp(viewerPrint, "active") };
  }
  async setLocalDescription(description) {
    this.localDescription = description;
  }
  close() {}
}

const sockets = [];
class FakeSocket {
  static OPEN = 1;
  readyState = 1;
  sent = [];
  constructor() {
    sockets.push(this);
  }
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  close() {}
}

let skew = 0;
const realNow = performance.now.bind(performance);
performance.now = () => realNow() + skew;
const listeners = { addEventListener() {}, removeEventListener() {} };
Object.assign(globalThis, listeners, {
  document: { ...listeners, visibilityState: "visible" },
  MediaStream: class {},
  RTCPeerConnection: FakeConnection,
  WebSocket: FakeSocket,
});
const { Handoff } = await import("../js/handoff.js");

async function found(look) {
  for (;;) {
    const value = look();
    if (value) return value;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("the confirm of a connection that was given up turns no keyboard on", async () => {
  const hpke = await crypto.subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, true, [
    "deriveBits",
  ]);
  const [id, psk, invitationHash] = [random(16), random(32), random(32)];
  const { keys, device } = await newDevice();
  const record = {
    id: toBase64Url(id),
    psk,
    token: null,
    invitationHash,
    keys,
    device,
    attempted: true,
    claimed: true,
    expires: 2e9,
  };
  const invitation = {
    id,
    hpke: new Uint8Array(await crypto.subtle.exportKey("raw", hpke.publicKey)),
    fingerprint: hostPrint,
    requester: "agent",
    reason: "",
    origins: [],
    expires: 2e9,
    room: null,
  };
  const told = [];
  const on = new Proxy(
    { verified: (verified) => told.push(verified) },
    { get: (known, name) => known[name] ?? (() => {}) },
  );
  const store = { put: async () => {}, delete: async () => {} };
  const handoff = new Handoff({ invitation, record, store, origin: "https://relay.example" }, on);
  await handoff.start();
  const [socket] = sockets;
  const say = (m) => socket.onmessage({ data: JSON.stringify(m) });
  say({ type: "challenge", nonce: toBase64Url(random(32)) });
  say({ type: "welcome", state: "claimed", peer: true });
  say({
    type: "ice",
    generation: 1,
    ufrag: "abcd",
    pwd: "0123456789012345678901",
    candidates: ["127.0.0.1:9"],
  });
  const sealed = (n) => () => socket.sent.filter((m) => m.type === "sealed")[n];
  const hello = fromBase64Url((await found(sealed(0))).data);
  const opened = await openHello({ blob: hello, id, psk, invitationHash, hostKeys: hpke });
  const box = new RecordBox(opened.hash, opened.keys.signalH2v, opened.keys.signalV2h);
  const offer = sdp(hostPrint, "actpass");
  say({ type: "sealed", data: toBase64Url(await box.seal({ t: "offer", sdp: offer })) });
  await found(sealed(1));
  const [old] = connections.slice(-1);
  await old.channel.onopen();
  await found(() => old.channel.sent.length > 0);
  const confirm = await sealOutput(opened.keys.dataH2v, 0, {
    t: "confirm",
    transcript: toBase64Url(
      await transcript({
        id,
        helloHash: opened.hash,
        offer,
        answer: sdp(viewerPrint, "active"),
        hostFingerprint: hostPrint,
        viewerFingerprint: viewerPrint,
      }),
    ),
    applied: 0,
  });

  // Whoever carries the packets held the confirm back until the page's patience is over; decryption
  // takes its way through another thread, and the watch's tick comes meanwhile.
  skew = 26_000;
  const before = connections.length;
  const decrypt = crypto.subtle.decrypt.bind(crypto.subtle);
  let decrypted = false;
  crypto.subtle.decrypt = async (...args) => {
    await found(() => connections.length > before);
    const plain = await decrypt(...args);
    decrypted = true;
    return plain;
  };
  old.channel.onmessage({ data: confirm.buffer });
  await found(() => decrypted);
  await new Promise((resolve) => setTimeout(resolve, 20)); // what follows it in the page
  crypto.subtle.decrypt = decrypt;

  assert.equal(handoff.verified, false);
  assert.ok(told.every((verified) => verified === false));
  assert.equal(handoff.send({ t: "text", text: "x" }), "locked");
  handoff.stop();
});
