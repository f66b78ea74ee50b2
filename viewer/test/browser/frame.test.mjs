// The first picture is reported to servers that count it, once, and to no others.
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

const reports = (from) => b.stub.fromViewer.slice(from).filter((m) => m.type === "first_frame");

/**
 * Opens a session whose server asks, or does not, and waits for the picture; how many reports came.
 */
async function open(asks) {
  const from = b.stub.fromViewer.length;
  const s = await b.session();
  const { page, context } = await b.viewer();
  b.stub.tamper = (m) => (m.type === "welcome" && asks ? { ...m, first_frame: true } : m);
  await page.goto(s.link);
  await inState(page, "invitation");
  await page.click("#open");
  await enabled(page);
  await page.waitForFunction(() => document.documentElement.dataset.firstFrame);
  if (asks) while (reports(from).length === 0) await page.waitForTimeout(20);
  // A new socket: this welcome asks no more, as a server's does that has been told.
  b.stub.tamper = null;
  const resumed = b.stub.fromViewer.length;
  b.stub.cut(s.id);
  while (!b.stub.fromViewer.slice(resumed).some((m) => m.type === "resume"))
    await page.waitForTimeout(20);
  await enabled(page);
  await context.close();
  await s.closeHost();
  return reports(from).length;
}

test("a server that asks hears of the first picture once", async () => {
  assert.equal(await open(true), 1);
});

test("a server that does not ask hears nothing, since older ones would cut the socket", async () => {
  assert.equal(await open(false), 0);
});
