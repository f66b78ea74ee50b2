// The agent API: the real one beside a browser, and one that is told what to say.

import { EventEmitter, once } from "node:events";
import { createServer } from "node:http";
import { bin, Part } from "./harness.mjs";

/** `authloop-host serve`; in agents' own browsers, unless the test says which rooms it is about. */
export class AgentApi extends Part {
  constructor(args, env = {}) {
    const rooms = args.includes("--rooms") ? [] : ["--rooms", "in-place"];
    super(
      "agent-api",
      bin("authloop-host"),
      ["serve", "--json", "--listen", "127.0.0.1:0", ...rooms, ...args],
      { env },
    );
  }

  /** @param {Record<string, string>} [env] more of its environment */
  static async start(world, args = [], env = {}) {
    const api = world.keep(new AgentApi(["--server", world.origin, ...args], env));
    const { listen } = await api.event((e) => e.event === "listening", "the start");
    api.url = `http://${listen}`;
    return api;
  }
}

const LINK = "https://authloop.example/#c2VjcmV0LWxpbms";

/** A stand-in, for what a real session cannot be made to do at will. */
export class FakeApi {
  link = LINK;
  asked = [];
  session = null;
  /** Answers this instead, once. */
  refusal = null;
  #changed = new EventEmitter().setMaxListeners(0);

  static async start() {
    const api = new FakeApi();
    api.server = createServer((request, response) => api.#answer(request, response));
    api.server.listen(0, "127.0.0.1");
    await once(api.server, "listening");
    api.url = `http://127.0.0.1:${api.server.address().port}`;
    return api;
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }

  /** The session goes on. */
  change(status, outcome = null) {
    Object.assign(this.session, {
      status,
      phase: outcome ? "ended" : "live",
      outcome,
      version: this.session.version + 1,
    });
    this.#changed.emit("change");
  }

  resolve() {
    this.change("RESOLVED", {
      verdict: "signed_in",
      reason: "condition_met",
      message: "It is there.",
      evidence: [],
    });
  }

  /** Waits for a request that `match` likes, past or to come. */
  async request(match) {
    for (;;) {
      const found = this.asked.find(match);
      if (found) return found;
      await once(this.#changed, "asked");
    }
  }

  async #answer(request, response) {
    let text = "";
    for await (const chunk of request) text += chunk;
    const { pathname, searchParams } = new URL(request.url, this.url);
    this.asked.push({
      method: request.method,
      path: pathname,
      key: request.headers.authorization,
      body: text ? JSON.parse(text) : null,
    });
    this.#changed.emit("asked");
    const say = (status, body) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    if (this.refusal) {
      const { status, code, message } = this.refusal;
      this.refusal = null;
      return say(status, { error: { code, message, details: null } });
    }
    if (request.method === "POST") {
      const times = {
        created_at: "2026-11-25T03:39:16.000Z",
        expires_at: "2026-11-25T03:49:16.000Z",
      };
      this.session = {
        session_id: "hs_1",
        status: "PENDING",
        phase: "waiting",
        service: "Bank",
        context: null,
        version: 1,
        outcome: null,
        cookies: null,
        ...times,
      };
      return say(201, {
        session_id: "hs_1",
        session_url: LINK,
        stream_token: "st_secret",
        stream_url: `${this.url}/x`,
        cdp_url: "http://127.0.0.1:9333",
        ...times,
      });
    }
    if (pathname !== "/session/hs_1")
      return say(404, {
        error: { code: "not_found", message: "there is no such session", details: null },
      });
    if (request.method === "DELETE")
      this.change("CANCELLED", {
        verdict: "not_signed_in",
        reason: "cancelled",
        message: "",
        evidence: [],
      });
    const since = Number(searchParams.get("since") ?? this.session.version);
    const signal = AbortSignal.any([
      AbortSignal.timeout(1000 * Number(searchParams.get("wait") ?? 0)),
    ]);
    while (!this.session.outcome && this.session.version <= since && !signal.aborted) {
      await once(this.#changed, "change", { signal }).catch(() => {});
    }
    say(200, this.session);
  }
}
