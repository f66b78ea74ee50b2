// The agent's side: a session asked for over HTTP, a person who signs in, and what the agent gets
// back. The first client is AuthLoop's own published package, which knows nothing of us but a base
// URL.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { after } from "node:test";
import { chromium } from "playwright-core";
import {
  Aes256Gcm,
  CipherSuite,
  DhkemP256HkdfSha256,
  HkdfSha256,
} from "../../viewer/vendor/hpke/mod.js";
import {
  ARTIFACTS,
  bin,
  closeBrowser,
  metricIn,
  Part,
  scenario,
  usersBrowser,
} from "./lib/harness.mjs";

after(closeBrowser);

const USER = "ada@example.com";
const PASSWORD = "correct horse";
const CODE = "314159";
const site = ["--user", USER, "--password", PASSWORD, "--code", CODE, "--no-hints"];

/** AuthLoop's package, as PyPI has it, installed once for this machine. */
const PACKAGE = "authloop==0.1.0";
const PYTHON = process.env.E2E_AUTHLOOP_PYTHONPATH ?? `${tmpdir()}/authloop-e2e-python`;
function published() {
  if (existsSync(`${PYTHON}/authloop`)) return;
  mkdirSync(PYTHON, { recursive: true });
  execFileSync(
    "python3",
    ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", PYTHON, PACKAGE],
    { stdio: "inherit" },
  );
}

/** `authloop-host serve`. */
class Agent extends Part {
  constructor(args) {
    super("agent-api", bin("authloop-host"), [
      "serve",
      "--json",
      "--listen",
      "127.0.0.1:0",
      "--rooms",
      "in-place",
      ...args,
    ]);
  }

  async ready() {
    const { listen, metrics } = await this.event((e) => e.event === "listening", "the start");
    this.url = `http://${listen}`;
    this.scraped = `http://${metrics}/metrics`;
    return this;
  }

  async json(path, options) {
    const answer = await fetch(`${this.url}${path}`, options);
    return { status: answer.status, body: await answer.json() };
  }

  /** The value of a metric; `name` with its labels. */
  async metric(name) {
    const value = metricIn(await (await fetch(this.scraped)).text(), name);
    assert.notEqual(value, undefined, `${name} is not there`);
    return value;
  }

  async session(body) {
    const made = await this.json("/session", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ service: "Bank", ...body }),
    });
    assert.equal(made.status, 201, JSON.stringify(made.body));
    return made.body;
  }

  /** The session once `done` holds of it. */
  async until(id, done) {
    for (let since = 0; ; ) {
      const { body } = await this.json(`/session/${id}?wait=30&since=${since}`);
      if (done(body)) return body;
      since = body.version;
    }
  }

  over(id) {
    return this.until(id, (s) => !["PENDING", "ACTIVE"].includes(s.status));
  }
}

const serve = (world, args = []) =>
  world.keep(new Agent(["--server", world.origin, ...args])).ready();

async function signIn(viewer) {
  await viewer.field("username");
  await viewer.press("ControlOrMeta+a");
  await viewer.type(USER);
  await viewer.press("Tab");
  await viewer.field("current-password");
  await viewer.type(PASSWORD);
  await viewer.press("Enter");
  await viewer.field("one-time-code");
  await viewer.type(CODE);
  await viewer.press("Enter");
}

async function claimed(world, url, device = "desktop") {
  const viewer = await world.viewer(device);
  await viewer.open(url);
  await viewer.claim();
  return viewer;
}

const python = (world, agent, script) =>
  world.keep(
    new Part(
      "python",
      "python3",
      [new URL("agent_client.py", import.meta.url).pathname, agent.url, world.remote.cdp, script],
      { env: { PYTHONPATH: PYTHON } },
    ),
  );

scenario("AuthLoop's published package hands a browser over", { site }, async (world) => {
  published();
  const audit = `${ARTIFACTS}audit-${process.pid}.jsonl`;
  const agent = await serve(world, ["--audit-log", audit, "--metrics-listen", "127.0.0.1:0"]);
  const client = python(world, agent, "sign_in");
  const { url, session } = await client.event((e) => e.event === "link", "the link");
  assert.match(session.expires_at, /^\d{4}-\d\d-\d\dT.*Z$/);

  const viewer = await claimed(world, url, "phone");
  await signIn(viewer);
  await world.site.records(2);
  await viewer.done();

  const status = await client.event((e) => e.event === "status", "the end");
  assert.equal(status.status, "RESOLVED");
  assert.equal(status.service, "Northwind Bank");
  assert.deepEqual(status.context, { wall_type: "password", hint: "Use the demo account" });
  assert.equal(await client.exit(), 0);
  const { version } = await client.event((e) => e.event === "version", "the version");
  const [line] = readFileSync(audit, "utf8").trim().split("\n").map(JSON.parse);
  assert.deepEqual(
    [line.session_id, line.outcome, line.wall_type, line.sdk_version],
    [session.session_id, "resolved", "password", version],
  );
  // The wall's kind went to the server with the registration, and the viewer told it of the first
  // picture.
  for (const counted of [
    'authloop_sessions_ended_total{outcome="resolved",wall_type="password"}',
    'authloop_time_to_resolve_seconds_count{wall_type="password"}',
    "authloop_time_to_first_frame_seconds_count",
  ])
    assert.equal(await world.server.metric(counted), 1, counted);
  // The host saw the pictures and the keys go through.
  assert.equal(await agent.metric('authloop_host_sessions_ended_total{outcome="resolved"}'), 1);
  const keys = USER.length + PASSWORD.length + CODE.length;
  assert.ok(
    (await agent.metric('authloop_host_input_to_cdp_seconds_count{input="typed"}')) >= keys,
  );
  const [pictures, frames] = [
    await agent.metric("authloop_host_capture_to_send_seconds_count"),
    await agent.metric('authloop_host_frames_total{type="delta"}'),
  ];
  assert.ok(pictures > 3 && frames > 3, `${pictures} pictures, ${frames} frames`);
  const sums = [
    await agent.metric("authloop_host_capture_to_send_seconds_sum"),
    await agent.metric('authloop_host_input_to_cdp_seconds_sum{input="typed"}'),
  ];
  assert.ok(
    sums.every((seconds) => seconds > 0),
    `${sums}`,
  );
});

scenario(
  "AuthLoop's published package cancels, resolves, and knows our errors",
  { site },
  async (world) => {
    published();
    const agent = await serve(world);
    const client = python(world, agent, "manage");
    assert.equal(await client.exit(60_000), 0, client.tail());

    const of = (name) => client.events.find((e) => e.event === name);
    assert.equal(of("cancelled").status, "CANCELLED");
    assert.deepEqual(
      [of("cancel again").error.status, of("cancel again").error.code],
      [409, "session_ended"],
    );
    assert.equal(of("resolved").status, "RESOLVED");
    assert.deepEqual(
      [of("resolve again").error.status, of("resolve again").error.details],
      [409, { status: "RESOLVED" }],
    );
    assert.deepEqual([of("unknown").error.status, of("unknown").error.code], [404, "not_found"]);
    assert.deepEqual([of("bad").error.status, of("bad").error.details], [400, { field: "ttl" }]);
    assert.deepEqual(
      [of("no browser").error.status, of("no browser").error.code],
      [412, "browser_unreachable"],
    );
    assert.equal(of("poll timeout").code, "poll_timeout");
  },
);

scenario(
  "Done too early is told and mended; the state is sealed, read once, and restores the session",
  { site },
  async (world) => {
    const agent = await serve(world);
    const origin = world.site.url;
    const suite = new CipherSuite({
      kem: new DhkemP256HkdfSha256(),
      kdf: new HkdfSha256(),
      aead: new Aes256Gcm(),
    });
    const keys = await suite.kem.generateKeyPair();
    const recipient = Buffer.from(await suite.kem.serializePublicKey(keys.publicKey)).toString(
      "base64url",
    );
    await fill(world);
    const { session_id: id, session_url: url } = await agent.session({
      cdp_url: world.remote.cdp,
      expected_origins: [origin],
      done_when: {
        all: [
          { url: `${origin}/account*` },
          { cookie: { name: "demo_session" } },
          { selector: "#signed-in" },
          { network: { url: `${origin}/account`, status: 200 } },
        ],
      },
      storage_state: { recipient, origins: [origin] },
    });
    const viewer = await claimed(world, url);

    await viewer.done();
    await viewer.page.waitForSelector("#sheet-checked[open]");
    assert.equal((await agent.json(`/session/${id}`)).body.status, "ACTIVE");
    await viewer.page.click("#checked-retry");
    await signIn(viewer);
    await world.site.records(2);
    await viewer.done();

    await viewer.state("ended");
    const session = await agent.over(id);
    assert.deepEqual(
      [session.status, session.outcome.verdict, session.outcome.reason],
      ["RESOLVED", "signed_in", "condition_met"],
    );
    assert.deepEqual(
      session.outcome.evidence.map((e) => e.met),
      [true, true, true, true],
      JSON.stringify(session.outcome),
    );
    const sealed = await agent.json(`/session/${id}/storage-state`);
    assert.equal((await agent.json(`/session/${id}/storage-state`)).status, 410);
    const bytes = (text) => new Uint8Array(Buffer.from(text, "base64url")).buffer;
    const opener = await suite.createRecipientContext({
      recipientKey: keys.privateKey,
      enc: bytes(sealed.body.enc),
      info: new TextEncoder().encode(sealed.body.info).buffer,
    });
    const state = JSON.parse(
      new TextDecoder().decode(await opener.open(bytes(sealed.body.ciphertext))),
    );
    await restores(state, origin);
  },
);

/** Leaves in the remote browser what a site may keep there. */
async function fill(world) {
  const remote = await chromium.connectOverCDP(world.remote.cdp);
  const [page] = remote.contexts()[0].pages();
  await page.evaluate(async () => {
    localStorage.setItem("theme", "dark");
    const request = (r) =>
      new Promise((resolve, reject) => {
        r.onsuccess = () => resolve(r.result);
        r.onerror = () => reject(r.error);
      });
    const open = indexedDB.open("bank", 3);
    open.onupgradeneeded = () => {
      const byKey = open.result.createObjectStore("tokens", { keyPath: "id", autoIncrement: true });
      byKey.createIndex("by-owner", ["owner", "id"], { unique: true });
      open.result.createObjectStore("loose");
    };
    const db = await request(open);
    const change = db.transaction(["tokens", "loose"], "readwrite");
    await request(
      change
        .objectStore("tokens")
        .put({ owner: "ada", token: "t0k3n", at: new Date(86_400_000), tags: new Set(["a"]) }),
    );
    const loose = change.objectStore("loose");
    await request(loose.put({ deep: { list: [1, null, "x"] } }, "plain"));
    await request(
      loose.put(
        new Map([
          ["bytes", new Uint8Array([1, 2, 255])],
          ["none", undefined],
        ]),
        new Date(1),
      ),
    );
    const key = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, [
      "encrypt",
    ]);
    await request(
      db.transaction("loose", "readwrite").objectStore("loose").put({ key }, "no form for this"),
    );
    db.close();
  });
  await remote.close();
}

/** A new context with the state is signed in, and has what the site kept. */
async function restores(state, origin) {
  const context = await (await usersBrowser()).newContext({ storageState: state });
  const page = await context.newPage();
  await page.goto(`${origin}/account`);
  assert.equal(page.url(), `${origin}/account`, "signed in");
  const kept = await page.evaluate(async () => {
    const request = (r) =>
      new Promise((resolve, reject) => {
        r.onsuccess = () => resolve(r.result);
        r.onerror = () => reject(r.error);
      });
    const db = await request(indexedDB.open("bank"));
    const stores = db.transaction(["tokens", "loose"]);
    const tokens = stores.objectStore("tokens");
    const loose = stores.objectStore("loose");
    const [[token], byOwner, plain, map, keys] = await Promise.all(
      [
        tokens.getAll(),
        tokens.index("by-owner").get(["ada", 1]),
        loose.get("plain"),
        loose.get(new Date(1)),
        loose.getAllKeys(),
      ].map(request),
    );
    return {
      theme: localStorage.getItem("theme"),
      version: db.version,
      token: token.token,
      at: token.at.getTime(),
      tags: [...token.tags],
      owner: byOwner.owner,
      plain,
      bytes: [...map.get("bytes")],
      none: map.has("none") && map.get("none") === undefined,
      keys: keys.length,
      autoIncrement: tokens.autoIncrement,
      unique: tokens.index("by-owner").unique,
    };
  });
  assert.deepEqual(kept, {
    theme: "dark",
    version: 3,
    token: "t0k3n",
    at: 86_400_000,
    tags: ["a"],
    owner: "ada",
    plain: { deep: { list: [1, null, "x"] } },
    bytes: [1, 2, 255],
    none: true,
    keys: 2,
    autoIncrement: true,
    unique: true,
  });
  await context.close();
}

scenario(
  "what cannot be checked is left open; a user who is sure finishes anyway, and the agent learns that it was not seen",
  { site },
  async (world) => {
    const agent = await serve(world);
    const { session_id: id, session_url: url } = await agent.session({
      cdp_url: world.remote.cdp,
      done_when: { any: [{ cookie: { name: "demo_session" } }, { selector: ":::" }] },
    });
    const viewer = await claimed(world, url, "phone");
    // A selector that no browser takes leaves it open whether the user is signed in.
    await viewer.done();
    await viewer.page.waitForSelector("#sheet-checked[open]");
    assert.match(await viewer.page.textContent("#sheet-checked-title"), /no answer/);
    await viewer.page.click("#checked-finish");
    const open = await agent.over(id);
    assert.deepEqual(
      [open.outcome.verdict, open.outcome.reason],
      ["inconclusive", "not_checkable"],
    );
    assert.deepEqual(
      open.outcome.evidence.map((e) => e.met),
      [false, null],
    );

    const second = await agent.session({
      cdp_url: world.remote.cdp,
      done_when: { any: [{ cookie: { name: "demo_session" } }] },
    });
    const sure = await claimed(world, second.session_url, "desktop");
    await sure.done();
    await sure.page.waitForSelector("#sheet-checked[open]");
    await sure.page.click("#checked-finish");
    const session = await agent.over(second.session_id);
    assert.deepEqual(
      [session.status, session.outcome.verdict, session.outcome.reason],
      ["RESOLVED", "not_signed_in", "finished_anyway"],
    );
  },
);

scenario("the session ends by itself once the user is signed in", { site }, async (world) => {
  const agent = await serve(world);
  const { session_id: id, session_url: url } = await agent.session({
    cdp_url: world.remote.cdp,
    auto_finish: true,
    done_when: { any: [{ url: `${world.site.url}/account` }] },
  });
  const viewer = await claimed(world, url);

  await signIn(viewer);

  await viewer.state("ended");
  assert.equal((await viewer.dataset()).outcome, "resolved");
  const session = await agent.over(id);
  assert.deepEqual([session.status, session.outcome.reason], ["RESOLVED", "condition_met"]);
});

scenario(
  "a user who did not ask for it says so, and the agent resolves for another",
  { site },
  async (world) => {
    const agent = await serve(world);
    const first = await agent.session({ cdp_url: world.remote.cdp });
    const stranger = await world.viewer("phone");
    await stranger.open(first.session_url);
    await stranger.page.click("#decline-start");
    const declined = await agent.over(first.session_id);
    assert.deepEqual([declined.status, declined.outcome.reason], ["CANCELLED", "not_requested"]);

    const second = await agent.session({ cdp_url: world.remote.cdp });
    const viewer = await claimed(world, second.session_url);
    const resolved = await agent.json(`/session/${second.session_id}/resolve`, { method: "POST" });
    assert.deepEqual([resolved.status, resolved.body.outcome.reason], [200, "agent_resolved"]);
    await viewer.state("ended");
    assert.equal((await viewer.dataset()).outcome, "resolved");
  },
);

scenario("a server that is away is told before any link is made", {}, async (world) => {
  const agent = await world.keep(new Agent(["--server", "http://127.0.0.1:1"])).ready();
  const made = await agent.json("/session", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ service: "Bank", cdp_url: world.remote.cdp }),
  });
  assert.deepEqual([made.status, made.body.error.code], [502, "signaling_unreachable"]);
});
