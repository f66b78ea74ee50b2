// Click to photon and bytes a click, authloop beside its peers on the same page, in interleaved
// rounds of one run.

import { setTimeout as pause } from "node:timers/promises";
import { authloop, cdpJpeg, noVnc } from "./paths.mjs";

const ROUNDS = 4;
const CLICKS = 8;
/** Lets everything that follows a click arrive, refinements too, so that each click meets an idle page. */
const SETTLE_MS = 700;

const text = `<p>${"Sign in to continue to your account. Enter the code that was sent to your phone. ".repeat(40)}</p>`;
const toggling = (what) => `let on = false; addEventListener("mousedown", () => { on = !on; ${what} })`;
/** What a click changes: all of the page, or a button amid text, as a click in a form does. */
export const PAGES = {
  "the whole page": `data:text/html,<title>flash</title><body style="margin:0;height:100vh;background:black"><script>${toggling('document.body.style.background = on ? "white" : "black"')}</script>`,
  "a button": `data:text/html,<title>form</title><body style="margin:0;font:16px sans-serif;height:100vh;overflow:hidden">${text}<div id="b" style="position:fixed;left:calc(50% - 90px);top:calc(50% - 22px);width:180px;height:44px;background:black"></div><script>${toggling('document.getElementById("b").style.background = on ? "white" : "black"')}</script>`,
};

/** The same eye for a video and for a canvas: looks at one pixel in every animation frame, on the button but beside the pointer, which a VNC server paints. */
function look(selector) {
  const screen = document.querySelector(selector);
  const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const white = () => {
    const [width, height] = [screen.videoWidth ?? screen.width, screen.videoHeight ?? screen.height];
    context.drawImage(screen, width / 2 + 60, height / 2, 1, 1, 0, 0, 1, 1);
    return context.getImageData(0, 0, 1, 1).data[0] > 127;
  };
  const eye = (globalThis.eye = { pressedAt: null, was: false, photons: [], white });
  addEventListener("pointerdown", () => Object.assign(eye, { was: white(), pressedAt: performance.now() }), { capture: true });
  const frame = () => {
    if (eye.pressedAt !== null && white() !== eye.was) {
      eye.photons.push(performance.now() - eye.pressedAt);
      eye.pressedAt = null;
    }
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}

async function round(way) {
  await way.page.bringToFront();
  const before = await way.received();
  const box = await way.page.locator(way.screen).boundingBox();
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  const seen = await way.page.evaluate(() => globalThis.eye.photons.length);
  for (let i = 0; i < CLICKS; i++) {
    await way.page.mouse.click(x, y);
    await way.page.waitForFunction((n) => globalThis.eye.photons.length > n, seen + i, { polling: 50, timeout: 10_000 });
    // Not in step with frames.
    await pause(SETTLE_MS + Math.random() * 33);
  }
  return { bytes: (await way.received()) - before };
}

/** @returns {Promise<{page: string, way: string, photons: number[], bytesPerClick: number}[]>} */
export async function sideBySide({ rounds = ROUNDS, ways = [cdpJpeg, noVnc] } = {}) {
  const rows = [];
  for (const [page, url] of Object.entries(PAGES)) {
    const open = [];
    try {
      open.push(await authloop(url));
      for (const way of ways) open.push(await way(url, open[0].size));
      for (const way of open) {
        await way.page.evaluate(look, way.screen);
        await way.page.bringToFront();
        // The window may be there before the page that it shows.
        await way.page.waitForFunction(() => !globalThis.eye.white(), undefined, { polling: 50 });
        await pause(SETTLE_MS);
      }
      const bytes = open.map(() => 0);
      for (let i = -1; i < rounds; i++) {
        for (const [n, way] of open.entries()) {
          const one = await round(way);
          // The first round warms everything up and does not count.
          if (i < 0) await way.page.evaluate(() => globalThis.eye.photons.splice(0));
          else bytes[n] += one.bytes;
        }
      }
      for (const [n, way] of open.entries()) {
        const photons = await way.page.evaluate(() => globalThis.eye.photons);
        rows.push({ page, way: way.name, photons, bytesPerClick: bytes[n] / (rounds * CLICKS) });
      }
    } finally {
      for (const way of open.reverse()) await way.close();
    }
  }
  return rows;
}
