/** Every error that this package throws; each is an `AuthloopError`. */

/** The codes of `docs/AGENT_API.md`. */
export type ErrorCode =
  | "invalid_request"
  | "unauthorized"
  | "forbidden"
  | "room_not_allowed"
  | "not_found"
  | "method_not_allowed"
  | "session_ended"
  | "session_expired"
  | "idempotency_in_flight"
  | "idempotency_mismatch"
  | "not_resolved"
  | "already_read"
  | "browser_unreachable"
  | "body_too_large"
  | "unsupported_media_type"
  | "rate_limited"
  | "too_many_sessions"
  | "signaling_unreachable"
  | "room_unavailable";

/** The root of them all. */
export class AuthloopError extends Error {
  override get name(): string {
    return this.constructor.name;
  }
}

/** The host did not answer for as long as `retry` allows. */
export class ConnectionFailedError extends AuthloopError {}

/** The host answered something that this package does not understand. */
export class ProtocolError extends AuthloopError {}

/** The session had not ended when the caller's own time ran out; it goes on. */
export class WaitTimeoutError extends AuthloopError {}

/** The storage state was not asked for, or cannot be opened. */
export class StorageStateError extends AuthloopError {}

/** The handoff ended, and the user is not signed in. */
export class NotSignedInError extends AuthloopError {
  constructor(
    readonly status: string,
    readonly reason: string,
    readonly explanation: string,
  ) {
    super(`${status}: ${explanation || reason}`);
  }
}

/** The host refused; `code` is stable, `message` is for people. */
export class ApiError extends AuthloopError {
  constructor(
    readonly status: number,
    /** One of `ErrorCode`, or what a newer host, or whoever answered in its place, has said. */
    readonly code: ErrorCode | (string & {}),
    message: string,
    readonly details: unknown = null,
    /** In seconds. */
    readonly retryAfter: number | null = null,
  ) {
    super(`${message} (${code}, ${status})`);
  }

  /** Whether the same request may succeed later. */
  get transient(): boolean {
    return [429, 502, 503, 504].includes(this.status) || this.code === "idempotency_in_flight";
  }

  /** The member of the request that is wrong, where the host told it. */
  get field(): string | null {
    const field = isObject(this.details) ? this.details["field"] : null;
    return typeof field === "string" ? field : null;
  }
}

/**
 * The host knew this session and does not any more: it was restarted, and with it the session
 * ended.
 */
export class SessionForgottenError extends ApiError {
  constructor(gone: ApiError) {
    super(
      gone.status,
      gone.code,
      "the host does not know this session any more: it was restarted; create a new one",
      gone.details,
    );
  }
}

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The error of an answer of 400 and above, whoever sent it. */
export function apiError(status: number, text: string, retryAfter: string | null): ApiError {
  let error: Record<string, unknown> = {};
  try {
    const body: unknown = JSON.parse(text);
    if (isObject(body) && isObject(body["error"])) error = body["error"];
  } catch {
    // Not the host, but something in its place.
  }
  const code = typeof error["code"] === "string" ? error["code"] : `http_${status}`;
  const message =
    typeof error["message"] === "string" ? error["message"] : `the host answered ${status}`;
  const seconds = retryAfter === null ? NaN : Number(retryAfter);
  return new ApiError(
    status,
    code,
    message,
    error["details"] ?? null,
    Number.isFinite(seconds) ? Math.max(0, seconds) : null,
  );
}
