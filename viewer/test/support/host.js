// The host's side of the protocol, in a browser page: for the viewer's tests only.
// window.fake is the tests' handle on it.
import {
  concat,
  decodeUtf8 as decode,
  encodeUtf8,
  equalBytes,
  fromBase64Url,
  randomBytes,
  sha256,
  toBase64Url,
} from "/js/bytes.js";
import { deriveKeys, transcript } from "/js/keys.js";
import { newCertificate } from "/js/peer.js";
import { formatFingerprint, localIce, munge, parseIce } from "/js/sdp.js";
import { openFrame, openHello, RecordBox, sealOutput } from "/js/seal.js";

const fake = {
  events: [],
  frames: 0,
  fillers: 0,
  controls: 0,
  applied: 0,
  refused: 0,
  hellos: 0,
  verified: false,
  stream: "",
  /** A `done` is taken, and the test says what follows. */
  goesOn: false,
  /** Frames whose acknowledgement is withheld. */
  holdAcks: false,
  lie: null,
  sequences: [],
  times: [],
  page: {
    t: "page",
    origin: "https://login.example.com",
    title: "Sign in",
    secure: true,
    expected: true,
    epoch: 1,
    loading: false,
    can_go_back: true,
  },
};
window.fake = fake;

const canvas = document.getElementById("canvas");
const g = canvas.getContext("2d");
let ticks = 0;
function draw() {
  g.fillStyle = "#fff";
  g.fillRect(0, 0, canvas.width, canvas.height);
  g.fillStyle = "#223";
  g.font = "bold 40px sans-serif";
  g.fillText("Sign in", canvas.width / 2 - 150, 120);
  g.strokeStyle = "#889";
  g.lineWidth = 2;
  g.strokeRect(canvas.width / 2 - 150, 160, 300, 44);
  g.strokeRect(canvas.width / 2 - 150, 230, 300, 44);
  g.fillStyle = "#2a5bd7";
  g.fillRect(canvas.width / 2 - 150, 300, 300, 44);
  g.fillStyle = "#fff";
  g.font = "20px sans-serif";
  g.fillText("Continue", canvas.width / 2 - 40, 328);
  g.fillStyle = ticks++ % 2 ? "#fefefe" : "#fff";
  g.fillRect(0, 0, 4, 4);
}
// Each change is encoded and decoded in software; no test needs more than the next one.
setInterval(draw, 500);

let hostToken,
  ws,
  pc,
  dc,
  ice,
  keys,
  helloHash,
  box,
  offer,
  answer,
  sendCounter,
  receiveCounter,
  own,
  hpke,
  id,
  psk,
  invitation,
  invitationHash,
  chain,
  partial,
  viewerFingerprint;

const signal = (m) => ws.send(JSON.stringify(m));
const output = (json) => {
  sendChain = sendChain.then(
    async () =>
      dc.readyState === "open" && dc.send(await sealOutput(keys.dataH2v, sendCounter++, json)),
  );
  return sendChain;
};
let sendChain = Promise.resolve();
fake.output = output;
fake.canvas = (w, h) => {
  canvas.width = w;
  canvas.height = h;
};
fake.setPage = (p) => {
  Object.assign(fake.page, p);
  return output(fake.page);
};
fake.dropPeer = () => pc.close();
fake.record = async (json) => signal({ type: "sealed", data: toBase64Url(await box.seal(json)) });
fake.restart = () => signal({ type: "restart" });
/** The host ends it: sealed for the viewer, and then at the server. */
fake.end = async (outcome, message = "") => {
  if (box) await fake.record({ t: "outcome", outcome, message });
  signal({ type: "end", outcome });
};
fake.cut = () => ws.close();

fake.create = async (options = {}) => {
  own = await newCertificate();
  hpke = await crypto.subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, true, [
    "deriveBits",
  ]);
  id = randomBytes(16);
  const secret = randomBytes(32);
  const inv = {
    v: 1,
    id: toBase64Url(id),
    hpke: toBase64Url(new Uint8Array(await crypto.subtle.exportKey("raw", hpke.publicKey))),
    fingerprint: own.fingerprint,
    requester: "Invoice assistant",
    reason: "Read this month’s invoices from your supplier’s portal.",
    origins: ["https://login.example.com", "https://portal.example.co.uk"],
    expires: Math.floor(Date.now() / 1000) + 840,
    ...options,
  };
  invitation = encodeUtf8(JSON.stringify(inv));
  invitationHash = await sha256(invitation);
  const derived = await deriveKeys(secret, location.origin, id);
  psk = derived.psk;
  const made = await fetch("/v1/sessions", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      id: inv.id,
      invitation: toBase64Url(invitation),
      claim_hash: toBase64Url(await sha256(derived.token)),
    }),
  });
  hostToken = (await made.json()).host_token;
  connect();
  return {
    id: inv.id,
    link: `${location.origin}/#${toBase64Url(concat(new Uint8Array([1]), id, secret, invitationHash))}`,
  };
};

function connect() {
  ws = new WebSocket(
    `${location.origin.replace("http", "ws")}/v1/sessions/${toBase64Url(id)}/host`,
  );
  let handling = Promise.resolve();
  ws.onmessage = (e) => {
    handling = handling
      .then(() => onSignal(JSON.parse(e.data)))
      .catch((x) => {
        fake.error = String(x?.stack ?? x);
      });
  };
}

async function onSignal(m) {
  if (m.type === "challenge") signal({ type: "attach", host_token: hostToken });
  if (m.type === "ice") {
    const changed = ice && ice.ufrag !== m.ufrag;
    ice = parseIce(m);
    if (changed && pc && answer) {
      await pc.setLocalDescription(await pc.createOffer({ iceRestart: true }));
      await pc.setRemoteDescription({ type: "answer", sdp: munge(answer, ice) });
      signal({ type: "ice_local", ...localIce(pc.localDescription.sdp) });
    }
  }
  if (m.type === "sealed") {
    const blob = fromBase64Url(m.data);
    if (blob[0] === 1) return onHello(blob);
    const record = await box.open(blob);
    if (record?.t === "answer") {
      answer = record.sdp;
      await pc.setRemoteDescription({ type: "answer", sdp: munge(answer, ice) });
    }
    if (record?.t === "decline") {
      fake.declined = record.reason;
      fake.end("declined");
    }
  }
}

async function onHello(blob) {
  const opened = await openHello({ blob, id, psk, invitationHash, hostKeys: hpke });
  fake.hellos += 1;
  pc?.close();
  ({ keys, hash: helloHash } = opened);
  viewerFingerprint = opened.json.fingerprint;
  if (opened.json.stream !== fake.stream) {
    fake.stream = opened.json.stream;
    fake.applied = 0;
  }
  box = new RecordBox(helloHash, keys.signalH2v, keys.signalV2h);
  if (fake.lie === "refuse")
    return fake.record({ t: "refuse", code: "device", message: "not this one" });
  sendCounter = receiveCounter = 0;
  partial = [];
  answer = null;
  fake.verified = false;
  pc = new RTCPeerConnection({ certificates: [own.certificate], bundlePolicy: "max-bundle" });
  fake.pc = pc;
  const [track] = canvas.captureStream(10).getVideoTracks();
  pc.addTransceiver(track, { direction: "sendonly", streams: [new MediaStream([track])] });
  dc = pc.createDataChannel("authloop", { negotiated: true, id: 0 });
  dc.binaryType = "arraybuffer";
  dc.onopen = () => {
    draw(); // the first picture, at once
    return onOpen();
  };
  chain = Promise.resolve();
  dc.onmessage = (e) => {
    const n = receiveCounter++;
    chain = chain
      .then(() => onFrame(n, new Uint8Array(e.data)))
      .catch((x) => {
        fake.error = String(x?.stack ?? x);
      });
  };
  await pc.setLocalDescription(await pc.createOffer());
  offer = pc.localDescription.sdp;
  signal({ type: "ice_local", ...localIce(offer) });
  if (fake.lie === "fingerprint") {
    const other = await newCertificate();
    await fake.record({ t: "offer", sdp: offer.replaceAll(own.fingerprint, other.fingerprint) });
  } else await fake.record({ t: "offer", sdp: offer });
}

async function onOpen() {
  const [der] = pc.sctp.transport.getRemoteCertificates();
  const presented = formatFingerprint(await sha256(new Uint8Array(der)));
  if (presented !== viewerFingerprint) throw new Error("viewer certificate");
  fake.transcript = await transcript({
    id,
    helloHash,
    offer,
    answer,
    hostFingerprint: own.fingerprint,
    viewerFingerprint: presented,
  });
  await output({
    t: "confirm",
    transcript: toBase64Url(fake.lie === "confirm" ? randomBytes(32) : fake.transcript),
    applied: fake.applied,
  });
}

async function onFrame(n, frame) {
  const p = await openFrame(keys.dataV2h, n, frame);
  const view = new DataView(p.buffer);
  const sequence = Number(view.getBigUint64(0));
  const epoch = view.getUint32(8);
  const flags = p[12];
  const body = p.slice(15, 15 + view.getUint16(13));
  fake.frames += 1;
  fake.times.push(performance.now());
  if (flags & 2) {
    fake.fillers += 1;
    return;
  }
  if (flags & 4) {
    fake.controls += 1;
    const json = JSON.parse(decode(body));
    if (json.t === "ping") return output({ t: "pong", n: json.n });
    if (json.t === "confirm") {
      fake.verified = equalBytes(fromBase64Url(json.transcript), fake.transcript);
      await output(fake.page);
    }
    return;
  }
  fake.sequences.push(sequence);
  if (sequence <= fake.applied) return;
  if (sequence !== fake.applied + 1) throw new Error(`gap: ${sequence} after ${fake.applied}`);
  if (!fake.verified) throw new Error("input before the confirm");
  fake.applied = sequence;
  partial.push(body);
  if (!(flags & 1)) {
    const event = JSON.parse(decode(concat(...partial.splice(0))));
    fake.events.push({ ...event, epoch });
    if (event.t === "done" && !fake.goesOn) {
      await output({ t: "outcome", outcome: "resolved", message: "" });
      fake.end("resolved");
    }
    if (event.t === "decline") {
      fake.declined = event.reason;
      await output({ t: "outcome", outcome: "declined", message: "" });
      fake.end("declined");
    }
    if (event.t === "viewport" && fake.follow !== false) fake.canvas(event.width, event.height);
  }
  if (!fake.holdAcks) await output({ t: "ack", applied: fake.applied });
}
