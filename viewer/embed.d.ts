/**
 * What the viewer page tells a page that frames it, by `postMessage`: see docs/EMBED.md.
 * Copy this file; the page itself is checked against it.
 */

/** Where the session stands on the user's device. */
export type AuthloopState =
  | "invitation"
  | "connecting"
  | "live"
  | "reconnecting"
  | "ended"
  | "error";

interface Base {
  source: "authloop";
  version: 1;
  /**
   * The session's id, as in the address after the link was read; empty if the link has none. It is
   * no secret.
   */
  session: string;
}

/** The user looks at the request, waits, signs in, or waits for the connection to come back. */
export interface AuthloopProgress extends Base {
  state: "invitation" | "connecting" | "live" | "reconnecting";
}

/**
 * It is over. What the agent gets is told by the agent API only: anyone can send messages to a
 * page.
 */
export interface AuthloopEnded extends Base {
  state: "ended";
  outcome: "resolved" | "declined" | "expired" | "cancelled" | "failed";
}

/** The page cannot go on. */
export interface AuthloopError extends Base {
  state: "error";
  /** A stable name, such as `expired` or `already_claimed`. */
  code: string;
}

/**
 * `event.data` of a message whose `event.origin` is the viewer's origin and whose `source` is
 * `authloop`.
 */
export type AuthloopEvent = AuthloopProgress | AuthloopEnded | AuthloopError;
