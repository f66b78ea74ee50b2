// One hello's peer connection: own certificate, sealed descriptions, the certificate check and
// confirm, ICE restarts on this side's leg (PROTOCOL sections 6 to 8).

import { equalBytes, fromBase64Url, randomBytes, sha256, toBase64Url } from "./bytes.js";
import { Channel } from "./channel.js";
import { transcript } from "./keys.js";
import {
  checkFingerprint,
  fingerprintOf,
  formatFingerprint,
  iceServers,
  localIce,
  munge,
  restartAnswer,
} from "./sdp.js";
import { RecordBox, sealHello } from "./seal.js";

/** @typedef {import("./bytes.js").Bytes} Bytes */
/** @typedef {import("./events.js").Output} Output */
/** @typedef {import("./sdp.js").Ice} Ice */
/**
 * @typedef {object} Identity what stays the same over all hellos of a page life
 * @property {Bytes} id
 * @property {Bytes} psk
 * @property {Bytes} invitationHash
 * @property {import("./invitation.js").Invitation} invitation
 * @property {CryptoKeyPair} deviceKeys
 * @property {Bytes} device
 * @property {Bytes} stream
 * @property {RTCCertificate} certificate
 * @property {string} fingerprint
 *
 * @typedef {object} PeerEvents
 * @property {(message: object) => void} signal to the server
 * @property {(step: "offer" | "path" | "verify") => void} step
 * @property {() => void} verified both confirms match
 * @property {(stream: MediaStream) => void} video
 * @property {(output: Output) => void} output
 * @property {(state: RTCIceConnectionState) => void} ice
 * @property {(code: string, message?: string) => void} fatal somebody is lying: stop
 * @property {(error: unknown) => void} broken this connection is of no more use
 * @property {(outcome: string, message: string) => void} outcome the host says how it ended
 */

/**
 * @param {import("./invitation.js").Invitation} invitation
 * @param {import("./device.js").SessionRecord} record
 * @param {Bytes} stream
 * @param {{certificate: RTCCertificate, fingerprint: string}} own
 * @returns {Identity}
 */
export const identityOf = (invitation, record, stream, own) => ({
  id: invitation.id,
  psk: record.psk,
  invitationHash: record.invitationHash,
  invitation,
  deviceKeys: record.keys,
  device: record.device,
  stream,
  ...own,
});

/**
 * What a peer tells, for as long as it is the current one: one that was given up may still be
 * decrypting, and must not speak for its successor.
 * @param {() => boolean} isCurrent
 * @param {PeerEvents} events
 * @returns {PeerEvents}
 */
export function whileCurrent(isCurrent, events) {
  const entries = Object.entries(events).map(([name, tell]) => [
    name,
    (/** @type {any[]} */ ...told) => isCurrent() && Reflect.apply(tell, null, told),
  ]);
  return Object.fromEntries(entries);
}

/** A certificate of this page's own, and how SDP names it. */
export async function newCertificate() {
  const algorithm = /** @type {EcKeyGenParams} */ ({ name: "ECDSA", namedCurve: "P-256" });
  const certificate = await RTCPeerConnection.generateCertificate(algorithm);
  const listed = certificate.getFingerprints?.().find((f) => f.algorithm === "sha-256")?.value;
  if (listed) return { certificate, fingerprint: `sha-256 ${listed.toUpperCase()}` };
  // Firefox does not list them, but writes them into its offers.
  const pc = new RTCPeerConnection({ certificates: [certificate] });
  pc.createDataChannel("x");
  const { sdp } = await pc.createOffer();
  pc.close();
  return { certificate, fingerprint: fingerprintOf(sdp ?? "") };
}

export class Peer {
  /** @type {RTCPeerConnection} */
  #pc;
  /** @type {RTCDataChannel} */
  #dc;
  /** @type {RecordBox | null} */
  #records = null;
  /** @type {Channel | null} */
  channel = null;
  /** @type {import("./seal.js").SessionKeys | null} */
  #keys = null;
  #helloHash = new Uint8Array(32);
  #offer = "";
  #answer = "";
  /** @type {Bytes | null} */
  #transcript = null;
  /** @type {unknown[]} the host's first records, while its certificate is being checked */
  #earlyMessages = [];
  #confirmed = false;
  #closed = false;
  /** @type {Promise<void>} descriptions are set one after another */
  #negotiating = Promise.resolve();

  /**
   * @param {Identity} identity
   * @param {import("./frames.js").InputQueue} queue
   * @param {Ice} ice
   * @param {PeerEvents} on
   */
  constructor(identity, queue, ice, on) {
    this.identity = identity;
    this.queue = queue;
    this.ice = ice;
    this.on = on;
    this.#pc = new RTCPeerConnection({
      certificates: [identity.certificate],
      bundlePolicy: "max-bundle",
      rtcpMuxPolicy: "require",
      iceServers: iceServers(ice),
    });
    this.#dc = this.#pc.createDataChannel("authloop", { negotiated: true, id: 0, ordered: true });
    this.#pc.ontrack = (e) => {
      // A remote control wants the newest picture, not a smooth one.
      if ("jitterBufferTarget" in e.receiver) e.receiver.jitterBufferTarget = 0;
      if ("playoutDelayHint" in e.receiver) e.receiver.playoutDelayHint = 0; // its older name
      on.video(e.streams[0] ?? new MediaStream([e.track]));
    };
    this.#pc.oniceconnectionstatechange = () =>
      !this.#closed && on.ice(this.#pc.iceConnectionState);
    this.#pc.onconnectionstatechange = () => {
      // ICE failures are mended by a restart; what is left is a failed DTLS association.
      if (this.#pc.connectionState === "failed" && this.#pc.iceConnectionState !== "failed") {
        this.#break(new Error("the encrypted connection failed"));
      }
    };
    this.#dc.binaryType = "arraybuffer";
    this.#dc.onmessage = (e) => this.#earlyMessages.push(e.data);
    this.#dc.onopen = () => this.#guard(this.#onChannelOpen());
    this.#dc.onclose = () => this.#break(new Error("the data channel closed"));
  }

  get verified() {
    return this.#confirmed;
  }

  get negotiated() {
    return this.#answer !== "";
  }

  get iceState() {
    return this.#pc.iceConnectionState;
  }

  /** The sealed hello, to the host. */
  async sendHello() {
    const { id, psk, invitationHash, invitation, deviceKeys, device, stream, fingerprint } =
      this.identity;
    const { blob, hash, keys } = await sealHello({
      id,
      psk,
      invitationHash,
      hostKey: invitation.hpke,
      fingerprint,
      deviceKey: deviceKeys.privateKey,
      device,
      nonce: randomBytes(32),
      stream,
    });
    if (this.#closed) return;
    this.#helloHash = hash;
    this.#keys = keys;
    this.#records = new RecordBox(hash, keys.signalV2h, keys.signalH2v);
    this.on.signal({ type: "sealed", data: toBase64Url(blob) });
    this.on.step("offer");
  }

  /**
   * A blob from the host. Those of an older hello are passed over.
   * @param {Bytes} blob
   */
  async receiveSealed(blob) {
    let record;
    try {
      record = await this.#records?.open(blob);
    } catch {
      // Forged, replayed or cut by who carries it: it has no effect, and the true one may still
      // come.
      return;
    }
    if (!record || this.#closed) return;
    if (record.t === "offer" && typeof record.sdp === "string")
      await this.#serial(() => this.#acceptOffer(record.sdp));
    const message = typeof record.message === "string" ? record.message : "";
    if (record.t === "refuse") this.on.fatal("refused", message);
    if (record.t === "outcome") this.on.outcome(record.outcome, message);
  }

  /** @param {import("./events.js").DeclineReason} reason */
  async decline(reason) {
    if (!this.#records) return;
    this.on.signal({
      type: "sealed",
      data: toBase64Url(await this.#records.seal({ t: "decline", reason })),
    });
  }

  /**
   * New credentials for this side's leg. The DTLS and SCTP associations go on.
   * @param {Ice} ice
   */
  async restart(ice) {
    this.ice = ice;
    await this.#serial(async () => {
      if (this.#closed) return;
      // The leg's new credentials are TURN's, too.
      this.#pc.setConfiguration({ ...this.#pc.getConfiguration(), iceServers: iceServers(ice) });
      if (!this.negotiated) return; // the offer will be answered with the new ones
      const offer = await this.#pc.createOffer({ iceRestart: true });
      await this.#pc.setLocalDescription(offer);
      this.#sendLocalIce();
      await this.#pc.setRemoteDescription({
        type: "answer",
        sdp: restartAnswer(this.#offer, this.ice),
      });
    });
  }

  close() {
    this.#closed = true;
    this.channel?.close();
    this.#pc.close();
  }

  /** @param {string} sdp the host's offer */
  async #acceptOffer(sdp) {
    if (this.negotiated) return;
    try {
      checkFingerprint(sdp, this.identity.invitation.fingerprint);
    } catch {
      return this.on.fatal("fingerprint");
    }
    this.#offer = sdp;
    await this.#pc.setRemoteDescription({ type: "offer", sdp: munge(sdp, this.ice) });
    const answer = await this.#pc.createAnswer();
    await this.#pc.setLocalDescription(answer);
    if (this.#closed || !this.#records) return;
    this.#answer = answer.sdp ?? "";
    if (fingerprintOf(this.#answer) !== this.identity.fingerprint)
      return this.on.fatal("fingerprint");
    // First, so that the relay can check the return path before the handshake needs it.
    this.#sendLocalIce();
    this.on.signal({
      type: "sealed",
      data: toBase64Url(await this.#records.seal({ t: "answer", sdp: this.#answer })),
    });
    this.on.step("path");
  }

  #sendLocalIce() {
    const sdp = this.#pc.localDescription?.sdp;
    if (sdp) this.on.signal({ type: "ice_local", ...localIce(sdp) });
  }

  /** The channel opened: who is really at its other end? */
  async #onChannelOpen() {
    if (!this.#keys) throw new Error("the channel opened before the hello");
    this.on.step("verify");
    const hostFingerprint = await this.#remoteFingerprint();
    if (hostFingerprint !== this.identity.invitation.fingerprint)
      return this.on.fatal("fingerprint");
    this.#transcript = await transcript({
      id: this.identity.id,
      helloHash: this.#helloHash,
      offer: this.#offer,
      answer: this.#answer,
      hostFingerprint,
      viewerFingerprint: this.identity.fingerprint,
    });
    if (this.#closed) return;
    this.queue.clearControl();
    this.queue.pushControl({ t: "confirm", transcript: toBase64Url(this.#transcript) });
    this.channel = new Channel(this.#dc, this.queue, this.#keys, {
      onOutput: (output) => this.#onOutput(output),
      onBroken: (error) => this.#break(error),
    });
    for (const data of this.#earlyMessages.splice(0))
      this.#dc.onmessage?.(new MessageEvent("message", { data }));
    this.channel.start();
  }

  /**
   * The certificate DTLS really presented. Where a browser does not show it (Firefox), its own
   * check stands in: it refuses a certificate other than the one in the description (RFC 8827
   * section 5.1), and that one was compared with the invited one before it was set.
   */
  async #remoteFingerprint() {
    const dtls = /** @type {any} */ (this.#pc.sctp?.transport);
    const [der] = dtls?.getRemoteCertificates?.() ?? [];
    if (der) return formatFingerprint(await sha256(new Uint8Array(der)));
    if (typeof dtls?.getRemoteCertificates === "function") throw new Error("no remote certificate");
    return fingerprintOf(this.#pc.currentRemoteDescription?.sdp ?? "");
  }

  /** @param {Output} output */
  #onOutput(output) {
    if (!this.#confirmed) {
      const theirs = output.t === "confirm" ? fromBase64Url(output.transcript) : null;
      if (
        output.t !== "confirm" ||
        !theirs ||
        !this.#transcript ||
        !equalBytes(theirs, this.#transcript)
      ) {
        return this.on.fatal("confirm");
      }
      this.#confirmed = true;
      this.channel?.release(output.applied);
      return this.on.verified();
    }
    this.on.output(output);
  }

  /** @param {() => Promise<void>} work */
  #serial(work) {
    this.#negotiating = this.#negotiating.then(() => this.#guard(work()));
    return this.#negotiating;
  }

  /** @param {Promise<unknown>} work */
  async #guard(work) {
    try {
      await work;
    } catch (error) {
      this.#break(error);
    }
  }

  /** @param {unknown} error */
  #break(error) {
    if (this.#closed) return;
    this.close();
    this.on.broken(error);
  }
}
