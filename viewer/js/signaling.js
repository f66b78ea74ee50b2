// The signaling WebSocket: challenge, claim or resume, reconnection (PROTOCOL section 5).

import { fromBase64Url, toBase64Url } from "./bytes.js";

/** @typedef {import("./bytes.js").Bytes} Bytes */
/**
 * What a closed socket means.
 * @typedef {{retry: true, after: number} | {retry: false, code: string}} CloseAction
 */

const MAX_BACKOFF_MS = 10_000;
const FIRST_BACKOFF_MS = 400;
// A restarted server learns of a session again from its host; give the host time to come.
const REREGISTRATION_TIMEOUT_MS = 90_000;
const ANSWER_TIMEOUT_MS = 12_000;

/** What ends a session for this device: nothing of it is worth keeping. */
export const FINAL_CODES = new Set([
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
 * @returns {CloseAction}
 */
export function closeAction(code, { attempted, claimed, takeover, probing, awayFor }) {
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

export const isVisible = () => document.visibilityState === "visible";

export class Signaling {
  /** @type {WebSocket | null} */
  #ws = null;
  /** @type {ReturnType<typeof setTimeout> | null} */
  #timer = null;
  /** Ends a socket that the server does not answer. @type {ReturnType<typeof setTimeout> | null} */
  #answerTimer = null;
  #attempt = 0;
  #welcomed = false;
  #stopped = false;
  /** The first picture is on the screen. */
  #firstFrameShown = false;
  /** The server counts how soon that came, and has not been told. */
  #reportWanted = false;
  #lastWelcome = performance.now();
  /** @type {Promise<void>} messages are handled in order */
  #handling = Promise.resolve();
  /** @type {() => void} */
  #reconnectIfVisible;

  /**
   * @param {string} url
   * @param {object} on
   * @param {(challenge: Bytes) => Promise<object>} on.authenticate the first frame
   * @param {(message: any) => void | Promise<void>} on.message
   * @param {(code: number, awayFor: number) => CloseAction} on.closed
   * @param {(code: string) => void} on.fatal
   * @param {(up: boolean) => void} on.up
   */
  constructor(url, on) {
    this.url = url;
    this.on = on;
    this.#reconnectIfVisible = () => {
      if (isVisible()) this.reconnectNow();
    };
    addEventListener("online", this.#reconnectIfVisible);
    document.addEventListener("visibilitychange", this.#reconnectIfVisible);
  }

  get up() {
    return this.#welcomed;
  }

  connect() {
    if (this.#stopped || this.#ws) return;
    this.#clearTimer();
    const ws = new WebSocket(this.url);
    this.#ws = ws;
    this.#clearAnswerTimer();
    this.#answerTimer = setTimeout(() => ws.close(), ANSWER_TIMEOUT_MS);
    ws.onmessage = (e) => {
      this.#handling = this.#handling
        .then(() => this.#onMessage(ws, e.data))
        .catch(() => ws.close());
    };
    ws.onclose = (e) => {
      if (ws === this.#ws) this.#clearAnswerTimer();
      // What the server said before it closed is heard first.
      void this.#handling.then(() => this.#onClosed(ws, e.code));
    };
  }

  /** @param {object} message */
  send(message) {
    if (!this.#welcomed || this.#ws?.readyState !== WebSocket.OPEN) return false;
    this.#ws.send(JSON.stringify(message));
    return true;
  }

  /** What a device that waits to be welcome may say. @param {object} message */
  answer(message) {
    if (this.#ws?.readyState === WebSocket.OPEN) this.#ws.send(JSON.stringify(message));
  }

  /**
   * A server that counts how soon the first picture came hears of it once; older ones would cut the
   * socket.
   */
  reportFirstFrame() {
    this.#firstFrameShown = true;
    this.#report();
  }

  #report() {
    if (this.#firstFrameShown && this.#reportWanted && this.send({ type: "first_frame" }))
      this.#reportWanted = false;
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
    this.#welcomed = false;
    ws.onmessage = ws.onclose = null;
    ws.close();
    this.on.up(false);
    this.connect();
  }

  stop() {
    this.#stopped = true;
    this.#clearTimer();
    removeEventListener("online", this.#reconnectIfVisible);
    document.removeEventListener("visibilitychange", this.#reconnectIfVisible);
    this.#ws?.close();
  }

  #clearAnswerTimer() {
    if (this.#answerTimer !== null) clearTimeout(this.#answerTimer);
    this.#answerTimer = null;
  }

  #clearTimer() {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  /**
   * @param {WebSocket} ws
   * @param {unknown} data
   */
  async #onMessage(ws, data) {
    if (ws !== this.#ws || this.#stopped || typeof data !== "string") return;
    const message = JSON.parse(data);
    if (message.type === "challenge") {
      const nonce = fromBase64Url(message.nonce);
      if (nonce?.length !== 32) throw new Error("the challenge is malformed");
      ws.send(JSON.stringify(await this.on.authenticate(nonce)));
      return;
    }
    // Another device's user takes their time; the socket must stay, or the question is taken back.
    if (message.type === "welcome" || message.type === "waiting") this.#clearAnswerTimer();
    if (message.type === "welcome") {
      this.#welcomed = true;
      this.#attempt = 0;
      this.#lastWelcome = performance.now();
      this.#reportWanted = message.first_frame === true;
      this.#report();
      this.on.up(true);
    }
    await this.on.message(message);
  }

  /**
   * @param {WebSocket} ws
   * @param {number} code
   */
  #onClosed(ws, code) {
    if (ws !== this.#ws) return;
    this.#ws = null;
    if (this.#welcomed) {
      this.#welcomed = false;
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
  `${origin.replace(/^http/, "ws")}/v1/sessions/${toBase64Url(id)}/viewer`;

/**
 * The session as the server tells it: null when it knows of none; throws when it cannot be reached.
 * @param {string} origin
 * @param {Bytes} id
 * @returns {Promise<{state: string, outcome: string | null, invitation: Bytes, expires: number} |
 *   null>}
 */
export async function fetchSession(origin, id) {
  const response = await fetch(`${origin}/v1/sessions/${toBase64Url(id)}`, {
    cache: "no-store",
    credentials: "omit",
  });
  if (response.status === 404) return null;
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  const body = await response.json();
  const invitation = fromBase64Url(body.invitation);
  if (!invitation) throw new Error("the server's answer is malformed");
  return {
    state: String(body.state),
    outcome: body.outcome ?? null,
    invitation,
    expires: Number(body.expires_at),
  };
}
