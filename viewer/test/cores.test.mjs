// The pure cores: link, invitation, descriptions, frames, signaling verdicts, geometry, origins.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  concat,
  decodeUtf8,
  encodeU64,
  encodeUtf8,
  equalBytes,
  fromBase64Url,
  randomBytes,
  sha256,
  toBase64Url,
} from "../js/bytes.js";
import {
  BLOCK_FRAMES,
  BODY_LENGTH,
  coalesce,
  FLAG_CONTROL,
  FLAG_FILLER,
  FLAG_MORE,
  fillerFrame,
  InputQueue,
} from "../js/frames.js";
import { contain, shiftFor, toClient, toPage, zoomAround } from "../js/geometry.js";
import { pickLocale } from "../js/i18n.js";
import { openInvitation } from "../js/invitation.js";
import { parseFragment, publicFragment } from "../js/link.js";
import { splitOrigin } from "../js/origin.js";
import { steps } from "../js/pointer.js";
import {
  checkFingerprint,
  fingerprintOf,
  formatFingerprint,
  localIce,
  munge,
  parseAddress,
  parseIce,
  restartAnswer,
  SdpError,
} from "../js/sdp.js";
import { backoff, closeAction } from "../js/signaling.js";

test("base64url is canonical", () => {
  for (let n = 0; n < 70; n++) {
    const b = randomBytes(n);
    assert.deepEqual(fromBase64Url(toBase64Url(b)), b);
  }
  for (const bad of ["a", "AB=", "A+", "A/", "AB", "AAB", " AAA", 5, null]) {
    if (bad === "AB" || bad === "AAB") assert.equal(fromBase64Url(bad), null, "stray bits");
    else assert.equal(fromBase64Url(bad), null);
  }
});

test("fragments", () => {
  const bytes = concat(new Uint8Array([1]), randomBytes(80));
  const f = parseFragment(`#${toBase64Url(bytes)}`);
  assert.equal(f.kind, "link");
  assert.equal(publicFragment(f).length, 23);
  assert.deepEqual(parseFragment(publicFragment(f)), { kind: "known", id: bytes.slice(1, 17) });
  for (const taken of [".", ")", ">", "%20", " and so on", ".%0A"])
    assert.deepEqual(parseFragment(`#${toBase64Url(bytes)}${taken}`), f, taken);
  assert.equal(parseFragment("").kind, "none");
  assert.equal(publicFragment({ kind: "none" }), "");
  const wrong = bytes.slice();
  wrong[0] = 2;
  for (const bad of [
    "#x",
    `#${toBase64Url(bytes.slice(1))}`,
    `#${toBase64Url(bytes)}A`,
    `#${toBase64Url(wrong)}`,
    "#%41",
  ]) {
    assert.equal(parseFragment(bad).kind, "incomplete", bad);
  }
});

test("an invitation opens only by its hash", async () => {
  const id = randomBytes(16);
  const good = {
    v: 1,
    id: toBase64Url(id),
    hpke: toBase64Url(randomBytes(65)),
    fingerprint: formatFingerprint(randomBytes(32)),
    requester: "R",
    reason: "because",
    origins: ["https://a.example"],
    expires: 2_000_000_000,
  };
  const open = async (o, hash) => {
    const bytes = encodeUtf8(JSON.stringify(o));
    return openInvitation(bytes, hash ?? (await sha256(bytes)), id);
  };
  assert.equal((await open(good)).requester, "R");
  await assert.rejects(open(good, new Uint8Array(32)), { code: "mismatch" });
  for (const bent of [
    { v: 2 },
    { extra: 1 },
    { id: toBase64Url(randomBytes(16)) },
    { hpke: "x" },
    { fingerprint: "sha-1 AA" },
    { origins: [1] },
    { expires: "1" },
    { expires: -9e15 },
    { expires: 9e15 },
    { requester: null },
  ]) {
    await assert.rejects(open({ ...good, ...bent }), { code: "malformed" }, JSON.stringify(bent));
  }
  const { reason: _, ...short } = good;
  await assert.rejects(open(short), { code: "malformed" });
});

const FP = formatFingerprint(new Uint8Array(32).fill(0xab));
const OFFER = [
  "v=0",
  "o=- 1 2 IN IP4 127.0.0.1",
  "s=-",
  "t=0 0",
  `a=fingerprint:${FP}`,
  "a=ice-options:trickle ice2",
  "a=group:BUNDLE 0 1",
  "m=video 9 UDP/TLS/RTP/SAVPF 96",
  "c=IN IP4 0.0.0.0",
  "a=setup:actpass",
  "a=mid:0",
  "a=ice-ufrag:old",
  "a=ice-pwd:oldoldoldoldoldoldoldold",
  "a=candidate:9 1 udp 1 10.0.0.1 9 typ host",
  "a=sendonly",
  "a=rtpmap:96 H264/90000",
  "a=end-of-candidates",
  "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
  "c=IN IP4 0.0.0.0",
  "a=setup:actpass",
  "a=mid:1",
  "a=ice-ufrag:old",
  "a=ice-pwd:oldoldoldoldoldoldoldold",
  `a=fingerprint:${FP.toLowerCase()}`,
  "a=sctp-port:5000",
  "",
].join("\r\n");
const ICE = {
  generation: 1,
  ufrag: "newufrag0123456789",
  pwd: "newpwdnewpwdnewpwdnewpwd",
  candidates: ["192.0.2.1:3478", "[2001:db8::1]:3478"],
  tcp: [],
  turn: null,
};

test("a description is munged to the relay's leg alone", () => {
  const out = munge(OFFER, ICE);
  const [session, video, data] = out.split(/(?=^m=)/m);
  assert.match(session, /\r\na=ice-lite\r\n$/);
  assert.equal(out.match(/a=ice-lite/g).length, 1);
  for (const part of [video, data]) {
    assert.equal(part.match(/a=ice-ufrag:newufrag0123456789\r\n/g).length, 1);
    assert.equal(part.match(/a=ice-pwd:newpwdnewpwdnewpwdnewpwd\r\n/g).length, 1);
  }
  assert.match(video, /a=candidate:1 1 udp 2130706431 192\.0\.2\.1 3478 typ host\r\n/);
  assert.match(video, /2001:db8::1 3478 typ host\r\n/);
  assert.doesNotMatch(data, /a=candidate/);
  assert.doesNotMatch(out, /old|10\.0\.0\.1|end-of-candidates|ice-options/);
  assert.match(out, /a=setup:actpass/);
  assert.equal(munge(out, ICE), out, "idempotent");
  assert.equal(munge(OFFER.replaceAll("\r\n", "\n"), ICE), out);
  assert.throws(() => munge("v=0\r\n", ICE), SdpError);
});

test("a restart's answer keeps the DTLS role", () => {
  const out = restartAnswer(OFFER, ICE);
  assert.equal(out.match(/a=setup:passive\r\n/g).length, 2);
  assert.doesNotMatch(out, /actpass/);
});

test("exactly one fingerprint, on every m-line", () => {
  assert.equal(fingerprintOf(OFFER), FP);
  checkFingerprint(OFFER, FP);
  const other = formatFingerprint(new Uint8Array(32).fill(1));
  assert.throws(() => checkFingerprint(OFFER, other), SdpError);
  const add = (line) => OFFER.replace("a=mid:1", `a=mid:1\r\n${line}`);
  for (const bad of [
    add(`a=fingerprint:${other}`),
    add(`a=fingerprint:${FP}`),
    add("a=fingerprint:sha-256"),
    add("a=FINGERPRINT:x"),
    OFFER.replace(FP, other),
    OFFER.replaceAll(/a=fingerprint.*\r\n/g, ""),
    OFFER.replace(/a=fingerprint.*\r\n/, ""),
    "v=0\r\n",
  ])
    assert.throws(() => fingerprintOf(bad), SdpError);
});

test("nothing of signaling's injects a line", () => {
  assert.deepEqual(parseIce({ type: "ice", ...ICE }), ICE);
  for (const bent of [
    { ufrag: "abc" },
    { ufrag: "abcd\r\na=x" },
    { ufrag: "ab:cd" },
    { pwd: "short" },
    { pwd: `${ICE.pwd}\n` },
    { candidates: "x" },
    { candidates: ["relay.example:1"] },
    { candidates: ["1.2.3.4"] },
    { candidates: ["1.2.3.4:0"] },
    { candidates: ["1.2.3.4:65536"] },
    { candidates: ["1.2.3.400:1"] },
    { candidates: ["1.2.3.4:1\r\n"] },
    { candidates: ["[::g]:1"] },
    { candidates: ["[1]:1"] },
    { candidates: Array(9).fill("1.2.3.4:1") },
    { generation: "1" },
    { candidates: [] },
    { candidates: [null] },
  ])
    assert.throws(() => parseIce({ ...ICE, ...bent }), SdpError, JSON.stringify(bent));
  assert.throws(() => parseIce(null), SdpError);
  assert.deepEqual(parseAddress("[::1]:9"), { ip: "::1", port: 9 });
  assert.deepEqual(localIce(OFFER), { ufrag: "old", pwd: "oldoldoldoldoldoldoldold" });
});

function decodeFrame(p) {
  const v = new DataView(p.buffer);
  return {
    sequence: Number(v.getBigUint64(0)),
    epoch: v.getUint32(8),
    flags: p[12],
    body: p.slice(15, 15 + v.getUint16(13)),
  };
}
const drain = (q) => {
  const out = [];
  for (let p = q.next(); p; p = q.next()) out.push(decodeFrame(p));
  return out;
};
const key = (k) => ({ t: "key", down: true, code: "", key: k, mods: 0, repeat: false });
const move = (x) => ({
  t: "pointer",
  phase: "move",
  x,
  y: 0,
  button: null,
  buttons: 0,
  clicks: 0,
  mods: 0,
});

test("frames: chunks, sequences, epochs", () => {
  const q = new InputQueue();
  q.push(key("a"), 3);
  q.push({ t: "paste", text: "é".repeat(300) }, 4);
  q.pushControl({ t: "ping", n: 1 });
  const frames = drain(q);
  assert.equal(frames[0].flags, FLAG_CONTROL);
  assert.equal(frames[0].sequence, 0);
  assert.deepEqual(
    frames.slice(1).map((f) => f.sequence),
    [1, 2, 3, 4],
  );
  assert.deepEqual(
    frames.slice(1).map((f) => f.flags),
    [0, FLAG_MORE, FLAG_MORE, 0],
  );
  assert.deepEqual(
    frames.slice(1).map((f) => f.epoch),
    [3, 4, 4, 4],
  );
  assert.ok(frames.every((f) => f.body.length <= BODY_LENGTH));
  assert.deepEqual(JSON.parse(decodeUtf8(concat(...frames.slice(2).map((f) => f.body)))), {
    t: "paste",
    text: "é".repeat(300),
  });
  assert.equal(BODY_LENGTH, 217);
  assert.equal(decodeFrame(fillerFrame()).flags, FLAG_FILLER);
});

test("frames: a secret sent whole takes as many frames whatever its length", () => {
  for (const secret of ["", "x", "correct horse battery staple", "ü".repeat(300)]) {
    const q = new InputQueue();
    q.push({ t: "replace", text: secret }, 1, true);
    const frames = drain(q);
    assert.deepEqual(
      frames.map((f) => [f.flags, f.body.length]),
      [...Array(BLOCK_FRAMES - 1).fill([FLAG_MORE, BODY_LENGTH]), [0, BODY_LENGTH]],
      secret,
    );
    assert.deepEqual(JSON.parse(decodeUtf8(concat(...frames.map((f) => f.body)))), {
      t: "replace",
      text: secret,
    });
  }
  const q = new InputQueue();
  q.push({ t: "replace", text: "x".repeat(900) }, 1, true);
  assert.equal(drain(q).length, 2 * BLOCK_FRAMES);
});

test("frames: what is not applied is sent again, once and in order, at any cut", () => {
  for (let applied = 0; applied <= 8; applied++) {
    const q = new InputQueue();
    for (const k of "abcd") q.push(key(k), 0);
    q.push({ t: "paste", text: "x".repeat(700) }, 0);
    const first = drain(q);
    assert.equal(first.length, 8);
    q.push(key("e"), 0);
    q.rewind(applied);
    assert.deepEqual(
      drain(q).map((f) => f.sequence),
      Array.from({ length: 9 - applied }, (_, i) => applied + 1 + i),
    );
    q.ack(9);
    assert.equal(q.outstanding, false);
    assert.equal(q.applied, 9);
    q.rewind(9);
    assert.deepEqual(drain(q), []);
  }
});

test("frames: a flood of moves stands as one move before a click", () => {
  const q = new InputQueue();
  for (let i = 0; i < 10_000; i++) assert.equal(q.push(move(i), 0), "ok");
  q.push({ ...move(9999), phase: "down", button: "left", buttons: 1, clicks: 1 }, 0);
  const events = drain(q).map((f) => JSON.parse(decodeUtf8(f.body)));
  assert.deepEqual(
    events.map((e) => e.phase),
    ["move", "down"],
  );
  assert.equal(events[0].x, 9999);
  assert.deepEqual(
    coalesce(
      { t: "wheel", x: 0, y: 0, dx: 1, dy: 2, mods: 0 },
      { t: "wheel", x: 5, y: 6, dx: 10, dy: 20, mods: 0 },
    ),
    { t: "wheel", x: 5, y: 6, dx: 11, dy: 22, mods: 0 },
  );
  assert.equal(coalesce(move(1), { ...move(2), buttons: 1 }), null);
  assert.equal(coalesce(key("a"), key("a")), null);
});

test("frames: a finger keeps its momentum, unless the way stands still", () => {
  const touch = (at) => ({ t: "touch", phase: "move", points: [{ id: 0, x: at, y: 0 }], at });
  const sent = (times) => {
    const q = new InputQueue();
    for (const at of times) assert.equal(q.push(touch(at), 0), "ok");
    return drain(q).map((f) => JSON.parse(decodeUtf8(f.body)).at);
  };
  assert.deepEqual(sent([1000, 1004, 1008, 1016, 1020, 1032]), [1008, 1020, 1032]);
  const minute = sent(Array.from({ length: 3600 }, (_, i) => 1000 + 17 * i));
  assert.equal(minute.length, 32);
  assert.equal(minute.at(-1), 1000 + 17 * 3599);
});

test("fingers: what a busy page is told at once is told in steps", () => {
  const event = (timeStamp, all = []) => ({ timeStamp, getCoalescedEvents: () => all });
  const times = (e) => steps(e).map(({ timeStamp }) => timeStamp);
  const all = [1000, 1008, 1016, 1024, 1032, 1040].map((time) => event(time));
  assert.deepEqual(times(event(1040, all)), [1000, 1016, 1040]);
  assert.deepEqual(times(event(1008, all.slice(0, 2))), [1008]);
  assert.deepEqual(times({ timeStamp: 5 }), [5], "a browser that does not tell");
});

test("frames: limits", () => {
  const q = new InputQueue();
  assert.equal(q.push({ t: "paste", text: "x".repeat(32 * 1024) }, 0), "ok");
  assert.equal(q.push({ t: "paste", text: "x".repeat(32 * 1024 + 1) }, 0), "too_long");
  assert.equal(
    q.push({ t: "paste", text: "\u0001".repeat(20_000) }, 0),
    "too_long",
    "its JSON is over 40 KiB",
  );
  const full = new InputQueue();
  let n = 0;
  while (full.push(key("a"), 0) === "ok") n += 1;
  assert.equal(n, 512);
  assert.equal(full.push(key("a"), 0), "full");
  // A lone surrogate is no UTF-8, and would be refused as malformed.
  const lone = new InputQueue();
  lone.push({ t: "text", text: "a\ud83d" }, 0);
  assert.deepEqual(
    drain(lone).map((f) => JSON.parse(decodeUtf8(f.body)).text),
    ["a\ufffd"],
  );
});

test("close codes", () => {
  const fresh = { claimed: false, probing: false, awayFor: 0 };
  const claimed = { claimed: true, probing: false, awayFor: 0 };
  assert.deepEqual(closeAction(4409, fresh), { retry: false, code: "already_claimed" });
  assert.deepEqual(closeAction(4401, { ...fresh, probing: true }), {
    retry: false,
    code: "already_claimed",
  });
  assert.equal(closeAction(4401, fresh).code, "unauthorized");
  assert.equal(
    closeAction(4404, claimed).retry,
    true,
    "a restarted server hears of the session again",
  );
  assert.equal(closeAction(4404, { ...claimed, awayFor: 1e6 }).code, "not_found");
  assert.equal(closeAction(4499, claimed).code, "replaced");
  assert.equal(closeAction(4498, claimed).code, "handed_over");
  assert.equal(closeAction(4410, claimed).code, "ended");
  for (const code of [1000, 1001, 1006, 1011, 4408, 4429])
    assert.equal(closeAction(code, claimed).retry, true);
  for (let i = 0; i < 40; i++) assert.ok(backoff(i, Math.random()) <= 10_000);
  assert.ok(backoff(0, 0) >= 200);
});

test("geometry", () => {
  const box = { left: 10, top: 20, width: 400, height: 800 };
  const p = contain(box, 800, 800);
  assert.deepEqual(p, { left: 10, top: 220, width: 400, height: 400 });
  assert.deepEqual(toPage(p, 10, 220), { x: 0, y: 0, inside: true });
  assert.deepEqual(toPage(p, 410, 620), { x: 65535, y: 65535, inside: true });
  assert.equal(toPage(p, 210, 100).inside, false);
  assert.equal(toPage(p, 210, 100).y, 0);
  assert.deepEqual(contain(box, 0, 0), box);
  const r = toClient(p, [0, 0, 65535, 65535]);
  assert.deepEqual(r, p);
  const z = zoomAround({ zoom: 1, x: 0, y: 0 }, 2, 100, 100, 0, 0, { width: 400, height: 800 });
  assert.deepEqual(z, { zoom: 2, x: -100, y: -100 });
  assert.deepEqual(zoomAround(z, 0.1, 0, 0, 50, 50, box), { zoom: 1, x: 0, y: 0 });
  assert.equal(shiftFor(700, 40, 400, 800), 400);
  assert.equal(shiftFor(50, 40, 400, 800), 0);
  assert.equal(shiftFor(50, 40, 800, 800), 0);
});

test("origins", () => {
  const name = (o) => splitOrigin(o).name;
  assert.deepEqual(splitOrigin("https://login.accounts.example.com:8443"), {
    before: "https://login.accounts.",
    name: "example.com",
    after: ":8443",
    punycode: false,
  });
  assert.equal(name("https://www.bank.co.uk"), "bank.co.uk");
  assert.equal(name("https://evil.github.io"), "evil.github.io");
  assert.equal(name("https://a.b.s3.amazonaws.com"), "b.s3.amazonaws.com");
  assert.equal(name("http://localhost:3000"), "localhost");
  assert.equal(name("http://127.0.0.1:3000"), "127.0.0.1");
  assert.equal(name("http://[::1]:3000"), "[::1]");
  assert.equal(name("https://example.de"), "example.de");
  assert.equal(name("https://login.example.de"), "example.de");
  assert.equal(name("about:blank"), "about:blank");
  assert.equal(name(""), "");
  const idn = splitOrigin("https://xn--pple-43d.com");
  assert.equal(idn.punycode, true);
  const drawn = splitOrigin("https://аpple.com");
  assert.equal(drawn.before + drawn.name + drawn.after, "https://xn--pple-43d.com");
});

test("locales", () => {
  assert.equal(pickLocale(["xx-YY", "en-GB"]), "en");
  assert.equal(pickLocale([]), "en");
  assert.equal(pickLocale(["pt-BR", "de-AT", "en"]), "de");
});

test("equal and u64", () => {
  assert.ok(equalBytes(encodeU64(258), new Uint8Array([0, 0, 0, 0, 0, 0, 1, 2])));
  assert.ok(!equalBytes(new Uint8Array(1), new Uint8Array(2)));
});
