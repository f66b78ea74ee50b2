// A press or a key that was meant for the remote page answers no question that has just come up.
import assert from "node:assert/strict";
import { createECDH, randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import { fromBase64Url, toBase64Url } from "../../js/bytes.js";
import { MAX_NONCES, takeoverCommitment } from "../../js/takeover-code.js";
import { bench, enabled, inState, pressEnter, takesPresses } from "../support/browser.mjs";

let b;
before(async () => {
  b = await bench();
});
after(async () => {
  await b?.stop();
});

const ORIGIN = "https://login.example.com";
const PHONE = { viewport: { width: 390, height: 760 }, isMobile: true, hasTouch: true };

const newKey = () => new Uint8Array(createECDH("prime256v1").generateKeys());
const until = async (condition) => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
};
/** A live session, with what the server says to its viewer. */
async function live(options) {
  const s = await b.live(options);
  return { ...s, tell: (m) => b.stub.sessions.get(s.id).send_viewer(m) };
}
const heard = (s, t) => s.host.evaluate((t) => fake.events.filter((e) => e.t === t), t);
const say = (s, output) => s.host.evaluate((o) => fake.output(o), output);

/** The time from when `id` was last shown to the last press, as the page saw both. */
const watch = (page, id) =>
  page.evaluate((id) => {
    const container = document.getElementById(id);
    globalThis.times = { shown: Number.NaN, pressed: Number.NaN };
    const isShown = () => (container.tagName === "DIALOG" ? container.open : !container.hidden);
    let was = isShown();
    new MutationObserver(() => {
      if (isShown() && !was) times.shown = performance.now();
      was = isShown();
    }).observe(container, { attributeFilter: ["hidden", "open"] });
    const press = (e) => (times.pressed = e.timeStamp);
    addEventListener("pointerdown", press, { capture: true });
    addEventListener("keydown", press, { capture: true });
  }, id);
/** Whether the last press came too soon after it to have been meant; a busy machine may be late. */
const wasHasty = (page) => page.evaluate(() => times.pressed - times.shown < 900);

/** Another device asks for the session, and takes it back. */
async function ask(s) {
  s.thief ??= { device: newKey(), opening: new Uint8Array(randomBytes(32)) };
  const { device, opening } = s.thief;
  const id = fromBase64Url(s.id);
  const commitment = toBase64Url(await takeoverCommitment(id, device, opening));
  const answers = () =>
    b.stub.fromViewer.filter((m) => m.type === "takeover_nonce" && m.commitment === commitment);
  const before = answers().length;
  s.tell({ type: "takeover", commitment });
  await until(() => answers().length > before);
  s.tell({
    type: "takeover_opened",
    device: toBase64Url(device),
    opening: toBase64Url(opening),
  });
  await s.page.waitForSelector("#takeover:not([hidden])");
}
async function takeBack(s) {
  s.tell({ type: "takeover", commitment: null });
  await s.page.waitForSelector("#takeover", { state: "hidden" });
}

for (const [device, options] of [
  ["laptop", {}],
  ["phone", PHONE],
]) {
  test(`a takeover that flashes up takes no press on a ${device}`, async () => {
    const s = await live(options);
    const { page } = s;
    const press = ([x, y]) =>
      options.hasTouch ? page.touchscreen.tap(x, y) : page.mouse.click(x, y);
    await watch(page, "takeover");
    await ask(s);
    const box = await page.locator("#takeover-consent").boundingBox();
    const spot = [box.x + box.width / 2, box.y + box.height / 2];
    await takeBack(s);
    for (let hasty = 0; hasty < 4; ) {
      await ask(s);
      await press(spot);
      if (await wasHasty(page)) hasty++;
      else continue; // it may have been meant, and the question is gone
      assert.ok(await page.isVisible("#takeover"));
      await takeBack(s);
    }
    assert.deepEqual(await heard(s, "hand_over"), []);

    await ask(s);
    await page[options.hasTouch ? "tap" : "click"]("#takeover-consent");
    await s.host.waitForFunction(() => fake.events.some((e) => e.t === "hand_over"));
    const [given] = await heard(s, "hand_over");
    assert.equal(given.device, toBase64Url(s.thief.device));
    assert.deepEqual(s.errors, []);
    await s.close();
  });
}

test("a press that began before the question does not answer it", async () => {
  const s = await b.live();
  const { page } = s;
  const ask = () =>
    say(s, { t: "dialog", id: 1, kind: "confirm", message: "Pay?", default: "", origin: ORIGIN });
  await ask();
  await page.waitForSelector("#page-dialog[open]");
  const box = await page.locator("#page-dialog-ok").boundingBox();
  await say(s, { t: "dialog_closed", id: 1 });
  await page.waitForSelector("#page-dialog", { state: "hidden" });

  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  await page.mouse.down();
  await page.keyboard.down("Enter");
  await ask();
  await takesPresses(page, "page-dialog-ok");
  await page.mouse.up();
  await page.keyboard.down("Enter"); // again while it is held: a repetition
  await page.keyboard.up("Enter");
  assert.ok(await page.isVisible("#page-dialog"));
  assert.deepEqual(await heard(s, "dialog"), []);
  await page.keyboard.press("Enter");
  await s.host.waitForFunction(() => fake.events.some((e) => e.t === "dialog" && e.accept));
  await s.close();
});

test("a question that moves takes no press for a second", async () => {
  const s = await b.live();
  const { page } = s;
  await s.host.evaluate(() => {
    fake.page = { ...fake.page, origin: "https://evil.example", expected: false, epoch: 2 };
    return fake.output(fake.page);
  });
  await takesPresses(page, "unexpected-continue");
  // Another question above it pushes it down, to where the user may be about to press.
  const [before, moved] = await page.evaluate(async () => {
    const button = document.getElementById("unexpected-continue");
    const before = button.getBoundingClientRect().y;
    document.getElementById("banners").style.paddingBlockStart = "60px";
    const moved = button.getBoundingClientRect().y;
    button.dispatchEvent(new MouseEvent("click", { bubbles: true, detail: 1 }));
    return [before, moved];
  });
  assert.ok(moved > before);
  assert.ok(await page.isVisible("#unexpected"));
  await page.click("#unexpected-continue");
  await page.waitForSelector("#unexpected", { state: "hidden" });
  await s.close();
});

test("a banner stands beside the picture, and the remote page keeps its size", async () => {
  for (const options of [{}, PHONE]) {
    const s = await live(options);
    const { page } = s;
    await s.host.waitForFunction(() => fake.events.some((e) => e.t === "viewport"));
    const sizes = async () => (await heard(s, "viewport")).map((e) => `${e.width}x${e.height}`);
    const told = await sizes();
    const free = await page.locator("#stage").boundingBox();
    await ask(s);
    await takesPresses(page, "takeover-refuse");
    const [banner, stage] = await Promise.all(
      ["#takeover", "#stage"].map((id) => page.locator(id).boundingBox()),
    );
    assert.ok(banner.y + banner.height <= stage.y + 0.5);
    assert.ok(stage.height < free.height - 40, "the picture made room");
    await takeBack(s);
    await page.click("#reload"); // what was told before it has come, too
    await s.host.waitForFunction(() => fake.events.some((e) => e.action === "reload"));
    assert.deepEqual([...new Set(await sizes())], [...new Set(told)]);
    await s.close();
  }
});

test("a device that opens something else than it committed is refused unseen", async () => {
  const s = await live();
  const commitment = toBase64Url(new Uint8Array(randomBytes(32)));
  const said = (type) => b.stub.fromViewer.filter((m) => m.type === type);
  s.tell({ type: "takeover", commitment });
  await until(() => said("takeover_nonce").some((m) => m.commitment === commitment));
  s.tell({
    type: "takeover_opened",
    device: toBase64Url(newKey()),
    opening: toBase64Url(new Uint8Array(32)),
  });
  await until(() => said("takeover_refuse").some((m) => m.commitment === commitment));
  assert.equal(await s.page.isVisible("#takeover"), false);
  await s.close();
});

test("a reload gives no second nonce for the same question, and a handful in all", async () => {
  const s = await live();
  const nonces = () => b.stub.fromViewer.filter((m) => m.type === "takeover_nonce");
  const before = nonces().length;
  const [first, ...others] = Array.from({ length: MAX_NONCES + 1 }, () =>
    toBase64Url(new Uint8Array(randomBytes(32))),
  );
  s.tell({ type: "takeover", commitment: first });
  await until(() => nonces().length === before + 1);
  await s.page.reload();
  await enabled(s.page);
  s.tell({ type: "takeover", commitment: first });
  await until(() => nonces().length === before + 2);
  assert.equal(nonces().at(-1).nonce, nonces().at(-2).nonce);
  for (const commitment of others) s.tell({ type: "takeover", commitment });
  await until(() =>
    b.stub.fromViewer.some((m) => m.type === "takeover_refuse" && m.commitment === others.at(-1)),
  );
  assert.equal(
    new Set(
      nonces()
        .slice(before)
        .map((m) => m.nonce),
    ).size,
    MAX_NONCES,
  );
  await s.close();
});

/** Presses keys one after another. Whether none came later than a user's who goes on typing. */
async function typeOn(page, keys) {
  let steady = true;
  let last = performance.now();
  for (const key of keys) {
    await page.keyboard.press(key);
    const now = performance.now();
    steady &&= now - last < 900;
    last = now;
  }
  return steady;
}

test("a sheet that comes up while the user types takes nothing of it", async () => {
  const s = await live();
  const { page } = s;
  const auth = { t: "auth", origin: ORIGIN, realm: "", secure: true, expected: true };
  const prompt = { t: "dialog", kind: "prompt", message: "Who?", default: "", origin: ORIGIN };
  const answers = [];
  for (const [question, sheet, field] of [
    [auth, "sheet-auth", "auth-user"],
    [prompt, "page-dialog", "page-dialog-input"],
  ]) {
    for (let steady = false; !steady; ) {
      await page.evaluate(() => document.getElementById("pad").focus());
      await page.keyboard.type("corr");
      answers.push("ada");
      await say(s, { ...question, id: answers.length });
      await page.waitForSelector(`#${sheet}[open]`);
      // A busy machine may press later than a user would; then the field has the focus by right.
      steady = await typeOn(page, [..."ect horse battery", "Enter"]);
      const held = await page.evaluate((id) => document.getElementById(id).value, field);
      if (steady) assert.equal(held, "");
      if (steady) assert.ok(await page.isVisible(`#${sheet}`));
      if (!steady && !(await page.isVisible(`#${sheet}`))) continue;
      // Once the user has stopped, the field has the focus; Enter counts a second later.
      await page.waitForFunction((id) => document.activeElement.id === id, field);
      await page.fill(`#${field}`, "");
      await page.keyboard.type("ada");
      await pressEnter(page, sheet);
    }
  }
  await s.host.waitForFunction(
    (n) => fake.events.filter((e) => e.t === "auth" || e.t === "dialog").length === n,
    answers.length,
  );
  assert.equal((await heard(s, "auth")).at(-1).user, "ada");
  assert.equal((await heard(s, "dialog")).at(-1).text, "ada");
  const typed = await s.host.evaluate(() =>
    fake.events.filter((e) => e.t === "key" && e.down).map((e) => e.key),
  );
  assert.equal(typed.join(""), "corr".repeat(answers.length), "and what came after went nowhere");
  await s.close();
});

test("an agent's words neither push the page's own away nor turn them", async () => {
  const invited = await b.session({
    requester: `Your bank \u202e${"\u2066"}bank${"\u0301".repeat(100)}`,
    reason: `ok${"\n".repeat(140)}${"\u0301".repeat(40)}${"more words ".repeat(6)}`,
  });
  const { page, context, errors } = await b.viewer(PHONE);
  await page.goto(invited.link);
  await inState(page, "invitation");
  assert.equal(await page.textContent("#requester"), "Your bank bank\u0301\u0301");
  const [warning, reason, open] = await Promise.all(
    ["[data-i18n='invitation.unverified']", "#reason", "#open"].map((id) =>
      page.locator(id).boundingBox(),
    ),
  );
  assert.ok(warning.y + warning.height <= reason.y, "the warning stands above the reason");
  assert.ok(warning.y + warning.height < open.y, "and is seen at once");
  assert.ok(reason.height < 260);
  assert.match(await page.textContent("#reason"), /^ok more words /);
  assert.deepEqual(errors, []);
  await context.close();
  await invited.closeHost();
});
