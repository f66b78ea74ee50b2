import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { bench, enabled, inState } from "../support/browser.mjs";

let b;
before(async () => {
  b = await bench();
});
after(async () => {
  await b?.stop();
});

test("claim, picture, input, done", async () => {
  const s = await b.session();
  const { page, errors } = await b.viewer();
  await page.goto(s.link);
  await inState(page, "invitation");
  assert.equal(new URL(page.url()).hash, `#${s.id}`, "the secret has left the address bar");
  assert.equal(await page.textContent("#requester"), "Invoice assistant");
  assert.equal(await page.evaluate(() => document.documentElement.dataset.keyboard), "disabled");
  await page.click("#open");
  await enabled(page);
  assert.equal(await page.evaluate(() => document.documentElement.dataset.verified), "true");
  assert.match(await page.textContent("#origin"), /https:\/\/login\.example\.com/);
  await page.keyboard.type("Hallo");
  await page.mouse.click(300, 300);
  await s.host.waitForFunction(() =>
    fake.events.some((e) => e.t === "pointer" && e.phase === "up"),
  );
  const events = await s.host.evaluate(() => fake.events);
  assert.equal(events[0].t, "viewport");
  assert.equal(
    events
      .filter((e) => e.t === "key" && e.down && e.key.length === 1)
      .map((e) => e.key)
      .join(""),
    "Hallo",
  );
  assert.deepEqual(errors, []);
  await page.click("#done");
  await inState(page, "ended");
  assert.equal(await page.evaluate(() => document.documentElement.dataset.outcome), "resolved");
  assert.deepEqual(b.stub.violations, []);
  assert.equal(await s.host.evaluate(() => fake.error), undefined);
});
