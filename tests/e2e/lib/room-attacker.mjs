// A hostile agent with all of CDP on its browser's own port, and what else of it there is to search:
// the browser's memory, its disk, and all that the agent API has told.

import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { Cdp } from "./gate.mjs";
import { callAll, DESTRUCTIVE_METHODS, HostileAgent, SPY_SCRIPT } from "./gate-attacker.mjs";

/** They would stand in the way of the agent's own browser, so that nothing could move and be found. */
const OBSTRUCTIVE_METHODS =
  /^Fetch\.|LeakDetection|[Dd]ebugger|[Bb]reakpoint|setBlockedURLs|emulateNetwork|overrideNetwork|setIgnoreInputEvents|setDeviceMetrics|setBypass|setDocumentCookieDisabled|setTouch|setScriptSource|setCPUThrottling|setAutoAttach|exposeDevToolsProtocol|createTarget|createBrowserContext|setCookie|canClearBrowser|WebAuthn|FedCm|Autofill|setPermission|Tethering|Cast|PWA|Extensions|Tracing|setDownload|autoAttachRelated/;

const MAX_BODIES = 200;

export class RoomAttacker {
  sessions = new Map();

  /** Attaches to all that there is in the browser, and to all that comes. */
  static async join(cdpUrl) {
    const attacker = new RoomAttacker();
    const read = async (path) => (await fetch(`${cdpUrl}${path}`)).json();
    attacker.agent = new HostileAgent(await read("/json/protocol"));
    attacker.cdp = await Cdp.open((await read("/json/version")).webSocketDebuggerUrl);
    attacker.cdp.socket.on("message", (data) => attacker.#hear(JSON.parse(data)));
    await attacker.cdp.call("Target.setDiscoverTargets", { discover: true });
    const auto = { autoAttach: true, waitForDebuggerOnStart: false, flatten: true };
    await attacker.cdp.call("Target.setAutoAttach", auto);
    return attacker;
  }

  get heard() {
    return this.cdp.heard;
  }

  #hear({ method, params }) {
    if (method === "Target.detachedFromTarget") this.sessions.delete(params.sessionId);
    if (method !== "Target.attachedToTarget") return;
    const { sessionId, targetInfo } = params;
    this.sessions.set(sessionId, targetInfo);
    // Not waited for: the target may be gone again.
    void this.cdp.ask("Runtime.enable", {}, sessionId, 5000);
    if (!["page", "iframe"].includes(targetInfo.type)) return;
    void this.cdp.ask("Network.enable", { maxPostDataSize: 1 << 20 }, sessionId, 5000);
    void this.cdp.ask("Page.enable", {}, sessionId, 5000);
    void this.cdp.ask("Runtime.addBinding", { name: "leak" }, sessionId, 5000);
    for (const worldName of [undefined, "spy"])
      void this.cdp.ask(
        "Page.addScriptToEvaluateOnNewDocument",
        { source: SPY_SCRIPT, worldName },
        sessionId,
        5000,
      );
    void this.cdp.ask("Runtime.evaluate", { expression: SPY_SCRIPT }, sessionId, 5000);
  }

  /** The sessions of pages that are there now, without that target's. */
  pages(without = undefined) {
    const pages = [...this.sessions].filter(
      ([, { type, targetId }]) => type === "page" && targetId !== without,
    );
    return pages.map(([id]) => id);
  }

  /**
   * Every method that neither ends nor obstructs the browser, on it and on its pages but one: what a
   * session is to move to must still answer.
   * @param {string} spared the target of that page
   */
  async tryAll(spared) {
    const commands = this.agent
      .commands({ expression: "document.documentElement.outerHTML", depth: -1, pierce: true })
      .filter(([name]) => !DESTRUCTIVE_METHODS.test(name) && !OBSTRUCTIVE_METHODS.test(name));
    return callAll(this.cdp, [undefined, ...this.pages(spared)], commands, 700);
  }

  /** Asks for all that the browser keeps; gives how many pages told their heap. */
  async lookAround() {
    const { browserContextIds } = await this.cdp.call("Target.getBrowserContexts");
    for (const browserContextId of [undefined, ...browserContextIds])
      await this.cdp.ask("Storage.getCookies", { browserContextId });
    await this.cdp.ask("Target.getTargets", { filter: [{}] });
    let heaps = 0;
    for (const session of this.pages()) {
      const ask = (method, params = {}, ms = 3000) => this.cdp.ask(method, params, session, ms);
      await ask("Runtime.evaluate", {
        expression: READ_STORES,
        awaitPromise: true,
        returnByValue: true,
      });
      await ask("Page.getNavigationHistory");
      await ask("Page.getResourceTree");
      await ask("Network.getAllCookies");
      await ask("DOMSnapshot.captureSnapshot", { computedStyles: [] });
      await ask("DOM.getDocument", { depth: -1, pierce: true });
      if (await ask("HeapProfiler.takeHeapSnapshot", { reportProgress: false }, 20_000)) heaps += 1;
    }
    const requests = this.heard.join("\n").match(/"requestId":"[^"]+"/g) ?? [];
    const last = [...new Set(requests)].slice(-MAX_BODIES).map((m) => JSON.parse(`{${m}}`));
    const asked = this.pages().flatMap((session) =>
      last.flatMap(({ requestId }) => [
        this.cdp.ask("Network.getRequestPostData", { requestId }, session, 1000),
        this.cdp.ask("Network.getResponseBody", { requestId }, session, 1000),
      ]),
    );
    await Promise.all(asked);
    return heaps;
  }

  async stop() {
    this.cdp.close();
  }
}

/** All that an origin keeps, read by a script. */
const READ_STORES = `(async () => {
  const told = [document.cookie, { ...localStorage }, { ...sessionStorage }, history.state, location.href];
  for (const { name } of await indexedDB.databases()) {
    const db = await new Promise((resolve) => { const asked = indexedDB.open(name); asked.onsuccess = () => resolve(asked.result); });
    for (const store of db.objectStoreNames)
      told.push(await new Promise((resolve) => { const asked = db.transaction(store).objectStore(store).getAll(); asked.onsuccess = () => resolve(asked.result); }));
    db.close();
  }
  for (const name of await caches.keys()) told.push(name, (await (await caches.open(name)).keys()).map((r) => r.url));
  return JSON.stringify(told);
})()`;

/** The processes of that group: a browser with all of its children. */
export function processesOf(group) {
  return processes().filter((pid) => field(pid, 2) === group);
}

/** The processes that were started with such an argument. */
export function processesWith(text) {
  return processes().filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(text);
    } catch {
      return false;
    }
  });
}

const processes = () =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);

/** A field of its status, of those behind the name (proc(5)); NaN once it has ended. */
function field(pid, index) {
  try {
    return Number(
      readFileSync(`/proc/${pid}/stat`, "utf8")
        .replace(/^.*\) /s, "")
        .split(" ")[index],
    );
  } catch {
    return Number.NaN;
  }
}

/** Every file below that folder. */
export const filesIn = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath ?? entry.path}/${entry.name}`);

/** All that the agent API tells without being asked: webhooks, and a session's stream. */
export class Listener {
  words = [];

  static async start() {
    const listener = new Listener();
    listener.server = createServer(async (request, response) => {
      let body = "";
      for await (const chunk of request) body += chunk;
      listener.words.push(`${request.url} ${JSON.stringify(request.headers)} ${body}`);
      response.writeHead(204).end();
    });
    listener.server.listen(0, "127.0.0.1");
    await once(listener.server, "listening");
    listener.url = `http://127.0.0.1:${listener.server.address().port}/hook`;
    return listener;
  }

  /** Hears that session's stream to its end. */
  follow({ stream_url, stream_token }) {
    const hear = async () => {
      const answer = await fetch(stream_url, {
        headers: { authorization: `Bearer ${stream_token}` },
      });
      const decoder = new TextDecoder();
      for await (const chunk of answer.body) this.words.push(decoder.decode(chunk));
    };
    this.followed = hear();
  }

  async stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}
