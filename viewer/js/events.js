// The vocabulary of the data channel, as types: `protocol/src/input.rs` and PROTOCOL section 8.

/**
 * @typedef {{id: number, x: number, y: number}} TouchPoint
 * @typedef {"declined" | "not_requested" | "cannot_complete"} DeclineReason
 * @typedef {"left" | "middle" | "right" | "back" | "forward"} Button
 * @typedef {{t: "key", down: boolean, code: string, key: string, mods: number, repeat: boolean}
 *   | {t: "text", text: string}
 *   | {t: "composition", text: string, start: number, end: number}
 *   | {t: "paste", text: string}
 *   | {t: "delete", before: number, after: number}
 *   | {t: "move", by: number}
 *   | {t: "replace", text: string}
 *   | {t: "pointer", phase: "move" | "down" | "up", x: number, y: number, button: Button | null,
 *      buttons: number, clicks: number, mods: number}
 *   | {t: "wheel", x: number, y: number, dx: number, dy: number, mods: number}
 *   | {t: "touch", phase: "start" | "move" | "end" | "cancel", points: TouchPoint[], at: number}
 *   | {t: "viewport", width: number, height: number, scale: number, mobile: boolean}
 *   | {t: "dialog", id: number, accept: boolean, text?: string}
 *   | {t: "pick", id: number, options?: number[], value?: string}
 *   | {t: "auth", id: number, user?: string, password?: string}
 *   | {t: "files", id: number, files: {name: string, size: number}[]}
 *   | {t: "file_chunk", id: number, data: string}
 *   | {t: "tab", id: number, action: "show" | "close"}
 *   | {t: "navigate", action: "back" | "forward" | "reload"}
 *   | {t: "release_all"}
 *   | {t: "done"}
 *   | {t: "finish_anyway"}
 *   | {t: "decline", reason: DeclineReason}
 *   | {t: "hand_over", device: string}
 *   | {t: "start_over"}
 *   | {t: "in_place"}
 *   | {t: "refresh"}} InputEvent
 *
 * @typedef {object} Page what the browser process says of the page, shown outside the video
 * @property {string} origin
 * @property {string} title
 * @property {boolean} secure
 * @property {"unknown" | "neutral" | "insecure" | "secure" | "broken"} [connection]
 * @property {Certificate} [certificate]
 * @property {boolean} expected
 * @property {number} epoch
 * @property {boolean} loading
 * @property {boolean} can_go_back
 *
 * @typedef {object} Certificate
 * @property {string} subject
 * @property {string} issuer
 * @property {number} valid_to Unix seconds
 * @property {string} [problem] the browser's name for what is wrong with it
 *
 * @typedef {object} Field the focused remote field
 * @property {number} [id] differs from every other field's of the session
 * @property {string} kind
 * @property {string} inputmode
 * @property {string} autocomplete
 * @property {string} enterkeyhint
 * @property {boolean} secret
 * @property {boolean} multiline
 * @property {number} length
 * @property {[number, number, number, number]} rect x, y, w, h in 0..=65535
 * @property {number} [maxlength] in UTF-16 code units; 0: no limit
 * @property {string} [origin] of its frame
 * @property {boolean} [expected] whether that is the page's or among the invitation's
 *
 * @typedef {object} Picker a control of the remote page, to be shown as one of this device
 *   (`protocol/src/browser_ui.rs`)
 * @property {number} id
 * @property {"select" | "datalist" | "date" | "time" | "datetime-local" | "month" | "week" |
 *   "color"} kind
 * @property {string} label
 * @property {boolean} multiple
 * @property {{label: string, group?: string, disabled?: boolean, selected?: boolean}[]} options
 * @property {boolean} truncated
 * @property {string} value
 * @property {string} min
 * @property {string} max
 * @property {string} step
 *
 * @typedef {object} FileChooser
 * @property {number} id
 * @property {string} origin
 * @property {boolean} multiple
 * @property {string} accept
 * @property {number} max_files
 * @property {number} max_bytes
 * @property {number} received
 *
 * @typedef {{id: number, origin: string, title: string, shown: boolean}} Tab a window of the remote
 *   page's
 *
 * @typedef {"resolved" | "declined" | "expired" | "cancelled" | "failed"} Outcome
 *
 * @typedef {{t: "confirm", transcript: string, applied: number}
 *   | {t: "ack", applied: number}
 *   | {t: "refused", sequence: number, reason: "epoch" | "locked" | "malformed" | "unsupported"}
 *   | {t: "pong", n: number}
 *   | {t: "page"} & Page
 *   | {t: "field", field: Field | null}
 *   | {t: "video", width: number, height: number}
 *   | {t: "dialog", id: number, kind: "alert" | "confirm" | "prompt" | "beforeunload", message:
 *     string, default: string, origin?: string}
 *   | {t: "dialog_closed", id: number}
 *   | {t: "picker", picker: Picker | null}
 *   | {t: "auth", id: number, origin: string, realm: string, secure: boolean, expected: boolean}
 *   | {t: "auth_closed", id: number}
 *   | {t: "file_chooser"} & FileChooser
 *   | {t: "file_chooser_closed", id: number}
 *   | {t: "tabs", tabs: Tab[]}
 *   | {t: "notice", code: string, message: string}
 *   | {t: "checked", verdict: "signed_in" | "not_signed_in" | "inconclusive", message: string}
 *   | {t: "moving"}
 *   | {t: "not_moved", in_place: boolean, message: string}
 *   | {t: "in_place"}
 *   | {t: "outcome", outcome: Outcome, message: string}} Output
 */

/**
 * @typedef {object} HandoffEvents what the rest of the page hears of a handoff
 * @property {(step: "server" | "host" | "offer" | "path" | "verify") => void} step
 * @property {(verified: boolean) => void} verified
 * @property {(stream: MediaStream) => void} video
 * @property {(output: Output) => void} output
 * @property {(trouble: boolean) => void} trouble the connection is lost, or is back
 * @property {(present: boolean) => void} peer the host is attached to signaling
 * @property {() => void} secondClaim another device tried the link
 * @property {(message: any) => Promise<void>} takeover another device asks for the session, says
 *   who it is, or asks no more
 * @property {(code: string | null) => void} waiting the device that has the session is being asked
 *   for it; with a code once it has answered
 * @property {(applied: number) => void} applied
 * @property {(outcome: Outcome, message: string) => void} ended
 * @property {(code: string, message?: string) => void} fatal
 */

export const OUTCOMES = /** @type {const} */ ([
  "resolved",
  "declined",
  "expired",
  "cancelled",
  "failed",
]);

/**
 * What the other side says is taken for a failure if it is no outcome.
 * @param {any} name
 * @returns {Outcome}
 */
export const outcomeOf = (name) => (OUTCOMES.includes(name) ? name : "failed");

const TYPED_EVENTS = new Set([
  "key",
  "text",
  "composition",
  "paste",
  "delete",
  "move",
  "replace",
  "dialog",
  "pick",
  "auth",
  "files",
  "file_chunk",
]);
const EVENTS_WITHOUT_PAGE = new Set([
  "viewport",
  "release_all",
  "done",
  "finish_anyway",
  "decline",
  "refresh",
]);

/**
 * Whether the event may carry what the user typed.
 * @param {InputEvent} event
 */
export const isTyped = (event) => TYPED_EVENTS.has(event.t);

/**
 * Whether the event acts on the page, and so waits for the fingerprints to be confirmed.
 * @param {InputEvent} event
 */
export const actsOnPage = (event) => !EVENTS_WITHOUT_PAGE.has(event.t);
