/** Requests that outlive a restart of the host. */

import { ApiError, apiError, ConnectionFailedError, ProtocolError } from "./errors.js";

/** When to ask again: a host that restarts is away for seconds only. */
export interface Retry {
  /** The first pause, in ms; each further one is twice as long. */
  first: number;
  /** The longest pause, in ms. */
  longest: number;
  /** How long nothing but failures are borne, in ms; 0 asks once. */
  outage: number;
}

export const RETRY: Retry = { first: 250, longest: 5000, outage: 60_000 };

export interface Request {
  method: "GET" | "POST" | "DELETE";
  path: string;
  body?: unknown;
  headers?: Record<string, string>;
  /** How long one answer may take, in ms. */
  timeout?: number;
  signal?: AbortSignal | undefined;
}

export interface Settings {
  baseUrl: string;
  apiKey: string | undefined;
  retry: Retry;
  fetch: typeof fetch;
}

/** Counts failures in a row, and says how long to wait or when it is too much. */
export class Patience {
  #failures = 0;
  #limit = 0;

  constructor(
    readonly retry: Retry,
    readonly until = Infinity,
  ) {}

  reset(): void {
    this.#failures = 0;
  }

  /** Waits after a failure; throws it if it is final or the outage too long. */
  async bear(error: ApiError | ConnectionFailedError, signal?: AbortSignal): Promise<void> {
    if (error instanceof ApiError && !error.transient) throw error;
    if (this.#failures++ === 0)
      this.#limit = Math.min(this.until, performance.now() + this.retry.outage);
    const longest = Math.min(
      this.retry.longest,
      this.retry.first * 2 ** Math.min(this.#failures - 1, 16),
    );
    const asked = error instanceof ApiError ? (error.retryAfter ?? 0) * 1000 : 0;
    // Jittered, so that clients part.
    const pause = Math.max(asked, longest * (0.5 + Math.random() / 2));
    if (performance.now() + pause > this.#limit) throw error;
    await sleep(pause, signal);
  }
}

export class Http {
  constructor(readonly settings: Settings) {}

  /**
   * One request, without a second try; throws only `ConnectionFailedError`, `ApiError`, or the
   * caller's abort.
   */
  async open(request: Request, token = this.settings.apiKey): Promise<Response> {
    const { fetch, baseUrl } = this.settings;
    const signals = [
      request.signal,
      request.timeout === undefined ? undefined : AbortSignal.timeout(request.timeout),
    ];
    const response = await fetch(baseUrl + request.path, {
      method: request.method,
      headers: {
        accept: "application/json",
        ...(request.body === undefined ? {} : { "content-type": "application/json" }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...request.headers,
      },
      body: request.body === undefined ? null : JSON.stringify(request.body),
      signal: AbortSignal.any(signals.filter((s) => s !== undefined)),
      redirect: "error",
    }).catch((cause: unknown) => {
      throw unreachable(cause, request.signal);
    });
    if (response.status < 400) return response;
    const text = await response.text().catch(() => "");
    throw apiError(response.status, text, response.headers.get("retry-after"));
  }

  /**
   * Asks until there is an answer, over outages; gives the JSON. `until` is the caller's limit, by
   * `performance.now()`.
   */
  async ask(request: Request, until?: number): Promise<unknown> {
    const patience = new Patience(this.settings.retry, until);
    for (;;) {
      try {
        const response = await this.open({ timeout: 15_000, ...request });
        const text = await response.text().catch((cause: unknown) => {
          throw unreachable(cause, request.signal);
        });
        return parse(text, response.status);
      } catch (error) {
        if (!(error instanceof ApiError || error instanceof ConnectionFailedError)) throw error;
        await patience.bear(error, request.signal);
      }
    }
  }
}

export function unreachable(cause: unknown, signal?: AbortSignal): unknown {
  if (signal?.aborted) return signal.reason;
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  return new ConnectionFailedError(
    `the host is not reachable: ${inner instanceof Error ? inner.message : String(inner)}`,
    { cause },
  );
}

export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", abort, { once: true });
  });
}

function parse(text: string, status: number): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The text is not repeated: it may hold a secret.
    throw new ProtocolError(`the host's answer (${status}) is no JSON; is this the agent API?`);
  }
}
