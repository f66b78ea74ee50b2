// What an audit found an agent to prepare in its browser, to read what a user typed there: none of it
// hears what is typed in a private room. Each first hears what is typed in the agent's own browser.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { needlesOf, searchBeside, secret } from "./lib/canary.mjs";
import { messagesWith } from "./lib/gate-attacker.mjs";
import { CHROMIUM, Remote, within } from "./lib/harness.mjs";
import { RoomAgent } from "./lib/room-agents.mjs";
import { filesIn, processesWith } from "./lib/room-attacker.mjs";
import { PREPARATIONS, PreparingAgent } from "./lib/room-preparations.mjs";
import { AgentProxy, CdpRelay } from "./lib/room-proxies.mjs";
import {
  assertSignedIn,
  confirm,
  finish,
  ROOM_UI,
  roomsOfFile,
  signInPrivately,
  walk,
} from "./lib/rooms.mjs";

const roomTest = roomsOfFile({ remote: CHROMIUM, api: ["--rooms-warm", "0"] });

/** All that the user types or comes by in a room at that site. */
const secretsOf = (rooms, site) =>
  [
    rooms.sites.secrets["current-password"],
    rooms.sites.secrets["one-time-code"],
    site.token,
  ].filter(Boolean);

async function decline(viewer) {
  await viewer.page.click("#decline");
  await viewer.page.click("#sheet-decline [data-reason=declined]");
  await viewer.state("ended");
}

roomTest("a relay of the agent's before its browser", async (rooms) => {
  const site = rooms.sites.of("password");
  const agent = await RoomAgent.playwright(rooms);
  const relay = rooms.guest(await CdpRelay.start(rooms.world.remote.cdp));
  await agent.arrive(site);
  const cdp_url = agent.address.replace(/(?<=ws:\/\/)[^/]+/, relay.host);
  const { session } = await signInPrivately(rooms, agent, site, { cdp_url });
  assertSignedIn(session);
  const [id] = [...site.sessions.keys()].slice(-1);
  assert.ok(messagesWith(relay.words, id).length > 0, "the session itself went through it");
  for (const text of secretsOf(rooms, site)) assert.deepEqual(messagesWith(relay.words, text), []);
});

const NAME = "login.bank.test";
const BANK = `https://${NAME}/`;
const FORM = `<!doctype html><title>Bank</title><form method=post><input name=password id=password type=password><button id=go>Go</button></form>`;

/** Ways to have a browser go through the agent's proxy and believe it. */
const PROXIES = {
  "an exception for a certificate": async (agent, proxy) => {
    const { browserContextId } = await agent.cdp.call("Target.createBrowserContext", {
      proxyServer: proxy.address,
    });
    const { targetId } = await agent.cdp.call("Target.createTarget", {
      url: "about:blank",
      browserContextId,
    });
    const session = await agent.attach(targetId);
    await agent.cdp.call("Security.setIgnoreCertificateErrors", { ignore: true }, session);
    await agent.cdp.call("Page.navigate", { url: BANK }, session);
    return { targetId, session };
  },
  "policies with a root of the agent's": async (agent, proxy) => {
    const page = await agent.open("chrome://policy/test");
    const policy = (name, value) => ({
      namespace: "chrome",
      name,
      source: 0,
      scope: 0,
      level: 1,
      value,
    });
    const policies = JSON.stringify([
      policy("ProxySettings", { ProxyMode: "fixed_servers", ProxyServer: proxy.address }),
      policy("CACertificates", [proxy.ca]),
    ]);
    const set = `import("chrome://resources/js/cr.js").then((m) => void m.sendWithPromise("setLocalTestPolicies", ${JSON.stringify(policies)}, ""))`;
    await agent.until("the policies", () =>
      agent.run(set, page.session).then(
        () => true,
        () => false,
      ),
    );
    const { targetId, session } = await agent.open("about:blank#bank");
    await agent.until("the bank", async () => {
      await agent.cdp.call("Page.navigate", { url: BANK }, session);
      return agent.run(`document.title === "Bank"`, session).catch(() => false);
    });
    return { targetId, session };
  },
};
for (const [what, prepare] of Object.entries(PROXIES)) {
  roomTest(`${what}, and a proxy that is the site`, async (rooms) => {
    const proxy = rooms.guest(await AgentProxy.start(NAME, FORM));
    const own = rooms.guest(new Remote("about:blank", CHROMIUM));
    await own.ready();
    const agent = rooms.guest(await PreparingAgent.join(rooms, own.cdp));
    const { targetId, session } = await prepare(agent, proxy);
    const control = secret();
    await agent.until("the form", () =>
      agent.run("document.title === 'Bank'", session).catch(() => false),
    );
    await agent.type(session, "#password", control);
    await agent.run("document.getElementById('go').click()", session);
    await agent.until("what was typed", () => proxy.bodies.some((body) => body.includes(control)));

    const address = `${own.cdp.replace(/^http/, "ws")}/devtools/page/${targetId}`;
    const bank = {
      host: "bank.test",
      grants: ["bank.test"],
      expected: [BANK.slice(0, -1)],
      wall: "password",
    };
    const made = await rooms.ask({ address }, bank, {
      context: { url: BANK, wall_type: "password" },
    });
    // Its own browser has other things to ask for as well.
    const connects = () => proxy.connects.filter((address) => address.startsWith(NAME)).length;
    const before = connects();
    const viewer = await rooms.user(made.session_url);
    await decline(viewer);
    await rooms.ended(made.session_id);
    assert.equal(connects(), before, "the room went through the agent's proxy");
  });
}

roomTest("a renderer of the room's that crashes leaves nothing behind", async (rooms) => {
  const home = mkdtempSync(`${tmpdir()}/authloop-home-`);
  const api = rooms.guest(await rooms.serve(["--rooms-warm", "0"], { HOME: home }));
  const site = rooms.sites.of("password");
  const agent = await RoomAgent.playwright(rooms);
  await agent.arrive(site);
  const made = await rooms.ask(agent, site, {}, api);
  const viewer = await rooms.user(made.session_url);
  await walk(viewer, site, ["username", "Tab", "current-password"]);
  await viewer.applied();
  const [profile] = rooms.profiles();
  const inRoom = processesWith(profile);
  const renderers = processesWith("--type=renderer").filter((pid) => inRoom.includes(pid));
  assert.ok(renderers.length > 0, "no renderer of the room's");
  for (const pid of renderers) process.kill(pid, "SIGSEGV");
  await viewer.page.click("#decline");
  await viewer.page.click("#sheet-decline [data-reason=declined]");
  await rooms.ended(made.session_id, api);

  const files = [...filesIn(home), ...filesIn(rooms.folder)];
  assert.deepEqual(
    files.filter((file) => /\.dmp$|core/.test(file)),
    [],
  );
  const [typed] = secretsOf(rooms, site);
  const found = await searchBeside({ secrets: [{ name: "typed", text: typed }], files });
  assert.deepEqual(found.hits, []);
  rmSync(home, { recursive: true, force: true });
});

roomTest("a second session that waits beside the first", async (rooms) => {
  const site = rooms.sites.of("mirroring");
  const typed = rooms.sites.secrets["current-password"];
  const agent = await RoomAgent.playwright(rooms);
  await agent.arrive(site);
  const any = [typed.slice(0, 8), "WRONG"].map((guess) => ({
    network: { url: `**typed=${guess}**`, status: 200 },
  }));
  const second = await rooms.ask(agent, site, { done_when: { any } });
  const first = await signInPrivately(rooms, agent, site);
  assertSignedIn(first.session);

  const own = await rooms.user(second.session_url);
  await confirm(own);
  await own.page.waitForSelector("#sheet-checked[open]");
  await own.page.click("#checked-finish");
  await own.page.waitForSelector(`${ROOM_UI.notMoved}[open]`);
  await own.page.click(`${ROOM_UI.notMoved} [data-reason]`);
  const { outcome } = await rooms.ended(second.session_id);
  assert.deepEqual(
    outcome.evidence.filter(({ met }) => met === true),
    [],
    JSON.stringify(outcome),
  );
});

roomTest("more targets than anyone looks after", async (rooms) => {
  const site = rooms.sites.of("password");
  const crowd = await RoomAgent.playwright(rooms);
  await crowd.page.goto(rooms.sites.of("evil").origin);
  await crowd.page.evaluate(() => {
    const script = URL.createObjectURL(new Blob([""], { type: "text/javascript" }));
    globalThis.crowd = Array.from({ length: 510 }, () => new Worker(script));
  });
  const agent = await RoomAgent.playwright(rooms);
  await agent.arrive(site);
  const { session } = await signInPrivately(rooms, agent, site);
  assertSignedIn(session);
  await agent.sees();
});

/** Has the browser remember what is written into forms, as its pages of settings can. */
async function rememberForms(agent, site, text) {
  const { session } = await agent.open("chrome://settings");
  for (const name of ["autofill.profile_enabled", "credentials_enable_service"])
    await agent.until("a setting", () =>
      agent
        .run(`new Promise((r) => chrome.settingsPrivate.setPref("${name}", true, "", r))`, session)
        .then(
          () => true,
          () => false,
        ),
    );
  const page = await agent.open(site.url);
  await agent.type(page.session, "#user", text);
  await agent.run("document.getElementById('go').click()", page.session);
}

roomTest(
  "what an agent prepares in its browser hears nothing of a room",
  async (rooms, t) => {
    const site = rooms.sites.of("prepared");
    const preparing = rooms.guest(await PreparingAgent.join(rooms));
    const kept = secret();
    await rememberForms(preparing, site, kept);
    const ears = {};
    for (const [name, prepare] of Object.entries(PREPARATIONS)) {
      await t.test(`${name} (control)`, async () => {
        const control = secret();
        ears[name] = await prepare(preparing, site, control);
        // What CDP tells of it may come a moment later.
        const heard = async () => {
          while (!(await ears[name]()).includes(control)) await pause(50);
        };
        await within(10_000, () => "the control", heard());
      });
    }
    const agent = await RoomAgent.playwright(rooms);
    await agent.arrive(site);
    const made = await rooms.ask(agent, site);
    const targets = async () => (await preparing.targets()).map(({ targetId }) => targetId);
    const before = await targets();
    const viewer = await rooms.user(made.session_url);
    const welcomes = site.welcomes;
    await walk(viewer, site);
    await site.welcomed(welcomes);
    assert.deepEqual((await targets()).toSorted(), before.toSorted(), "the room is a target");
    await finish(viewer);
    assertSignedIn(await rooms.ended(made.session_id));
    await agent.sees();

    for (const [name, heard] of Object.entries(ears)) {
      await t.test(name, async () => {
        const text = await heard();
        for (const one of secretsOf(rooms, site)) assert.deepEqual(messagesWith([text], one), []);
      });
    }
    for (const one of secretsOf(rooms, site))
      assert.deepEqual(messagesWith(preparing.cdp.heard, one), []);

    // Ended in order, a browser writes down what it keeps: history, forms.
    const { remote } = rooms.world;
    await preparing.cdp.ask("Browser.close");
    await remote.exit();
    const secrets = secretsOf(rooms, site).map((text, n) => ({ name: `secret${n}`, text }));
    const found = await searchBeside({
      secrets: [...secrets, { name: "kept", text: kept }],
      files: filesIn(remote.profile),
    });
    assert.ok(needlesOf(found).has("kept/utf-8"), "the search missed what was remembered");
    assert.deepEqual(
      found.hits.filter(({ needle }) => needle.startsWith("secret")),
      [],
    );
  },
  { timeout: 180_000 },
);
