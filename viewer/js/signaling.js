// The signaling WebSocket: challenge, claim or resume, reconnection (PROTOCOL section 5).

import { b64u, unb64u } from "./bytes.js";

/** @typedef {import("./bytes.js").Bytes} Bytes */
/**
 * What a closed socket means.
 * @typedef {{retry: true, after: number} | {retry: false, code: string}} Verdict
 */

const MAX_BACKOFF_MS = 10_000;
const FIRST_BACKOFF_MS = 400;
// A restarted server learns of a session again from its host; give the host time to come.
const REREGISTRATION_TIMEOUT_MS = 90_000;
const WELCOME_TIMEOUT_MS = 12_000;

/** What ends a session for this device: nothing of it is worth keeping. */
export const FINAL_CODES = new Set([
  "ended",
  "not_found",
  "already_claimed",
  "takeover_refused",
  "handed_over",
  "unauthorized",
]);

/**
 * Pure: what to do after a close.
 * @param {number} code
 * @param {object} of
 * @param {boolean} [of.attempted] a claim was sent; its answer may have been lost
 * @param {boolean} of.claimed the claim was accepted once
 * @param {boolean} [of.takeover] the session was asked of the device that has it
 * @param {boolean} of.probing a resume tried because an earlier claim's answer may have been lost
 * @param {number} of.awayFor ms since the last welcome, or since the start
 * @returns {Verdict}
 */
export function verdict(code, { attempted, claimed, takeover, probing, awayFor }) {
  const patient = claimed && awayFor < REREGISTRATION_TIMEOUT_MS;
  switch (code) {
    case 4400:
    case 4413:
      return { retry: false, code: "protocol" };
    case 4401:
      if (probing) return { retry: false, code: "already_claimed" };
      return patient ? { retry: true, after: 1000 } : { retry: false, code: "unauthorized" };
    case 4404:
      return patient ? { retry: true, after: 1000 } : { retry: false, code: "not_found" };
    case 4409:
      if (takeover) return { retry: false, code: "takeover_refused" };
      // It may have been our own claim that won, with its answer lost on the way.
      if (attempted && !claimed && !probing) return { retry: true, after: 0 };
      return { retry: false, code: "already_claimed" };
    case 4410:
      return { retry: false, code: "ended" };
    case 4429:
      return { retry: true, after: 5000 };
    case 4498:
      return { retry: false, code: "handed_over" };
    case 4499:
      return { retry: false, code: "replaced" };
    default:
      return { retry: true, after: 0 };
  }
}

/**
 * Exponential back-off with jitter. Pure.
 * @param {number} attempt from 0
 * @param {number} random 0..1
 */
export function backoff(attempt, random) {
  const top = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(attempt, 10));
  return top / 2 + (top / 2) * random;
}

export class Signaling {
  /** @type {WebSocket | null} */
  #ws = null;
  /** @type {ReturnType<typeof setTimeout> | null} */
  #timer = null;
  #attempt = 0;
  #welcome = false;
  #stopped = false;
  /** The first picture is on the screen. */
  #shown = false;
  /** The server counts how soon that came, and has not been told. */
  #counts = false;
  #lastWelcome = performance.now();
  /** @type {Promise<void>} messages are handled in order */
  #handling = Promise.resolve();
  /** @type {() => void} */
  #hurry;

  /**
   * @param {string} url
   * @param {object} on
   * @param {(challenge: Bytes) => Promise<object>} on.authenticate the first frame
   * @param {(message: any) => void | Promise<void>} on.message
   * @param {(code: number, awayFor: number) => Verdict} on.closed
   * @param {(code: string) => void} on.fatal
   * @param {(up: boolean) => void} on.up
   */
  constructor(url, on) {
    this.url = url;
    this.on = on;
    this.#hurry = () => {
      if (document.visibilityState === "visible") this.reconnectNow();
    };
    addEventListener("online", this.#hurry);
    document.addEventListener("visibilitychange", this.#hurry);
  }

  get up() {
    return this.#welcome;
  }

  connect() {
    if (this.#stopped || this.#ws) return;
    this.#clear();
    const ws = new WebSocket(this.url);
    this.#ws = ws;
    const slow = setTimeout(() => ws.close(), WELCOME_TIMEOUT_MS);
    ws.onmessage = (e) => {
      this.#handling = this.#handling.then(() => this.#message(ws, e.data)).catch(() => ws.close());
      void this.#handling.then(() => this.#welcome && clearTimeout(slow));
    };
    ws.onclose = (e) => {
      clearTimeout(slow);
      // What the server said before it closed is heard first.
      void this.#handling.then(() => this.#closed(ws, e.code));
    };
  }

  /** @param {object} message */
  send(message) {
    if (!this.#welcome || this.#ws?.readyState !== WebSocket.OPEN) return false;
    this.#ws.send(JSON.stringify(message));
    return true;
  }

  /**
   * A server that counts how soon the first picture came hears of it once; older ones would cut the
   * socket.
   */
  firstFrame() {
    this.#shown = true;
    this.#report();
  }

  #report() {
    if (this.#shown && this.#counts && this.send({ type: "first_frame" })) this.#counts = false;
  }

  /** Does not wait for the back-off: the network or the user came back. */
  reconnectNow() {
    if (this.#stopped || this.#ws) return;
    this.#attempt = 0;
    this.connect();
  }

  /** Closes a socket that may be dead without saying so, and opens another. */
  renew() {
    const ws = this.#ws;
    if (!ws || this.#stopped) return;
    this.#ws = null;
    this.#welcome = false;
    ws.onmessage = ws.onclose = null;
    ws.close();
    this.on.up(false);
    this.connect();
  }

  stop() {
    this.#stopped = true;
    this.#clear();
    removeEventListener("online", this.#hurry);
    document.removeEventListener("visibilitychange", this.#hurry);
    this.#ws?.close();
  }

  #clear() {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  /**
   * @param {WebSocket} ws
   * @param {unknown} data
   */
  async #message(ws, data) {
    if (ws !== this.#ws || this.#stopped || typeof data !== "string") return;
    const message = JSON.parse(data);
    if (message.type === "challenge") {
      const nonce = unb64u(message.nonce);
      if (nonce?.length !== 32) throw new Error("the challenge is malformed");
      ws.send(JSON.stringify(await this.on.authenticate(nonce)));
      return;
    }
    if (message.type === "welcome") {
      this.#welcome = true;
      this.#attempt = 0;
      this.#lastWelcome = performance.now();
      this.#counts = message.first_frame === true;
      this.#report();
      this.on.up(true);
    }
    await this.on.message(message);
  }

  /**
   * @param {WebSocket} ws
   * @param {number} code
   */
  #closed(ws, code) {
    if (ws !== this.#ws) return;
    this.#ws = null;
    if (this.#welcome) {
      this.#welcome = false;
      this.#lastWelcome = performance.now();
      this.on.up(false);
    }
    if (this.#stopped) return;
    const v = this.on.closed(code, performance.now() - this.#lastWelcome);
    if (!v.retry) {
      this.stop();
      this.on.fatal(v.code);
      return;
    }
    const delay = Math.max(v.after, backoff(this.#attempt++, Math.random()));
    this.#timer = setTimeout(() => this.connect(), delay);
  }
}

/**
 * @param {string} origin the signaling origin
 * @param {Bytes} id
 */
export const socketUrl = (origin, id) =>
  `${origin.replace(/^http/, "ws")}/v1/sessions/${b64u(id)}/viewer`;

/**
 * The session as the server tells it: null when it knows of none; throws when it cannot be reached.
 * @param {string} origin
 * @param {Bytes} id
 * @returns {Promise<{state: string, outcome: string | null, invitation: Bytes, expires: number} |
 *   null>}
 */
export async function fetchSession(origin, id) {
  const response = await fetch(`${origin}/v1/sessions/${b64u(id)}`, {
    cache: "no-store",
    credentials: "omit",
  });
  if (response.status === 404) return null;
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  const body = await response.json();
  const invitation = unb64u(body.invitation);
  if (!invitation) throw new Error("the server's answer is malformed");
  return {
    state: String(body.state),
    outcome: body.outcome ?? null,
    invitation,
    expires: Number(body.expires_at),
  };
}
