// One handoff from the claim to its end: signaling, the peer connection, and what to do when
// either is lost. Knows nothing of the DOM beyond "visible" and "online".

import { fromBase64Url, randomBytes, toBase64Url } from "./bytes.js";
import { markClaimed, openingMessage } from "./claim.js";
import { actsOnPage, isTyped, outcomeOf } from "./events.js";
import { InputQueue } from "./frames.js";
import { hasExpired } from "./invitation.js";
import { identityOf, newCertificate, Peer, whileCurrent } from "./peer.js";
import { helloDelay, pathTimeout, RestartSchedule, rebuildDelay } from "./recovery.js";
import { parseIce, sameLeg } from "./sdp.js";
import { closeAction, FINAL_CODES, isVisible, Signaling, socketUrl } from "./signaling.js";
import { TakeoverRequest } from "./takeover-code.js";

/** @typedef {import("./bytes.js").Bytes} Bytes */
/** @typedef {import("./events.js").DeclineReason} DeclineReason */
/** @typedef {import("./events.js").InputEvent} InputEvent */
/** @typedef {import("./events.js").Outcome} Outcome */
/** @typedef {import("./events.js").Output} Output */
/** @typedef {import("./events.js").HandoffEvents} HandoffEvents */

const CHECK_INTERVAL_MS = 1000;
const PING_INTERVAL_MS = 5000;
const SILENCE_TIMEOUT_MS = 4000;
const OUTAGE_TIMEOUT_MS = 20_000;
const LAST_WORDS_TIMEOUT_MS = 2000;
const OUTCOME_TIMEOUT_MS = 8000;
const MAX_EVENTS_WHILE_AWAY = 256;

export class Handoff {
  /** @type {Peer | null} */
  #peer = null;
  /** @type {import("./sdp.js").Ice | null} */
  #ice = null;
  #queue = new InputQueue();
  #stream = randomBytes(16);
  /** @type {{certificate: RTCCertificate, fingerprint: string} | null} */
  #certificate = null;
  #probing = false;
  #hostPresent = false;
  #trouble = false;
  #troubleSince = 0;
  #restarts = new RestartSchedule();
  #lastHelloAt = 0;
  #lastPingAt = 0;
  #lastPing = 0;
  #eventsWhileAway = 0;
  #hellos = 0;
  #tick = false;
  /** The peer connection is beyond mending by an ICE restart. */
  #broken = false;
  #stopped = false;
  /** How it ended is known. */
  #hasOutcome = false;
  /** @type {DeclineReason | null} */
  #declining = null;
  /** This device asks the one that has the session for it. @type {TakeoverRequest | null} */
  #takeover = null;
  /** @type {ReturnType<typeof setInterval> | null} */
  #watchTimer = null;
  /** @type {Signaling} */
  #signaling;
  epoch = 0;

  /**
   * @param {object} of
   * @param {import("./invitation.js").Invitation} of.invitation
   * @param {import("./device.js").SessionRecord} of.record
   * @param {import("./device.js").SessionStore} of.store
   * @param {string} of.origin the signaling origin
   * @param {HandoffEvents} on
   */
  constructor({ invitation, record, store, origin }, on) {
    this.invitation = invitation;
    this.record = record;
    this.store = store;
    this.origin = origin;
    this.on = on;
    this.#signaling = new Signaling(socketUrl(origin, invitation.id), {
      authenticate: (challenge) =>
        openingMessage(record, store, invitation.id, challenge, {
          probing: this.#probing,
          takeover: this.#takeover,
        }),
      message: (m) => this.#onMessage(m),
      closed: (code, awayFor) => this.#onClosed(code, awayFor),
      fatal: (code) => (code === "ended" ? this.#onServerEnded() : this.#fatal(code)),
      up: (up) => up && this.#trouble && this.#askRestart(),
    });
  }

  /**
   * @param {object} [how]
   * @param {DeclineReason} [how.declining] claim only to say no
   * @param {boolean} [how.takeover] ask the device that has the session for it
   */
  async start({ declining, takeover = false } = {}) {
    this.#declining = declining ?? null;
    const { psk, device } = this.record;
    this.#takeover = takeover ? new TakeoverRequest(psk, this.invitation.id, device) : null;
    this.on.step("server");
    this.#certificate = await newCertificate();
    this.#signaling.connect();
    this.#watchTimer = setInterval(() => this.#check(), CHECK_INTERVAL_MS);
    document.addEventListener("visibilitychange", this.#wake);
    addEventListener("online", this.#wake);
  }

  get verified() {
    return this.#peer?.verified ?? false;
  }

  /**
   * What the user did. Before the fingerprints are confirmed nothing that acts on the page is
   * taken. During an outage of a confirmed connection text is kept and sent, in order; a click
   * on a frozen picture is not.
   * @param {InputEvent} event
   * @param {boolean} block whether it goes as one block, whose size does not tell its length
   * @returns {"ok" | "too_long" | "full" | "locked"}
   */
  send(event, block = false) {
    if (this.#stopped) return "locked";
    if (actsOnPage(event) && !this.verified) return "locked";
    if (this.#trouble) {
      if (!isTyped(event) && actsOnPage(event)) return "locked";
      if (++this.#eventsWhileAway > MAX_EVENTS_WHILE_AWAY) return "full";
    }
    const result = this.#queue.push(event, this.epoch, block);
    this.#peer?.channel?.pump();
    return result;
  }

  /** @param {boolean} on a secret field has focus */
  setTick(on) {
    this.#tick = on;
    this.#peer?.channel?.setTick(on);
  }

  /** By the sealed records, so without a peer connection, too. @param {DeclineReason} reason */
  async decline(reason) {
    if (this.verified && !this.#trouble) this.send({ t: "decline", reason });
    else {
      this.#declining = reason;
      await this.#peer?.decline(reason);
    }
  }

  /** What was typed before goes first. @param {Bytes} device that gets the session */
  handOver(device) {
    return this.send({ t: "hand_over", device: toBase64Url(device) });
  }

  /** @param {object} message to the server, about another device that asks for the session */
  answerTakeover(message) {
    return this.#signaling.send(message);
  }

  /** The first picture is on the screen. */
  firstFrame() {
    this.#signaling.reportFirstFrame();
  }

  /** Leaves without ending anything. */
  stop() {
    this.#stopped = true;
    if (this.#watchTimer !== null) clearInterval(this.#watchTimer);
    document.removeEventListener("visibilitychange", this.#wake);
    removeEventListener("online", this.#wake);
    this.#signaling.stop();
    this.#peer?.close();
  }

  /** @param {any} m */
  async #onMessage(m) {
    switch (m.type) {
      case "welcome":
        this.#hostPresent = m.peer === true;
        this.on.peer(this.#hostPresent);
        await markClaimed(this.record, this.store);
        if (!this.#peer) this.on.step("host");
        return;
      case "ice":
        return this.#onIce(parseIce(m));
      case "peer":
        this.#hostPresent = m.present === true;
        return this.on.peer(this.#hostPresent);
      case "second_claim":
        return this.on.secondClaim();
      case "takeover":
      case "takeover_opened":
        return this.on.takeover(m);
      case "waiting":
        return this.on.waiting(null);
      case "takeover_nonce": {
        const code = await this.#takeover?.code(fromBase64Url(m.nonce));
        if (!this.#takeover || !code) return;
        this.#signaling.answer(this.#takeover.open());
        return this.on.waiting(code);
      }
      case "sealed": {
        const blob = fromBase64Url(m.data);
        if (blob) await this.#peer?.receiveSealed(blob);
        return;
      }
      case "ended":
        return this.#onServerEnded();
      default: // errors are told by the close code that follows
    }
  }

  /** @param {import("./sdp.js").Ice} ice */
  async #onIce(ice) {
    const old = this.#ice;
    this.#ice = ice;
    this.#restarts.noteAnswered();
    if (!this.#peer) return this.#newPeer();
    if (old !== null && sameLeg(old, ice)) {
      // The socket was renewed, the leg is the one in use.
      if (this.#trouble) this.#askRestart();
      return;
    }
    await this.#peer.restart(ice);
  }

  async #newPeer() {
    if (!this.#certificate || !this.#ice || this.#stopped) return;
    this.#peer?.close();
    this.#broken = false;
    this.on.verified(false);
    this.#lastHelloAt = performance.now();
    this.#hellos += 1;
    const peer = new Peer(
      identityOf(this.invitation, this.record, this.#stream, this.#certificate),
      this.#queue,
      this.#ice,
      whileCurrent(() => this.#peer === peer, {
        signal: (m) => this.#signaling.send(m),
        step: (s) => this.on.step(s),
        verified: () => this.#onVerified(),
        video: (s) => this.on.video(s),
        output: (o) => this.#onOutput(o),
        ice: (s) => this.#onIceState(s),
        fatal: (code, message) => this.#fatal(code, message),
        outcome: (outcome, message) => this.#onOutcome(outcomeOf(outcome), message),
        broken: () => {
          this.#broken = true;
          this.#setTrouble(true);
        },
      }),
    );
    this.#peer = peer;
    await peer.sendHello();
    if (this.#declining) await peer.decline(this.#declining);
  }

  #onVerified() {
    this.#hellos = 0;
    this.#setTrouble(false);
    this.#peer?.channel?.setTick(this.#tick);
    this.on.applied(this.#queue.applied);
    this.on.verified(true);
    if (this.#declining) this.send({ t: "decline", reason: this.#declining });
  }

  /** @param {Output} output */
  #onOutput(output) {
    if (this.#peer?.iceState !== "failed") this.#setTrouble(false);
    if (output.t === "ack") return this.on.applied(this.#queue.applied);
    if (output.t === "page") this.epoch = output.epoch;
    if (output.t === "outcome") return this.#end(outcomeOf(output.outcome), output.message);
    this.on.output(output);
  }

  /** @param {RTCIceConnectionState} state */
  #onIceState(state) {
    if (state === "disconnected" || state === "failed") this.#setTrouble(true);
    if (state === "connected" || state === "completed") this.#ping();
  }

  /** @param {boolean} trouble */
  #setTrouble(trouble) {
    if (this.#stopped || trouble === this.#trouble) return;
    this.#trouble = trouble;
    this.#restarts.reset();
    this.#eventsWhileAway = 0;
    if (trouble) {
      this.#troubleSince = performance.now();
      this.#askRestart();
    } else if (this.verified) {
      this.send({ t: "refresh" });
    }
    this.on.trouble(trouble);
  }

  #askRestart() {
    const now = performance.now();
    if (!this.#restarts.due(now) || this.#broken || !this.#peer?.negotiated) return;
    if (this.#restarts.unanswered) {
      this.#restarts.noteAnswered();
      this.#signaling.renew();
      return;
    }
    if (this.#signaling.send({ type: "restart" })) this.#restarts.noteAsked(now);
  }

  /** Once a second: is the host still there, and if not, what next? */
  #check() {
    const now = performance.now();
    const peer = this.#peer;
    if (this.#stopped || !peer) return;
    if (peer.verified) {
      if (!this.#trouble && now - this.#lastPingAt > PING_INTERVAL_MS && isVisible()) this.#ping();
      if ((peer.channel?.silentFor(now) ?? 0) > SILENCE_TIMEOUT_MS) this.#setTrouble(true);
    }
    if (this.#broken) {
      if (this.#signaling.up && now - this.#lastHelloAt > rebuildDelay(this.#hellos))
        void this.#newPeer();
      return;
    }
    if (this.#trouble) {
      this.#askRestart();
      if (now - this.#troubleSince > OUTAGE_TIMEOUT_MS) this.#retryPeer(now);
      return;
    }
    // Never verified so far: a lost blob, a host that came late, a path that does not open.
    if (!peer.verified && now - this.#lastHelloAt > pathTimeout(peer.negotiated))
      this.#retryPeer(now);
  }

  /** @param {number} now */
  #retryPeer(now) {
    const wait = helloDelay(this.#peer?.negotiated ?? false, this.#hellos);
    if (!this.#signaling.up || !this.#hostPresent || now - this.#lastHelloAt < wait) return;
    this.#troubleSince = now;
    void this.#newPeer();
  }

  #ping() {
    if (!this.#peer?.verified) return;
    this.#lastPingAt = performance.now();
    this.#queue.pushControl({ t: "ping", n: ++this.#lastPing });
    this.#peer.channel?.pump();
  }

  /** Back from another app, or from no network: find out at once instead of by time-out. */
  #wake = () => {
    if (isVisible() && this.#peer?.verified) this.#ping();
    if (this.#trouble) this.#askRestart();
  };

  /** @param {number} code @param {number} awayFor */
  #onClosed(code, awayFor) {
    const { attempted, claimed } = this.record;
    const [takeover, probing] = [this.#takeover !== null, this.#probing];
    const action = closeAction(code, { attempted, claimed, takeover, probing, awayFor });
    if (action.retry && code === 4409) this.#probing = true;
    return action;
  }

  /** The server says that it is over. How it ended is the host's to say, or this device's clock. */
  #onServerEnded() {
    if (hasExpired(this.invitation)) this.#onOutcome("expired", "");
    else if (!this.#hasOutcome) this.#unlessTold(OUTCOME_TIMEOUT_MS, () => this.#fatal("ended"));
  }

  /**
   * Not by the data channel, where what comes before an outcome decides what is true of it.
   * @param {Outcome} outcome @param {string} message
   */
  #onOutcome(outcome, message) {
    this.#hasOutcome = true;
    this.#unlessTold(LAST_WORDS_TIMEOUT_MS, () => this.#end(outcome, message));
  }

  /** @param {number} ms in which the data channel, if there is one, may say more @param {() => void} end */
  #unlessTold(ms, end) {
    if (this.verified && !this.#trouble) setTimeout(end, ms);
    else end();
  }

  /** @param {string} code @param {string} [message] */
  #fatal(code, message) {
    if (this.#stopped) return;
    this.stop();
    this.on.verified(false);
    if (FINAL_CODES.has(code)) void this.store.delete(this.record);
    this.on.fatal(code, message);
  }

  /** @param {Outcome} outcome @param {string} message */
  #end(outcome, message) {
    if (this.#stopped) return;
    this.stop();
    void this.store.delete(this.record);
    this.on.ended(outcome, message);
  }
}
