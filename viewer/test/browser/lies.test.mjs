// What the viewer does when somebody lies: the host, the server, or whoever altered the invitation.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fromBase64Url, toBase64Url } from "../../js/bytes.js";
import { bench, enabled, errorCode, inState } from "../support/browser.mjs";

let b;
before(async () => {
  b = await bench();
});
after(async () => {
  await b?.stop();
});

/** Records every value the attribute ever had. */
const watchKeyboard = (page) =>
  page.addInitScript(() => {
    globalThis.keyboards = new Set();
    new MutationObserver(() =>
      globalThis.keyboards.add(document.documentElement?.dataset.keyboard),
    ).observe(document, { attributes: true, subtree: true, childList: true });
  });
const neverEnabled = async (page) =>
  assert.ok(!(await page.evaluate(() => [...globalThis.keyboards])).includes("enabled"));

test("an altered invitation is not shown", async () => {
  const s = await b.session();
  const v = await b.viewer();
  b.stub.tamperInvitation = (i) => {
    const bytes = fromBase64Url(i);
    bytes[bytes.length - 3] ^= 1;
    return toBase64Url(bytes);
  };
  await v.page.goto(s.link);
  await inState(v.page, "error");
  b.stub.tamperInvitation = null;
  assert.equal(await errorCode(v.page), "invitation_mismatch");
  assert.equal(await v.page.textContent("#requester"), "");
  await v.context.close();
  await s.closeHost();
});

for (const lie of ["fingerprint", "confirm", "refuse"]) {
  test(`a host that lies: ${lie}`, async () => {
    const s = await b.session({}, lie === "refuse" ? "refuse" : lie);
    const v = await b.viewer();
    await watchKeyboard(v.page);
    await v.page.goto(s.link);
    await inState(v.page, "invitation");
    await v.page.click("#open");
    await inState(v.page, "error");
    assert.equal(await errorCode(v.page), lie === "refuse" ? "refused" : lie);
    await neverEnabled(v.page);
    assert.deepEqual(await s.host.evaluate(() => fake.events), []);
    await v.context.close();
    await s.closeHost();
  });
}

test("a server that flips, replays and injects gets nowhere", async () => {
  const flip = (m) => {
    const d = fromBase64Url(m.data);
    d[d.length - 1] ^= 1;
    return { ...m, data: toBase64Url(d) };
  };
  const tricks = {
    flipped: (m) => (m.type === "sealed" ? flip(m) : m),
    injected: (m) =>
      m.type === "ice"
        ? { ...m, ufrag: `${m.ufrag}\r\na=candidate:1 1 udp 1 10.0.0.1 1 typ host` }
        : m,
    elsewhere: (m) => (m.type === "ice" ? { ...m, candidates: ["evil.example:1"] } : m),
    nonsense: (m) => (m.type === "sealed" ? { ...m, data: "AgAAAAAA" } : m),
    junk: (m) => (m.type === "sealed" ? { ...m, data: "!" } : m),
  };
  for (const [name, tamper] of Object.entries(tricks)) {
    const s = await b.session();
    const v = await b.viewer();
    await watchKeyboard(v.page);
    await v.page.goto(s.link);
    await inState(v.page, "invitation");
    b.stub.tamper = tamper;
    await v.page.click("#open");
    await v.page.waitForTimeout(1500);
    await neverEnabled(v.page);
    assert.equal(await s.host.evaluate(() => fake.verified), false, name);
    assert.deepEqual(
      v.errors.filter((e) => !/WebSocket/.test(e)),
      [],
      name,
    );
    // Once it stops, the session goes on.
    b.stub.tamper = null;
    if (name === "injected" || name === "elsewhere") b.stub.cut(s.id);
    else await v.page.reload();
    await enabled(v.page);
    await v.context.close();
    await s.closeHost();
  }
});

test("the server cannot say how it ended", async () => {
  const keptKeys = (page) =>
    page.evaluate(
      () =>
        new Promise((resolve) => {
          const request = indexedDB.open("authloop");
          request.onsuccess = () => {
            const all = request.result.transaction("sessions").objectStore("sessions").count();
            all.onsuccess = () => resolve(all.result);
          };
        }),
    );
  const saysOver = async (page) => {
    await inState(page, "error", 30_000); // while live, the host's word is waited for
    assert.equal(await errorCode(page), "ended");
    assert.equal(await page.evaluate(() => document.documentElement.dataset.outcome), undefined);
    assert.equal(await keptKeys(page), 1);
  };
  for (const outcome of ["resolved", "declined"]) {
    // While connecting: no picture ever came, or a refusal is swallowed.
    const s = await b.session();
    const v = await b.viewer();
    b.stub.tamper = (m) => ({ challenge: m, welcome: { type: "ended", outcome } })[m.type] ?? null;
    await v.page.goto(s.link);
    await inState(v.page, "invitation");
    await v.page.click(outcome === "declined" ? "#decline-start" : "#open");
    await saysOver(v.page);
    // By REST, after a reload.
    b.stub.tamper = null;
    const session = b.stub.sessions.get(s.id);
    Object.assign(session, { state: "ended", outcome });
    await v.page.reload();
    await saysOver(v.page);
    // The server lied: the user goes on.
    session.state = "claimed";
    await v.page.click("#retry");
    await inState(v.page, "invitation");
    await v.page.click("#open");
    await enabled(v.page);
    // While live.
    b.stub.sessions.get(s.id).send_viewer({ type: "ended", outcome });
    await saysOver(v.page);
    await v.context.close();
    await s.closeHost();
  }
});

test("that the time is up the page knows by its own clock", async () => {
  const s = await b.live();
  await s.page.evaluate(() => {
    const now = Date.now;
    Date.now = () => now() + 3_600_000;
  });
  b.stub.sessions.get(s.id).send_viewer({ type: "ended", outcome: "resolved" });
  await inState(s.page, "ended");
  assert.equal(await s.page.evaluate(() => document.documentElement.dataset.outcome), "expired");
  await s.close();
});
