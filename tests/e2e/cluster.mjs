// What several servers as one need around them: a Redis, and a balancer before their HTTP ports.

import { once } from "node:events";
import net from "node:net";
import { Part } from "./part.mjs";

/** Debian's redis-server, without a file of its own. */
export class Redis extends Part {
  constructor() {
    // Below the ports that Linux gives to whoever asks for any.
    const port = 15_000 + Math.floor(Math.random() * 10_000);
    super("redis", "redis-server", ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    this.url = `redis://127.0.0.1:${port}`;
  }

  ready() {
    return this.line(/Ready to accept connections/);
  }
}

/** Takes each connection to the first server that accepts it, beginning with another one each time. */
export class Balancer {
  /** `host:port` of each server. */
  backs = [];
  #next = 0;

  static async start() {
    const balancer = new Balancer();
    balancer.server = net.createServer((front) => balancer.#carry(front)).listen(0, "127.0.0.1");
    await once(balancer.server, "listening");
    balancer.origin = `http://127.0.0.1:${balancer.server.address().port}`;
    return balancer;
  }

  async stop() {
    this.server.close();
  }

  async #carry(front) {
    front.on("error", () => front.destroy());
    const first = this.#next++;
    for (let n = 0; n < this.backs.length; n += 1) {
      const [host, port] = this.backs[(first + n) % this.backs.length].split(":");
      const back = net.connect(Number(port), host);
      back.on("error", () => back.destroy());
      if (!(await new Promise((done) => back.once("connect", () => done(true)).once("close", () => done(false))))) continue;
      front.on("close", () => back.destroy());
      back.on("close", () => front.destroy());
      front.pipe(back).pipe(front);
      return;
    }
    front.destroy();
  }
}
