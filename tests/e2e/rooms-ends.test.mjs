// How a private room ends: where a session cannot move, and where none may.

import assert from "node:assert/strict";
import { Remote } from "./lib/harness.mjs";
import { RoomAgent } from "./lib/room-agents.mjs";
import { BOUND_KINDS } from "./lib/room-sites.mjs";
import {
  assertSignedIn,
  confirm,
  finish,
  ROOM_UI,
  roomsOfFile,
  signInPrivately,
  walk,
} from "./lib/rooms.mjs";

// No room waits for the next claim: what is there belongs to a session.
const roomTest = roomsOfFile({ api: ["--rooms-warm", "0"] });

/** An agent at the wall and its session, up to the room that the user sees. */
async function begun(rooms, kind, more = {}) {
  const site = rooms.sites.of(kind);
  const agent = await RoomAgent.playwright(rooms);
  await agent.arrive(site);
  const { session_id: id, session_url: link } = await rooms.ask(agent, site, more);
  const viewer = await rooms.user(link);
  assert.equal(rooms.profiles().length, 1, "the room has a profile");
  return { site, agent, id, viewer };
}

/** Nothing of the site's is in the agent's browser, and nothing is left of the room. */
async function assertNothingMoved(rooms, { site, agent }) {
  assert.deepEqual(rooms.profiles(), [], "the room is gone before the agent hears of the end");
  await agent.page.goto(`${site.origin}/account`);
  assert.equal(await agent.shows(), false, "the agent is signed in");
  const sessions = new Set(site.sessions.keys());
  assert.deepEqual(
    (await agent.cookies()).filter(({ value }) => sessions.has(value)),
    [],
  );
}

/** The user has signed in in the room, and has not said Done. */
async function signedInThere(rooms, kind, more) {
  const all = await begun(rooms, kind, more);
  const before = all.site.welcomes;
  await walk(all.viewer, all.site);
  await all.site.welcomed(before);
  return all;
}

for (const kind of BOUND_KINDS) {
  roomTest(`${kind}: what does not move is completed in the agent's own browser`, async (rooms) => {
    const { site, agent, id, viewer } = await signedInThere(rooms, kind);
    await finish(viewer);

    await viewer.page.waitForSelector(`${ROOM_UI.notMoved}[open]`);
    assert.equal((await rooms.session(id)).status, "ACTIVE", "the session goes on");
    assert.deepEqual(rooms.profiles(), [], "the room is gone by then");
    await viewer.page.click(ROOM_UI.inPlace);
    await viewer.data("room", "in_place");
    const before = site.welcomes;
    await walk(viewer, site);
    await site.welcomed(before);
    await viewer.done();

    await viewer.state("ended");
    assertSignedIn(await rooms.ended(id));
    await agent.sees();
  });
}

roomTest("a session that does not move ends so where the room is all there is", async (rooms) => {
  const api = rooms.guest(await rooms.serve(["--rooms", "private", "--rooms-warm", "0"]));
  const site = rooms.sites.of("memory");
  const agent = await RoomAgent.playwright(rooms);
  await agent.arrive(site);
  const made = await rooms.ask(agent, site, {}, api);
  const viewer = await rooms.user(made.session_url);
  const before = site.welcomes;
  await walk(viewer, site);
  await site.welcomed(before);
  await finish(viewer);

  const { status, outcome } = await rooms.ended(made.session_id, api);
  assert.deepEqual(
    [status, outcome.verdict, outcome.reason, outcome.evidence.map(({ met }) => met)],
    ["RESOLVED", "not_signed_in", "session_did_not_move", [false]],
  );
  await viewer.state("ended");
});

const ENDS = {
  "the user declines": async ({ viewer }) => {
    await viewer.page.click("#decline");
    await viewer.page.click("#sheet-decline [data-reason=declined]");
    return ["CANCELLED", "declined"];
  },
  "the agent resolves": async ({ id }, rooms) => {
    const { status } = await rooms.call("POST", `/session/${id}/resolve`);
    assert.equal(status, 200);
    return ["RESOLVED", "agent_resolved"];
  },
  "the agent cancels": async ({ id }, rooms) => {
    const { status } = await rooms.call("DELETE", `/session/${id}`);
    assert.equal(status, 200);
    return ["CANCELLED", "cancelled"];
  },
  "the time runs out": async () => ["TIMEOUT", "expired"],
};
for (const [what, act] of Object.entries(ENDS)) {
  roomTest(`${what}: a user who is signed in in the room moves nothing`, async (rooms) => {
    const more = what.startsWith("the time") ? { ttl: 15 } : {};
    const all = await signedInThere(rooms, "password", more);
    const wanted = await act(all, rooms);
    const { status, outcome } = await rooms.ended(all.id);
    assert.deepEqual([status, outcome.reason], wanted);
    assert.ok(
      outcome.evidence.every(({ met }) => met !== true),
      `the agent is told of the room: ${JSON.stringify(outcome)}`,
    );
    await assertNothingMoved(rooms, all);
  });
}

roomTest("Done too early is told, and nothing has moved by then", async (rooms) => {
  const all = await begun(rooms, "password");
  const { version } = await rooms.session(all.id);
  await confirm(all.viewer);
  await all.viewer.page.waitForSelector("#sheet-checked[open]");
  const session = await rooms.session(all.id);
  assert.deepEqual([session.status, session.version], ["ACTIVE", version], "the agent hears of it");
  await all.viewer.page.click("#checked-retry");
  const before = all.site.welcomes;
  await walk(all.viewer, all.site);
  await all.site.welcomed(before);
  await finish(all.viewer);
  assertSignedIn(await rooms.ended(all.id));
  await all.agent.sees();
});

roomTest("Start over begins the room anew, with nothing of before", async (rooms) => {
  const { site, agent, id, viewer } = await signedInThere(rooms, "password");
  await viewer.page.click(ROOM_UI.startOver);
  await viewer.page.click(ROOM_UI.startOverGo);
  await viewer.field("username");
  const before = site.welcomes;
  await walk(viewer, site);
  await site.welcomed(before);
  await finish(viewer);
  assertSignedIn(await rooms.ended(id));
  await agent.sees();
  assert.deepEqual(rooms.profiles(), []);
});

roomTest("a session ends by itself where the agent asks for it", async (rooms) => {
  const { site, agent, id, viewer } = await begun(rooms, "password", { auto_finish: true });
  await walk(viewer, site);
  await viewer.state("ended");
  assertSignedIn(await rooms.ended(id));
  await agent.sees();
});

/** The user is done, and the session waits for an agent's browser that was killed meanwhile. */
async function waiting(rooms) {
  const site = rooms.sites.of("password");
  const own = rooms.guest(new Remote("about:blank"));
  await own.ready();
  const agent = await RoomAgent.playwright(rooms, { cdp: own.cdp });
  await agent.arrive(site);
  const made = await rooms.ask(agent, site, { cdp_url: own.cdp });
  const viewer = await rooms.user(made.session_url);
  own.kill("SIGKILL");
  await own.ended;

  const before = site.welcomes;
  await walk(viewer, site);
  await site.welcomed(before);
  await confirm(viewer);
  await toldAway(viewer);
  assert.equal((await rooms.session(made.session_id)).status, "ACTIVE", "the session waits");
  return { site, own, made, viewer };
}

const toldAway = (viewer) =>
  viewer.page.waitForFunction(() =>
    /cannot be reached/.test(document.getElementById("overlay-text").textContent),
  );

roomTest("the agent's browser goes during the sign-in, and comes back", async (rooms) => {
  const { site, own, made, viewer } = await waiting(rooms);
  await viewer.page.reload();
  await viewer.data("room", "moving");
  await toldAway(viewer);

  const again = rooms.guest(new Remote("about:blank", undefined, Number(new URL(own.cdp).port)));
  await again.ready();
  assertSignedIn(await rooms.ended(made.session_id));
  const back = await RoomAgent.playwright(rooms, { cdp: again.cdp, kept: true });
  await back.page.goto(`${site.origin}/account`);
  await back.sees();
});

roomTest("the user withdraws while the session waits for the agent's browser", async (rooms) => {
  const { made, viewer } = await waiting(rooms);
  await viewer.page.click("#decline");
  await viewer.page.click("#sheet-decline [data-reason=declined]");

  await viewer.state("ended");
  const { status, outcome } = await rooms.ended(made.session_id);
  assert.deepEqual([status, outcome.reason], ["CANCELLED", "declined"]);
});

roomTest("the agent's browser goes and does not come back: the room is dropped", async (rooms) => {
  const site = rooms.sites.of("password");
  const own = rooms.guest(new Remote("about:blank"));
  await own.ready();
  const agent = await RoomAgent.playwright(rooms, { cdp: own.cdp });
  await agent.arrive(site);
  const made = await rooms.ask(agent, site, { ttl: 20 });
  const viewer = await rooms.user(made.session_url);
  own.kill("SIGKILL");
  await walk(viewer, site);
  const { status } = await rooms.ended(made.session_id);
  assert.ok(["TIMEOUT", "ERROR"].includes(status), status);
  assert.deepEqual(rooms.profiles(), []);
});

roomTest("a phone's user signs in in a room, too", async (rooms) => {
  const site = rooms.sites.of("password");
  const agent = await RoomAgent.playwright(rooms);
  await agent.arrive(site);
  const { session } = await signInPrivately(rooms, agent, site, {}, "phone");
  assertSignedIn(session);
  await agent.sees();
});

roomTest("a claim for which no room is left is told to both sides", async (rooms) => {
  const api = rooms.guest(await rooms.serve(["--rooms-warm", "0", "--rooms-max", "1"]));
  const site = rooms.sites.of("password");
  const agents = [await RoomAgent.playwright(rooms), await RoomAgent.playwright(rooms)];
  const made = [];
  for (const agent of agents) {
    await agent.arrive(site);
    made.push(await rooms.ask(agent, site, {}, api));
  }
  await rooms.user(made[0].session_url);
  const late = await rooms.visitor();
  await late.open(made[1].session_url);
  await late.page.click("#open");

  await late.state("ended", "error");
  const { status, outcome } = await rooms.ended(made[1].session_id, api);
  assert.deepEqual([status, outcome.reason], ["ERROR", "room_unavailable"]);
  assert.equal((await rooms.session(made[0].session_id, api)).status, "ACTIVE", "the first");
});
