// One handoff from the claim to its end: signaling, the peer connection, and what to do when
// either is lost. Knows nothing of the DOM beyond "visible" and "online".

import { b64u, random, unb64u } from "./bytes.js";
import { accepted, firstFrame } from "./claim.js";
import { actsOnPage, isTyped, OUTCOMES, outcomeOf } from "./events.js";
import { InputQueue } from "./frames.js";
import { newCertificate, Peer } from "./peer.js";
import { helloDelay, pathTimeout, RestartSchedule, rebuildDelay } from "./recovery.js";
import { parseIce, sameLeg } from "./sdp.js";
import { FINAL_CODES, fetchSession, Signaling, socketUrl, verdict } from "./signaling.js";

/** @typedef {import("./bytes.js").Bytes} Bytes */
/** @typedef {import("./events.js").InputEvent} InputEvent */
/** @typedef {import("./events.js").Outcome} Outcome */
/** @typedef {import("./events.js").Output} Output */
/** @typedef {import("./events.js").HandoffEvents} HandoffEvents */

const CHECK_INTERVAL_MS = 1000;
const PING_INTERVAL_MS = 5000;
const SILENCE_TIMEOUT_MS = 4000;
const OUTAGE_TIMEOUT_MS = 20_000;
const MAX_EVENTS_WHILE_AWAY = 256;

export class Handoff {
  /** @type {Peer | null} */
  #peer = null;
  /** @type {import("./sdp.js").Ice | null} */
  #ice = null;
  #queue = new InputQueue();
  #stream = random(16);
  /** @type {{certificate: RTCCertificate, fingerprint: string} | null} */
  #own = null;
  #probing = false;
  #hostPresent = false;
  #trouble = false;
  #troubleSince = 0;
  #restarts = new RestartSchedule();
  #helloAt = 0;
  #pingAt = 0;
  #pings = 0;
  #away = 0;
  #hellos = 0;
  #tick = false;
  /** The peer connection is beyond mending by an ICE restart. */
  #dead = false;
  #over = false;
  /** @type {import("./events.js").DeclineReason | null} */
  #declining = null;
  #takeover = false;
  /** @type {ReturnType<typeof setInterval> | null} */
  #watch = null;
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
        firstFrame(record, store, invitation.id, challenge, {
          probing: this.#probing,
          takeover: this.#takeover,
        }),
      message: (m) => this.#message(m),
      closed: (code, awayFor) => this.#closed(code, awayFor),
      fatal: (code) => void this.#fatalClose(code),
      up: (up) => up && this.#trouble && this.#askRestart(),
    });
  }

  /**
   * @param {object} [how]
   * @param {import("./events.js").DeclineReason} [how.declining] claim only to say no
   * @param {boolean} [how.takeover] ask the device that has the session for it
   */
  async start({ declining, takeover = false } = {}) {
    this.#declining = declining ?? null;
    this.#takeover = takeover;
    this.on.step("server");
    this.#own = await newCertificate();
    this.#signaling.connect();
    this.#watch = setInterval(() => this.#check(), CHECK_INTERVAL_MS);
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
    if (this.#over) return "locked";
    if (actsOnPage(event) && !this.verified) return "locked";
    if (this.#trouble) {
      if (!isTyped(event) && actsOnPage(event)) return "locked";
      if (++this.#away > MAX_EVENTS_WHILE_AWAY) return "full";
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

  /**
   * Refusal by the sealed records, which works without a peer connection.
   * @param {import("./events.js").DeclineReason} reason
   */
  async decline(reason) {
    if (this.verified && !this.#trouble) this.send({ t: "decline", reason });
    else {
      this.#declining = reason;
      await this.#peer?.decline(reason);
    }
  }

  /** What was typed before goes first. @param {Bytes} device that gets the session */
  handOver(device) {
    return this.send({ t: "hand_over", device: b64u(device) });
  }

  /** @param {Bytes} device that asked for the session, and does not get it */
  keep(device) {
    return this.#signaling.send({ type: "takeover_refuse", device: b64u(device) });
  }

  /** The first picture is on the screen. */
  firstFrame() {
    this.#signaling.firstFrame();
  }

  /** Leaves without ending anything. */
  stop() {
    this.#over = true;
    if (this.#watch !== null) clearInterval(this.#watch);
    document.removeEventListener("visibilitychange", this.#wake);
    removeEventListener("online", this.#wake);
    this.#signaling.stop();
    this.#peer?.close();
  }

  /** @param {any} m */
  async #message(m) {
    switch (m.type) {
      case "welcome":
        this.#hostPresent = m.peer === true;
        this.on.peer(this.#hostPresent);
        await accepted(this.record, this.store);
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
        return this.on.takeover(typeof m.device === "string" ? unb64u(m.device) : null);
      case "waiting":
        return this.on.waiting();
      case "sealed": {
        const blob = unb64u(m.data);
        if (blob) await this.#peer?.sealed(blob);
        return;
      }
      case "ended":
        return this.#end(outcomeOf(m.outcome), "");
      default: // errors are told by the close code that follows
    }
  }

  /** @param {import("./sdp.js").Ice} ice */
  async #onIce(ice) {
    const old = this.#ice;
    this.#ice = ice;
    this.#restarts.answered();
    if (!this.#peer) return this.#newPeer();
    if (old !== null && sameLeg(old, ice)) {
      // The socket was renewed, the leg is the one in use.
      if (this.#trouble) this.#askRestart();
      return;
    }
    await this.#peer.restart(ice);
  }

  async #newPeer() {
    if (!this.#own || !this.#ice || this.#over) return;
    this.#peer?.close();
    this.#dead = false;
    this.on.verified(false);
    this.#helloAt = performance.now();
    this.#hellos += 1;
    const { record, invitation } = this;
    const peer = new Peer(
      {
        id: invitation.id,
        psk: record.psk,
        invitationHash: record.invitationHash,
        invitation,
        deviceKeys: record.keys,
        device: record.device,
        stream: this.#stream,
        ...this.#own,
      },
      this.#queue,
      this.#ice,
      {
        signal: (m) => this.#signaling.send(m),
        step: (s) => this.#peer === peer && this.on.step(s),
        verified: () => this.#onVerified(),
        video: (s) => this.on.video(s),
        output: (o) => this.#onOutput(o),
        ice: (s) => this.#onIceState(s),
        fatal: (code, message) => this.#fatal(code, message),
        broken: () => this.#onBroken(peer),
      },
    );
    this.#peer = peer;
    await peer.hello();
    if (this.#declining) await peer.decline(this.#declining);
  }

  /** @param {Peer} peer */
  #onBroken(peer) {
    if (peer !== this.#peer) return;
    this.#dead = true;
    this.#setTrouble(true);
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
    if (this.#over || trouble === this.#trouble) return;
    this.#trouble = trouble;
    this.#restarts.reset();
    this.#away = 0;
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
    if (!this.#restarts.due(now) || this.#dead || !this.#peer?.negotiated) return;
    if (this.#restarts.unanswered) {
      this.#restarts.answered();
      this.#signaling.renew();
      return;
    }
    if (this.#signaling.send({ type: "restart" })) this.#restarts.asked(now);
  }

  /** Once a second: is the host still there, and if not, what next? */
  #check() {
    const now = performance.now();
    const peer = this.#peer;
    if (this.#over || !peer) return;
    if (peer.verified) {
      if (
        !this.#trouble &&
        now - this.#pingAt > PING_INTERVAL_MS &&
        document.visibilityState === "visible"
      )
        this.#ping();
      if ((peer.channel?.silence(now) ?? 0) > SILENCE_TIMEOUT_MS) this.#setTrouble(true);
    }
    if (this.#dead) {
      if (this.#signaling.up && now - this.#helloAt > rebuildDelay(this.#hellos))
        void this.#newPeer();
      return;
    }
    if (this.#trouble) {
      this.#askRestart();
      if (now - this.#troubleSince > OUTAGE_TIMEOUT_MS) this.#retryPeer(now);
      return;
    }
    // Never verified so far: a lost blob, a host that came late, a path that does not open.
    if (!peer.verified && now - this.#helloAt > pathTimeout(peer.negotiated)) this.#retryPeer(now);
  }

  /** @param {number} now */
  #retryPeer(now) {
    const wait = helloDelay(this.#peer?.negotiated ?? false, this.#hellos);
    if (!this.#signaling.up || !this.#hostPresent || now - this.#helloAt < wait) return;
    this.#troubleSince = now;
    void this.#newPeer();
  }

  #ping() {
    if (!this.#peer?.verified) return;
    this.#pingAt = performance.now();
    this.#queue.pushControl({ t: "ping", n: ++this.#pings });
    this.#peer.channel?.pump();
  }

  /** Back from another app, or from no network: find out at once instead of by time-out. */
  #wake = () => {
    if (document.visibilityState === "visible" && this.#peer?.verified) this.#ping();
    if (this.#trouble) this.#askRestart();
  };

  /**
   * @param {number} code
   * @param {number} awayFor
   */
  #closed(code, awayFor) {
    const { attempted, claimed } = this.record;
    const takeover = this.#takeover;
    const found = verdict(code, { attempted, claimed, takeover, probing: this.#probing, awayFor });
    if (found.retry && code === 4409) this.#probing = true;
    return found;
  }

  /** @param {string} code */
  async #fatalClose(code) {
    if (code === "ended") {
      const session = await fetchSession(this.origin, this.invitation.id).catch(() => null);
      const outcome = OUTCOMES.find((o) => o === session?.outcome);
      if (outcome) return this.#end(outcome, "");
    }
    this.#fatal(code);
  }

  /**
   * @param {string} code
   * @param {string} [message]
   */
  #fatal(code, message) {
    if (this.#over) return;
    this.stop();
    this.on.verified(false);
    if (FINAL_CODES.has(code)) void this.store.delete(this.record.id);
    this.on.fatal(code, message);
  }

  /**
   * @param {Outcome} outcome
   * @param {string} message
   */
  #end(outcome, message) {
    if (this.#over) return;
    this.stop();
    void this.store.delete(this.record.id);
    this.on.ended(outcome, message);
  }
}
