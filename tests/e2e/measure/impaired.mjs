// The picture, the keys and the bitrate of a phone behind networks from bad to worse.

import { setTimeout as pause } from "node:timers/promises";
import { chromium } from "playwright-core";
import { impairedWorld } from "../lib/impair.mjs";

/** How long the network is known before, the page moves, and stands still, in milliseconds. */
const DURATIONS_MS = { settle: 4000, motion: 10_000, still: 8000 };
const TEXT = "every key arrives once";
const KEY_INTERVAL_MS = 150;
/** Luma that a pixel of a sharp picture may differ from the final one by, on average. */
const MAX_SHARP_DIFFERENCE = 1.0;

const slow = (rate_bps) => ({ rate_bps, queue_ms: 250, delay_ms: 20 });
const lossy = (loss) => ({ loss, delay_ms: 20, jitter_ms: 10 });
export const NETWORKS = [
  { name: "1% loss", down: lossy(0.01), up: lossy(0.01) },
  { name: "5% loss", down: lossy(0.05), up: lossy(0.05) },
  { name: "10% loss", down: lossy(0.1), up: lossy(0.1) },
  { name: "30% loss", down: lossy(0.3), up: lossy(0.3) },
  { name: "200 kbit/s", down: slow(200_000), up: slow(200_000) },
  { name: "1 Mbit/s", down: slow(1_000_000), up: slow(1_000_000) },
  { name: "10 Mbit/s", down: slow(10_000_000), up: slow(10_000_000) },
];

/** A field, and a page of text that is another one ten times a second when it moves. */
const PAGE = `data:text/html,<meta name=viewport content="width=device-width"><title>move</title><body style="margin:8px;font:15px/1.4 sans-serif"><input id=t autofocus autocomplete=off style="width:90%25"><p id=p></p><script>
let timer; const words = "sign in to your account with the code we sent and then confirm it on this page".split(" ");
const draw = () => { let s = ""; for (let i = 0; i < 120; i++) s += words[Math.floor(Math.random() * words.length)] + " "; document.getElementById("p").textContent = s; };
globalThis.move = (on) => { clearInterval(timer); if (on) timer = setInterval(draw, 100); }; draw();</script>`;

/** Records when frames were shown, and keeps the middle of each while `keep` is set. */
function watch() {
  const video = document.getElementById("video");
  const canvas = new OffscreenCanvas(400, 400);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const seen = { frames: [], keep: null };
  globalThis.seen = seen;
  const frame = (now) => {
    seen.frames.push(now);
    if (seen.keep) {
      context.drawImage(video, 40, 120, 400, 400, 0, 0, 400, 400);
      const { data } = context.getImageData(0, 0, 400, 400);
      seen.keep.push({
        at: performance.now(),
        luma: Uint8Array.from({ length: 160_000 }, (_, i) => data[4 * i + 1]),
      });
      if (seen.keep.length > 60) seen.keep.splice(1, 1);
    }
    video.requestVideoFrameCallback(frame);
  };
  video.requestVideoFrameCallback(frame);
}

export async function measureImpaired({ down, up }, times = DURATIONS_MS) {
  const world = await impairedWorld();
  try {
    const browser = await chromium.connectOverCDP(world.remote.cdp);
    const remote = browser.contexts()[0].pages()[0];
    await remote.goto(PAGE);
    const { viewer } = await world.live("phone");
    await viewer.page.waitForSelector("#pad[autocomplete=off]", { state: "attached" });
    await viewer.page.tap("#keyboard");
    await world.impair.setConditions({ down, up });
    await viewer.page.evaluate(watch);
    await pause(times.settle);

    const before = await world.impair.setConditions();
    await remote.evaluate(() => move(true));
    const from = await viewer.page.evaluate(() => performance.now());
    // Typed while everything moves: behind a full queue keys are late, but whole.
    const typedAt = viewer.page.keyboard
      .type(TEXT, { delay: KEY_INTERVAL_MS })
      .then(() => Date.now());
    const keys = remote.waitForFunction(
      (text) => document.getElementById("t").value.length >= text.length,
      TEXT,
      { polling: 20, timeout: 60_000 },
    );
    await pause(times.motion);
    const after = await world.impair.setConditions();
    const until = await viewer.page.evaluate(() => performance.now());
    await typedAt;
    await keys;
    const value = await remote.evaluate(() => document.getElementById("t").value);

    await viewer.page.evaluate(() => (globalThis.seen.keep = []));
    const stopped = await viewer.page.evaluate(() => performance.now());
    await remote.evaluate(() => move(false));
    await pause(times.still);
    const { frames, kept } = await viewer.page.evaluate((bound) => {
      const { frames, keep } = globalThis.seen;
      const last = keep.at(-1)?.luma;
      const difference = (a) =>
        a.luma.reduce((sum, v, i) => sum + Math.abs(v - last[i]), 0) / last.length;
      return { frames, kept: keep.map((k) => ({ at: k.at, sharp: difference(k) <= bound })) };
    }, MAX_SHARP_DIFFERENCE);
    const shown = [from, ...frames.filter((at) => at > from && at < until), until];
    const blurred = kept.findLastIndex((k) => !k.sharp);
    await browser.close();
    const sent =
      after.down.passed -
      before.down.passed +
      (after.down.lost - before.down.lost) +
      (after.down.overflowed - before.down.overflowed);
    return {
      fps: (shown.length - 2) / (times.motion / 1000),
      longestGapMs: Math.max(...shown.slice(1).map((at, i) => at - shown[i])),
      kbps: ((after.down.bytes - before.down.bytes) * 8) / times.motion,
      droppedPercent: (100 * (sent - (after.down.passed - before.down.passed))) / Math.max(1, sent),
      keysInOrder: value === TEXT,
      sharpMs: kept.length === 0 ? 0 : (kept[blurred + 1]?.at ?? Infinity) - stopped,
    };
  } finally {
    await world.close();
  }
}
