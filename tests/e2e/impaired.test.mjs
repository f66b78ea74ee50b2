// A bad network: the picture keeps arriving, what was typed arrives whole, and the bitrate follows.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { closeBrowser } from "./harness.mjs";
import { underWeather } from "./measure/impaired.mjs";

after(closeBrowser);

test("behind 1 Mbit/s with 5% loss: keys in order, a picture that moves and then is sharp, within the rate", { timeout: 120_000 }, async () => {
  const rate = 1_000_000;
  const weather = { loss: 0.05, delay_ms: 20, jitter_ms: 10, rate_bps: rate, queue_ms: 250 };

  const seen = await underWeather({ down: weather, up: weather }, { settle: 2000, motion: 6000, still: 5000 });

  assert.equal(seen.keysInOrder, true);
  assert.ok(seen.fps >= 1, JSON.stringify(seen));
  assert.ok(seen.longestGapMs < 3000, JSON.stringify(seen));
  assert.ok(seen.kbps < rate / 1000, JSON.stringify(seen));
  assert.ok(seen.sharpMs < 4500, JSON.stringify(seen));
});
