// How a handoff ends, and what is said when something is wrong.

import assert from "node:assert/strict";
import { after } from "node:test";
import { WebSocket } from "ws";
import { Attacker } from "./lib/attacker.mjs";
import { bin, closeBrowser, Host, scenario, sideBySide, within } from "./lib/harness.mjs";

after(closeBrowser);

sideBySide("ends that somebody or the clock decides", () => {
  scenario("declined before the claim: nobody asked for this", {}, async (world) => {
    const host = world.host();
    const viewer = await world.viewer("phone");
    await viewer.open(await host.link());

    await viewer.page.click("#decline-start");

    await viewer.state("ended");
    assert.equal((await viewer.dataset()).outcome, "declined");
    assert.deepEqual(await host.outcome(), { code: 3, event: "declined", reason: "not_requested" });
  });

  scenario("declined while live", {}, async (world) => {
    const { host, viewer } = await world.live("phone");

    await viewer.page.click("#decline");
    await viewer.page.click("#sheet-decline [data-reason=cannot_complete]");

    await viewer.state("ended");
    assert.deepEqual(await host.outcome(), {
      code: 3,
      event: "declined",
      reason: "cannot_complete",
    });
    assert.deepEqual(await world.site.records(), []);
  });

  scenario("expired while nobody came, and the link says so", {}, async (world) => {
    const host = world.host(["--ttl", "10"]);
    const link = await host.link();

    assert.deepEqual(await host.outcome(), { code: 4, event: "expired" });

    const viewer = await world.viewer("phone");
    await viewer.page.goto(link);
    assert.equal(await viewer.error(), "expired");
  });

  scenario("expired while live", {}, async (world) => {
    const { host, viewer } = await world.live("desktop", ["--ttl", "30"]);

    assert.deepEqual(await host.outcome(45_000), { code: 4, event: "expired" });
    await viewer.state("ended");
    assert.equal((await viewer.dataset()).outcome, "expired");
  });
});

scenario("a second claim is refused, both sides know, the first goes on", {}, async (world) => {
  const { host, viewer } = await world.live("desktop");
  const link = await host.link();
  const second = await world.viewer("phone");

  await second.page.goto(link);
  assert.equal(await second.error(), "already_claimed");
  assert.equal(await second.everEnabled(), false);

  await viewer.field("username");
  await viewer.type("still here");
  await viewer.press("Enter");
  await viewer.done();
  assert.equal((await host.outcome()).code, 0);
});

scenario(
  "two devices at the invitation: exactly one wins, the other is told",
  {},
  async (world) => {
    const host = world.host();
    const link = await host.link();
    const [a, b] = await Promise.all([world.viewer("desktop"), world.viewer("phone")]);
    await Promise.all([a.open(link), b.open(link)]);

    await Promise.all([a.page.click("#open"), b.page.click("#open")]);
    await Promise.all([a.state("live", "error"), b.state("live", "error")]);

    const states = await Promise.all([a, b].map(async (v) => (await v.dataset()).state));
    assert.deepEqual(states.toSorted(), ["error", "live"]);
    const loser = states[0] === "error" ? a : b;
    assert.equal(await loser.error(), "already_claimed");
    await (loser === a ? b : a).page.waitForSelector("#notices li");
  },
);

scenario(
  "a reload resumes, and input goes on where it stood",
  { path: "/extra/keys" },
  async (world) => {
    const { host, viewer } = await world.live("desktop");
    await viewer.page.waitForSelector("#pad[autocomplete=off]", { state: "attached" });
    await viewer.type("before ");
    await world.site.records(3 * "before ".length);

    await viewer.page.reload();
    await viewer.state("live");
    await viewer.data("keyboard", "enabled");
    await viewer.page.waitForSelector("#pad[autocomplete=off]", { state: "attached" });
    await viewer.type("after");

    const all = await world.site.records(3 * "before after".length);
    assert.equal(all.filter((r) => r.step === "text").at(-1).fields.value, "before after");
    await viewer.done();
    assert.equal((await host.outcome()).code, 0);
  },
);

scenario("the browser dies: the host says so, and so does the page", {}, async (world) => {
  const { host, viewer } = await world.live("desktop");

  world.remote.kill("SIGKILL");

  const end = await host.outcome();
  assert.equal(end.code, 1);
  assert.equal(end.event, "failed");
  assert.match(end.message, /browser/i);
  await viewer.state("ended");
  assert.equal((await viewer.dataset()).outcome, "failed");
});

scenario("wrong addresses are named before anyone gets a link", {}, async (world) => {
  const { port } = new URL(world.remote.cdp);
  const cases = [
    { what: "no browser there", cdp: "http://127.0.0.1:9", about: /127\.0\.0\.1:9\b/ },
    {
      what: "a site instead of a browser",
      cdp: world.site.url,
      about: new RegExp(new URL(world.site.url).host),
    },
    { what: "not an address", cdp: "chrome please", about: /CDP address/ },
    {
      what: "no such page",
      cdp: `ws://127.0.0.1:${port}/devtools/page/0123456789ABCDEF`,
      about: /page/i,
    },
    { what: "no server there", server: "http://127.0.0.1:9", about: /127\.0\.0\.1:9\b/ },
    {
      what: "a site instead of a server",
      server: world.site.url,
      about: new RegExp(new URL(world.site.url).host),
    },
  ];
  for (const { what, about, ...addresses } of cases) {
    const host = world.host([], addresses);
    const end = await host.outcome();
    assert.ok([1, 2].includes(end.code), `${what}: exit code ${end.code}`);
    assert.equal(end.event, "failed", what);
    assert.match(end.message, about, what);
    assert.ok(!host.events.some((e) => e.event === "link"), what);
  }
});

scenario("bad usage exits with 2", {}, async () => {
  for (const args of [
    ["handoff"],
    ["handoff", "--cdp"],
    ["handoff", "--json", "--ttl", "soon"],
    ["no-such-command"],
  ]) {
    const host = new Host("host-usage", bin("authloop-host"), args);
    assert.equal(await host.exit(), 2, args.join(" "));
    assert.match(host.tail(), /error/i);
  }
});

scenario("cut, foreign and unknown links are explained", {}, async (world) => {
  const host = world.host();
  const link = await host.link();
  const viewer = await world.viewer("phone");
  const open = async (url) => {
    await viewer.page.goto("about:blank");
    await viewer.page.goto(url);
    return viewer.error();
  };

  assert.equal(await open(link.slice(0, -1)), "link_incomplete");
  assert.equal(await open(`${world.origin}/`), "no_link");
  const bytes = Buffer.from(new URL(link).hash.slice(1), "base64url");
  bytes[80] ^= 1;
  assert.equal(
    await open(`${world.origin}/#${bytes.toString("base64url")}`),
    "invitation_mismatch",
  );
  bytes[5] ^= 1;
  assert.equal(await open(`${world.origin}/#${bytes.toString("base64url")}`), "not_found");
  assert.equal(
    host.events.some((e) => e.event === "failed"),
    false,
  );
});

/**
 * Connects as a viewer, says `frames` once challenged, and gives the close code and what the server
 * said.
 */
function knock(world, id, frames) {
  const ws = new WebSocket(`${world.server.url.replace("http", "ws")}/v1/sessions/${id}/viewer`);
  const said = [];
  const closed = new Promise((resolve, reject) => {
    ws.on("message", (data) => {
      const message = JSON.parse(data);
      said.push(message);
      if (message.type === "challenge") for (const frame of frames) ws.send(frame);
    });
    ws.on("close", (code) => resolve({ code, said }));
    ws.on("error", reject);
  });
  return within(20_000, () => `a close after ${said.map((m) => m.type)}`, closed);
}

/** A claim whose token and signature are nobody's. */
const claim = (device) =>
  JSON.stringify({
    type: "claim",
    token: Buffer.alloc(32, 1).toString("base64url"),
    device,
    signature: Buffer.alloc(64, 1).toString("base64url"),
  });

scenario(
  "malformed, oversized and early messages are refused by name, and the session survives",
  {},
  async (world) => {
    const host = world.host();
    const link = await host.link();
    const id = Buffer.from(new URL(link).hash.slice(1), "base64url")
      .subarray(1, 17)
      .toString("base64url");
    const cases = [
      { frames: ["not json"], code: 4400, error: "malformed" },
      { frames: ["[]"], code: 4400, error: "malformed" },
      { frames: [Buffer.from([0xff, 0x00])], code: 4400, error: "malformed" },
      { frames: ['{"type":"sealed","data":"AA"}'], code: 4400, error: "malformed" },
      {
        frames: ['{"type":"claim","token":"AA","device":"AA","signature":"AA","more":1}'],
        code: 4400,
        error: "malformed",
      },
      {
        frames: [`{"type":"sealed","data":"${"A".repeat(17 * 1024)}"}`],
        code: 4413,
        error: "too_large",
      },
      {
        frames: [
          JSON.stringify({ type: "resume", signature: Buffer.alloc(64, 7).toString("base64url") }),
        ],
        code: 4401,
        error: "unauthorized",
      },
      {
        frames: [claim(Buffer.alloc(65, 4).toString("base64url"))],
        code: 4400,
        error: "malformed",
      },
      { frames: [claim(await Attacker.deviceKey())], code: 4401, error: "unauthorized" },
    ];
    for (const { frames, code, error } of cases) {
      const end = await knock(world, id, frames);
      assert.equal(end.code, code, String(frames[0]).slice(0, 60));
      assert.equal(end.said.at(-1).type, "error");
      assert.equal(end.said.at(-1).code, error);
    }
    assert.equal(
      (
        await knock(world, Buffer.alloc(16).toString("base64url"), [
          '{"type":"resume","signature":"AA"}',
        ])
      ).code,
      4404,
    );

    const viewer = await world.viewer("desktop");
    await viewer.open(link);
    await viewer.claim();
    await viewer.done();
    assert.equal((await host.outcome()).code, 0);
  },
);
