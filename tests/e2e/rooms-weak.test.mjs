// Where the site is weak: what an agent has planted there hears nothing of a room that begins
// afresh, and what a site keeps of a password stays behind.

import assert from "node:assert/strict";
import { encodingsOf, messagesWith } from "./lib/gate-attacker.mjs";
import { RoomAgent } from "./lib/room-agents.mjs";
import { RoomAttacker } from "./lib/room-attacker.mjs";
import { BAITED_KINDS } from "./lib/room-sites.mjs";
import { assertSignedIn, confirm, roomsOfFile, signInPrivately, walk } from "./lib/rooms.mjs";

const roomTest = roomsOfFile();

for (const kind of BAITED_KINDS) {
  roomTest(`${kind}: a room that begins as it is falls to the bait (control)`, async (rooms) => {
    const site = rooms.sites.of(kind);
    const evil = rooms.sites.of("evil");
    evil.stolen.length = 0;
    const agent = await RoomAgent.playwright(rooms);
    await site.plant(agent.page);
    const made = await rooms.ask(agent, site, { start: "as_is" });
    assert.equal(made.start, "as_is");
    const viewer = await rooms.user(made.session_url);
    await walk(viewer, site, ["username", "Tab", "current-password"]);
    await evil.stole(rooms.sites.secrets["current-password"]);
  });

  roomTest(`${kind}: a room that begins afresh does not`, async (rooms) => {
    const site = rooms.sites.of(kind);
    const evil = rooms.sites.of("evil");
    evil.stolen.length = 0;
    const agent = await RoomAgent.playwright(rooms);
    await site.plant(agent.page);
    const { session } = await signInPrivately(rooms, agent, site, {
      // The address that an agent names is as much its own.
      context: { url: agent.page.url(), wall_type: "password" },
    });
    // Only what came while the room was there: the bait is at work in the agent's own browser.
    assertSignedIn(session);
    const password = rooms.sites.secrets["current-password"];
    const heard = evil.stolen.filter((text) => text !== "" && password.startsWith(text));
    assert.deepEqual(heard, []);
  });
}

/** What a page says that may still be on its way to another. */
async function settled(page, work) {
  for (;;) {
    try {
      return await page.evaluate(work);
    } catch (error) {
      if (!/context was destroyed/.test(error)) throw error;
    }
  }
}

/** All that the agent's browser has of a site, in one text. */
async function holdings(agent) {
  const stores = await settled(agent.page, async () => {
    const asked = indexedDB.open("remembered");
    const db = await new Promise((resolve) => {
      asked.onsuccess = () => resolve(asked.result);
    });
    const records = {};
    if (db.objectStoreNames.contains("records")) {
      const cursor = db.transaction("records").objectStore("records").openCursor();
      await new Promise((resolve) => {
        cursor.onsuccess = () => {
          if (!cursor.result) return resolve();
          const { key, value } = cursor.result;
          records[key] = value instanceof Uint8Array ? String.fromCharCode(...value) : value;
          cursor.result.continue();
        };
      });
    }
    db.close();
    return { local: { ...localStorage }, session: { ...sessionStorage }, records };
  });
  const history = await agent.session.send("Page.getNavigationHistory");
  return { ...stores, cookies: await agent.cookies(), history };
}

const holds = (value, text) =>
  encodingsOf(text).filter((form) => JSON.stringify(value).includes(form));

roomTest(
  "what a site remembers of the password stays behind, and the rest moves",
  async (rooms) => {
    const site = rooms.sites.of("remembering");
    const password = rooms.sites.secrets["current-password"];
    const agent = await RoomAgent.playwright(rooms);
    const attacker = rooms.guest(await RoomAttacker.join(rooms.world.remote.cdp));
    await agent.arrive(site);

    const { session, viewer } = await signInPrivately(rooms, agent, site, {
      done_when: { all: [{ cookie: { name: "session", domain: site.host } }] },
    });

    assertSignedIn(session);
    assert.ok((await viewer.notices()).includes("left_behind"), "the user is told");
    const there = await holdings(agent);
    assert.deepEqual(holds(there, password), [], JSON.stringify(there));
    assert.equal(there.local.theme, "dark");
    assert.equal(there.session.tab, "first");
    assert.deepEqual(Object.keys(there.records), ["harmless"]);
    assert.ok(there.cookies.some(({ name, value }) => name === "language" && value === "en"));
    assert.deepEqual(messagesWith(attacker.heard, password), [], "it went through the browser");
    await agent.page.goto(`${site.origin}/account`);
    await agent.sees();
  },
);

roomTest("an address that holds the password stays behind", async (rooms) => {
  const site = rooms.sites.of("query-form");
  const password = rooms.sites.secrets["current-password"];
  const agent = await RoomAgent.playwright(rooms);
  const attacker = rooms.guest(await RoomAttacker.join(rooms.world.remote.cdp));
  await agent.arrive(site);

  const { session } = await signInPrivately(rooms, agent, site, {
    done_when: { all: [{ cookie: { name: "session", domain: site.host } }] },
  });

  assertSignedIn(session);
  assert.deepEqual(holds(await holdings(agent), password), []);
  assert.deepEqual(messagesWith(attacker.heard, password), [], "it went through the browser");
  await agent.page.goto(`${site.origin}/account`);
  await agent.sees();
});

roomTest("a password that was typed, and typed again, stays behind both times", async (rooms) => {
  const site = rooms.sites.of("remembering");
  const password = rooms.sites.secrets["current-password"];
  const wrong = `WRONG${password}`;
  const agent = await RoomAgent.playwright(rooms);
  await agent.arrive(site);
  const made = await rooms.ask(agent, site, {
    done_when: { all: [{ cookie: { name: "session", domain: site.host } }] },
  });
  const viewer = await rooms.user(made.session_url);
  const before = site.welcomes;
  await viewer.field("username");
  await viewer.type(rooms.sites.secrets.username);
  await viewer.press("Tab");
  await viewer.field("current-password");
  await viewer.type(wrong);
  await viewer.press("Enter");
  await walk(viewer, site);
  await site.welcomed(before);
  await confirm(viewer);
  assertSignedIn(await rooms.ended(made.session_id));
  const there = await holdings(agent);
  assert.deepEqual([...holds(there, wrong), ...holds(there, password)], []);
});
