// A bad network: the picture keeps arriving, what was typed arrives whole, and the bitrate follows.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { closeBrowser } from "./lib/harness.mjs";
import { measureImpaired } from "./measure/impaired.mjs";

after(closeBrowser);

const slow = (rate_bps) => ({ rate_bps, queue_ms: 250, delay_ms: 20 });

for (const { name, conditions, fps, gapMs, sharpMs } of [
  {
    name: "1 Mbit/s with 5% loss",
    conditions: { ...slow(1_000_000), loss: 0.05, jitter_ms: 10 },
    fps: 3,
    gapMs: 2000,
    sharpMs: 4500,
  },
  // A page of text that is another one ten times a second: one whole picture is a second of this.
  // The page stood still when the path lost nearly all that it carried, so the first picture finds
  // that out.
  { name: "200 kbit/s", conditions: slow(200_000), fps: 1, gapMs: 5000, sharpMs: 6000 },
]) {
  test(`behind ${name}: keys in order, a picture that moves and then is sharp, within the rate`, {
    timeout: 120_000,
  }, async () => {
    const seen = await measureImpaired(
      { down: conditions, up: conditions },
      { settle: 4000, motion: 9000, still: 6000 },
    );

    assert.equal(seen.keysInOrder, true);
    assert.ok(seen.fps >= fps, JSON.stringify(seen));
    assert.ok(seen.longestGapMs < gapMs, JSON.stringify(seen));
    assert.ok(seen.kbps < conditions.rate_bps / 1000, JSON.stringify(seen));
    assert.ok(seen.sharpMs < sharpMs, JSON.stringify(seen));
  });
}
