// When to try what against a lost path: ICE restarts first, then a new peer connection. Pure.

const RESTART_DELAYS_MS = [1000, 3000, 5000, 8000];
const OFFER_TIMEOUT_MS = 12_000;
const CONNECT_TIMEOUT_MS = 25_000;
const MAX_HELLO_DELAY_MS = 60_000;
const MAX_REBUILD_DELAY_MS = 30_000;

/** The ICE restarts of one outage. */
export class RestartSchedule {
  #asked = 0;
  #answered = 0;
  #nextAt = 0;

  /** An outage begins, or ends. */
  reset() {
    this.#asked = this.#answered = this.#nextAt = 0;
  }

  /** @param {number} now */
  due(now) {
    return now >= this.#nextAt;
  }

  /** @param {number} now */
  noteAsked(now) {
    this.#nextAt =
      now + (RESTART_DELAYS_MS[Math.min(this.#asked++, RESTART_DELAYS_MS.length - 1)] ?? 8000);
  }

  noteAnswered() {
    this.#answered = this.#asked;
  }

  /** A socket that slept through a network change says nothing at all. */
  get unanswered() {
    return this.#asked > this.#answered + 1;
  }
}

/**
 * How long a new peer connection may take: for the host's offer, then for a path that opens.
 * @param {boolean} negotiated
 */
export const pathTimeout = (negotiated) => (negotiated ? CONNECT_TIMEOUT_MS : OFFER_TIMEOUT_MS);

/**
 * How long after the last hello a connection without a path is given up for a new one.
 * @param {boolean} negotiated
 * @param {number} hellos since a connection was verified
 */
export const helloDelay = (negotiated, hellos) =>
  Math.min(MAX_HELLO_DELAY_MS, pathTimeout(negotiated) * 2 ** Math.max(0, hellos - 1));

/**
 * How long after the last hello a connection that broke is built again.
 * @param {number} hellos since a connection was verified
 */
export const rebuildDelay = (hellos) => Math.min(MAX_REBUILD_DELAY_MS, 1000 * 2 ** hellos);
