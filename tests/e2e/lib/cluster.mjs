// What several servers as one need around them: a Redis, and a balancer before their HTTP ports.

import { once } from "node:events";
import net from "node:net";
import { bringUp, ip } from "./netns.mjs";
import { Part } from "./part.mjs";

/** A switch, and network namespaces on it, one for each server that runs at a time. */
export class NetworkSwitch {
  /** This side's address. */
  outside = "10.213.79.1";
  /** Where a server can be: its namespace and its address there. */
  places = [];
  #name = `alc${process.pid}`;

  constructor(count) {
    ip("link", "add", this.#name, "type", "bridge");
    try {
      ip("addr", "add", `${this.outside}/24`, "dev", this.#name);
      for (let n = 0; n < count; n += 1) this.#plug(`${this.#name}-${n}`, `10.213.79.${10 + n}`);
      bringUp(this.#name, ...this.places.map(({ name }) => name));
    } catch (error) {
      this.stop();
      throw error;
    }
  }

  #plug(name, address) {
    ip("netns", "add", name);
    this.places.push({ name, address });
    ip(
      "link",
      "add",
      name,
      "master",
      this.#name,
      "type",
      "veth",
      "peer",
      "name",
      "eth0",
      "netns",
      name,
    );
    ip("-n", name, "addr", "add", `${address}/24`, "dev", "eth0");
    for (const link of ["eth0", "lo"]) ip("-n", name, "link", "set", link, "up");
  }

  stop() {
    for (const { name } of this.places) ip("netns", "del", name);
    ip("link", "del", this.#name);
  }
}

/** Debian's redis-server, without a file of its own. */
export class Redis extends Part {
  constructor(address = "127.0.0.1") {
    // Below the ports that Linux gives to whoever asks for any.
    const port = 15_000 + Math.floor(Math.random() * 10_000);
    super("redis", "redis-server", [
      "--port",
      String(port),
      "--bind",
      address,
      "--protected-mode",
      "no",
      "--save",
      "",
      "--appendonly",
      "no",
    ]);
    this.url = `redis://${address}:${port}`;
  }

  ready() {
    return this.line(/Ready to accept connections/);
  }
}

/**
 * Takes each connection to the first server that accepts it, beginning with another one each time.
 */
export class Balancer {
  /** `host:port` of each server. */
  backs = [];
  #next = 0;

  static async start() {
    const balancer = new Balancer();
    balancer.server = net.createServer((front) => balancer.#forward(front)).listen(0, "127.0.0.1");
    await once(balancer.server, "listening");
    balancer.origin = `http://127.0.0.1:${balancer.server.address().port}`;
    return balancer;
  }

  async stop() {
    this.server.close();
  }

  async #forward(front) {
    front.on("error", () => front.destroy());
    const first = this.#next++;
    for (let n = 0; n < this.backs.length; n += 1) {
      const [host, port] = this.backs[(first + n) % this.backs.length].split(":");
      const back = net.connect(Number(port), host);
      back.on("error", () => back.destroy());
      if (
        !(await new Promise((done) =>
          back.once("connect", () => done(true)).once("close", () => done(false)),
        ))
      )
        continue;
      front.on("close", () => back.destroy());
      back.on("close", () => front.destroy());
      front.pipe(back).pipe(front);
      return;
    }
    front.destroy();
  }
}
