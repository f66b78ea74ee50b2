// Whatever is killed in the middle of a sign-in: no profile of a room is left after the next start,
// and the agent's browser has the whole of a session or nothing of it.

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { within } from "./lib/harness.mjs";
import { RoomAgent } from "./lib/room-agents.mjs";
import { processesWith } from "./lib/room-attacker.mjs";
import { confirm, Rooms, roomsOfFile, walk } from "./lib/rooms.mjs";

const ARGS = ["--rooms-warm", "0"];
const roomTest = roomsOfFile({ api: ARGS });

/** A session up to one of its moments. */
const PHASES = {
  claimed: async (rooms, { made }) => {
    // The claim is enough: no frame has come yet.
    const viewer = await rooms.visitor();
    await viewer.open(made.session_url);
    await viewer.page.click("#open");
    await rooms.until(made.session_id, ({ phase }) => phase !== "waiting");
    return viewer;
  },
  live: async (rooms, { made, site }) => {
    const viewer = await rooms.user(made.session_url);
    await walk(viewer, site, ["username", "Tab", "current-password"]);
    return viewer;
  },
  moving: async (rooms, { made, site }) => {
    const viewer = await rooms.user(made.session_url);
    const before = site.welcomes;
    await walk(viewer, site);
    await site.welcomed(before);
    await confirm(viewer);
    return viewer;
  },
};

/** An agent at the wall of the site that keeps a session in every store, in an API of its own. */
async function begun(rooms) {
  const site = rooms.sites.of("everywhere");
  const agent = await RoomAgent.playwright(rooms);
  await agent.arrive(site);
  rooms.api = rooms.guest(await rooms.serve(ARGS));
  return { site, agent, made: await rooms.ask(agent, site), api: rooms.api };
}

const roomProcesses = (rooms) => processesWith(`${rooms.folder}/authloop-room-`);

/** Waits until no process of a room is there any more. */
async function assertNoProcesses(rooms) {
  const gone = async () => {
    while (roomProcesses(rooms).length > 0) await pause(50);
  };
  await within(10_000, () => "the end of the room's processes", gone());
}

/** The names of what the agent's browser has of a session. */
async function partsOf({ site, agent }) {
  const { parts, cookies } = await holdings(site, agent);
  const stored = Object.keys(parts).filter((name) => parts[name] !== null);
  return [...stored, ...cookies.map(({ name }) => name)].join(", ") || "nothing";
}

async function holdings(site, agent) {
  // Where the host had led the page last may still be on its way.
  const led = (error) => {
    if (!/interrupted by another navigation/.test(error)) throw error;
    return agent.page.goto(`${site.origin}/parts`);
  };
  await agent.page.goto(`${site.origin}/parts`).catch(led);
  const parts = await agent.page.evaluate(() => globalThis.parts());
  const cookies = (await agent.cookies()).filter(({ domain }) => domain.includes(site.host));
  return { parts, cookies };
}

/** The agent's browser has all of a session, or nothing of it; gives which. */
async function assertWholeOrNothing({ site, agent }) {
  const { parts, cookies } = await holdings(site, agent);
  const found = [...Object.values(parts), ...cookies.map(({ value }) => value)];
  const whole = site.parts.every((name) => parts[name] ?? cookies.find((c) => c.name === name));
  const none = found.every((part) => part === null);
  assert.ok(whole || none, `half a session: ${JSON.stringify({ parts, cookies })}`);
  if (whole) assert.equal(new Set(found).size, 1, JSON.stringify(found));
  return whole;
}

/** How long after the user's last word the host is killed, in ms: moving has several steps. */
const DELAYS = { claimed: [0], live: [0], moving: [0, 50, 150, 400] };

for (const [phase, reach] of Object.entries(PHASES)) {
  for (const delay of DELAYS[phase]) {
    roomTest(`the host is killed while ${phase}, ${delay} ms later`, async (rooms, t) => {
      const all = await begun(rooms);
      await reach(rooms, all);
      await pause(delay);
      all.api.kill("SIGKILL");
      await all.api.ended;
      await assertNoProcesses(rooms);
      rooms.guest(await rooms.serve(ARGS));
      assert.deepEqual(rooms.profiles(), [], "the next start has swept");
      // Who plants in several steps and is killed between two leaves what is planted by then: only a
      // host that lives takes it back.
      if (phase === "moving") t.diagnostic(`in the agent's browser: ${await partsOf(all)}`);
      else assert.equal(await assertWholeOrNothing(all), false);
    });
  }

  roomTest(`the room's browser is killed while ${phase}`, async (rooms) => {
    const all = await begun(rooms);
    await reach(rooms, all);
    // At the claim it is only being started.
    const started = async () => {
      while (roomProcesses(rooms).length === 0) await pause(20);
    };
    if (phase === "claimed") await within(10_000, () => "a room's process", started());
    for (const pid of roomProcesses(rooms)) kill(pid);
    const session = await rooms.ended(all.made.session_id);
    assert.deepEqual(rooms.profiles(), [], "it is removed at once");
    const whole = await assertWholeOrNothing(all);
    if (whole) assert.equal(session.outcome.verdict, "signed_in");
    else assert.equal(session.status, "ERROR", JSON.stringify(session));
  });

  roomTest(`the server is killed while ${phase}`, async (rooms) => {
    const all = await begun(rooms);
    await reach(rooms, all);
    await rooms.world.restartServer();
    // It forgets the session: whether that ends it or not, its user can end nothing there any more.
    await rooms.call("DELETE", `/session/${all.made.session_id}`);
    await rooms.ended(all.made.session_id);
    assert.deepEqual(rooms.profiles(), []);
    await assertNoProcesses(rooms);
    await assertWholeOrNothing(all);
  });
}

roomTest("the agent's browser is killed while moving", async () => {
  // It is the world's own browser that ends.
  const rooms = await Rooms.open({ api: ARGS });
  try {
    const all = await begun(rooms);
    await PHASES.moving(rooms, all);
    rooms.world.remote.kill("SIGKILL");
    await rooms.call("DELETE", `/session/${all.made.session_id}`);
    await rooms.ended(all.made.session_id);
    assert.deepEqual(rooms.profiles(), []);
    await assertNoProcesses(rooms);
  } finally {
    await rooms.close();
  }
});

/** Ends one process, if it is still there. */
function kill(pid) {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended in this moment.
  }
}
