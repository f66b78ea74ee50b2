// Rooms without a page: what an invitation promises, which hosts are granted, what is true of an end.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { encodeUtf8, randomBytes, sha256, toBase64Url } from "../js/bytes.js";
import { TypingConsent } from "../js/consent.js";
import { actsOnPage, isTyped, OUTCOMES } from "../js/events.js";
import { openInvitation } from "../js/invitation.js";
import { splitHost } from "../js/origin.js";
import { hostOf, isGranted, Room } from "../js/room.js";
import { formatFingerprint } from "../js/sdp.js";

const en = JSON.parse(readFileSync(new URL("../locales/en.json", import.meta.url), "utf8"));
const BANK = { start: "fresh", sites: ["bank.example"] };

async function opened(room) {
  const id = randomBytes(16);
  const invitation = {
    v: 1,
    id: toBase64Url(id),
    hpke: toBase64Url(randomBytes(65)),
    fingerprint: formatFingerprint(randomBytes(32)),
    requester: "R",
    reason: "because",
    origins: [],
    expires: 2_000_000_000,
    ...(room === undefined ? {} : { room }),
  };
  const bytes = encodeUtf8(JSON.stringify(invitation));
  return openInvitation(bytes, await sha256(bytes), id);
}

test("an invitation without a room is in place; with one it names the sites", async () => {
  assert.equal((await opened(undefined)).room, null);
  for (const room of [
    BANK,
    { start: "as_is", sites: ["192.0.2.1", "[2001:db8::1]", "localhost", "xn--bcher-kva.example"] },
    { start: "fresh", sites: [`${"a".repeat(245)}.example`] },
    { start: "fresh", sites: Array(8).fill("bank.example") },
  ])
    assert.deepEqual((await opened(room)).room, room);
});

test("a room that could promise something else than it says is refused", async () => {
  for (const room of [
    null,
    [],
    "private",
    {},
    { start: "fresh" },
    { sites: ["bank.example"] },
    { ...BANK, more: 1 },
    { ...BANK, start: "as-is" },
    { ...BANK, sites: [] },
    { ...BANK, sites: "bank.example" },
    { ...BANK, sites: Array(9).fill("bank.example") },
  ])
    await assert.rejects(opened(room), { code: "malformed" }, JSON.stringify(room));
  for (const site of [
    "",
    ".",
    "bank.example.",
    ".bank.example",
    "bank..example",
    "Bank.example",
    "bänk.example",
    "https://bank.example",
    "bank.example/",
    "bank.example:443",
    "bank example",
    "bank.example\n",
    "bank.example\u202e",
    "::1",
    "[::1",
    "[]",
    "[::1]:80",
    "[:::]",
    "[2001:DB8::1]",
    "[bank.example]",
    "a".repeat(254),
    7,
    null,
  ])
    await assert.rejects(
      opened({ ...BANK, sites: ["bank.example", site] }),
      { code: "malformed" },
      JSON.stringify(site),
    );
});

test("what the user says of the room waits for the fingerprints and is not typed", () => {
  for (const t of ["start_over", "in_place"]) {
    assert.ok(actsOnPage({ t }), t);
    assert.ok(!isTyped({ t }), t);
  }
});

test("a host is granted by its site, or below it at a dot", () => {
  const sites = ["bank.example", "192.0.2.1", "[2001:db8::1]", "localhost"];
  for (const host of ["bank.example", "login.bank.example", "a.b.bank.example", ...sites])
    assert.ok(isGranted(host, sites), host);
  for (const host of [
    "example",
    "notbank.example",
    "bank.example.com",
    "2.0.2.1",
    "192.0.2.10",
    "",
  ])
    assert.ok(!isGranted(host, sites), host);
  assert.equal(hostOf("https://login.bank.example:8443"), "login.bank.example");
  assert.equal(hostOf("http://[2001:db8::1]:80"), "[2001:db8::1]");
  assert.equal(hostOf("https://bücher.example"), "xn--bcher-kva.example");
  for (const none of ["", "null", "about:blank", "chrome-error://chromewebdata", "https://"])
    assert.equal(hostOf(none), "", none);
  assert.deepEqual(splitHost("accounts.google.com"), {
    before: "accounts.",
    name: "google.com",
    after: "",
    punycode: false,
  });
});

const page = (origin) => ({ t: "page", origin });

test("hosts that were seen and are not granted are listed once, in order, and not without end", () => {
  const room = new Room(BANK, true);
  for (const origin of [
    "https://bank.example",
    "https://accounts.google.com",
    "https://login.bank.example",
    "https://bank.example.evil.example",
    "https://accounts.google.com",
    "null",
  ])
    assert.equal(room.output(page(origin)), false);
  assert.deepEqual(room.otherHosts, ["accounts.google.com", "bank.example.evil.example"]);
  for (let i = 0; i < 100; i++) room.output(page(`https://h${i}.example`));
  assert.equal(room.otherHosts.length, 32);
  assert.equal(room.otherHosts.at(-1), "h99.example");
  room.startOver();
  assert.deepEqual(room.otherHosts, [], "what was in the old room is gone");
});

const MOVING = { t: "moving" };
const notMoved = (in_place) => ({ t: "not_moved", in_place, message: "" });
const IN_PLACE = { t: "in_place" };

test("a room goes from private by moving to the agent's own browser", () => {
  const room = new Room(BANK, true);
  assert.deepEqual([room.isPrivate, room.takesInput, room.state], [true, true, "private"]);
  assert.deepEqual(room.sites, ["bank.example"]);
  assert.equal(room.waiting, null);
  assert.ok(room.output(MOVING));
  assert.deepEqual([room.takesInput, room.state], [false, "moving"]);
  room.output({ t: "notice", code: "agent_browser_away", message: "" });
  assert.equal(room.waiting.text, "notice.agent_browser_away");
  assert.ok(room.output(notMoved(true)));
  room.enter();
  assert.equal(room.state, "entering");
  assert.ok(room.output({ t: "refused", sequence: 1, reason: "unsupported" }));
  assert.equal(room.state, "not_moved", "the choice is asked for again");
  room.enter();
  assert.ok(room.output(IN_PLACE));
  assert.deepEqual([room.isPrivate, room.takesInput, room.state], [false, true, "in_place"]);
  assert.deepEqual(room.sites, []);
  assert.equal(new Room(null, true).state, "in_place");
});

/** The words for an end, after these messages. */
function ending(outcome, room, outputs = [], fromStart = true) {
  const r = new Room(room, fromStart);
  for (const o of outputs) o === "done" ? r.mayHaveMoved() : r.output(o);
  const { title, texts } = r.ending(outcome);
  for (const key of [title, ...texts]) assert.ok(en[key], key);
  return [title, ...texts].join(" ");
}

test("the words for an end claim what is known, and no more", () => {
  for (const outcome of OUTCOMES) {
    const usual = `ended.${outcome} ended.${outcome}_text`;
    assert.equal(ending(outcome, null), usual, "in place as ever");
    for (const before of [[], ["done"], [MOVING], [MOVING, notMoved(true)]]) {
      const words = ending(outcome, BANK, before);
      assert.notEqual(words, "ended.resolved ended.resolved_text", "no browser was handed back");
      assert.notEqual(words, "ended.declined ended.declined_text");
    }
  }
  const left = { t: "notice", code: "left_behind", message: "" };
  assert.equal(ending("resolved", BANK, [MOVING]), "ended.resolved ended.moved_text");
  assert.equal(
    ending("resolved", BANK, [MOVING, left]),
    "ended.resolved ended.moved_text notice.left_behind",
  );
  // An agent's word ends a room with nothing moved.
  assert.equal(ending("resolved", BANK), "ended.resolved ended.room_closed_text");
  assert.equal(
    ending("resolved", BANK, [MOVING, notMoved(false)]).split(" ")[0],
    "ended.not_moved",
  );
  assert.equal(
    ending("resolved", BANK, [MOVING, notMoved(true), IN_PLACE]),
    "ended.resolved ended.resolved_text",
  );
  // "The agent got nothing" is said only by a page that saw all of it.
  assert.match(ending("declined", BANK), /room_declined_text/);
  assert.match(ending("declined", BANK, [], false), /room_declined_late_text/);
  for (const before of [["done"], [MOVING], [MOVING, notMoved(true), IN_PLACE]])
    assert.match(ending("declined", BANK, before), /room_declined_late_text/);
  assert.match(ending("expired", BANK), /expired_text ended.room_gone/);
});

test("consent to an unexpected site is for that site, and for this browser", () => {
  const consent = new TypingConsent();
  const odd = { origin: "https://odd.example", expected: false };
  const fine = { origin: "https://a.example", expected: true };
  const field = { origin: "https://frame.example", expected: false };
  assert.equal(consent.lockedPage(null), "");
  assert.equal(consent.lockedPage(fine), "");
  assert.equal(consent.lockedPage(odd), odd.origin);
  assert.equal(consent.lockedFrame(field, fine), field.origin);
  assert.equal(consent.lockedFrame({ ...field, origin: fine.origin }, fine), "");
  consent.accept(odd.origin);
  assert.equal(consent.lockedPage(odd), "");
  assert.equal(consent.lockedFrame(field, fine), field.origin);
  consent.reset();
  assert.equal(consent.lockedPage(odd), odd.origin);
});
