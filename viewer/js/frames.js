// Input messages as fixed-size frames, in order, exactly once (PROTOCOL section 8). Pure.

import { decodeUtf8, encodeUtf8 } from "./bytes.js";
import { PLAINTEXT_LENGTH } from "./seal.js";

/** @typedef {import("./bytes.js").Bytes} Bytes */
/** @typedef {import("./events.js").InputEvent} InputEvent */
/** @typedef {{sequence: number, epoch: number, flags: number, body: Bytes}} Frame */

export const FLAG_MORE = 1;
export const FLAG_FILLER = 2;
export const FLAG_CONTROL = 4;

const HEADER_LENGTH = 8 + 4 + 1 + 2;
/** What one frame carries of a message, in bytes. */
export const BODY_LENGTH = PLAINTEXT_LENGTH - HEADER_LENGTH;
/**
 * How many frames a secret sent as one block takes, or a multiple of that: its length must not
 * show.
 */
export const BLOCK_FRAMES = 4;
/** The longest text an event may carry, in bytes of UTF-8. */
export const MAX_TEXT_BYTES = 32 * 1024;
const MAX_MESSAGE_BYTES = 40 * 1024;
// Bounds what is kept for a host that is away: about 1 MiB of frames.
const MAX_WAITING_EVENTS = 512;
const MAX_UNACKED_FRAMES = 4096;
/** A finger's moves that are further apart, in ms, both go: a remote page makes momentum of them. */
const TOUCH_STEP_MS = 16;
/** When more wait, the way stands still: a click soon after is worth more than momentum. */
const MAX_WAITING_STEPS = 32;

/** @param {Frame} frame @returns {Bytes} */
export function encodeFrame({ sequence, epoch, flags, body }) {
  const out = new Uint8Array(PLAINTEXT_LENGTH);
  const view = new DataView(out.buffer);
  view.setBigUint64(0, BigInt(sequence));
  view.setUint32(8, epoch);
  view.setUint8(12, flags);
  view.setUint16(13, body.length);
  out.set(body, HEADER_LENGTH);
  return out;
}

/** A frame that says nothing, but that something could have been said. */
export const fillerFrame = () =>
  encodeFrame({ sequence: 0, epoch: 0, flags: FLAG_FILLER, body: new Uint8Array(0) });

/** The messages on their way to the host, kept until it has applied them. */
export class InputQueue {
  /** @type {Bytes[]} connection-scoped, so they go first and are never re-sent */
  #control = [];
  /**
   * @type {{event: InputEvent, epoch: number, block: boolean, since: number}[]} not framed yet: these
   *   may still be coalesced; `since` when the finger was at the first that has been, in ms
   */
  #waiting = [];
  /** @type {Frame[]} framed and not yet applied */
  #unacked = [];
  /** How many of the unacked frames this connection has sent. */
  #sent = 0;
  #lastSequence = 0;
  /** The highest sequence the host has applied. */
  applied = 0;

  /**
   * @param {InputEvent} event
   * @param {number} epoch of the page the user was looking at
   * @param {boolean} block whether the number of its frames must not tell its length
   * @returns {"ok" | "too_long" | "full"}
   */
  push(event, epoch, block = false) {
    if ("text" in event && event.text !== undefined) {
      // A lone surrogate has no UTF-8 form; as an escape in JSON it would be refused.
      event.text = decodeUtf8(encodeUtf8(event.text));
      if (encodeUtf8(event.text).length > MAX_TEXT_BYTES) return "too_long";
    }
    const last = this.#waiting.at(-1);
    const since = event.t === "touch" ? event.at : 0;
    const apart =
      last && since - last.since >= TOUCH_STEP_MS && this.#waiting.length < MAX_WAITING_STEPS;
    if (last?.epoch === epoch && !apart) {
      const merged = coalesce(last.event, event);
      if (merged) {
        last.event = merged;
        return "ok";
      }
    }
    if (this.#waiting.length >= MAX_WAITING_EVENTS || this.#unacked.length >= MAX_UNACKED_FRAMES)
      return "full";
    if (
      "text" in event &&
      (block ? paddedBlock(event) : encodeUtf8(JSON.stringify(event))).length > MAX_MESSAGE_BYTES
    )
      return "too_long";
    this.#waiting.push({ event, epoch, block, since });
    return "ok";
  }

  /** @param {object} json */
  pushControl(json) {
    this.#control.push(encodeUtf8(JSON.stringify(json)));
  }

  /** Whether sequenced frames are sent and not yet acknowledged. */
  get outstanding() {
    return this.#sent > 0;
  }

  /** The next frame's plaintext, or null when there is nothing to say. */
  next() {
    const control = this.#control.shift();
    if (control) return encodeFrame({ sequence: 0, epoch: 0, flags: FLAG_CONTROL, body: control });
    if (this.#sent === this.#unacked.length) this.#frameNext();
    const frame = this.#unacked[this.#sent];
    if (!frame) return null;
    this.#sent += 1;
    return encodeFrame(frame);
  }

  /** Only control frames; for the time before the host has said what it has applied. */
  nextControl() {
    const control = this.#control.shift();
    return control
      ? encodeFrame({ sequence: 0, epoch: 0, flags: FLAG_CONTROL, body: control })
      : null;
  }

  /**
   * The host has applied everything up to here.
   * @param {number} applied
   */
  ack(applied) {
    let n = 0;
    while ((this.#unacked[n]?.sequence ?? Infinity) <= applied) n += 1;
    this.#unacked.splice(0, n);
    this.#sent = Math.max(0, this.#sent - n);
    this.applied = Math.max(this.applied, applied);
  }

  /**
   * A new connection: what the host has not applied is sent again, in the same frames.
   * @param {number} applied
   */
  rewind(applied) {
    this.ack(applied);
    this.#sent = 0;
  }

  /** Forgets what was never sent: input meant for a page that is gone. */
  clearWaiting() {
    this.#waiting.length = 0;
  }

  /** Control messages belong to one connection. */
  clearControl() {
    this.#control.length = 0;
  }

  #frameNext() {
    const message = this.#waiting.shift();
    if (!message) return;
    const bytes = message.block
      ? paddedBlock(message.event)
      : encodeUtf8(JSON.stringify(message.event));
    for (let at = 0; at < bytes.length; at += BODY_LENGTH) {
      const body = bytes.slice(at, at + BODY_LENGTH);
      const flags = at + BODY_LENGTH < bytes.length ? FLAG_MORE : 0;
      this.#unacked.push({ sequence: ++this.#lastSequence, epoch: message.epoch, flags, body });
    }
  }
}

/**
 * JSON may end in white space: here it fills the last of the block's frames.
 * @param {InputEvent} event
 */
function paddedBlock(event) {
  const json = encodeUtf8(JSON.stringify(event));
  const block = BLOCK_FRAMES * BODY_LENGTH;
  const out = new Uint8Array(Math.ceil(json.length / block) * block).fill(0x20);
  out.set(json);
  return out;
}

/**
 * One event in the place of two, when the first is only a place on the way: so a flood of moves
 * never stands before a click. Only neighbours merge, so the order of everything else stays.
 * @param {InputEvent} a
 * @param {InputEvent} b
 * @returns {InputEvent | null}
 */
export function coalesce(a, b) {
  if (a.t === "pointer" && b.t === "pointer") {
    return a.phase === "move" && b.phase === "move" && a.buttons === b.buttons && a.mods === b.mods
      ? b
      : null;
  }
  if (a.t === "touch" && b.t === "touch") {
    const ids = (/** @type {{points: {id: number}[]}} */ e) => e.points.map((p) => p.id).join();
    return a.phase === "move" && b.phase === "move" && ids(a) === ids(b) ? b : null;
  }
  if (a.t === "wheel" && b.t === "wheel" && a.mods === b.mods) {
    const dx = a.dx + b.dx;
    const dy = a.dy + b.dy;
    return Math.abs(dx) < 32768 && Math.abs(dy) < 32768 ? { ...b, dx, dy } : null;
  }
  if (a.t === "viewport" && b.t === "viewport") return b;
  return null;
}
