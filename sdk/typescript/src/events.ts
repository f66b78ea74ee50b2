/** A session's changes as they happen, over outages of the host. */

import { EventSourceParserStream } from "eventsource-parser/stream";
import { ApiError, ConnectionFailedError } from "./errors.js";
import { type Http, Patience, unreachable } from "./http.js";
import { type HandoffEvent, Session } from "./models.js";

/** The host sends a comment every 15 s, so a silence of three is a dead connection. */
const SILENCE = 45_000;

/** Each change, from the first kept one to the end. */
export async function* events(
  http: Http,
  path: string,
  token: string | undefined,
  signal?: AbortSignal,
): AsyncGenerator<HandoffEvent> {
  const patience = new Patience(http.settings.retry);
  let last = "";
  for (;;) {
    const watch = new Watch(signal);
    let error: ApiError | ConnectionFailedError;
    try {
      const headers = { accept: "text/event-stream", ...(last ? { "last-event-id": last } : {}) };
      const response = await http.open(
        { method: "GET", path, headers, signal: watch.signal },
        token,
      );
      if (response.status === 204) return;
      if (
        !response.headers.get("content-type")?.startsWith("text/event-stream") ||
        !response.body
      ) {
        throw new ApiError(response.status, "no_stream", "no stream of events is there");
      }
      for await (const { id, event, data } of messages(response.body, watch)) {
        patience.reset();
        if (!data || (id && id === last)) continue;
        const session = new Session(JSON.parse(data));
        last = id ?? "";
        yield { name: event ?? "message", session };
        if (session.ended) return;
      }
      error = new ConnectionFailedError("the host closed the stream before the end");
    } catch (cause) {
      if (!(cause instanceof ApiError || cause instanceof ConnectionFailedError)) throw cause;
      error = cause;
    } finally {
      watch.end();
    }
    signal?.throwIfAborted();
    await patience.bear(error, signal);
  }
}

/** Aborts a connection that has fallen silent, or that nobody listens to any more. */
class Watch {
  readonly #controller = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly signal: AbortSignal;

  constructor(signal?: AbortSignal) {
    this.signal = signal
      ? AbortSignal.any([signal, this.#controller.signal])
      : this.#controller.signal;
    this.heard();
  }

  heard(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => this.#controller.abort(new ConnectionFailedError("the host fell silent")),
      SILENCE,
    );
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#controller.abort(new ConnectionFailedError("nobody listens any more"));
  }
}

interface Message {
  id?: string | undefined;
  event?: string | undefined;
  data: string;
}

async function* messages(body: ReadableStream<Uint8Array>, watch: Watch): AsyncGenerator<Message> {
  const heard = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
    transform(chunk, out) {
      watch.heard();
      out.enqueue(chunk);
    },
  });
  const reader = (body as ReadableStream<Uint8Array<ArrayBuffer>>)
    .pipeThrough(heard)
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new EventSourceParserStream())
    .getReader();
  for (;;) {
    const next = await reader.read().catch((cause: unknown) => {
      throw cause instanceof ConnectionFailedError ? cause : unreachable(cause);
    });
    if (next.done) return;
    yield next.value;
  }
}
