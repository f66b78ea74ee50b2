// Private rooms: an agent meets a wall, its user signs in in a browser of the host's own, and the
// session alone moves to the agent's. One test for each place where a site may keep a session.

import assert from "node:assert/strict";
import { RoomAgent } from "./lib/room-agents.mjs";
import { MOVING_KINDS } from "./lib/room-sites.mjs";
import { assertSignedIn, roomsOfFile, signInPrivately } from "./lib/rooms.mjs";

const roomTest = roomsOfFile();

/** The start that the wall's kind has where the agent asks for none. */
const startOf = (site) => (site.wall === "otp" ? "as_is" : "fresh");

/** A sign-in of that kind, with all that must hold of it. */
async function signsIn(rooms, agent, kind, more) {
  const site = rooms.sites.of(kind);
  await agent.arrive(site);
  assert.equal(await agent.shows(), false, "the agent is at the wall");

  const { made, told, session } = await signInPrivately(rooms, agent, site, more);

  assert.deepEqual([made.room, made.start, made.grants], ["private", startOf(site), site.grants]);
  assert.deepEqual(
    [session.room, session.start, session.grants],
    ["private", made.start, made.grants],
  );
  assert.ok(["own_user", "same_user"].includes(made.isolation), made.isolation);
  for (const granted of site.grants) assert.ok(told.includes(granted), told);
  assertSignedIn(session);
  await agent.sees();
  await agent.page.goto(`${site.origin}/account`);
  await agent.sees();
  return session;
}

for (const kind of MOVING_KINDS) {
  roomTest(`${kind}: the session moves to the agent's browser`, async (rooms) => {
    const agent = await RoomAgent.playwright(rooms);
    await signsIn(rooms, agent, kind);
    const names = (await agent.cookies()).map(({ name, domain }) => `${name} at ${domain}`);
    assert.deepEqual(
      names.filter((name) => /idp_session|hop/.test(name)),
      [],
      "another site's cookies moved",
    );
    if (kind === "rotating")
      assert.equal(rooms.sites.of(kind).revoked, 0, "two copies were in use");
  });
}

const OWN = { locale: "fr-CH", timezoneId: "Pacific/Auckland", userAgent: "Mozilla/5.0 Agent/1.0" };
for (const kind of ["password", "redirected", "session-storage", "indexeddb", "user-agent"]) {
  roomTest(`${kind}: the session moves to a context of Playwright's own`, async (rooms) => {
    const agent = await RoomAgent.playwright(rooms, { own: OWN });
    await signsIn(rooms, agent, kind);
    const bystander = await RoomAgent.playwright(rooms);
    await bystander.page.goto(`${rooms.sites.of(kind).origin}/account`);
    const jar = await bystander.cookies();
    const own = await agent.cookies();
    const moved = new Set(own.map(({ value }) => value));
    assert.deepEqual(
      jar.filter(({ value }) => moved.has(value)),
      [],
      "another context has the session too",
    );
  });
}

for (const [kind, own] of [
  ["password", undefined],
  ["popup", {}],
]) {
  roomTest(
    `${kind}: the session moves to Puppeteer's ${own ? "own" : "default"} context`,
    async (rooms) => {
      await signsIn(rooms, await RoomAgent.puppeteer(rooms, { own }), kind);
    },
  );
}

roomTest("a room begins at the address that the agent names", async (rooms) => {
  const agent = await RoomAgent.playwright(rooms);
  const site = rooms.sites.of("redirected");
  await signsIn(rooms, agent, "redirected", {
    context: { url: `${site.url}?from=agent#part`, wall_type: "oauth" },
  });
  assert.ok(!site.asked.some((asked) => asked.includes("from=agent")), "with its query");
});

roomTest("the agent uses its browser all the while", async (rooms) => {
  const agent = await RoomAgent.playwright(rooms);
  const site = rooms.sites.of("password");
  await agent.arrive(site);
  const { session_id: id, session_url: link } = await rooms.ask(agent, site);
  const viewer = await rooms.user(link);
  await rooms.until(id, ({ phase }) => phase === "live");

  const other = rooms.sites.of("evil");
  await agent.page.goto(`${other.origin}/elsewhere`);
  assert.equal(await agent.shows("#who"), false);
  assert.equal(await agent.page.title(), "Evil");

  await viewer.page.click("#decline");
  await viewer.page.click("#sheet-decline [data-reason=declined]");
  assert.equal((await rooms.ended(id)).status, "CANCELLED");
});

roomTest("what an agent may ask for is the operator's decision", async (rooms) => {
  const agent = await RoomAgent.playwright(rooms);
  const site = rooms.sites.of("password");
  await agent.arrive(site);
  const open = rooms.api;
  const strict = rooms.guest(await rooms.serve(["--rooms", "private", "--rooms-start", "fresh"]));
  const base = { service: "x", cdp_url: agent.address, expected_origins: site.expected };
  const cases = [
    [open, { context: { wall_type: "captcha" } }, { room: "in_place", start: null, grants: null }],
    [open, { context: { wall_type: "otp" } }, { room: "private", start: "as_is" }],
    [open, {}, { room: "private", start: "fresh", grants: [site.host] }],
    [strict, { context: { wall_type: "captcha" } }, { room: "private", start: "fresh" }],
    [strict, { context: { wall_type: "otp" } }, { room: "private", start: "fresh" }],
    [strict, { room: "in_place" }, { status: 403, code: "room_not_allowed", field: "room" }],
    [strict, { start: "as_is" }, { status: 403, code: "room_not_allowed", field: "start" }],
    [open, { grants: ["other.localhost"] }, { status: 400, field: "grants" }],
    [open, { room: "in_place", start: "fresh" }, { status: 400, field: "start" }],
  ];
  for (const [api, more, wanted] of cases) {
    const { status, body } = await rooms.call("POST", "/session", { ...base, ...more }, api);
    const { code, details } = body.error ?? {};
    const told = { status, ...body, code, field: details?.field };
    for (const [name, value] of Object.entries(wanted))
      assert.deepEqual(told[name], value, `${name} for ${JSON.stringify(more)}`);
    if (body.session_id) await rooms.call("DELETE", `/session/${body.session_id}`, undefined, api);
  }
});
