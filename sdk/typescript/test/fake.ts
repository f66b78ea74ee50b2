/** A host that answers from a list, and keeps what it was asked. */

import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Client } from "../src/index.js";

export interface Asked {
  method: string;
  path: string;
  query: Record<string, string>;
  headers: IncomingHttpHeaders;
  // biome-ignore lint/suspicious/noExplicitAny: what it is, the assertions find out.
  body: any;
}

export interface Reply {
  status?: number;
  headers?: Record<string, string>;
  body?: unknown;
  /** Drops the connection instead. */
  drop?: boolean;
}

export type Replies = (Reply | ((asked: Asked) => Reply | Promise<Reply>))[];

export const QUICK = { first: 1, longest: 2, outage: 5000 };

export class Host {
  readonly asked: Asked[] = [];
  #server: Server;

  private constructor(replies: Replies) {
    this.#server = createServer(async (request, response) => {
      let text = "";
      for await (const chunk of request) text += chunk;
      const url = new URL(request.url ?? "", "http://host");
      const asked: Asked = {
        method: request.method ?? "",
        path: url.pathname,
        query: Object.fromEntries(url.searchParams),
        headers: request.headers,
        body: text ? JSON.parse(text) : undefined,
      };
      this.asked.push(asked);
      const next = replies.shift() ?? {
        status: 500,
        body: { error: { code: "one_request_too_many", message: "" } },
      };
      const {
        status = 200,
        headers = {},
        body,
        drop,
      } = typeof next === "function" ? await next(asked) : next;
      if (drop) return void request.socket.destroy();
      const content = typeof body === "string" || body === undefined ? body : JSON.stringify(body);
      response.writeHead(status, { "content-type": "application/json", ...headers }).end(content);
    });
  }

  static async start(...replies: Replies): Promise<Host> {
    const host = new Host(replies);
    await new Promise<void>((resolve) => host.#server.listen(0, "127.0.0.1", resolve));
    return host;
  }

  client(retry: Partial<typeof QUICK> = {}): Client {
    const { port } = this.#server.address() as AddressInfo;
    return new Client({
      baseUrl: `http://127.0.0.1:${port}/`,
      apiKey: "key",
      retry: { ...QUICK, ...retry },
    });
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

export const CREATED = {
  session_id: "hs_1",
  session_url: "https://authloop.example/#c2VjcmV0",
  stream_token: "st_secret",
  stream_url: "http://127.0.0.1:7300/session/hs_1/events",
  expires_at: "2026-11-25T03:49:16.000Z",
  cdp_url: "http://127.0.0.1:9333",
  room: "private",
  start: "fresh",
  grants: ["bank.example"],
  isolation: "own_user",
};

/** The object of `GET /session/{id}`. */
export const session = (status = "PENDING", version = 1, more: object = {}) => ({
  session_id: "hs_1",
  status,
  phase: "waiting",
  service: "Example Bank",
  created_at: "2026-11-25T03:39:16.000Z",
  expires_at: "2026-11-25T03:49:16.000Z",
  context: null,
  version,
  outcome: null,
  cookies: null,
  room: "private",
  start: "fresh",
  grants: ["bank.example"],
  isolation: "own_user",
  ...more,
});

export const outcome = (verdict = "signed_in", reason = "condition_met") => ({
  verdict,
  reason,
  message: "It is there.",
  evidence: [],
});

export const error = (
  status: number,
  code: string,
  details: unknown = null,
  headers: Record<string, string> = {},
): Reply => ({
  status,
  headers,
  body: { error: { code, message: "no", details } },
});
