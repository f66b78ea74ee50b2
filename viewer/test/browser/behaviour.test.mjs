// What the viewer does when life is not smooth: other devices, reloads, outages.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import { concat, fromBase64Url, sha256, toBase64Url } from "../../js/bytes.js";
import {
  bench,
  enabled,
  errorCode,
  inState,
  pressEnter,
  takesPresses,
} from "../support/browser.mjs";

let b;
before(async () => {
  b = await bench();
});
after(async () => {
  await b?.stop();
});

const typed = (host) =>
  host.evaluate(() =>
    fake.events
      .filter((e) => e.t === "key" && e.down)
      .map((e) => e.key)
      .join(""),
  );
const noError = async (host) => assert.equal(await host.evaluate(() => fake.error), undefined);

test("a second device is turned away and the first is told", async () => {
  const s = await b.live();
  const other = await b.viewer();
  await other.page.goto(s.link);
  await inState(other.page, "error");
  assert.equal(await errorCode(other.page), "already_claimed");
  await s.close();
  await other.context.close();

  // Both have the invitation open; the race has one winner.
  const t = await b.session();
  const [x, y] = [await b.viewer(), await b.viewer()];
  for (const v of [x, y]) {
    await v.page.goto(t.link);
    await inState(v.page, "invitation");
  }
  await x.page.click("#open");
  await enabled(x.page);
  await y.page.click("#open");
  await inState(y.page, "error");
  assert.equal(await errorCode(y.page), "already_claimed");
  await x.page.waitForSelector("[data-code=second_claim]");
  for (const v of [x, y]) await v.context.close();
  await t.closeHost();
});

test("a reload goes on without the link or a gesture", async () => {
  const s = await b.live();
  await s.page.keyboard.type("ab");
  await s.host.waitForFunction(() => fake.events.filter((e) => e.t === "key").length === 4);
  await s.page.reload();
  await enabled(s.page);
  assert.equal(await s.host.evaluate(() => fake.hellos), 2);
  await s.page.keyboard.type("cd");
  await s.host.waitForFunction(() => fake.events.filter((e) => e.t === "key").length === 8);
  assert.equal(await typed(s.host), "abcd");
  // The same link again, in a second tab of this browser: it takes over, the first says so.
  const tab = await s.context.newPage();
  await tab.goto(s.link);
  await enabled(tab);
  await inState(s.page, "error");
  assert.equal(await errorCode(s.page), "replaced");
  await noError(s.host);
  await s.close();
});

test("a device whose clock is wrong keeps its session", async () => {
  const s = await b.session();
  const v = await b.viewer();
  await v.context.addInitScript(() => {
    const now = Date.now;
    Date.now = () => now() + 20 * 3_600_000;
  });
  await v.page.goto(s.link);
  await v.page.click("#open");
  await enabled(v.page);
  await v.page.reload();
  await enabled(v.page);
  await v.context.close();
  await s.closeHost();
});

test("a reload of the invitation keeps it", async () => {
  const s = await b.session();
  const v = await b.viewer();
  await v.page.goto(s.link);
  await inState(v.page, "invitation");
  await v.page.reload();
  await inState(v.page, "invitation");
  await v.page.click("#open");
  await enabled(v.page);
  await v.context.close();
  await s.closeHost();
});

test("a made-up link leaves the keys of a handoff alone", async () => {
  const junk = (id, hash = new Uint8Array(randomBytes(32))) =>
    `${b.stub.origin}/#${toBase64Url(
      concat(new Uint8Array([1]), fromBase64Url(id), new Uint8Array(randomBytes(32)), hash),
    )}`;
  /** Another page has the user's browser open it: the id is in paths and logs, the invitation public. */
  const openJunk = async (s) => {
    const invitation = fromBase64Url(b.stub.sessions.get(s.id).invitation);
    for (const link of [junk(s.id), junk(s.id, await sha256(invitation))]) {
      const tab = await s.context.newPage();
      await tab.goto(link);
      await tab.waitForFunction(() => document.documentElement.dataset.state !== "connecting");
      await tab.close();
    }
  };
  const s = await b.live();
  await openJunk(s);
  await s.page.reload();
  await enabled(s.page);
  assert.equal(await s.host.evaluate(() => fake.hellos), 2);
  await s.close();

  // Before the claim, too: the invitation's own keys are what the claim is kept with.
  const t = { ...(await b.session()), ...(await b.viewer()) };
  await t.page.goto(t.link);
  await inState(t.page, "invitation");
  await openJunk(t);
  await t.page.click("#open");
  await enabled(t.page);
  await t.page.reload();
  await enabled(t.page);
  await t.context.close();
  await t.closeHost();
});

test("a claim whose answer was lost is found again", async () => {
  const s = await b.session();
  const v = await b.viewer();
  await v.page.goto(s.link);
  await inState(v.page, "invitation");
  b.stub.tamper = (m) => {
    if (m.type === "challenge") return m;
    // The answer, and what comes right behind it.
    setTimeout(() => {
      b.stub.tamper = null;
      b.stub.cut(s.id);
    }, 0);
    return null;
  };
  await v.page.click("#open");
  await enabled(v.page);
  await v.context.close();
  await s.closeHost();
});

test("declining before and after the claim", async () => {
  const s = await b.session();
  const v = await b.viewer();
  await v.page.goto(s.link);
  await inState(v.page, "invitation");
  await v.page.click("#decline-start");
  await inState(v.page, "ended");
  assert.equal(await s.host.evaluate(() => fake.declined), "not_requested");
  assert.equal(await v.page.evaluate(() => document.documentElement.dataset.outcome), "declined");
  await v.context.close();
  await s.closeHost();

  const t = await b.live();
  await t.page.click("#decline");
  await t.page.click("[data-reason=cannot_complete]");
  await inState(t.page, "ended");
  assert.equal(await t.host.evaluate(() => fake.declined), "cannot_complete");
  const kept = await t.page.evaluate(
    () =>
      new Promise((r) => {
        const q = indexedDB.open("authloop");
        q.onsuccess = () => {
          const a = q.result.transaction("sessions").objectStore("sessions").getAll();
          a.onsuccess = () => r(a.result.length);
        };
      }),
  );
  assert.equal(kept, 0, "its keys are deleted");
  await t.close();
});

test("nothing is lost or doubled when the peer connection dies with input in flight", async () => {
  const s = await b.live();
  await s.host.evaluate(() => {
    fake.holdAcks = true;
  });
  await s.page.keyboard.type("abcdefgh");
  await s.host.waitForFunction(() => fake.events.filter((e) => e.t === "key").length >= 9);
  await s.host.evaluate(() => {
    fake.holdAcks = false;
    fake.dropPeer();
  });
  await inState(s.page, "reconnecting");
  await enabled(s.page);
  await s.page.keyboard.type("XYZ");
  await s.host.waitForFunction(() => fake.events.some((e) => e.key === "Z" && !e.down));
  assert.equal(await typed(s.host), "abcdefghXYZ");
  assert.equal(await s.host.evaluate(() => fake.hellos), 2);
  await noError(s.host);
  await s.close();
});

test("a relay that dies while the user types: restart, everything once and in order", async () => {
  const s = await b.live();
  await s.page.keyboard.type("one ");
  await s.host.waitForFunction(() => fake.events.some((e) => e.key === " " && !e.down));
  b.stub.relay.dead = true;
  await s.page.keyboard.type("two ", { delay: 60 });
  await inState(s.page, "reconnecting");
  await s.page.keyboard.type("three ");
  await s.page.mouse.click(400, 300); // on a frozen picture
  b.stub.relay.dead = false;
  await inState(s.page, "live", 30_000);
  await s.page.keyboard.type("four");
  await s.host.waitForFunction(
    () =>
      fake.events.some(
        (e) => e.key === "r" && fake.events.filter((x) => x.key === "r" && !x.down).length >= 2,
      ),
    null,
    { timeout: 30_000 },
  );
  assert.equal(await typed(s.host), "one two three four");
  assert.equal(await s.host.evaluate(() => fake.hellos), 1, "the same DTLS association");
  assert.equal(
    await s.host.evaluate(
      () => fake.events.filter((e) => e.t === "pointer" && e.phase === "down").length,
    ),
    0,
  );
  assert.ok(
    await s.host.evaluate(() => fake.events.some((e) => e.t === "refresh")),
    "a whole picture is asked for",
  );
  await noError(s.host);
  await s.close();
});

test("losing signaling alone does not show", async () => {
  const s = await b.live();
  b.stub.cut(s.id);
  await s.page.keyboard.type("still here");
  await s.host.waitForFunction(() => fake.events.filter((e) => e.t === "key").length === 20);
  await s.page.waitForTimeout(1500);
  assert.equal(await s.page.evaluate(() => document.documentElement.dataset.state), "live");
  assert.ok(b.stub.sessions.get(s.id).viewerWs, "resumed");
  await s.close();
});

test("a secret field: one frame every 25 ms, whatever is typed", async () => {
  const s = await b.live();
  const rect = [10000, 10000, 20000, 4000];
  await s.host.evaluate(
    (r) =>
      fake.output({
        t: "field",
        field: {
          kind: "password",
          inputmode: "",
          autocomplete: "current-password",
          enterkeyhint: "",
          secret: true,
          multiline: false,
          length: 0,
          rect: r,
        },
      }),
    rect,
  );
  await s.page.waitForFunction(() => document.querySelector("#pad").type === "password");
  await s.page.waitForTimeout(300);
  const rate = async (work) => {
    const from = await s.host.evaluate(() => {
      fake.times.length = 0;
      return performance.now();
    });
    await work();
    const { n, ms } = await s.host.evaluate(
      (t) => ({ n: fake.times.length, ms: performance.now() - t }),
      from,
    );
    return (n / ms) * 1000;
  };
  const idle = await rate(() => s.page.waitForTimeout(1000));
  const busy = await rate(async () => {
    await s.page.keyboard.type("hunter2 is long", { delay: 50 });
  });
  assert.ok(idle > 30 && idle < 42, `idle ${idle}`);
  assert.ok(busy > 30 && busy < 42, `busy ${busy}`);
  await s.host.waitForFunction(() => fake.events.filter((e) => e.t === "key").length === 30);
  assert.equal(await typed(s.host), "hunter2 is long");
  assert.ok((await s.page.inputValue("#pad")).length <= 1, "the password is not left in the page");
  await s.host.evaluate(() => fake.output({ t: "field", field: null }));
  await s.page.waitForTimeout(400);
  const after = await rate(() => s.page.waitForTimeout(1000));
  assert.ok(after < 5, `after ${after}`);
  await noError(s.host);
  await s.close();
});

test("an unexpected site locks the keyboard until the user says so", async () => {
  const s = await b.live();
  await s.host.evaluate(() =>
    fake.setPage({ origin: "https://evil.example", expected: false, epoch: 2 }),
  );
  await s.page.waitForSelector("#unexpected:not([hidden])");
  assert.equal(await s.page.evaluate(() => document.documentElement.dataset.keyboard), "disabled");
  await s.page.keyboard.type("no");
  await s.page.click("#unexpected-continue");
  await enabled(s.page);
  await s.page.keyboard.type("ok");
  await s.host.waitForFunction(() => fake.events.filter((e) => e.t === "key").length === 4);
  assert.equal(await typed(s.host), "ok");
  assert.ok(
    await s.host.evaluate(() =>
      fake.events.filter((e) => e.t === "key").every((e) => e.epoch === 2),
    ),
  );
  await s.close();
});

test("dialogs of the page", async () => {
  const s = await b.live();
  await s.host.evaluate(() =>
    fake.output({ t: "dialog", id: 7, kind: "prompt", message: "<b>Name?</b>", default: "x" }),
  );
  await s.page.waitForSelector("#page-dialog[open]");
  assert.match(await s.page.textContent("#page-dialog-from"), /login\.example\.com/);
  assert.equal(await s.page.textContent("#page-dialog-message"), "<b>Name?</b>");
  await s.page.fill("#page-dialog-input", "Ada");
  await pressEnter(s.page, "page-dialog");
  await s.host.waitForFunction(() => fake.events.some((e) => e.t === "dialog"));
  await s.host.evaluate(() =>
    fake.output({ t: "dialog", id: 8, kind: "confirm", message: "Sure?", default: "" }),
  );
  await takesPresses(s.page, "page-dialog-ok");
  await s.page.keyboard.press("Escape");
  await s.host.waitForFunction(() => fake.events.filter((e) => e.t === "dialog").length === 2);
  await s.host.evaluate(() =>
    fake
      .output({ t: "dialog", id: 9, kind: "alert", message: "Hi", default: "" })
      .then(() => fake.output({ t: "dialog_closed", id: 9 })),
  );
  await s.page.waitForTimeout(300);
  assert.equal(await s.page.isVisible("#page-dialog"), false);
  const said = await s.host.evaluate(() =>
    fake.events.filter((e) => e.t === "dialog").map(({ epoch, ...e }) => e),
  );
  assert.deepEqual(said, [
    { t: "dialog", id: 7, accept: true, text: "Ada" },
    { t: "dialog", id: 8, accept: false },
  ]);
  await s.close();
});

test("Done too early: the user is told, goes on, or finishes anyway", async () => {
  const s = await b.live();
  const checked = (verdict = "not_signed_in") =>
    s.host.evaluate(
      (verdict) => fake.output({ t: "checked", verdict, message: "Not yet." }),
      verdict,
    );
  const title = () => s.page.textContent("#sheet-checked-title");
  await checked();
  await s.page.waitForSelector("#sheet-checked[open]");
  await takesPresses(s.page, "checked-retry");
  assert.equal(await s.page.evaluate(() => document.activeElement.id), "checked-retry");
  await s.page.keyboard.press("Enter");
  await s.page.waitForSelector("#sheet-checked:not([open])", { state: "attached" });
  assert.deepEqual(
    await s.host.evaluate(() => fake.events.filter((e) => e.t === "finish_anyway")),
    [],
  );
  assert.match(await title(), /not look signed in/);
  await checked("inconclusive");
  await s.page.waitForSelector("#sheet-checked[open]");
  assert.match(await title(), /no answer/);
  await s.page.click("#checked-finish");
  await s.host.waitForFunction(() => fake.events.some((e) => e.t === "finish_anyway"));
  await noError(s.host);
  await s.close();
});

test("errors before a claim", async () => {
  const cases = [
    ["/", "no_link"],
    ["/#AAAA", "link_incomplete"],
    ["/#AQIDBAUGBwgJCgsMDQ4PEA", "unknown_session"],
  ];
  for (const [path, want] of cases) {
    const v = await b.viewer();
    await v.page.goto(b.stub.origin + path);
    await inState(v.page, "error");
    assert.equal(await errorCode(v.page), want);
    await v.context.close();
  }
  const over = await b.session({ expires: Math.floor(Date.now() / 1000) - 1 });
  b.stub.end(over.id, "expired");
  const s = await b.session();
  b.stub.end(s.id, "expired");
  const v = await b.viewer();
  await v.page.goto(over.link);
  await inState(v.page, "error");
  assert.equal(await errorCode(v.page), "expired");
  await v.page.goto("about:blank");
  await v.page.goto(s.link);
  await inState(v.page, "error");
  assert.equal(await errorCode(v.page), "ended", "by the server's word alone it is not");
  b.stub.sessions.delete(s.id);
  await v.page.goto("about:blank");
  await v.page.goto(s.link);
  await inState(v.page, "error");
  assert.equal(await errorCode(v.page), "not_found");
  await v.context.close();

  const t = await b.session();
  const w = await b.viewer();
  await w.page.route("**/v1/sessions/*", (r) => r.abort());
  await w.page.goto(t.link);
  await inState(w.page, "error");
  assert.equal(await errorCode(w.page), "unreachable");
  await w.page.unroute("**/v1/sessions/*");
  await inState(w.page, "invitation");
  await w.context.close();
  await t.closeHost();
  await s.closeHost();
});

test("missing parts of the browser are explained", async () => {
  const s = await b.session();
  for (const [script, want] of [
    ["delete globalThis.RTCPeerConnection", "no_webrtc"],
    ["Object.defineProperty(globalThis, 'isSecureContext', { value: false })", "insecure_context"],
  ]) {
    const v = await b.viewer();
    await v.page.addInitScript(script);
    await v.page.goto(s.link);
    await inState(v.page, "error");
    assert.equal(await errorCode(v.page), want);
    await v.context.close();
  }
  await s.closeHost();
});
