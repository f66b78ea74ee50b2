// A path that does not open at first.
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

/** Notes of each first frame whether any connection had a path by then. */
function spy() {
  const peers = [];
  const Real = globalThis.RTCPeerConnection;
  globalThis.RTCPeerConnection = class extends Real {
    constructor(...args) {
      super(...args);
      peers.push(this);
    }
  };
  globalThis.firstFrames = [];
  new MutationObserver(() => {
    const connected = peers.some((peer) =>
      ["connected", "completed"].includes(peer.iceConnectionState),
    );
    globalThis.firstFrames.push(connected);
  }).observe(document, { attributeFilter: ["data-first-frame"], subtree: true });
}

const streamOf = (page) => page.evaluate(() => document.getElementById("video").srcObject?.id);

test("a connection that ends without a path leaves no first frame", async () => {
  const s = await b.session();
  const { page, context } = await b.viewer();
  await page.clock.install();
  await page.addInitScript(spy);
  await page.goto(s.link);
  await inState(page, "invitation");
  b.stub.relay.dead = true;
  await page.click("#open");
  await page.waitForFunction(() => document.getElementById("video").srcObject);
  const first = await streamOf(page);

  // The viewer gives up on the first connection and makes another.
  while ((await s.host.evaluate(() => fake.hellos)) < 2) await page.clock.fastForward(5_000);
  await page.waitForFunction(
    (id) => ![undefined, id].includes(document.getElementById("video").srcObject?.id),
    first,
  );
  b.stub.relay.dead = false;

  await enabled(page);
  assert.deepEqual(await page.evaluate(() => globalThis.firstFrames), [true]);
  await context.close();
  await s.closeHost();
});
