// What the tests of deploy/ share: commands, a server, and a handoff spoken by hand that moves
// every metric.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import { tmpdir } from "node:os";
import { Part, within } from "../e2e/lib/part.mjs";

export { Part, within } from "../e2e/lib/part.mjs";

const { WebSocket } = createRequire(new URL("../e2e/package.json", import.meta.url))("ws");

export const ROOT = new URL("../../", import.meta.url).pathname;
export const DEPLOY = `${ROOT}deploy/`;
const TARGET = process.env.CARGO_TARGET_DIR ?? `${ROOT}target`;
const BIN = process.env.E2E_BIN ?? `${TARGET}/debug`;
export const AUTHLOOP = `${BIN}/authloop`;
const HOST = `${BIN}/authloop-host`;
/** The linters that deploy/test installs. */
export const TOOLS = process.env.DEPLOY_TOOLS ?? `${ROOT}.cache/deploy-tools/bin`;

/** Runs to the end and gives its output; a failure shows it. */
export function run(file, args, options = {}) {
  const { status, error, stdout, stderr } = spawnSync(file, args, {
    encoding: "utf8",
    timeout: 60_000,
    maxBuffer: 64 << 20,
    ...options,
  });
  assert.equal(status, 0, `${file} ${args.join(" ")}: ${error ?? ""}\n${stdout}${stderr}`);
  return stdout;
}

/** A folder that goes with the test. */
export function folder(t) {
  const path = mkdtempSync(`${tmpdir()}/authloop-deploy-`);
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A port that was free a moment ago. */
export async function freePort() {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export class Server extends Part {
  /** `wrapper`: a command that runs it. */
  static async start(t, wrapper = []) {
    assert.ok(existsSync(AUTHLOOP), `${AUTHLOOP} is missing: cargo build -p authloop`);
    const [file, ...args] = [
      ...wrapper,
      AUTHLOOP,
      "serve",
      "--json",
      "--listen",
      "127.0.0.1:0",
      "--admin-listen",
      "127.0.0.1:0",
      "--relay-listen",
      "127.0.0.1:0",
    ];
    const server = new Server("server", file, args, { group: wrapper.length > 0 });
    t.after(() => server.stop());
    const { listen, admin } = await server.event((e) => e.event === "listening", "the start");
    return Object.assign(server, { listen, admin, url: `http://${listen}` });
  }

  async metrics() {
    return (await fetch(`http://${this.admin}/metrics`)).text();
  }
}

/** `authloop-host serve`, without a browser: it publishes every metric from the start. */
export class Host extends Part {
  static async start(t, server) {
    assert.ok(existsSync(HOST), `${HOST} is missing: cargo build -p authloop-host`);
    const args = [
      "serve",
      "--json",
      "--server",
      server.url,
      "--listen",
      "127.0.0.1:0",
      "--metrics-listen",
      "127.0.0.1:0",
      "--rooms",
      "in-place",
    ];
    const host = new Host("host", HOST, args);
    t.after(() => host.stop());
    const { metrics } = await host.event((e) => e.event === "listening", "the start");
    return Object.assign(host, { scraped: metrics });
  }

  async metrics() {
    return (await fetch(`http://${this.scraped}/metrics`)).text();
  }
}

const b64u = (bytes) => Buffer.from(bytes).toString("base64url");
const bytes = (n) => crypto.getRandomValues(new Uint8Array(n));
const sha256 = async (data) => new Uint8Array(await crypto.subtle.digest("SHA-256", data));
const CURVE = { name: "ECDSA", namedCurve: "P-256" };
const device = async () => {
  const keys = await crypto.subtle.generateKey(CURVE, true, ["sign", "verify"]);
  return { keys, point: new Uint8Array(await crypto.subtle.exportKey("raw", keys.publicKey)) };
};

class Socket {
  #received = [];
  #wake = () => {};

  constructor(server, id, side) {
    this.ws = new WebSocket(`ws://${server.listen}/v1/sessions/${id}/${side}`, {
      origin: side === "viewer" ? server.url : undefined,
    });
    this.ws.on("message", (data) => {
      this.#received.push(JSON.parse(data.toString()));
      this.#wake();
    });
    this.closed = once(this.ws, "close");
  }

  send(message) {
    this.ws.send(JSON.stringify(message));
  }

  /** The first message of this type, past or to come. */
  next(type) {
    const found = new Promise((resolve) => {
      this.#wake = () => {
        const at = this.#received.findIndex((m) => m.type === type);
        if (at >= 0) resolve(this.#received.splice(0, at + 1).at(-1));
      };
      this.#wake();
    });
    return within(10_000, () => `${type}; came: ${JSON.stringify(this.#received)}`, found);
  }

  async close() {
    this.ws.close();
    await this.closed;
  }
}

const post = (server, body) =>
  fetch(`${server.url}/v1/sessions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });

async function claim(server, id, token, with_) {
  const viewer = new Socket(server, b64u(id), "viewer");
  const { nonce } = await viewer.next("challenge");
  const signed = Buffer.concat([
    Buffer.from("authloop/1 claim"),
    id,
    Buffer.from(nonce, "base64url"),
    await sha256(token),
  ]);
  const signature = b64u(
    await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, with_.keys.privateKey, signed),
  );
  viewer.send({ type: "claim", token: b64u(token), device: b64u(with_.point), signature });
  return viewer;
}

/** One handoff with whatever can happen in it, so that every metric has a series. */
export async function exercise(server) {
  const [id, token] = [bytes(16), bytes(32)];
  const [mine, other] = await Promise.all([device(), device()]);
  const invitation = {
    v: 1,
    id: b64u(id),
    hpke: b64u(mine.point),
    fingerprint: `sha-256 ${Array(32).fill("AB").join(":")}`,
    requester: "tests",
    reason: "to be seen in the metrics",
    origins: [],
    expires: Math.floor(Date.now() / 1000) + 600,
  };
  const body = {
    id: b64u(id),
    invitation: b64u(JSON.stringify(invitation)),
    claim_hash: b64u(await sha256(token)),
  };
  const answer = await post(server, body);
  assert.equal(answer.status, 201, await answer.clone().text());
  const { host_token } = await answer.json();
  assert.equal((await post(server, body)).status, 409);

  const viewer = await claim(server, id, token, mine);
  await viewer.next("ice");
  // Past the mailbox's 16, for a host that is not there.
  for (let n = 0; n < 20; n++) viewer.send({ type: "sealed", data: b64u(bytes(40)) });
  viewer.send({ type: "restart" });
  await viewer.next("ice");
  const second = await claim(server, id, token, other);
  await second.closed;

  const turn = net.connect(Number(server.listen.split(":")[1]), "127.0.0.1");
  turn.write(Buffer.concat([Buffer.from([0, 3, 0, 0, 0x21, 0x12, 0xa4, 0x42]), bytes(12)]));
  await within(10_000, () => "TURN's challenge", once(turn, "data"));
  turn.destroy();

  const host = new Socket(server, b64u(id), "host");
  await host.next("challenge");
  host.send({ type: "attach", host_token });
  await host.next("welcome");
  host.send({ type: "end", outcome: "resolved" });
  await Promise.all([host.closed, viewer.closed]);
  await within(
    10_000,
    () => "the stream's end in the metrics",
    (async () => {
      while (!(await server.metrics()).includes("authloop_streams_ended_total{"))
        await new Promise((wake) => setTimeout(wake, 20));
    })(),
  );
}

/** The metrics' names that a PromQL text uses; a histogram's three series count as it. */
export const metricNames = (text) =>
  new Set([...text.matchAll(/(?<![:\w"])(?:authloop|process)_[a-z0-9_]+/g)].map(([name]) => name));

/** The names of series in a scrape. */
export const seriesNames = (scrape) =>
  new Set(
    scrape
      .split("\n")
      .filter((line) => line && !line.startsWith("#"))
      .map((line) => /^[a-zA-Z0-9_:]+/.exec(line)[0]),
  );

/** A YAML file as JSON. */
export const yaml = (path) =>
  JSON.parse(
    run(`${TOOLS}/python`, [
      "-c",
      "import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)",
      path,
    ]),
  );
