// Private rooms and the agent's own browser: what is said before the claim and after it, what Done
// asks, and what follows when the session moves or does not.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { bench, enabled, inState } from "../support/browser.mjs";

const PHONE = {
  viewport: { width: 360, height: 740 },
  deviceScaleFactor: 2,
  isMobile: true,
  hasTouch: true,
};
const LAPTOP = { viewport: { width: 1280, height: 800 } };
const DEVICES = { phone: PHONE, laptop: LAPTOP };
const BANK = { start: "fresh", sites: ["bank.example"] };
const LONG = Array.from(
  { length: 8 },
  (_, i) => `${i}${"x".repeat(61)}.${"y".repeat(63)}.${"z".repeat(63)}.${"w".repeat(53)}.example`,
);

let b;
before(async () => {
  b = await bench();
});
after(async () => {
  await b?.stop();
});

/** A live viewer, whose host says by the test what follows `done`. */
async function live(device, room = BANK) {
  const s = await b.live(DEVICES[device], room ? { room } : {});
  await s.host.evaluate(() => {
    fake.goesOn = true;
  });
  await s.page.waitForFunction(() => document.documentElement.dataset.firstFrame);
  return s;
}

const output = (s, json) => s.host.evaluate((o) => fake.output(o), json);
const inRoom = (s, state) =>
  s.page.waitForFunction((x) => document.documentElement.dataset.room === x, state);
const keyboard = (s) => s.page.evaluate(() => document.documentElement.dataset.keyboard);
const events = (s, t) => s.host.evaluate((x) => fake.events.filter((e) => e.t === x).length, t);
const said = (s, t) => s.host.waitForFunction((x) => fake.events.some((e) => e.t === x), t);
const outcome = (s, name) =>
  s.host.evaluate(async (o) => {
    await fake.output({ t: "outcome", outcome: o, message: "" });
    fake.end(o);
  }, name);
const words = async (s, selector) =>
  (await s.page.locator(selector).allInnerTexts()).join(" ").replace(/\s+/g, " ");
const shown = (s, selector) => s.page.locator(selector).isVisible();

test("the invitation says which room it is, before the claim", async () => {
  for (const [room, text] of [
    [
      BANK,
      /^Private: the agent cannot see this browser. It will get your session at bank.example$/,
    ],
    [
      { ...BANK, start: "as_is" },
      /^Private, begun from the agent’s page: .* bank.example Its address/,
    ],
    [null, /^You are in the agent’s own browser.$/],
  ]) {
    const s = await b.session(room ? { room } : {});
    const v = await b.viewer(PHONE);
    await v.page.goto(s.link);
    await inState(v.page, "invitation");
    assert.match((await words(v, "#room-offer")).trim(), text);
    const point = await v.page.textContent("#point-session");
    if (room) {
      assert.match(point, /the agent gets your session at these sites and at no other/);
      assert.doesNotMatch(point, /stays signed in/, "that browser is deleted");
    } else assert.match(point, /stays signed in/);
    assert.deepEqual(v.errors, []);
    await v.context.close();
    await s.closeHost();
  }
});

test("eight sites of the longest names are shown in full on a small phone", async () => {
  for (const sites of [LONG, ["xn--bcher-kva.example", ...LONG.slice(1)]]) {
    const room = { start: "as_is", sites };
    const s = await b.session({ room });
    const v = await b.viewer(PHONE);
    await v.page.goto(s.link);
    await inState(v.page, "invitation");
    const inFull = async (list) => {
      const items = await v.page.evaluate(
        (id) =>
          [...document.querySelectorAll(`#${id} li`)].map((li) => {
            const { left, right, height } = li.getBoundingClientRect();
            const cut =
              li.scrollWidth > li.clientWidth + 1 ||
              li.parentElement.scrollHeight > li.parentElement.clientHeight + 1;
            return { text: li.textContent, fits: left >= 0 && right <= innerWidth && !cut, height };
          }),
        list,
      );
      assert.deepEqual(
        items.map((i) => i.text),
        sites,
      );
      for (const i of items) assert.ok(i.fits && i.height > 0, `${list}: ${i.text}`);
    };
    const inReach = async (selector) => {
      const box = await v.page.locator(selector).boundingBox();
      assert.ok(box.y >= 0 && box.y + box.height <= PHONE.viewport.height, selector);
    };
    await inFull("room-offer-sites");
    await inReach("#decline-start");
    assert.equal(await shown(v, "#room-offer-punycode"), sites[0].startsWith("xn--"));
    await v.page.click("#open");
    await enabled(v.page);
    await v.page.click("#site");
    await inFull("site-grants");
    await inReach("#sheet-site [data-close]");
    await v.page.click("#sheet-site [data-close]");
    await v.page.click("#done");
    await inFull("done-sites");
    for (const answer of ["#done-finish", "#sheet-done [data-close]"]) await inReach(answer);
    await v.context.close();
    await s.closeHost();
  }
});

for (const device of Object.keys(DEVICES)) {
  test(`the bar says it all the time, in one line (${device})`, async () => {
    const s = await live(device);
    assert.equal(await words(s, "#room-short"), "Private");
    const bar = (await s.page.locator(".bar").boundingBox()).height;
    assert.ok(bar <= 56, `the bar has ${bar} px`);
    assert.match(await s.page.locator("#site").ariaSnapshot(), /Private.*End-to-end encrypted/s);
    await s.page.click("#site");
    assert.match(await words(s, "#sheet-site"), /Private: the agent cannot see .* bank.example/);
    await s.page.click("#sheet-site [data-close]");
    await s.close();

    const t = await live(device, null);
    assert.equal(await words(t, "#room-short"), "Agent’s browser");
    const same = (await t.page.locator(".bar").boundingBox()).height;
    assert.equal(same, bar);
    await t.page.click("#site");
    assert.match(await words(t, "#sheet-site"), /You are in the agent’s own browser/);
    await t.page.click("#sheet-site [data-close]");
    for (const id of ["#start-over", "#site-start-over"]) assert.equal(await shown(t, id), false);
    await t.page.click("#done");
    await said(t, "done");
    assert.equal(await shown(t, "#sheet-done"), false, "in place, Done is as it was");
    await t.close();
  });

  test(`Done lists what moves and what does not, and asks (${device})`, async () => {
    const s = await live(device);
    await s.host.evaluate(() => fake.setPage({ origin: "https://app.bank.example", epoch: 2 }));
    await s.page.click("#done");
    // The first page, login.example.com, is not the bank's.
    assert.match(
      await words(s, "#sheet-done"),
      /The agent gets your session at bank.example It does not get login.example.com What a page/,
    );
    assert.match(await words(s, "#sheet-done"), /HTTP authentication and client certificates/);
    // A page that comes while it is open is told, too.
    await s.host.evaluate(() => fake.setPage({ origin: "https://accounts.google.com", epoch: 3 }));
    await s.page.waitForFunction(() =>
      document.querySelector("#done-others").textContent.includes("accounts.google.com"),
    );
    await s.page.click("#sheet-done [data-close]");
    await s.page.waitForSelector("#sheet-done", { state: "hidden" });
    assert.equal(await events(s, "done"), 0, "not yet is not yet");
    await s.page.click("#done");
    await s.page.keyboard.press("Enter");
    await s.page.keyboard.press("Escape");
    await s.page.waitForSelector("#sheet-done", { state: "hidden" });
    assert.equal(await events(s, "done"), 0, "no key that was meant for the page gives it");
    await s.page.click("#done");
    await s.page.click("#done-finish");
    await said(s, "done");
    assert.equal(await events(s, "done"), 1);
    assert.deepEqual(s.errors, []);
    await s.close();
  });

  test(`starting over asks first (${device})`, async () => {
    const s = await live(device);
    const open = async () => {
      if (device === "laptop") return s.page.click("#start-over");
      assert.equal(await shown(s, "#start-over"), false, "the tools have no place for it");
      await s.page.click("#site");
      await s.page.click("#site-start-over");
    };
    await open();
    await s.page.click("#sheet-start-over [data-close]");
    await s.page.waitForSelector("#sheet-start-over", { state: "hidden" });
    assert.equal(await events(s, "start_over"), 0);
    await open();
    await s.page.click("#start-over-go");
    await said(s, "start_over");
    // Where the old room was, the new one was not.
    await s.page.click("#done");
    assert.doesNotMatch(await words(s, "#sheet-done"), /login.example.com/);
    assert.match(await words(s, "#sheet-done"), /no session of any other site/);
    await s.close();
  });

  test(`what does not move may go on in the agent's own browser (${device})`, async () => {
    const s = await live(device);
    await s.page.click("#done");
    await s.page.click("#done-finish");
    await said(s, "done");
    await output(s, { t: "moving" });
    await inRoom(s, "moving");
    assert.equal(await keyboard(s), "disabled");
    assert.match(await words(s, "#overlay"), /^Carrying your session to the agent’s browser/);
    for (const id of ["done", "reload", "back", "keyboard"])
      assert.ok(await s.page.locator(`#${id}`).isDisabled(), id);
    assert.ok(await s.page.locator("#decline").isEnabled(), "who waits may still leave");
    await s.page.mouse.click(150, 300);
    await s.page.keyboard.type("x");
    await output(s, { t: "notice", code: "agent_browser_away", message: "" });
    await s.page.waitForFunction(() =>
      document.querySelector("#overlay-text").textContent.includes("cannot be reached"),
    );
    await output(s, { t: "not_moved", in_place: true, message: "No cookie." });
    await s.page.waitForSelector("#sheet-not-moved[open]");
    assert.match(await words(s, "#not-moved-warning"), /agent’s program could see what you type/);
    // There is nothing behind it.
    for (let i = 0; i < 3; i++) await s.page.keyboard.press("Escape");
    await s.page.waitForSelector("#sheet-not-moved[open]");
    await s.page.click("#not-moved-in-place");
    await said(s, "in_place");
    await inRoom(s, "entering");
    assert.match(await words(s, "#overlay"), /^Opening the agent’s own browser/);
    assert.equal(await keyboard(s), "disabled");
    await output(s, { t: "in_place" });
    await inRoom(s, "in_place");
    await enabled(s.page);
    assert.equal(await shown(s, "#overlay"), false);
    assert.equal(await words(s, "#room-short"), "Agent’s browser");
    assert.equal(await events(s, "key"), 0, "nothing was taken meanwhile");
    assert.equal(
      await s.host.evaluate(() => fake.events.filter((e) => e.phase === "down").length),
      0,
    );
    await s.page.click("#site");
    assert.match(await words(s, "#sheet-site"), /You are in the agent’s own browser/);
    assert.equal(await shown(s, "#site-start-over"), false);
    await s.page.click("#sheet-site [data-close]");
    await s.page.click("#done");
    await s.host.waitForFunction(() => fake.events.filter((e) => e.t === "done").length === 2);
    await outcome(s, "resolved");
    await inState(s.page, "ended");
    assert.match(await words(s, "#ended-text"), /signed-in browser was handed back/);
    assert.deepEqual(s.errors, []);
    assert.equal(await s.host.evaluate(() => fake.error), undefined);
    await s.close();
  });
}

test("where the operator does not allow it, one can only end", async () => {
  const s = await live("phone");
  await output(s, { t: "moving" });
  await output(s, { t: "not_moved", in_place: false, message: "" });
  await s.page.waitForSelector("#sheet-not-moved[open]");
  for (const id of ["#not-moved-in-place", "#not-moved-warning"])
    assert.equal(await shown(s, id), false, id);
  await s.page.click("#sheet-not-moved [data-reason=cannot_complete]");
  await inState(s.page, "ended");
  assert.equal(await s.host.evaluate(() => fake.declined), "cannot_complete");
  const text = await words(s, "#ended-text");
  assert.doesNotMatch(text, /got nothing/, "something had been carried over");
  assert.match(text, /If a session had been carried over/);
  assert.equal(await shown(s, "#sheet-not-moved"), false);
  await s.close();
});

test("a choice that the host refuses is asked for again", async () => {
  const s = await live("laptop");
  await output(s, { t: "not_moved", in_place: true, message: "" });
  await s.page.click("#not-moved-in-place");
  await said(s, "in_place");
  await output(s, { t: "refused", sequence: 1, reason: "unsupported" });
  await s.page.waitForSelector("#sheet-not-moved[open]");
  await inRoom(s, "not_moved");
  await s.close();
});

test("a session that moved ends with words for that, and for what stayed behind", async () => {
  const s = await live("phone");
  await s.page.click("#done");
  await s.page.click("#done-finish");
  await output(s, { t: "moving" });
  await output(s, { t: "notice", code: "left_behind", message: "" });
  await outcome(s, "resolved");
  await inState(s.page, "ended");
  assert.match(
    await words(s, "#ended-text"),
    /signed in in the agent’s browser, and the private browser is gone.*stayed behind/,
  );
  await s.close();

  const t = await live("phone");
  await t.page.click("#decline");
  await t.page.click("#sheet-decline [data-reason=declined]");
  await inState(t.page, "ended");
  assert.match(await words(t, "#ended-text"), /the agent got nothing of it/);
  await t.close();
});

test("a reload while it moves waits on, and claims nothing that it did not see", async () => {
  const s = await live("laptop");
  await output(s, { t: "moving" });
  await inRoom(s, "moving");
  await s.page.reload();
  await s.page.waitForFunction(() => document.documentElement.dataset.verified === "true");
  await output(s, { t: "moving" });
  await inState(s.page, "live");
  await inRoom(s, "moving");
  assert.match(await words(s, "#overlay"), /^Carrying your session/);
  await s.page.click("#decline");
  await s.page.click("#sheet-decline [data-reason=declined]");
  await inState(s.page, "ended");
  assert.doesNotMatch(await words(s, "#ended-text"), /got nothing/);
  await s.page.goto("about:blank");
  await s.close();
});

test("a lost connection while it moves comes back to the same words", async () => {
  const s = await live("phone");
  await output(s, { t: "moving" });
  await inRoom(s, "moving");
  b.stub.relay.dead = true;
  await inState(s.page, "reconnecting");
  assert.doesNotMatch(await words(s, "#overlay"), /What you type is kept/);
  b.stub.relay.dead = false;
  await inState(s.page, "live", 30_000);
  assert.match(await words(s, "#overlay"), /^Carrying your session/);
  assert.equal(await keyboard(s), "disabled");
  await s.close();
});

test("a notice of an unknown code is shown in the host's words", async () => {
  const s = await live("phone");
  await output(s, { t: "notice", code: "from_the_future", message: "Something new." });
  await s.page.waitForSelector("[data-code=from_the_future]");
  assert.match(await words(s, "#notices"), /Something new/);
  await output(s, { t: "notice", code: "left_behind", message: "x" });
  await s.page.waitForSelector("[data-code=left_behind]");
  assert.match(await words(s, "#notices"), /stayed behind/);
  await s.close();
});
