// A handoff of a browser behind the gate: the agent is shut out from the claim to the end, and goes
// on with the browser as the user left it.

import assert from "node:assert/strict";
import { after } from "node:test";
import { setImmediate } from "node:timers/promises";
import { chromium } from "playwright-core";
import { AgentApi } from "./lib/agentapi.mjs";
import { Gate } from "./lib/gate.mjs";
import { closeBrowser, scenario } from "./lib/harness.mjs";
import { PASSWORD, signIn, site, submissions } from "./lib/signin.mjs";

after(closeBrowser);

/** Playwright as agents use it, at the sign-in page. */
async function agent(world, cdp) {
  const browser = await chromium.connectOverCDP(cdp);
  world.keep({ stop: () => browser.close() });
  const page = browser.contexts()[0].pages()[0];
  await page.goto(world.site.url);
  // What a curious agent would leave behind: it must not outlive the claim.
  await page.evaluate(() => {
    window.heard = "";
    addEventListener(
      "input",
      (event) => {
        window.heard += event.target.value;
      },
      true,
    );
  });
  return page;
}

/** Tells whether a promise is still open. */
const state = (promise) => {
  const told = { open: true };
  promise.then(
    () => (told.open = false),
    () => (told.open = false),
  );
  return told;
};

async function user(world, url) {
  const viewer = await world.viewer("phone");
  await viewer.open(url);
  await viewer.claim();
  return viewer;
}

async function ask(api, body) {
  const answer = await fetch(`${api.url}/session`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ service: "Northwind Bank", ...body }),
  });
  const made = await answer.json();
  assert.equal(answer.status, 201, JSON.stringify(made));
  return made;
}

async function ended(api, id) {
  for (let since = 0; ; ) {
    const session = await (await fetch(`${api.url}/session/${id}?wait=30&since=${since}`)).json();
    if (!["PENDING", "ACTIVE"].includes(session.status)) return session;
    since = session.version;
  }
}

scenario(
  "an agent waits at the gate while the user signs in, and goes on signed in",
  { site },
  async (world) => {
    const api = world.keep(await AgentApi.start(world, ["--launch"]));
    const cdp = api.events.find((e) => e.event === "listening").cdp;
    const page = await agent(world, cdp);
    const made = await ask(api, { cdp_url: cdp, expected_origins: [world.site.url] });
    assert.equal(made.cdp_url, cdp);
    assert.equal(await page.evaluate(() => window.heard), "", "before the claim the agent goes on");

    const viewer = await user(world, made.session_url);
    const title = page.title();
    const waiting = state(title);
    await signIn(viewer);
    await world.site.records(2);
    await setImmediate();
    assert.ok(waiting.open, "nothing is answered before the end");
    await viewer.done();

    assert.equal((await ended(api, made.session_id)).status, "RESOLVED");
    assert.deepEqual(await world.site.records(2), submissions);
    await title;
    await page.waitForURL("**/account");
    await page.waitForSelector("#signed-in");
    assert.equal(
      await page.evaluate(() => typeof window.heard),
      "undefined",
      "what the agent left in the page is gone",
    );
    assert.ok(!(await page.content()).includes(PASSWORD));
  },
);

scenario(
  "an agent that asked to be refused is told why, in a browser of its own too",
  { site },
  async (world) => {
    const api = world.keep(await AgentApi.start(world));
    const made = await ask(api, {
      cdp_url: world.remote.cdp,
      gate: "reject",
      expected_origins: [world.site.url],
    });
    assert.notEqual(made.cdp_url, world.remote.cdp);
    const page = await agent(world, made.cdp_url);
    const cdp = await page.context().newCDPSession(page);
    const viewer = await user(world, made.session_url);

    await assert.rejects(
      cdp.send("Runtime.evaluate", { expression: "document.body.innerText" }),
      /the user has the browser/,
    );
    await signIn(viewer);
    await viewer.done();

    assert.equal((await ended(api, made.session_id)).status, "RESOLVED");
    await page.waitForURL("**/account");
  },
);

scenario(
  "a handoff from another process closes the gate by its control socket",
  { site },
  async (world) => {
    const gate = world.keep(await Gate.start());
    const page = await agent(world, gate.cdp);
    const doneWhen = JSON.stringify({
      all: [{ url: `${world.site.url}/account` }, { cookie: { name: "demo_session" } }],
    });
    const host = world.host(["--gate-control-socket", gate.control, "--done-when", doneWhen], {
      cdp: gate.cdp,
    });
    const viewer = await user(world, await host.link());
    const title = page.title();
    const waiting = state(title);

    await signIn(viewer);
    await world.site.records(2);
    await setImmediate();
    assert.ok(waiting.open);
    await viewer.done();

    const outcome = await host.outcome();
    assert.deepEqual([outcome.code, outcome.event, outcome.verdict], [0, "resolved", "signed_in"]);
    assert.deepEqual(
      outcome.evidence.map((e) => e.met),
      [true, true],
    );
    await title;
    await page.waitForURL("**/account");
  },
);
