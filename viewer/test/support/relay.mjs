// A blind ICE-lite relay small enough for tests: answers STUN for its legs and forwards the rest.
import { createHmac, randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { crc32 } from "node:zlib";

const COOKIE = 0x2112a442;

export class TestRelay {
  /** @type {Map<string, {leg: any, pwd: string}>} */
  #byUfrag = new Map();
  /** @type {Map<string, any>} */
  #byAddress = new Map();
  forwarded = 0;
  /** Drops everything, as a dead relay does. */
  dead = false;

  async start() {
    this.socket = createSocket("udp4");
    this.socket.on("message", (m, from) => this.#message(m, from));
    await new Promise((r) => this.socket.bind(0, "127.0.0.1", () => r(null)));
    this.port = this.socket.address().port;
    return this;
  }

  stop() {
    this.socket.close();
  }

  /** Two legs, each other's peers. */
  pair() {
    const host = { path: null, queue: [] };
    const viewer = { path: null, queue: [] };
    host.peer = viewer;
    viewer.peer = host;
    return { host, viewer };
  }

  /** New credentials for a leg; the old ones are forgotten. */
  credentials(leg) {
    if (leg.ufrag) this.#byUfrag.delete(leg.ufrag);
    leg.ufrag = randomBytes(12)
      .toString("base64")
      .replace(/[^A-Za-z0-9+/]/g, "");
    const pwd = randomBytes(24).toString("base64").replace(/=/g, "");
    leg.generation = (leg.generation ?? 0) + 1;
    this.#byUfrag.set(leg.ufrag, { leg, pwd });
    return {
      type: "ice",
      generation: leg.generation,
      ufrag: leg.ufrag,
      pwd,
      candidates: [`127.0.0.1:${this.port}`],
    };
  }

  #message(m, from) {
    if (this.dead) return;
    if (m.length >= 20 && m[0] < 4 && m.readUInt32BE(4) === COOKIE) return this.#stun(m, from);
    const leg = this.#byAddress.get(`${from.address}:${from.port}`);
    if (!leg) return;
    const { peer } = leg;
    if (!peer.path) {
      if (peer.queue.length < 16) peer.queue.push(m);
      return;
    }
    this.forwarded += 1;
    this.socket.send(m, peer.path.port, peer.path.address);
  }

  #stun(m, from) {
    if (m.readUInt16BE(0) !== 0x0001) return;
    let at = 20;
    let known = null;
    while (at + 4 <= m.length) {
      const type = m.readUInt16BE(at);
      const length = m.readUInt16BE(at + 2);
      if (type === 0x0006)
        known = this.#byUfrag.get(m.toString("utf8", at + 4, at + 4 + length).split(":")[0]);
      if (type === 0x0008) {
        if (!known) return;
        const signed = Buffer.from(m.subarray(0, at));
        signed.writeUInt16BE(at - 20 + 24, 2);
        const mac = createHmac("sha1", known.pwd).update(signed).digest();
        if (!mac.equals(m.subarray(at + 4, at + 24))) return;
        break;
      }
      at += 4 + length + ((4 - (length % 4)) % 4);
    }
    if (!known) return;
    const { leg } = known;
    for (const [k, v] of this.#byAddress) if (v === leg) this.#byAddress.delete(k);
    this.#byAddress.set(`${from.address}:${from.port}`, leg);
    leg.path = from;
    for (const packet of leg.queue.splice(0)) this.socket.send(packet, from.port, from.address);
    const address = Buffer.from([0, 0x20, 0, 8, 0, 1, 0, 0, 0, 0, 0, 0]);
    address.writeUInt16BE(from.port ^ (COOKIE >>> 16), 6);
    const ip = from.address.split(".").reduce((n, p) => n * 256 + Number(p), 0);
    address.writeUInt32BE((ip ^ COOKIE) >>> 0, 8);
    const header = Buffer.alloc(20);
    header.writeUInt16BE(0x0101, 0);
    header.writeUInt16BE(address.length + 24, 2);
    m.copy(header, 4, 4, 20);
    const head = Buffer.concat([header, address]);
    const mac = createHmac("sha1", known.pwd).update(head).digest();
    const whole = Buffer.concat([head, Buffer.from([0, 8, 0, 20]), mac]);
    whole.writeUInt16BE(whole.length - 20 + 8, 2);
    const print = Buffer.alloc(8);
    print.writeUInt16BE(0x8028, 0);
    print.writeUInt16BE(4, 2);
    print.writeUInt32BE((crc32(whole) ^ 0x5354554e) >>> 0, 4);
    this.socket.send(Buffer.concat([whole, print]), from.port, from.address);
  }
}
