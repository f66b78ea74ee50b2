// What the tests of private rooms share: a world with the sites, an agent's browser, the agent API
// and its users, and the names by which the viewer shows a room.

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { after, before, test } from "node:test";
import { AgentApi } from "./agentapi.mjs";
import { ARTIFACTS, closeBrowser, DEVICES, usersBrowser, World, within } from "./harness.mjs";
import { RoomSites } from "./room-sites.mjs";
import { Viewer } from "./viewer.mjs";

/** Elements of the viewer's that belong to rooms. */
export const ROOM_UI = {
  /** What moves to the agent and what does not, before it does. */
  done: "#sheet-done",
  finish: "#done-finish",
  /** The agent's browser does not show the sign-in. */
  notMoved: "#sheet-not-moved",
  inPlace: "#not-moved-in-place",
  startOver: "#start-over",
  startOverGo: "#start-over-go",
};

/** The host looked, and the page shows no sign-in. */
const CHECKED = "#sheet-checked";

/** As the host names a room's profile. */
const PROFILE = /^authloop-room-/;

export class Rooms {
  #guests = [];
  /** Ends the sessions of this test. */
  #ends = [];

  /**
   * @param {{api?: string[], remote?: string}} options `api`: more arguments of the agent API's;
   *   `remote`: the agent's browser
   */
  static async open({ api = [], ...world } = {}) {
    const rooms = new Rooms();
    // Of this test alone, in memory as a user's own is.
    rooms.folder = mkdtempSync("/dev/shm/authloop-e2e-");
    process.on("exit", () => rooms.#remove());
    rooms.world = await World.open(world);
    try {
      rooms.sites = rooms.world.keep(await RoomSites.start());
      rooms.api = await rooms.serve(api);
      return rooms;
    } catch (error) {
      await rooms.tell("rooms");
      await rooms.close();
      throw error;
    }
  }

  /** Another agent API in the same world. */
  serve(args = [], env = {}) {
    const rooms = args.includes("--rooms") ? [] : ["--rooms", "any"];
    return AgentApi.start(this.world, [...rooms, ...args], {
      XDG_RUNTIME_DIR: this.folder,
      ...env,
    });
  }

  /** Has it stopped when the test ends. */
  guest(one) {
    this.#guests.push(one);
    return one;
  }

  /** A test ends, however: its sessions and all who came for it. */
  async dismiss() {
    for (const end of this.#ends) await end().catch(() => {});
    this.#ends = [];
    for (const guest of this.#guests.reverse()) await guest.stop().catch(() => {});
    this.#guests = [];
  }

  async call(method, path, body = undefined, api = this.api) {
    const answer = await fetch(`${api.url}${path}`, {
      method,
      headers: body && { "content-type": "application/json" },
      body: body && JSON.stringify(body),
    });
    return { status: answer.status, body: await answer.json() };
  }

  /** Asks for a private room at that site. */
  async ask(agent, site, more = {}, api = this.api) {
    const body = {
      service: site.host,
      requester: "The rooms' agent",
      room: "private",
      cdp_url: agent.address,
      expected_origins: site.expected,
      grants: site.grants,
      context: { wall_type: site.wall },
      done_when: { all: [{ selector: site.signedIn ?? "#who" }] },
      ...more,
    };
    const made = await this.call("POST", "/session", body, api);
    assert.equal(made.status, 201, JSON.stringify(made.body));
    this.#ends.push(() => this.call("DELETE", `/session/${made.body.session_id}`, undefined, api));
    return made.body;
  }

  async session(id, api = this.api) {
    return (await this.call("GET", `/session/${id}`, undefined, api)).body;
  }

  /** The session once `done` holds of it. */
  until(id, done, api = this.api) {
    let session = null;
    const poll = async () => {
      for (let since = 0; ; since = session.version) {
        const path = `/session/${id}?wait=30&since=${since}`;
        session = (await this.call("GET", path, undefined, api)).body;
        if (done(session)) return session;
      }
    };
    return within(60_000, () => `a change of the session ${JSON.stringify(session)}`, poll());
  }

  ended(id, api = this.api) {
    return this.until(id, ({ status }) => !["PENDING", "ACTIVE"].includes(status), api);
  }

  /** A user at a device. */
  async visitor(device = "desktop") {
    const context = await (await usersBrowser()).newContext(DEVICES[device]);
    return this.guest(await Viewer.start(context, device));
  }

  /** A user who has opened the link and sees the room. */
  async user(link, device = "desktop") {
    const viewer = await this.visitor(device);
    await viewer.open(link);
    await viewer.claim();
    return viewer;
  }

  /** What everyone saw last, for a test that failed. */
  async tell(name) {
    await this.world.tell(name);
    const safe = name.replaceAll(/[^a-z0-9]+/gi, "-").toLowerCase();
    for (const viewer of this.#guests.filter((guest) => guest instanceof Viewer))
      console.error(await viewer.tell(`${ARTIFACTS}failed-${safe}.png`).catch(String));
  }

  /** The folders of rooms that are there now. */
  profiles() {
    return readdirSync(this.folder).filter((name) => PROFILE.test(name));
  }

  async close() {
    await this.dismiss();
    await this.world.close();
    this.#remove();
  }

  #remove() {
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  }
}

/** Does by real input what the site's user does. */
export async function walk(viewer, site, way = site.way) {
  const secrets = site.secrets ?? site.sites.secrets;
  const reach = (step) => {
    const field = site.fields?.[step];
    return field ? viewer.padLike(field) : viewer.field(step);
  };
  const first = way.findIndex((step) => secrets[step] !== undefined);
  for (let left = 3; first > 0; left -= 1) {
    for (const key of way.slice(0, first)) await viewer.press(key);
    const reached = reach(way[first]);
    reached.catch(() => {}); // said below
    const slow = new Promise((resolve) => setTimeout(resolve, 6000, "not yet"));
    // A user whose key came before a frame was there presses it again.
    if (left === 1 || (await Promise.race([reached, slow])) !== "not yet") break;
  }
  for (const step of way.slice(Math.max(first, 0))) {
    if (secrets[step] === undefined) await viewer.press(step);
    else {
      await reach(step);
      await viewer.type(secrets[step]);
    }
  }
}

/** Done, and yes to what moves; gives what the user was told that moves. */
export async function confirm(viewer) {
  const sheet = `${ROOM_UI.done}[open]`;
  await viewer.done();
  await viewer.page.waitForSelector(sheet);
  const told = await viewer.page.textContent(ROOM_UI.done);
  await viewer.page.click(ROOM_UI.finish);
  await viewer.page.waitForSelector(sheet, { state: "detached" });
  return told;
}

/**
 * The same, up to what the user is told then: the end, or that the session did not move; a page that
 * is still on its way gets another try.
 */
export async function finish(viewer) {
  for (let left = 5; ; left -= 1) {
    const told = await confirm(viewer);
    const shown = await viewer.page.waitForFunction(
      ([checked, notMoved]) =>
        [checked, notMoved].find((sheet) => document.querySelector(`${sheet}[open]`)) ??
        (document.documentElement.dataset.state === "ended" && "ended"),
      [CHECKED, ROOM_UI.notMoved],
    );
    if ((await shown.jsonValue()) !== CHECKED || left === 0) return told;
    await viewer.page.click("#checked-retry");
  }
}

/** A whole sign-in in a private room, from the agent at the wall to the session's end. */
export async function signInPrivately(rooms, agent, site, more = {}, device = "desktop") {
  const made = await rooms.ask(agent, site, more);
  const viewer = await rooms.user(made.session_url, device);
  const before = site.welcomes;
  await walk(viewer, site);
  await site.welcomed(before);
  const told = await finish(viewer);
  await viewer.state("ended");
  return { made, viewer, told, session: await rooms.ended(made.session_id) };
}

/** The session has ended, and the agent's browser showed that the user is signed in. */
export function assertSignedIn({ status, outcome }) {
  assert.deepEqual(
    [status, outcome.verdict, outcome.reason],
    ["RESOLVED", "signed_in", "condition_met"],
    JSON.stringify(outcome),
  );
  assert.ok(
    outcome.evidence.every(({ met }) => met === true),
    JSON.stringify(outcome.evidence),
  );
}

/**
 * One world for all tests of a file, since two cores start no more of them; gives what defines a
 * test in it.
 */
export function roomsOfFile(options = {}) {
  let rooms;
  before(async () => {
    rooms = await Rooms.open(options);
  });
  after(async () => {
    await rooms?.close();
    await closeBrowser();
  });
  return (name, play, { timeout = 120_000, ...more } = {}) =>
    test(name, { timeout, ...more }, async (t) => {
      try {
        await play(rooms, t);
      } catch (error) {
        await rooms.tell(name);
        throw error;
      } finally {
        await rooms.dismiss();
      }
    });
}
