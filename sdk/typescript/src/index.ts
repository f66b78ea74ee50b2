/**
 * Hand a browser that an agent drives to its user, and get it back signed in.
 *
 *     const client = new Client();
 *     const handoff = await client.handoffs.create({
 *       cdpUrl: "http://127.0.0.1:9222",
 *       service: "Example Bank",
 *     });
 *     console.log(handoff.url);
 *     (await handoff.wait()).requireResolved();
 */

export * from "./client.js";
export {
  ApiError,
  AuthloopError,
  ConnectionFailedError,
  type ErrorCode,
  NotSignedInError,
  ProtocolError,
  SessionForgottenError,
  StorageStateError,
  WaitTimeoutError,
} from "./errors.js";
export type { Retry } from "./http.js";
export {
  type Condition,
  type CreateOptions,
  type DoneWhen,
  type Evidence,
  type Gate,
  type HandoffEvent,
  type Isolation,
  type Outcome,
  type Room,
  type RoomStart,
  Session,
  type Status,
  type StorageState,
  type Verdict,
} from "./models.js";
