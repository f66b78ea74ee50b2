// The data channel: seals what the queue holds, opens what the host says, keeps the tick.

import { fillerFrame } from "./frames.js";
import { openOutput, sealFrame } from "./seal.js";

/** @typedef {import("./bytes.js").Bytes} Bytes */
/** @typedef {import("./events.js").Output} Output */

// Above this, pointer moves wait (and merge) in the queue instead of in the transport.
const MAX_BUFFERED_BYTES = 8 * 1024;
const TICK_INTERVAL_MS = 25;

export class Channel {
  #sendCounter = 0;
  #receiveCounter = 0;
  /** Frames being sealed; they count as buffered. */
  #sealing = 0;
  /** @type {Promise<void>} keeps the order, as WebCrypto may finish out of it */
  #sending = Promise.resolve();
  /** @type {Promise<void>} */
  #receiving = Promise.resolve();
  /** @type {ReturnType<typeof setInterval> | null} */
  #tick = null;
  #open = false;
  /** Sequenced frames may go: the host has said what it has applied. */
  #released = false;
  /** When something was sent that the host has to answer, and it has not yet. */
  #askedAt = 0;

  /**
   * @param {RTCDataChannel} dc
   * @param {import("./frames.js").InputQueue} queue
   * @param {import("./seal.js").SessionKeys} keys
   * @param {{onOutput(output: Output): void | Promise<void>, onBroken(error: unknown): void}} on
   */
  constructor(dc, queue, keys, on) {
    this.dc = dc;
    this.queue = queue;
    this.keys = keys;
    this.on = on;
    dc.binaryType = "arraybuffer";
    dc.bufferedAmountLowThreshold = MAX_BUFFERED_BYTES / 2;
    dc.onbufferedamountlow = () => this.pump();
    dc.onmessage = (e) => this.#receive(e.data);
  }

  /** The channel is open and the certificate behind it is the invited one. */
  start() {
    this.#open = true;
    this.pump();
  }

  /**
   * The host's confirm was right: everything it has not applied goes, again or at last.
   * @param {number} applied
   */
  release(applied) {
    this.queue.rewind(applied);
    this.#released = true;
    this.pump();
  }

  /**
   * While a secret field has focus, exactly one frame leaves every 25 ms, so that neither the
   * number of keys nor their rhythm shows on the wire.
   * @param {boolean} on
   */
  setTick(on) {
    if (on === (this.#tick !== null)) return;
    if (this.#tick !== null) clearInterval(this.#tick);
    this.#tick = on ? setInterval(() => this.#onTick(), TICK_INTERVAL_MS) : null;
    if (!on) this.pump();
  }

  /** Sends what may be sent now. */
  pump() {
    if (!this.#open || this.#tick !== null) return;
    while (this.#buffered() < MAX_BUFFERED_BYTES) {
      const plaintext = this.#next();
      if (!plaintext) return;
      this.#send(plaintext);
    }
  }

  /**
   * How long the host has owed an answer, in ms.
   * @param {number} now
   */
  silentFor(now) {
    return this.#askedAt === 0 ? 0 : now - this.#askedAt;
  }

  close() {
    this.setTick(false);
    this.#open = false;
    this.dc.onmessage = this.dc.onbufferedamountlow = null;
    this.dc.close();
  }

  #next() {
    return this.#released ? this.queue.next() : this.queue.nextControl();
  }

  #buffered() {
    return this.dc.bufferedAmount + this.#sealing * 256;
  }

  #onTick() {
    // A stalled transport is no place for fillers: they would only delay what comes after it.
    if (!this.#open || this.#buffered() >= MAX_BUFFERED_BYTES) return;
    const said = this.#next();
    this.#send(said ?? fillerFrame(), said === null);
  }

  /** @param {Bytes} plaintext */
  #send(plaintext, isFiller = false) {
    if (!isFiller && this.#askedAt === 0) this.#askedAt = performance.now();
    this.#sealing += 1;
    const sealed = sealFrame(this.keys.dataV2h, this.#sendCounter++, plaintext);
    this.#sending = this.#sending
      .then(async () => {
        const frame = await sealed;
        if (this.#open) this.dc.send(frame);
      })
      .catch((error) => this.on.onBroken(error))
      .finally(() => {
        this.#sealing -= 1;
      });
  }

  /** @param {unknown} data */
  #receive(data) {
    const counter = this.#receiveCounter++;
    this.#receiving = this.#receiving
      .then(async () => {
        if (!(data instanceof ArrayBuffer)) throw new Error("a text message on the data channel");
        const output = await openOutput(this.keys.dataH2v, counter, new Uint8Array(data));
        this.#askedAt = 0;
        if (output.t === "ack") {
          this.queue.ack(output.applied);
          if (this.queue.outstanding) this.#askedAt = performance.now();
          this.pump();
        }
        await this.on.onOutput(output);
      })
      .catch((error) => {
        this.#open = false;
        this.on.onBroken(error);
      });
  }
}
