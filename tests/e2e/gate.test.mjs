// Real Playwright and Puppeteer work through the gate unchanged, before and after the user has had
// the browser, and get nothing in between.

import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { chromium } from "playwright-core";
import puppeteer from "puppeteer-core";
import { canary, Gate, Hands, Site } from "./lib/gate.mjs";

const UPSTREAMS = ["pipe", "port"];
const MODES = ["hold", "reject"];
const REFUSED = /the user has the browser/;

function withGate(name, options, play) {
  test(name, { timeout: 120_000 }, async () => {
    const site = await Site.start();
    const gate = await Gate.start(options);
    try {
      await play(gate, site);
    } catch (error) {
      console.error(gate.part.tail());
      throw error;
    } finally {
      await gate.stop();
      site.stop();
    }
  });
}

/** The user signs in on the page at `site.url`, and opens and closes a popup. */
async function userSignsIn(gate, site, secret) {
  const user = await Hands.on(gate, `${site.url}/`);
  await user.go(`${site.url}/signin`);
  await user.type("document.getElementById('user').focus()", "someone");
  await user.type("document.getElementById('password').focus()", secret);
  await user.submit();
  const opened = user.cdp.event(
    (e) => e.method === "Target.targetCreated" && e.params.targetInfo.openerId,
    "a popup",
  );
  await user.cdp.call("Target.setDiscoverTargets", { discover: true });
  await user.cdp.evaluate("void window.open('/popup')", user.session);
  const { targetId } = (await opened).params.targetInfo;
  await user.cdp.call("Target.closeTarget", { targetId });
  user.close();
}

/**
 * An agent's page, at which the gate has closed, and the user's hands on it with something to type.
 */
async function takenOver(gate, url) {
  const browser = await chromium.connectOverCDP(gate.cdp);
  const page = browser.contexts()[0].pages()[0];
  await page.goto(url);
  await gate.shut();
  return { browser, page, user: await Hands.on(gate, url), secret: canary() };
}

/** Whether a promise is still pending once everything that was on its way has come. */
async function isPending(promise, gate) {
  let settled = false;
  promise.then(
    () => (settled = true),
    () => (settled = true),
  );
  const past = await gate.past();
  await past.call("Browser.getVersion");
  past.close();
  return !settled;
}

for (const upstream of UPSTREAMS) {
  for (const mode of MODES) {
    withGate(`Playwright, ${upstream}, ${mode}`, { upstream, mode }, async (gate, site) => {
      const browser = await chromium.connectOverCDP(
        upstream === "pipe" ? gate.cdp : gate.browser_url,
      );
      const [context] = browser.contexts();
      const page = context.pages()[0] ?? (await context.newPage());
      const added = await page.evaluate(() => 40 + 2);
      await page.exposeFunction("ask", (text) => `told ${text}`);
      await page.addInitScript(() => (window.early = true));
      await page.route("**/api", (route) => route.fulfill({ json: { from: "agent" } }));
      await page.goto(site.url);
      await page.click("#b");
      await page.fill("#name", "typed");
      const api = () => fetch("/api").then((r) => r.json());

      assert.equal(added, 42);
      assert.equal(await page.textContent("#b"), "clicked");
      assert.equal(await page.inputValue("#name"), "typed");
      assert.deepEqual(await page.evaluate(api), { from: "agent" });
      assert.ok((await page.screenshot()).length > 1000);
      const [popup] = await Promise.all([page.waitForEvent("popup"), page.click("#pop")]);
      assert.equal(await popup.textContent("#p"), "popup");
      await popup.close();
      const own = await browser.newContext({ userAgent: "the agent's own" });
      const other = await own.newPage();
      await other.goto(`${site.url}/welcome`);

      const waiting = page.waitForSelector("#hi").then(
        () => "found",
        (error) => error.message,
      );
      await gate.shut();
      // Playwright calls whatever goes wrong in an evaluation a navigation; cookies are asked of
      // the browser.
      const asked = (mode === "hold" ? page.locator("#hi").textContent() : context.cookies()).catch(
        (error) => error.message,
      );
      if (mode === "hold")
        assert.ok(await isPending(asked, gate), "an answer came through a closed gate");
      else assert.match(await asked, REFUSED);
      await userSignsIn(gate, site, canary());
      assert.equal((await fetch(`${gate.cdp}/json/list`)).status, 503);
      await gate.open();

      if (mode === "hold") assert.equal(await asked, "Welcome");
      if (mode === "hold") assert.equal(await waiting, "found");
      // The agent's socket is another than the one on which the opening was answered.
      await page.waitForURL(`${site.url}/welcome`);
      assert.equal(await page.title(), "Welcome");
      await page.click("#b");
      assert.equal(await page.locator("#b").textContent(), "clicked");
      assert.deepEqual(await page.evaluate(api), { from: "agent" }, "the interception is back");
      assert.equal(
        await page.evaluate(() => window.ask("me")),
        "told me",
        "the exposed function is back",
      );
      assert.equal(await page.evaluate(() => window.early), true, "the init script is back");
      assert.ok((await page.screenshot()).length > 1000);
      await page.goto(`${site.url}/`);
      const [second] = await Promise.all([page.waitForEvent("popup"), page.click("#pop")]);
      assert.equal(await second.title(), "Popup");
      await second.close();
      assert.equal(context.pages().length, 1, "the user's popup is gone for the agent as well");
      assert.equal(await other.title(), "Welcome");
      assert.equal(await other.evaluate(() => navigator.userAgent), "the agent's own");
      await own.close();
      const fresh = await context.newPage();
      await fresh.goto(`${site.url}/popup`);
      assert.equal(await fresh.title(), "Popup");
      await browser.close();
      assert.equal(site.posts.length, 1);
    });
  }

  withGate(`Puppeteer, ${upstream}`, { upstream }, async (gate, site) => {
    const browser = await puppeteer.connect({
      browserURL: gate.browser_url,
      defaultViewport: null,
    });
    const page = (await browser.pages())[0];
    await page.exposeFunction("ask", (text) => `told ${text}`);
    await page.setRequestInterception(true);
    page.on("request", (request) => {
      if (request.url().endsWith("/api"))
        request.respond({ contentType: "application/json", body: `{"from":"agent"}` });
      else request.continue();
    });
    await page.goto(site.url);
    await page.click("#b");
    await page.type("#name", "typed");
    const api = () => fetch("/api").then((r) => r.json());

    assert.equal(await page.$eval("#b", (b) => b.textContent), "clicked");
    assert.equal(await page.$eval("#name", (i) => i.value), "typed");
    assert.deepEqual(await page.evaluate(api), { from: "agent" });
    assert.ok((await page.screenshot()).length > 1000);

    await gate.shut();
    const asked = page.title();
    assert.ok(await isPending(asked, gate), "an answer came through a closed gate");
    await userSignsIn(gate, site, canary());
    await gate.open();

    assert.equal(await asked.catch(() => page.title()), "Welcome");
    assert.equal(page.url(), `${site.url}/welcome`);
    await page.click("#b");
    assert.equal(await page.$eval("#b", (b) => b.textContent), "clicked");
    assert.deepEqual(await page.evaluate(api), { from: "agent" }, "the interception is back");
    assert.equal(
      await page.evaluate(() => window.ask("me")),
      "told me",
      "the exposed function is back",
    );
    await page.goto(`${site.url}/`);
    const popup = new Promise((resolve) => page.once("popup", resolve));
    await page.click("#pop");
    assert.equal(
      await (await popup).waitForSelector("#p").then((p) => p.evaluate((e) => e.textContent)),
      "popup",
    );
    await (await popup).close();
    const fresh = await browser.newPage();
    await fresh.goto(`${site.url}/popup`);
    assert.equal(await fresh.title(), "Popup");
    await browser.disconnect();
    const again = await puppeteer.connect({ browserWSEndpoint: gate.ws, defaultViewport: null });
    assert.equal((await again.pages()).length, 2);
    await again.disconnect();
  });
}

withGate("the HTTP endpoints are Chromium's, at the gate's own address", {}, async (gate, site) => {
  const get = (path, options) => fetch(`${gate.cdp}${path}`, options);
  const version = await (await get("/json/version")).json();
  const made = await (await get(`/json/new?${site.url}/popup`, { method: "PUT" })).json();
  const list = await (await get("/json/list")).json();
  const protocol = await (await get("/json/protocol")).json();
  const shown = await get(`/json/activate/${made.id}`);
  const closed = await get(`/json/close/${made.id}`);

  assert.equal(version.webSocketDebuggerUrl, gate.ws);
  assert.match(version.Browser, /Chrom/);
  const ours = list.find((target) => target.id === made.id);
  assert.equal(
    ours.webSocketDebuggerUrl,
    `${gate.cdp.replace("http", "ws")}/devtools/page/${made.id}`,
  );
  assert.ok(protocol.domains.some((domain) => domain.domain === "Page"));
  assert.deepEqual([shown.status, closed.status], [200, 200]);
  assert.equal((await get("/json/new?about:blank")).status, 405);
});

withGate("strangers are turned away", { args: ["--token-only"] }, async (gate) => {
  const bare = new URL(gate.cdp).origin;
  const status = async (url, headers = {}, method = "GET") =>
    (await fetch(url, { headers, method })).status;

  assert.equal(gate.browser_url, null);
  assert.equal(await status(`${bare}/json/version`), 404);
  assert.equal(await status(`${bare}/guessed/json/version`), 404);
  assert.equal(await status(`${gate.cdp}/json/version`, { origin: "http://evil.example" }), 403);
  assert.equal(
    statSync(gate.control).mode & 0o777,
    0o600,
    "others may connect to the control socket",
  );
});

withGate(
  "a holder that dies lets agents go on, in a browser that was cleared",
  {},
  async (gate, site) => {
    const { browser, page, user, secret } = await takenOver(gate, `${site.url}/signin`);
    await user.type("document.getElementById('password').focus()", secret);
    const asked = page.locator("#password").inputValue();
    assert.ok(await isPending(asked, gate), "an answer came through a closed gate");
    user.close();

    gate.abandon();

    assert.equal(await asked, "");
    assert.ok(!(await page.content()).includes(secret));
    await gate.shut();
    await gate.open();
    // The page got a new document, which may still be on its way.
    await page.waitForFunction(() => document.title === "Sign in");
    await browser.close();
  },
);

withGate(
  "nothing that was typed comes back by undo and redo, in the same document",
  {},
  async (gate, site) => {
    const { browser, page, user, secret } = await takenOver(gate, `${site.url}/modal`);
    const fields = ["password", "note"];
    await user.cdp.evaluate("document.querySelector('dialog').close()", user.session);
    await user.type("document.getElementById('note').focus()", secret);
    await user.cdp.evaluate("document.querySelector('dialog').showModal()", user.session);
    await user.type("document.getElementById('password').focus()", secret);
    await user.cdp.evaluate(
      "window.ofTheUsersTime = true; document.execCommand('undo')",
      user.session,
    );
    const redoable = await user.cdp.evaluate("document.queryCommandEnabled('redo')", user.session);
    await user.cdp.evaluate("document.execCommand('redo')", user.session);
    user.close();
    await gate.open();

    // The agent's view of the user's document may still be on its way; were there another by now,
    // this would not come.
    await page.waitForFunction(() => window.ofTheUsersTime);
    const held = () =>
      page.evaluate(
        (ids) => ids.map((id) => document.getElementById(id)).map((field) => field.value),
        fields,
      );
    const before = await held();
    await page.evaluate(() => {
      for (const command of ["undo", "undo", "undo", "redo", "redo", "redo"])
        document.execCommand(command);
    });
    assert.ok(redoable, "there was nothing to bring back");
    assert.deepEqual(before, ["", ""]);
    assert.deepEqual(await held(), ["", ""]);
    assert.equal(
      await page.evaluate(() => document.activeElement.id),
      "password",
      "the focus is where it was",
    );
    await browser.close();
  },
);

withGate(
  "a page that the user left is not on the browser's disk, with what was in its fields",
  {},
  async (gate, site) => {
    const { browser, user, secret } = await takenOver(gate, `${site.url}/signin`);
    await user.type("document.getElementById('user').focus()", secret);
    // Chromium looks at a page's fields once a second, and writes what it has to remember every
    // few.
    await pause(1500);
    await user.go(`${site.url}/welcome`);
    await pause(4000);
    user.close();
    await gate.open();

    assert.deepEqual(gate.filesWith([secret]), []);
    assert.ok(gate.filesWith([site.url]).length > 0, "the search finds nothing, not even the site");
    await browser.close();
  },
);
