/** The client of one `authloop-host serve`. */

import {
  ApiError,
  type ErrorCode,
  ProtocolError,
  SessionForgottenError,
  StorageStateError,
  WaitTimeoutError,
} from "./errors.js";
import { events } from "./events.js";
import { Http, RETRY, type Request, type Retry, sleep } from "./http.js";
import {
  type CreateOptions,
  grantsOf,
  type HandoffEvent,
  object,
  type Room,
  roomOf,
  Session,
  type Status,
  type StorageState,
  text,
  time,
} from "./models.js";
import { StorageKey } from "./storage.js";

export interface ClientOptions {
  /** Where the host listens; `AUTHLOOP_HOST_URL`, or `http://127.0.0.1:7300`. */
  baseUrl?: string;
  /** One of its keys; `AUTHLOOP_HOST_KEY`, or none. */
  apiKey?: string;
  /** How outages are borne. */
  retry?: Partial<Retry>;
  /** In place of the global one. */
  fetch?: typeof fetch;
}

export interface WaitOptions {
  /** In ms; without it, until the session's own end. */
  timeout?: number;
  signal?: AbortSignal;
}

/** How long one poll asks the host to wait, in seconds; below the usual 60 s of proxies. */
const POLL = 30;

export class Client {
  readonly handoffs: Handoffs;

  constructor(options: ClientOptions = {}) {
    const env =
      (globalThis as { process?: { env?: Record<string, string | undefined> } }).process?.env ?? {};
    this.handoffs = new Handoffs(
      new Http({
        baseUrl: (options.baseUrl ?? env["AUTHLOOP_HOST_URL"] ?? "http://127.0.0.1:7300").replace(
          /\/+$/,
          "",
        ),
        apiKey: options.apiKey ?? env["AUTHLOOP_HOST_KEY"],
        retry: { ...RETRY, ...options.retry },
        // A bare reference would be called with the wrong `this` in browsers.
        fetch: options.fetch ?? ((...args) => globalThis.fetch(...args)),
      }),
    );
  }
}

/** The handoffs of this client's key. */
export class Handoffs {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /** Asks the user to sign in to `service` in the browser at `cdpUrl`. */
  async create(options: CreateOptions): Promise<Handoff> {
    const { storageState = false } = options;
    const key = storageState === false ? null : await StorageKey.generate();
    const body = {
      service: options.service,
      cdp_url: options.cdpUrl,
      ttl: options.ttl,
      context: contextOf(options),
      requester: options.requester,
      reason: options.reason,
      expected_origins: options.expectedOrigins,
      done_when: options.doneWhen,
      auto_finish: options.autoFinish,
      storage_state: key
        ? {
            recipient: key.recipient,
            origins: Array.isArray(storageState) ? storageState : undefined,
          }
        : undefined,
      webhook: options.webhook,
      gate: options.gate,
      room: options.room,
      start: options.start,
      grants: options.grants,
    };
    // The same key goes with every retry, so that they make one session.
    const headers = { "idempotency-key": options.idempotencyKey ?? crypto.randomUUID() };
    const answer = await this.#http.ask({
      method: "POST",
      path: "/session",
      body,
      headers,
      timeout: 60_000,
    });
    return new Handoff(this, this.#http, object(answer, "a created session"), key);
  }

  /** The session as it is now. */
  async get(id: string): Promise<Session> {
    return new Session(await this.#http.ask({ method: "GET", path: path(id) }));
  }

  /** This key's sessions, newest first. */
  async list(): Promise<Session[]> {
    const { sessions } = object(
      await this.#http.ask({ method: "GET", path: "/sessions" }),
      "a list",
    );
    if (!Array.isArray(sessions)) throw new ProtocolError("not a list of sessions");
    return sessions.map((raw) => new Session(raw));
  }

  /** Waits until the session has ended, over outages of the host; see `Handoff.wait`. */
  wait(id: string, options: WaitOptions = {}): Promise<Session> {
    return waitFor(this.#http, id, options, false);
  }

  /** Ends the session as CANCELLED; one that is so already is no error. */
  cancel(id: string): Promise<Session> {
    return this.#end(id, { method: "DELETE", path: path(id) }, "CANCELLED");
  }

  /**
   * Ends the session as RESOLVED, because the agent sees that the user is done; one that is so
   * already is no error.
   */
  resolve(id: string): Promise<Session> {
    return this.#end(id, { method: "POST", path: `${path(id)}/resolve` }, "RESOLVED");
  }

  async #end(id: string, request: Request, wanted: Status): Promise<Session> {
    try {
      return new Session(await this.#http.ask(request));
    } catch (error) {
      if (!isCode(error, "session_ended") && !isCode(error, "session_expired")) throw error;
      // It may be our own doing: the answer was lost, and this was the second attempt.
      const session = await this.get(id);
      if (session.status !== wanted) throw error;
      return session;
    }
  }

  /** Each change, from the first kept one to the end, over outages of the host. */
  events(id: string, { signal }: { signal?: AbortSignal } = {}): AsyncGenerator<HandoffEvent> {
    return events(this.#http, `${path(id)}/events`, this.#http.settings.apiKey, signal);
  }
}

/** One handoff. Show `url` to the user and to nobody else: whoever opens it first may sign in. */
export class Handoff {
  readonly id: string;
  /** Where the agent goes on. */
  readonly cdpUrl: string;
  readonly expiresAt: Date;
  /** In which browser the user signs in; null from a host that is older than rooms. */
  readonly room: Room | null;
  /** The sites whose session the agent gets from a private room. */
  readonly grants: readonly string[] | null;
  // Secrets are private members, so that neither JSON nor console.log shows them.
  readonly #url: string;
  readonly #streamToken: string;
  readonly #key: StorageKey | null;
  readonly #handoffs: Handoffs;
  readonly #http: Http;

  constructor(
    handoffs: Handoffs,
    http: Http,
    created: Record<string, unknown>,
    key: StorageKey | null,
  ) {
    this.id = text(created, "session_id");
    this.cdpUrl = text(created, "cdp_url");
    this.expiresAt = time(created, "expires_at");
    this.room = roomOf(created);
    this.grants = grantsOf(created);
    this.#url = text(created, "session_url");
    this.#streamToken = text(created, "stream_token");
    this.#key = key;
    this.#handoffs = handoffs;
    this.#http = http;
  }

  /** The link, for the user only. */
  get url(): string {
    return this.#url;
  }

  /** The session as it is now. */
  status(): Promise<Session> {
    return this.#handoffs.get(this.id);
  }

  /**
   * Waits until the session has ended, however; `requireResolved()` of what it gives tells a
   * failure.
   * @throws WaitTimeoutError it had not ended after `timeout` ms; it goes on
   * @throws ConnectionFailedError the host was away for longer than `retry` bears
   * @throws SessionForgottenError the host was restarted, and the session ended with it
   */
  wait(options: WaitOptions = {}): Promise<Session> {
    return waitFor(this.#http, this.id, options, true);
  }

  /** Each change until the end. */
  events({ signal }: { signal?: AbortSignal } = {}): AsyncGenerator<HandoffEvent> {
    return events(this.#http, `${path(this.id)}/events`, this.#streamToken, signal);
  }

  /** Ends the session as CANCELLED. */
  cancel(): Promise<Session> {
    return this.#handoffs.cancel(this.id);
  }

  /** Ends the session as RESOLVED. */
  resolve(): Promise<Session> {
    return this.#handoffs.resolve(this.id);
  }

  /** The signed-in state, in Playwright's format; once, after RESOLVED. */
  async storageState(): Promise<StorageState> {
    if (!this.#key) throw new StorageStateError("create the handoff with storageState: true");
    const sealed = await this.#http.ask({ method: "GET", path: `${path(this.id)}/storage-state` });
    return this.#key.open(sealed, this.id);
  }
}

/** An id is opaque, so it is escaped. */
const path = (id: string) => `/session/${encodeURIComponent(id)}`;

/** Polls until the session has ended; `known`: the host has told of it before. */
async function waitFor(
  http: Http,
  id: string,
  { timeout = Infinity, signal }: WaitOptions,
  known: boolean,
): Promise<Session> {
  const until = performance.now() + timeout;
  let version: number | null = null;
  for (;;) {
    const left = until - performance.now();
    if (left <= 0) throw new WaitTimeoutError(`the session had not ended after ${timeout} ms`);
    const seconds = Math.min(POLL, Math.ceil(left / 1000));
    const since = version === null ? "" : `&since=${version}`;
    const asked = performance.now();
    const request = {
      method: "GET",
      path: `${path(id)}?wait=${seconds}${since}`,
      timeout: (seconds + 15) * 1000,
      signal,
    } as const;
    const session = new Session(
      await http.ask(request, until).catch((error: unknown) => {
        throw (known || version !== null) && isCode(error, "not_found")
          ? new SessionForgottenError(error)
          : error;
      }),
    );
    if (session.ended) return session;
    // Something between here and the host may not let polls be long.
    if (session.version === version && performance.now() - asked < 500) {
      await sleep(Math.min(1000, Math.max(0, until - performance.now())), signal);
    }
    version = session.version;
  }
}

function isCode(error: unknown, code: ErrorCode): error is ApiError {
  return error instanceof ApiError && error.code === code;
}

function contextOf({ url, wallType, hint }: CreateOptions) {
  if (url === undefined && wallType === undefined && hint === undefined) return undefined;
  return { url, wall_type: wallType, hint };
}
