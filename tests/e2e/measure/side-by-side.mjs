// Click to photon and bytes a click, authloop beside its peers on the same page, in interleaved
// rounds of one run.

import { setTimeout as pause } from "node:timers/promises";
import { authloop, cdpJpeg, noVnc } from "./paths.mjs";
import { Screen } from "./screen.mjs";

const ROUNDS = 4;
const CLICKS = 8;
/**
 * Lets everything that follows a click arrive, refinements too, so that each click meets an idle
 * page.
 */
const SETTLE_MS = 700;
/**
 * From the middle of the page, where it is clicked, to what is looked at: beside the pointer, which
 * a VNC server paints.
 */
const LOOK_OFFSET_PX = 60;

const toggleScript = (what) =>
  `let on = false; addEventListener("mousedown", () => { on = !on; ${what} })`;
const page = (title, style, body, what) =>
  `data:text/html,<title>${title}</title><body style="margin:0;height:100vh;overflow:hidden;${style}">${body}<script>${toggleScript(what)}</script>`;
const words = (n) =>
  "Sign in to continue to your account. Enter the code that was sent to your phone. ".repeat(n);
const middle =
  "position:fixed;left:calc(50% - 90px);top:calc(50% - 22px);width:180px;height:44px;font:16px sans-serif;border:1px solid gray;box-sizing:border-box";
const step = (heading, field, end) =>
  `<div style="width:360px;margin:60px auto;font:16px sans-serif"><h1>${heading}</h1><p>${words(2)}</p><input placeholder="${field}" style="width:100%25;font-size:16px">${end}</div>`;
const first = step(
  "Sign in",
  "Email or phone",
  `<div style="${middle};background:black;color:white">Next</div><p style="margin-top:150px">No account? <a href=about:blank>Create one</a></p>`,
);
const second = step(
  "Welcome back, Ada",
  "Password",
  `<div style="${middle};background:white">Show password</div><p style="margin-top:190px"><a href=about:blank>Forgot it?</a> Another way to sign in</p>`,
);
/** What a click changes. */
const PAGES = {
  "all of a bare page": page(
    "flash",
    "background:black",
    "",
    'document.body.style.background = on ? "white" : "black"',
  ),
  "a step of a sign-in": page(
    "step",
    "background:white",
    `<div>${first}</div><div hidden>${second}</div>`,
    'const [a, b] = document.querySelectorAll("body > div"); a.hidden = on; b.hidden = !on',
  ),
  "a button amid text": page(
    "form",
    "font:16px sans-serif",
    `<p>${words(40)}</p><div id="b" style="${middle};background:black"></div>`,
    'document.getElementById("b").style.background = on ? "white" : "black"',
  ),
};

async function round(way, screen, photons) {
  await way.page.bringToFront();
  const before = await way.received();
  for (let i = 0; i < CLICKS; i++) {
    const changed = await screen.watch(way.spot);
    await way.page.mouse.click(...way.click);
    const at = await changed();
    photons?.push(at - (await way.page.evaluate(() => globalThis.pressedAt)));
    // Not in step with frames.
    await pause(SETTLE_MS + Math.random() * 33);
  }
  return (await way.received()) - before;
}

async function settle(way, screen) {
  await way.page.bringToFront();
  const box = await way.page.locator(way.screen).boundingBox();
  way.click = [box.x + box.width / 2, box.y + box.height / 2];
  way.spot = await screen.find(
    way.page,
    Math.round(way.click[0] + LOOK_OFFSET_PX),
    Math.round(way.click[1]),
  );
  await way.page.evaluate(() =>
    addEventListener("pointerdown", () => (globalThis.pressedAt = Date.now()), { capture: true }),
  );
  // The window may be there before the page that it shows.
  while (await screen.isLight(way.spot)) await pause(50);
  await pause(SETTLE_MS);
}

/**
 * @param {object} [options]
 * @param {(ports: number[]) => void} [options.narrow] makes what comes from these ports slow
 * @returns {Promise<{page: string, way: string, photons: number[], bytesPerClick: number}[]>}
 */
export async function sideBySide({
  rounds = ROUNDS,
  ways = [cdpJpeg, noVnc],
  narrow = () => {},
} = {}) {
  const rows = [];
  const screen = await Screen.start(ways.length + 1);
  try {
    for (const [page, url] of Object.entries(PAGES)) {
      const open = [];
      try {
        open.push(await authloop(url));
        for (const way of ways) open.push(await way(url, open[0].size));
        narrow(open.flatMap((way) => way.ports));
        for (const [n, way] of open.entries()) await screen.place(way.page, n);
        for (const way of open) await settle(way, screen);
        const seen = open.map(() => ({ photons: [], bytes: 0 }));
        for (let i = -1; i < rounds; i++) {
          for (const [n, way] of open.entries()) {
            // The first round warms everything up and does not count.
            if (i < 0) await round(way, screen);
            else seen[n].bytes += await round(way, screen, seen[n].photons);
          }
        }
        for (const [n, way] of open.entries()) {
          rows.push({
            page,
            way: way.name,
            photons: seen[n].photons,
            bytesPerClick: seen[n].bytes / (rounds * CLICKS),
          });
        }
      } finally {
        for (const way of open.reverse()) await way.close();
      }
    }
  } finally {
    await screen.stop();
  }
  return rows;
}
