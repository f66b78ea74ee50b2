// Everything that a test needs to hand a real browser to a real browser.

import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { tmpdir } from "node:os";
import { text } from "node:stream/consumers";
import { describe, test } from "node:test";
import { chromium, devices } from "playwright-core";
import { Mitm } from "./mitm.mjs";
import { ARTIFACTS, Part } from "./part.mjs";
import { Viewer } from "./viewer.mjs";

export { ARTIFACTS, Part, within } from "./part.mjs";

const TARGET = process.env.CARGO_TARGET_DIR ?? new URL("../../../target", import.meta.url).pathname;
const BIN = process.env.E2E_BIN ?? `${TARGET}/debug`;
export const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const SHELL = "/usr/bin/chromium-headless-shell";
/**
 * The engine alone, for half of the processor time: what a user has and what is handed off, unless a
 * test wants the whole Chromium.
 */
export const HEADLESS_SHELL = process.env.CHROMIUM ?? (existsSync(SHELL) ? SHELL : CHROMIUM);
const HEADLESS = "--headless=new";
const FLAGS = [
  HEADLESS,
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--no-default-browser-check",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-dev-shm-usage",
];

export const bin = (name) => `${BIN}/${name}`;

export const DEVICES = {
  phone: devices["Pixel 7"],
  desktop: { viewport: { width: 1200, height: 800 } },
};

/** The user's browser, one for all tests of a file; contexts keep the users apart. */
let userBrowser = null;
let screen = null;
export const usersBrowser = () =>
  (userBrowser ??= chromium.launch({
    executablePath: screen ? CHROMIUM : HEADLESS_SHELL,
    ...(screen && { headless: false, env: { ...process.env, DISPLAY: screen } }),
    // The second: the attacker of hostile.test.mjs must know its own address.
    args: [
      ...FLAGS.filter((flag) => !screen || flag !== HEADLESS),
      "--allow-loopback-in-peer-connection",
      "--disable-features=WebRtcHideLocalIpsWithMdns",
    ],
  }));

/** Has the next user's browser paint on an X display, in windows; without one, headless again. */
export async function paintOn(display = null) {
  await closeBrowser();
  screen = display;
}

/** A browser as people have it, without a flag that WebRTC would notice. */
export const plainBrowser = (options = {}) =>
  chromium.launch({
    executablePath: HEADLESS_SHELL,
    ...options,
    args: [...FLAGS, ...(options.args ?? [])],
  });

/** The browser that is handed off: the whole Chromium, as agents have it, or the engine alone. */
export class Remote extends Part {
  /** `port`: of its debugging, any if 0. */
  constructor(url, file = CHROMIUM, port = 0) {
    const profile = mkdtempSync(`${tmpdir()}/authloop-e2e-`);
    super(
      "remote-chromium",
      file,
      [...FLAGS, `--remote-debugging-port=${port}`, `--user-data-dir=${profile}`, url],
      { group: true },
    );
    this.profile = profile;
  }

  async ready() {
    const [, port] = await this.line(/DevTools listening on ws:\/\/127\.0\.0\.1:(\d+)\//);
    this.cdp = `http://127.0.0.1:${port}`;
  }

  async stop() {
    this.kill("SIGKILL");
    await this.ended;
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  }
}

export class Site extends Part {
  constructor(args) {
    super("site", bin("authloop-site"), args);
  }

  async ready() {
    const { url, other } = await this.event((e) => e.event === "listening", "the start");
    Object.assign(this, { url, other });
  }

  /** What it was sent, once there are `count` records. */
  async records(count = 0) {
    return (await fetch(`${this.url}/records?count=${count}`)).json();
  }
}

/** A metric's value in Prometheus's text, if it is there; `name` with its labels. */
export function metricIn(text, name) {
  const line = text.split("\n").find((l) => l.startsWith(`${name} `));
  return line && Number(line.slice(name.length + 1));
}

export class Server extends Part {
  /** `wrapper`: a command that runs it. */
  constructor(args, wrapper = []) {
    const ports = ["--listen", "--relay-listen"]
      .filter((flag) => !args.includes(flag))
      .flatMap((flag) => [flag, "127.0.0.1:0"]);
    const [file, ...rest] = [...wrapper, bin("authloop"), "serve", "--json", ...ports, ...args];
    super("server", file, rest);
    this.scheme = args.includes("--tls") ? "https" : "http";
  }

  async ready() {
    const { listen, relay, streams } = await this.event(
      (e) => e.event === "listening",
      "the start",
    );
    this.url = `${this.scheme}://${listen}`;
    Object.assign(this, { listen, relay, streams });
  }

  async metrics() {
    const { get } = this.scheme === "https" ? https : http;
    // Whose certificate it is does not matter here.
    const [response] = await once(
      get(`${this.url}/metrics`, { rejectUnauthorized: false }),
      "response",
    );
    return text(response);
  }

  /** The value of a metric; `name` with its labels. */
  async metric(name) {
    return metricIn(await this.metrics(), name) ?? 0;
  }
}

/** One `authloop-host handoff`. */
export class Host extends Part {
  async link() {
    return (await this.event((e) => e.event === "link", "the link")).url;
  }

  state(name, ms) {
    return this.event((e) => e.event === "state" && e.state === name, `the state ${name}`, ms);
  }

  /** The last event and the exit code. */
  async outcome(ms) {
    const code = await this.exit(ms);
    return { code, ...this.events.at(-1) };
  }
}

export class World {
  #open = [];

  /**
   * @param {{path?: string, mitm?: boolean, site?: string[], server?: string[], wrapper?:
   *   string[], remote?: string}} options `path`: the remote browser's first page; `mitm`: everything
   *   goes through a proxy that can lie; `wrapper`: a command that runs the server; `remote`: the
   *   remote browser's program
   */
  static async open({
    path = "/",
    mitm = false,
    site = [],
    server = [],
    wrapper = [],
    remote = HEADLESS_SHELL,
  } = {}) {
    const world = new World();
    try {
      world.mitm = mitm ? world.keep(await Mitm.start()) : null;
      const origin = world.mitm ? ["--public-origin", world.mitm.origin] : [];
      const ports = (arg, i, all) =>
        !["--listen", "--relay-listen"].some((flag) => arg === flag || all[i - 1] === flag);
      world.serverArgs = [...origin, ...server.filter(ports)];
      world.site = world.keep(new Site(site));
      world.server = world.keep(new Server([...origin, ...server], wrapper));
      await Promise.all([world.site.ready(), world.server.ready()]);
      if (world.mitm) world.mitm.upstream = world.server.url;
      world.origin = world.mitm?.origin ?? world.server.url;
      world.remote = world.keep(new Remote(`${world.site.url}${path}`, remote));
      await world.remote.ready();
      return world;
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  /** Has it stopped with the world. */
  keep(part) {
    this.#open.push(part);
    return part;
  }

  host(args = [], { cdp = this.remote.cdp, server = this.origin } = {}) {
    return this.keep(
      new Host("host", bin("authloop-host"), [
        "handoff",
        "--json",
        "--cdp",
        cdp,
        "--server",
        server,
        ...args,
      ]),
    );
  }

  /**
   * The server dies without a word, and another one stands up in its place, with no memory.
   * @param {() => Promise<void>} [meanwhile] while there is none
   */
  async restartServer(meanwhile = async () => {}) {
    const { listen, relay } = this.server;
    this.server.kill("SIGKILL");
    await this.server.ended;
    await meanwhile();
    this.server = this.keep(
      new Server(["--listen", listen, "--relay-listen", relay, ...this.serverArgs]),
    );
    await this.server.ready();
  }

  /** A user at a device, with nothing remembered. */
  async viewer(device = "desktop") {
    const context = await (await usersBrowser()).newContext(DEVICES[device]);
    return this.keep(await Viewer.start(context, device));
  }

  /** A handoff up to the first frame. */
  async live(device, hostArgs) {
    const host = this.host(hostArgs);
    const viewer = await this.viewer(device);
    await viewer.open(await host.link());
    await viewer.claim();
    return { host, viewer };
  }

  async close() {
    for (const part of this.#open.reverse()) await part.stop().catch(() => {});
    this.#open = [];
  }

  /** What everyone saw last, for a test that failed. */
  async tell(name) {
    const safe = name.replaceAll(/[^a-z0-9]+/gi, "-").toLowerCase();
    for (const part of this.#open) {
      if (part instanceof Viewer)
        console.error(await part.tell(`${ARTIFACTS}failed-${safe}.png`).catch(String));
      else if (part instanceof Part && !(part instanceof Remote)) console.error(part.tail());
    }
  }
}

/** A test with a world of its own; `skip` says why not. */
export function scenario(name, options, play) {
  test(name, { timeout: 180_000, skip: options.skip ?? false }, async (t) => {
    const world = await World.open(options);
    try {
      await play(world, t);
    } catch (error) {
      await world.tell(name);
      throw error;
    } finally {
      await world.close();
    }
  });
}

/** Scenarios that mostly wait for somebody to give up: each in its own world, several at a time. */
export const sideBySide = (name, scenarios) => describe(name, { concurrency: 4 }, scenarios);

/** To be called once at the end of a file. */
export async function closeBrowser() {
  await (await userBrowser)?.close();
  userBrowser = null;
}
