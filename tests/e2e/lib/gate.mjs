// What the gate's tests need: a site, a gate before either kind of browser, and the host's own way
// past it.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { WebSocket } from "ws";
import { bin, Part, Remote, within } from "./harness.mjs";

/** Letters and digits only, so that no encoder has a reason to escape one. */
export const canary = () => `CANARY${randomBytes(18).toString("hex")}`;

const FORM = `<!doctype html><title>Sign in</title>
<form method=post action=/signin><input name=user id=user><input name=password id=password type=password>
<input name=code id=code autocomplete=one-time-code><button id=go>Go</button></form><textarea id=note></textarea>
<div id=shadow></div><iframe id=inner src=/inner></iframe>
<script>const root = document.getElementById("shadow").attachShadow({ mode: "closed" });
root.innerHTML = "<input type=password>"; root.host.focusInside = null;
addEventListener("focus-inside", () => root.querySelector("input").focus());</script>`;
const PAGES = {
  "/": `<!doctype html><title>Home</title><h1>Home</h1><button id=b onclick="this.textContent='clicked'">press</button>
<input id=name><a id=pop href="#" onclick="window.open('/popup','_blank','width=300,height=200');return false">pop</a>`,
  "/signin": FORM,
  "/inner": `<!doctype html><title>Inner</title><input id=innerpw type=password>`,
  "/welcome": `<!doctype html><title>Welcome</title><h1 id=hi>Welcome</h1><button id=b onclick="this.textContent='clicked'">press</button>`,
  "/modal": `<!doctype html><title>Modal</title><textarea id=note></textarea>
<dialog><input id=password type=password></dialog><iframe></iframe><iframe sandbox srcdoc="<input>"></iframe><iframe src=/drawing></iframe>
<script>document.querySelector("dialog").showModal()</script>`,
  "/popup": `<!doctype html><title>Popup</title><p id=p>popup</p>`,
};

/** What a worker that an agent has put in place would do. */
const WORKER = `addEventListener("install", () => skipWaiting());
addEventListener("activate", (e) => e.waitUntil(clients.claim()));
addEventListener("fetch", (e) => { const copy = e.request.clone();
  if (copy.method === "POST") e.waitUntil(copy.text().then((t) => fetch("/steal?worker=" + encodeURIComponent(t)))); });`;

/** A site that remembers what it was sent. */
export class Site {
  posts = [];
  /** What else it was asked for, with queries. */
  asked = [];

  static async start() {
    const site = new Site();
    site.server = createServer(async (request, response) => {
      const { pathname } = new URL(request.url, "http://site");
      if (request.method !== "POST") site.asked.push(request.url);
      if (request.method === "POST") {
        let body = "";
        for await (const chunk of request) body += chunk;
        site.posts.push(body);
        response
          .writeHead(303, { location: "/welcome", "set-cookie": "session=signed-in; HttpOnly" })
          .end();
      } else if (pathname === "/api") {
        response.setHeader("content-type", "application/json").end(`{"from":"server"}`);
      } else if (pathname === "/sw.js") {
        response.setHeader("content-type", "text/javascript").end(WORKER);
      } else if (pathname === "/drawing") {
        response
          .setHeader("content-type", "image/svg+xml")
          .end(`<svg xmlns="http://www.w3.org/2000/svg"><circle r="9"/></svg>`);
      } else if (PAGES[pathname]) {
        response.setHeader("content-type", "text/html").end(PAGES[pathname]);
      } else {
        response.writeHead(404).end("nothing");
      }
    });
    site.server.listen(0, "127.0.0.1");
    await once(site.server, "listening");
    site.url = `http://127.0.0.1:${site.server.address().port}`;
    return site;
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

/** A CDP client of a few lines, which keeps every word it hears. */
export class Cdp {
  heard = [];
  #next = 1;
  #waiting = new Map();
  #events = new EventEmitter().setMaxListeners(0);

  static async open(url) {
    const cdp = new Cdp();
    cdp.socket = new WebSocket(url, { perMessageDeflate: false, maxPayload: 1 << 28 });
    cdp.socket.on("message", (data) => {
      const text = String(data);
      cdp.heard.push(text);
      const message = JSON.parse(text);
      if (message.id !== undefined) cdp.#waiting.get(message.id)?.(message);
      else cdp.#events.emit("event", message);
    });
    await once(cdp.socket, "open");
    return cdp;
  }

  /** The whole answer, or null if there is none in time. */
  ask(method, params = {}, sessionId = undefined, ms = 15_000) {
    const id = this.#next++;
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(null), ms);
      this.#waiting.set(id, (message) => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        resolve(message);
      });
      this.socket.send(JSON.stringify({ id, method, params, sessionId }));
    });
  }

  async call(method, params, sessionId) {
    const answer = await this.ask(method, params, sessionId);
    if (!answer) throw new Error(`${method} was not answered`);
    if (answer.error) throw new Error(`${method}: ${answer.error.message}`);
    return answer.result;
  }

  /** The next event for which `match` holds; ask for it before it can come. */
  event(match, what) {
    let look;
    const found = new Promise((resolve) => {
      look = (event) => match(event) && resolve(event);
      this.#events.on("event", look);
    });
    return within(15_000, () => what, found).finally(() => this.#events.off("event", look));
  }

  async evaluate(expression, sessionId) {
    const { result, exceptionDetails } = await this.call(
      "Runtime.evaluate",
      { expression, returnByValue: true, awaitPromise: true, userGesture: true },
      sessionId,
    );
    if (exceptionDetails)
      throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  close() {
    this.socket.terminate();
  }
}

/** A gate before a browser; `upstream` is `pipe` or `port`. */
export class Gate {
  #hold;

  static async start({ upstream = "pipe", mode = "hold", args = [] } = {}) {
    const gate = new Gate();
    gate.folder = mkdtempSync(`${tmpdir()}/authloop-gate-`);
    gate.control = `${gate.folder}/control`;
    let how = ["--arg=--disable-dev-shm-usage"];
    if (upstream === "port") {
      gate.remote = new Remote("about:blank");
      await gate.remote.ready();
      how = ["--cdp", gate.remote.cdp];
    }
    gate.part = new Part(
      "gate",
      bin("authloop-host"),
      ["launch", "--json", "--gate", mode, "--control-socket", gate.control, ...how, ...args],
      { group: true },
    );
    try {
      Object.assign(gate, await gate.part.event((e) => e.event === "launched", "the launch"));
    } catch (error) {
      await gate.stop();
      throw error;
    }
    return gate;
  }

  /** Closes it, for as long as the socket is there. */
  async shut() {
    this.#hold = new WebSocket(`ws+unix://${this.control}:/hold?h1`);
    const told = this.#told();
    await once(this.#hold, "open");
    assert.deepEqual(await told, { state: "closed" });
  }

  async #told() {
    const [text] = await within(60_000, () => "the gate's word", once(this.#hold, "message"));
    return JSON.parse(String(text));
  }

  async open() {
    const told = this.#told();
    this.#hold.send("open");
    assert.deepEqual(await told, { state: "open" });
  }

  /** The holder dies without a word. */
  abandon() {
    this.#hold.terminate();
  }

  /** The files of the launched browser's profile that hold one of `needles`. */
  filesWith(needles) {
    const arguments_ = readFileSync(`/proc/${this.pid}/cmdline`, "utf8").split("\0");
    const profile = arguments_.find((a) => a.startsWith("--user-data-dir=")).split("=")[1];
    const wanted = needles.flatMap((text) => [Buffer.from(text), Buffer.from(text, "utf16le")]);
    const files = readdirSync(profile, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    );
    const paths = files.map((entry) => `${entry.parentPath}/${entry.name}`);
    return paths.filter((path) => {
      try {
        const bytes = readFileSync(path);
        return wanted.some((needle) => bytes.includes(needle));
      } catch {
        // It was removed in this moment.
        return false;
      }
    });
  }

  /** The host's way, past the gate. */
  past() {
    return Cdp.open(`ws+unix://${this.control}:/browser`);
  }

  async stop() {
    await this.part.stop();
    await this.remote?.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The user's hands: on one page, past the gate. */
export class Hands {
  static async on(gate, url) {
    const hands = new Hands();
    hands.cdp = await gate.past();
    let target;
    // The list may be behind what the page shows: the closing has just given it a new document.
    for (let left = 100; !target; left -= 1) {
      const { targetInfos } = await hands.cdp.call("Target.getTargets");
      const pages = targetInfos.filter((info) => info.type === "page");
      // The browser lists them in no order, and an agent may have others at the same site.
      target =
        pages.find((info) => info.url === url) ?? pages.find((info) => info.url.startsWith(url));
      if (!target && left === 0)
        throw new Error(`no page at ${url} among ${targetInfos.map((info) => info.url)}`);
      if (!target) await pause(100);
    }
    const { sessionId } = await hands.cdp.call("Target.attachToTarget", {
      targetId: target.targetId,
      flatten: true,
    });
    hands.session = sessionId;
    await hands.cdp.call("Page.enable", {}, sessionId);
    await hands.cdp.call("Emulation.setFocusEmulationEnabled", { enabled: true }, sessionId);
    return hands;
  }

  async go(url) {
    const loaded = this.#loaded();
    await this.cdp.call("Page.navigate", { url }, this.session);
    await loaded;
  }

  #loaded() {
    return this.cdp.event(
      (e) => e.method === "Page.loadEventFired" && e.sessionId === this.session,
      "a loaded page",
    );
  }

  /** Types into what `focus`, a script, gives the focus. */
  async type(focus, text) {
    await this.cdp.evaluate(focus, this.session);
    await this.cdp.call("Input.insertText", { text }, this.session);
  }

  async submit() {
    const loaded = this.#loaded();
    await this.cdp.evaluate("document.getElementById('go').click()", this.session);
    await loaded;
  }

  close() {
    this.cdp.close();
  }
}
