// A hostile agent never reads what the user typed: not before, not during, not after.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Cdp, canary, Gate, Hands, Site } from "./lib/gate.mjs";
import {
  callAll,
  DESTRUCTIVE_METHODS,
  encodingsOf,
  HostileAgent,
  messagesWith,
  SPY_SCRIPT,
} from "./lib/gate-attacker.mjs";

const FIELDS = [
  ["user", "document.getElementById('user').focus()"],
  ["password", "document.getElementById('password').focus()"],
  ["code", "document.getElementById('code').focus()"],
  ["note", "document.getElementById('note').focus()"],
  ["inner", "document.getElementById('inner').contentDocument.getElementById('innerpw').focus()"],
  ["shadow", "dispatchEvent(new Event('focus-inside'))"],
];

/** How long a page may take to answer a reader, in ms. */
const ANSWER = 2000;
/** After so many silences in a row a page is taken for one that tells nothing more. */
const SILENCES = 3;

/**
 * Asks a page what it holds; a page that a command has stopped costs a few seconds, not one wait
 * for each question.
 */
class Reader {
  answers = 0;
  #silences = 0;

  constructor(cdp, session) {
    this.cdp = cdp;
    this.session = session;
  }

  get silent() {
    return this.#silences >= SILENCES;
  }

  async ask(method, params, ms = ANSWER) {
    if (this.silent) return;
    const answer = await this.cdp.ask(method, params, this.session, ms);
    this.#silences = answer ? 0 : this.#silences + 1;
    if (answer?.result) this.answers += 1;
  }

  evaluate(expression, more = {}) {
    return this.ask("Runtime.evaluate", { expression, returnByValue: true, ...more });
  }
}

/** What the attacker knows to put into its commands. */
async function learn(cdp, target, session, url) {
  const { frameTree } = await cdp.call("Page.getFrameTree", {}, session);
  const { root } = await cdp.call("DOM.getDocument", { depth: -1, pierce: true }, session);
  const { result } = await cdp.call("Runtime.evaluate", { expression: "document" }, session);
  const field = await cdp
    .call("DOM.querySelector", { nodeId: root.nodeId, selector: "input" }, session)
    .catch(() => ({ nodeId: root.nodeId }));
  const text = cdp.heard.join("\n");
  const last = (pattern) => [...text.matchAll(pattern)].at(-1)?.[1];
  return {
    frameId: frameTree.frame.id,
    loaderId: frameTree.frame.loaderId,
    targetId: target,
    nodeId: field.nodeId,
    backendNodeId: root.backendNodeId,
    objectId: result.objectId,
    remoteObjectId: result.objectId,
    executionContextId: undefined,
    contextId: undefined,
    uniqueContextId: undefined,
    scriptId: last(/"scriptId":"(\d+)"/g) ?? "1",
    requestId: last(/"requestId":"([^"]+)"/g) ?? "1",
    styleSheetId: last(/"styleSheetId":"([^"]+)"/g) ?? "1",
    url,
    urls: [url],
    origin: new URL(url).origin,
    securityOrigin: new URL(url).origin,
    storageKey: `${new URL(url).origin}/`,
    expression:
      "document.documentElement.outerHTML + JSON.stringify([...document.querySelectorAll('input,textarea')].map((i) => i.value))",
    functionDeclaration:
      "function () { return document.documentElement.outerHTML + localStorage.stolen; }",
    source: "void 0",
    query: "CANARY",
    selector: "input",
    pierce: true,
    depth: -1,
    name: "leak",
    sessionId: undefined,
    flatten: true,
    returnByValue: true,
    autoAttach: true,
    waitForDebuggerOnStart: false,
    discover: true,
    browserContextId: undefined,
    text: "a",
    handle: "1",
    path: "/tmp/x",
    ignore: false,
    disabled: false,
    offline: false,
    latency: 0,
    downloadThroughput: -1,
    uploadThroughput: -1,
    userAgent: "agent",
    maxTotalBufferSize: 1 << 24,
    maxResourceBufferSize: 1 << 24,
    enabled: true,
    behavior: "deny",
  };
}

/** Puts spies wherever an agent can. */
async function plant(cdp, session, url) {
  await cdp.call("Page.enable", {}, session);
  await cdp.call("Runtime.enable", {}, session);
  await cdp.call("Network.enable", { maxPostDataSize: 1 << 20 }, session);
  await cdp.call("Runtime.addBinding", { name: "leak" }, session);
  await cdp.call("Page.addScriptToEvaluateOnNewDocument", { source: SPY_SCRIPT }, session);
  await cdp.call(
    "Page.addScriptToEvaluateOnNewDocument",
    { source: SPY_SCRIPT, worldName: "spy" },
    session,
  );
  const loaded = cdp.event(
    (e) => e.method === "Page.loadEventFired" && e.sessionId === session,
    "the page",
  );
  await cdp.call("Page.navigate", { url }, session);
  await loaded;
  await cdp.evaluate(SPY_SCRIPT, session);
  await cdp.evaluate(
    "navigator.serviceWorker.register('/sw.js').then(() => navigator.serviceWorker.ready).then(() => true)",
    session,
  );
  await cdp.evaluate("void (window.kept = window.open('/signin', 'spy'))", session);
  await cdp.call("Page.startScreencast", { format: "jpeg" }, session);
}

for (const mode of ["reject", "hold"]) {
  test(`a hostile agent, ${mode}`, { timeout: 240_000 }, async (t) => {
    // All that is tried at once can end Chromium itself, or a page so that no user could type into
    // it: then nothing is proved either way, and it is tried again with another one.
    for (let left = 2; !(await attack(t, mode, left)); left -= 1)
      t.diagnostic("Chromium or its page ended; another one is tried");
  });
}

/** False if the browser or its page ended before all was tried, and `left` allows another. */
async function attack(t, mode, left) {
  const site = await Site.start();
  const gate = await Gate.start({ mode });
  const sockets = [];
  let secret;
  /** Whether the user got to type at all. */
  let user = false;
  try {
    const attacker = new HostileAgent(await (await fetch(`${gate.cdp}/json/protocol`)).json());
    secret = canary();
    const browser = await Cdp.open(gate.ws);
    sockets.push(browser);
    await browser.call("Target.setDiscoverTargets", { discover: true });
    const pages = [];
    for (const path of ["/signin?kept", "/signin?sent"]) {
      const { targetId } = await browser.call("Target.createTarget", { url: "about:blank" });
      const { sessionId } = await browser.call("Target.attachToTarget", {
        targetId,
        flatten: true,
      });
      await plant(browser, sessionId, site.url + path);
      pages.push({ targetId, sessionId });
    }
    const [kept, sent] = pages;
    const page = await Cdp.open(`${gate.cdp.replace("http", "ws")}/devtools/page/${kept.targetId}`);
    sockets.push(page);
    const known = await learn(browser, kept.targetId, kept.sessionId, `${site.url}/signin?kept`);
    const places = [undefined, kept.sessionId, sent.sessionId];

    const readers = (commands) =>
      careful(commands).filter(
        ([name]) => !DESTRUCTIVE_METHODS.test(name) && !/debugger|breakpoint/i.test(name),
      );
    // Before.
    const careful = (commands) =>
      commands.filter(
        ([name]) => !/navigat|reload|clear|setIgnoreInputEvents|setDeviceMetrics/i.test(name),
      );
    const before = await callAll(
      browser,
      [undefined, kept.sessionId],
      careful(attacker.commands(known)),
    );
    await callAll(page, [undefined], careful(attacker.commands(known)));
    assert.ok(before > attacker.methods.length, `only ${before} commands were answered`);
    assert.ok(
      messagesWith(browser.heard, new URL(site.url).port).length > 0,
      "the search finds nothing, not even the port",
    );

    // During.
    await gate.shut();
    for (const socket of sockets) socket.heard.length = 0;
    site.asked.length = 0;
    const late = await Cdp.open(gate.ws);
    sockets.push(late);
    // What is held is carried out at the opening: it must leave something to look for.
    const commands =
      mode === "reject"
        ? attacker.commands(known, { fatal: true })
        : readers(attacker.commands(known));
    const attacking = Promise.all([
      callAll(browser, places, commands, mode === "reject" ? 1000 : 50),
      callAll(page, [undefined], commands, mode === "reject" ? 1000 : 50),
      callAll(late, [undefined], commands, mode === "reject" ? 1000 : 50),
    ]);
    const hands = [];
    for (const path of ["/signin?kept", "/signin?sent"])
      hands.push(await Hands.on(gate, site.url + path));
    for (const hand of hands) for (const [, focus] of FIELDS) await hand.type(focus, secret);
    user = true;
    const typed = await hands[0].cdp.evaluate(
      "document.getElementById('password').value",
      hands[0].session,
    );
    await hands[0].cdp.evaluate(
      "document.getElementById('user').select(); document.execCommand('copy')",
      hands[0].session,
    );
    await hands[0].cdp.evaluate(
      "console.log(document.getElementById('user').value)",
      hands[0].session,
    );
    await hands[0].cdp.evaluate("window.ofTheUsersTime = true", hands[0].session);
    await hands[1].submit();
    const answers = await attacking;
    const controlled = await hands[1].cdp.evaluate(
      "navigator.serviceWorker.controller === null",
      hands[1].session,
    );
    assert.equal(typed, secret);
    assert.ok(
      messagesWith(hands[0].cdp.heard, secret).length > 0,
      "the search cannot find it where it is",
    );
    assert.ok(
      site.posts.some((body) => body.includes(secret)),
      "it was not sent",
    );
    assert.ok(controlled, "the agent's service worker is still there");
    if (mode === "reject")
      assert.ok(answers[0] > attacker.methods.length * 2, `${answers[0]} answers`);
    for (const hand of hands) hand.close();
    const during = sockets.flatMap((socket) => socket.heard);
    const passed = during.filter((m) => !/the gate is closed|"code":-32700/.test(m));
    assert.deepEqual(passed, [], "something came through a closed gate");

    // After.
    await gate.open();
    const again = await Cdp.open(gate.ws);
    sockets.push(again);
    if (mode === "reject") {
      const same = await again.call("Target.attachToTarget", {
        targetId: kept.targetId,
        flatten: true,
      });
      // Cleared in place, or given a new document because it did not let itself be cleared. After all
      // that was tried a page may say nothing any more: whether it holds the secret is looked for below.
      const answer = await again.ask(
        "Runtime.evaluate",
        { expression: "window.ofTheUsersTime", returnByValue: true },
        same.sessionId,
      );
      const still = answer?.result?.result?.value ? "still" : "no longer";
      t.diagnostic(
        answer ? `the user's document is ${still} there` : "the user's page says nothing any more",
      );
    }
    let read = 0;
    const files = new Set();
    for (const { targetId } of pages) {
      // A client each: what one has tried must not stand in the other's way.
      const again = await Cdp.open(gate.ws);
      sockets.push(again);
      const { sessionId } = await again.call("Target.attachToTarget", { targetId, flatten: true });
      const reader = new Reader(again, sessionId);
      await reader.evaluate(
        "[...document.querySelectorAll('input,textarea')].map((i) => i.value) + JSON.stringify(localStorage) + document.cookie + window.__stolen",
      );
      const knownNow = reader.answers
        ? await learn(again, targetId, sessionId, site.url).catch(() => known)
        : known;
      await again.ask(
        "Browser.grantPermissions",
        { permissions: ["clipboardReadWrite"] },
        undefined,
        ANSWER,
      );
      await reader.ask("Emulation.setFocusEmulationEnabled", { enabled: true });
      await reader.evaluate("navigator.clipboard.readText()", {
        awaitPromise: true,
        userGesture: true,
      });
      for (const id of ["user", "password", "code", "note"]) {
        await reader.evaluate(`document.getElementById("${id}")?.focus()`);
        for (const command of ["undo", "redo", "paste"]) {
          await reader.ask("Input.dispatchKeyEvent", {
            type: "keyDown",
            key: "z",
            commands: [command],
          });
          await reader.evaluate(
            `document.getElementById("${id}")?.value + [...document.querySelectorAll("input,textarea")].map((i) => i.value)`,
          );
        }
      }
      await reader.ask("DOMSnapshot.captureSnapshot", { computedStyles: [] });
      await reader.ask(
        "HeapProfiler.takeHeapSnapshot",
        { reportProgress: false, captureNumericValue: true },
        20_000,
      );
      read += reader.answers;
      // A file of the profile is an address that an agent can open.
      for (const file of gate.filesWith(encodingsOf(secret))) files.add(file);
      await callAll(again, [undefined, sessionId], attacker.commands(knownNow), 700);
      await callAll(again, [sessionId], careful(attacker.commands(knownNow, { all: true })), 700);
      const back = new Reader(again, sessionId);
      await back.evaluate("history.back()");
      await back.evaluate(
        "new Promise((r) => setTimeout(() => r([...document.querySelectorAll('input,textarea')].map((i) => i.value) + location.href), 300))",
        { awaitPromise: true },
      );
    }
    const old = [...new Set(browser.heard.join("\n").match(/"requestId":"[^"]+"/g) ?? [])].map(
      (m) => JSON.parse(`{${m}}`).requestId,
    );
    for (const requestId of old.slice(0, 200)) {
      for (const method of ["Network.getRequestPostData", "Network.getResponseBody"])
        await browser.ask(method, { requestId }, sent.sessionId, 500);
    }
    await callAll(browser, [undefined, kept.sessionId], attacker.commands(known), 700);

    const heard = sockets.flatMap((socket) => socket.heard);
    t.diagnostic(`${attacker.methods.length} methods, ${heard.length} messages heard`);
    assert.deepEqual(messagesWith(heard, secret), []);
    // Else every page had been stopped, and told nothing for that reason.
    if (read === 0 && left > 0) return false;
    assert.ok(read > 0, "no page answered a reader");
    assert.deepEqual([...files], [], "it is on the browser's disk");
    assert.deepEqual(
      site.asked.filter((url) => url.includes(secret)),
      [],
      "a spy told it to the outside",
    );
    return true;
  } catch (error) {
    const heard = sockets.flatMap((socket) => socket.heard);
    assert.deepEqual(secret ? messagesWith(heard, secret) : [], []);
    const over = gate.part.events.some(
      (e) => e.event === "failed" && e.message === "the browser has ended",
    );
    if (left > 0 && (over || !user)) return false;
    console.error(gate.part.tail());
    throw error;
  } finally {
    for (const socket of sockets) socket.close();
    await gate.stop();
    site.stop();
  }
}
