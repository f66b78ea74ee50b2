// What a user types into a private room is nowhere that a hostile agent can look: not in its browser
// with all of CDP, not on its disk, not in its memory, not in what the API tells. The same searches
// must find what was planted for them.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { needlesOf, searchBeside, secret } from "./lib/canary.mjs";
import { messagesWith } from "./lib/gate-attacker.mjs";
import { ARTIFACTS, within } from "./lib/harness.mjs";
import { RoomAgent } from "./lib/room-agents.mjs";
import {
  filesIn,
  Listener,
  processesOf,
  processesWith,
  RoomAttacker,
} from "./lib/room-attacker.mjs";
import { assertSignedIn, finish, roomsOfFile, walk } from "./lib/rooms.mjs";

const roomTest = roomsOfFile({ api: ["--rooms-warm", "0", "--webhook-allow", "127.0.0.1"] });

/** Leaves a text wherever in the agent's own page one can be left. */
async function plant(agent, site, text) {
  await agent.page.goto(`${site.origin}/?planted=${text}`);
  await agent.page.evaluate((planted) => {
    localStorage.setItem("planted", planted);
    globalThis.planted = [planted, btoa(planted)];
    console.log(planted);
  }, text);
}

/** The texts that are in none of these places, and those that must be. */
async function assertNowhere(what, { absent, present, ...places }) {
  const secrets = [
    ...absent.map((text, n) => ({ name: `canary${n}`, text })),
    ...present.map((text, n) => ({ name: `control${n}`, text })),
  ];
  const found = await searchBeside({ secrets, ...places });
  const needles = needlesOf(found);
  for (let n = 0; n < present.length; n += 1)
    assert.ok(needles.has(`control${n}/utf-8`), `${what}: the search missed control ${n}`);
  assert.deepEqual(
    found.hits.filter((hit) => hit.needle.startsWith("canary")),
    [],
    what,
  );
  return found.bytes;
}

/** What a page shows of a file or a folder, as the agent's browser opens it; null if it does not. */
async function byAddress(agent, path) {
  try {
    await agent.page.goto(pathToFileURL(path).href);
    return await agent.page.content();
  } catch {
    // It would be saved, or may not be read.
    return null;
  }
}

/** Files of a profile that a browser shows and does not offer to save. */
const READABLE =
  /Local State|Preferences|\.(json|txt|log|html)$|LOG|CURRENT|Last Version|Variations/;

roomTest(
  "the room's profile, opened by file: and read as a file, holds nothing",
  async (rooms, t) => {
    const site = rooms.sites.of("password");
    const agent = await RoomAgent.playwright(rooms);
    const reader = await RoomAgent.playwright(rooms);
    await agent.arrive(site);
    const made = await rooms.ask(agent, site);
    const viewer = await rooms.user(made.session_url);
    const before = site.welcomes;
    await walk(viewer, site);
    await site.welcomed(before);

    const typed = rooms.sites.secrets["current-password"];
    const [session] = [...site.sessions.keys()].slice(-1);
    const control = secret();
    const planted = `${rooms.folder}/planted.txt`;
    writeFileSync(planted, control);
    assert.ok((await byAddress(reader, planted))?.includes(control), "file: shows nothing at all");
    const [profile] = rooms.profiles();
    const files = filesIn(`${rooms.folder}/${profile}`);
    const shown = [await byAddress(reader, `${rooms.folder}/${profile}`)];
    for (const file of files.filter((path) => READABLE.test(path)))
      shown.push(await byAddress(reader, file));
    const read = shown.filter(Boolean);
    t.diagnostic(`${made.isolation}: ${files.length} files, ${read.length} shown by file:`);
    for (const text of [typed, session]) assert.deepEqual(messagesWith(read, text), []);
    await assertNowhere("the room's disk", {
      absent: [typed, session],
      present: [control],
      files: [planted, ...files],
    });
    await finish(viewer);
    assertSignedIn(await rooms.ended(made.session_id));
  },
);

roomTest(
  "what is typed in a private room is nowhere in the agent's world",
  async (rooms, t) => {
    const { remote } = rooms.world;
    const site = rooms.sites.of("password");
    const typed = rooms.sites.secrets["current-password"];
    const control = secret();
    const listener = rooms.guest(await Listener.start());
    const attacker = rooms.guest(await RoomAttacker.join(remote.cdp));
    const agent = await RoomAgent.playwright(rooms);
    const own = await RoomAgent.playwright(rooms);
    await plant(own, rooms.sites.of("evil"), control);
    await agent.arrive(site);
    assert.ok(
      (await attacker.tryAll(agent.targetId)) > attacker.agent.methods.length / 2,
      "few answers",
    );

    const made = await rooms.ask(agent, site, {
      webhook: { url: listener.url, secret: `whsec_${Buffer.alloc(32, 7).toString("base64")}` },
      context: { wall_type: "password", hint: control },
      done_when: { all: [{ selector: "#who" }, { selector: `body:not(.${control})` }] },
    });
    listener.follow(made);
    const viewer = await rooms.user(made.session_url);
    const trying = attacker.tryAll(agent.targetId);
    const before = site.welcomes;
    await walk(viewer, site, ["username", "Tab", "current-password"]);
    await viewer.applied();
    await attacker.lookAround();
    await trying;

    const [profile] = rooms.profiles();
    const inRoom = processesWith(profile);
    assert.ok(inRoom.length > 1, "the room's processes");
    const there = await searchBeside({ secrets: [{ name: "typed", text: typed }], pids: inRoom });
    assert.ok(there.hits.length > 0, "the search misses it in the room itself");
    await assertNowhere("the agent's memory while it is typed", {
      absent: [typed],
      present: [control],
      pids: processesOf(remote.pid),
    });

    await viewer.press("Enter");
    await site.welcomed(before);
    await finish(viewer);
    await viewer.state("ended");
    const session = await rooms.ended(made.session_id);
    assertSignedIn(session);
    assert.deepEqual(processesWith(profile), [], "the room's processes are gone");
    await agent.sees();

    const heaps = await attacker.lookAround();
    await attacker.tryAll(agent.targetId);
    assert.ok(heaps >= 2, `only ${heaps} pages told their heap`);
    assert.ok(messagesWith(attacker.heard, control).length > 0, "CDP did not tell the control");
    assert.deepEqual(messagesWith(attacker.heard, typed), []);
    t.diagnostic(`${attacker.heard.length} messages of CDP`);
    const bytes = await assertNowhere("the agent's memory", {
      absent: [typed],
      present: [control],
      pids: processesOf(remote.pid),
    });
    t.diagnostic(`${(bytes / 1e6).toFixed(0)} MB of the agent's memory`);

    await within(10_000, () => "the stream's end", listener.followed);
    const { body: all } = await rooms.call("GET", "/sessions");
    const told = `${ARTIFACTS}rooms-told-${process.pid}`;
    writeFileSync(told, JSON.stringify([listener.words, session, all, made]));
    assert.ok(listener.words.filter((word) => word.startsWith("/hook")).length >= 3, "webhooks");
    await assertNowhere("what the API told", {
      absent: [typed],
      present: [control],
      files: [told],
    });
    await assertNowhere("what the host printed", {
      absent: [typed],
      present: ["listening"],
      files: [rooms.api.logFile],
    });

    // Ended in order, a browser writes down what it keeps.
    await attacker.cdp.ask("Browser.close");
    await remote.exit();
    await assertNowhere("the agent's disk", {
      absent: [typed],
      present: [control],
      files: filesIn(remote.profile),
    });
  },
  { timeout: 240_000 },
);
