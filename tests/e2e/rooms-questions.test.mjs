// Questions that an agent may put about a room: conditions, globs, ends, notices and phases. They
// are answered alike whatever was typed, which is to say not at all.

import assert from "node:assert/strict";
import { RoomAgent } from "./lib/room-agents.mjs";
import { Listener } from "./lib/room-attacker.mjs";
import { assertSignedIn, finish, roomsOfFile, walk } from "./lib/rooms.mjs";

const roomTest = roomsOfFile();

/** How long nothing may happen, in seconds: a guess that is right would end the session at once. */
const SILENCE = 3;

const PREFIX = 8;
/** Two conditions each: one that holds of what is typed, and one that never does. */
const QUESTIONS = {
  "an attribute": (typed) =>
    [typed.slice(0, PREFIX), "WRONG"].map((guess) => ({ selector: `[value^="${guess}"]` })),
  "an address": (typed) =>
    [typed.slice(0, PREFIX), "WRONG"].map((guess) => ({ url: `**typed=${guess}**` })),
  "a request": (typed) =>
    [typed.slice(0, PREFIX), "WRONG"].map((guess) => ({
      network: { url: `**typed=${guess}**`, status: 200 },
    })),
  "the length, by a cookie": (typed) =>
    [typed.length, 999].map((length) => ({ cookie: { name: `typed-${length}` } })),
  "whether there is anything": () => [{ selector: "#password[value]" }, { selector: "#nothing" }],
};

/** Asserts that the session stays as it is for a while. */
async function assertSilent(rooms, id, what) {
  const { version } = await rooms.session(id);
  const path = `/session/${id}?wait=${SILENCE}&since=${version}`;
  const { body } = await rooms.call("GET", path);
  assert.equal(body.version, version, `${what}: ${JSON.stringify(body)}`);
}

/** Without what differs between any two sessions. */
function comparable({ status, phase, outcome, notices }, condition) {
  const text = JSON.stringify({ status, phase, outcome, notices });
  return text.replaceAll(JSON.stringify(condition), "the question");
}

/** Puts one question while a password is typed and after it was sent; gives what the agent learns. */
async function put(rooms, site, condition) {
  const agent = await RoomAgent.playwright(rooms);
  await agent.arrive(site);
  const { session_id: id, session_url: link } = await rooms.ask(agent, site, {
    auto_finish: true,
    done_when: { any: [condition] },
  });
  const viewer = await rooms.user(link);
  await rooms.until(id, ({ phase }) => phase === "live");
  await walk(viewer, site, ["username", "Tab", "current-password"]);
  await viewer.applied();
  await assertSilent(rooms, id, "while it is typed");
  const during = comparable(await rooms.session(id), condition);
  // What a cookie's name tells then is what the site gives whoever is signed in.
  if (condition.cookie) return [during, id];
  const before = site.welcomes;
  await viewer.press("Enter");
  await site.welcomed(before);
  await assertSilent(rooms, id, "after it was sent");
  return [during, id];
}

/** Whether the agent learns the same from both. */
async function assertAlike(rooms, site, conditions) {
  const answers = [];
  for (const condition of conditions) {
    const [during, id] = await put(rooms, site, condition);
    const { status, body } = await rooms.call("POST", `/session/${id}/resolve`);
    assert.equal(status, 200, JSON.stringify(body));
    answers.push([during, comparable(body, condition)]);
    await rooms.dismiss();
  }
  assert.deepEqual(answers[0], answers[1]);
}

for (const [what, question] of Object.entries(QUESTIONS)) {
  roomTest(`${what}: a right guess and a wrong one are answered alike`, (rooms) =>
    assertAlike(
      rooms,
      rooms.sites.of("mirroring"),
      question(rooms.sites.secrets["current-password"]),
    ),
  );
}

roomTest("an address that holds what was sent is no answer either", (rooms) => {
  const typed = rooms.sites.secrets["current-password"];
  const guesses = [typed.slice(0, PREFIX), "WRONG"];
  const conditions = guesses.map((guess) => ({ url: `**password=${guess}**` }));
  return assertAlike(rooms, rooms.sites.of("query-form"), conditions);
});

roomTest("a page in the room that asks for a passkey tells the user alone", async (rooms) => {
  const site = rooms.sites.of("passkey");
  const agent = await RoomAgent.playwright(rooms);
  const listener = rooms.guest(await Listener.start());
  await agent.page.goto("about:blank");
  const made = await rooms.ask(agent, site, { context: { url: site.url, wall_type: "passkey" } });
  listener.follow(made);
  const viewer = await rooms.user(made.session_url);
  await viewer.page.waitForSelector("#sheet-passkey[open]");
  await rooms.until(made.session_id, ({ phase }) => phase === "live");
  await assertSilent(rooms, made.session_id, "after the page has asked");
  assert.deepEqual((await rooms.session(made.session_id)).notices, []);

  await viewer.page.click("#passkey-cannot");
  const session = await rooms.ended(made.session_id);
  assert.equal(session.status, "CANCELLED");
  assert.deepEqual(session.notices, []);
  await listener.followed;
  assert.doesNotMatch(listener.words.join(""), /session\.notice/);
});

roomTest("the phases are those of any sign-in, whatever the room shows", async (rooms) => {
  const site = rooms.sites.of("password");
  const agent = await RoomAgent.playwright(rooms);
  const listener = rooms.guest(await Listener.start());
  await agent.arrive(site);
  const made = await rooms.ask(agent, site);
  listener.follow(made);
  const viewer = await rooms.user(made.session_url);
  const before = site.welcomes;
  await walk(viewer, site);
  await site.welcomed(before);
  await rooms.until(made.session_id, ({ phase }) => phase === "live");
  await assertSilent(rooms, made.session_id, "while the room shows the account");
  await finish(viewer);
  assertSignedIn(await rooms.ended(made.session_id));
  await listener.followed;
  const phases = [...listener.words.join("").matchAll(/"phase":"(\w+)"/g)].map(([, p]) => p);
  const live = phases.indexOf("live");
  assert.ok(live > 0, `${phases}`);
  assert.ok(
    phases.slice(live).every((phase) => ["live", "checking", "ended"].includes(phase)),
    `${phases}`,
  );
});
