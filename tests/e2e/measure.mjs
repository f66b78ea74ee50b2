// Measures the whole chain on this machine: claim to first frame, click to photon, idle traffic and
// CPU; beside CDP's JPEGs and noVNC; and behind bad networks. Run by script/measure, which builds
// for release; prints a table and JSON.

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { chromium } from "playwright-core";
import { closeBrowser, World } from "./lib/harness.mjs";
import { measureImpaired, NETWORKS } from "./measure/impaired.mjs";
import { LINE_RATE, sideBySideAtRate } from "./measure/narrow.mjs";
import { sideBySide } from "./measure/side-by-side.mjs";

const CLICKS = 60;
const CLAIMS = 8;
const IDLE_SECONDS = 15;
// Every press turns the whole page from black to white and back.
const FLASH = `data:text/html,<title>flash</title><body style="margin:0;height:100vh;background:black">
  <script>addEventListener("mousedown",()=>{let s=document.body.style;s.background=s.background=="black"?"white":"black"})</script>`;

const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
function summary(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return {
    n: sorted.length,
    p50: Math.round(quantile(sorted, 0.5)),
    p95: Math.round(quantile(sorted, 0.95)),
  };
}

/** User and system time of a process so far, in seconds. */
function cpuSeconds(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (
    (Number(fields[11]) + Number(fields[12])) /
    Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }))
  );
}

async function show(world, url) {
  const browser = await chromium.connectOverCDP(world.remote.cdp);
  await browser.contexts()[0].pages()[0].goto(url);
  await browser.close();
}

async function claimToFrame(device) {
  const times = [];
  for (let i = 0; i < CLAIMS; i++) {
    const world = await World.open();
    try {
      const host = world.host();
      const viewer = await world.viewer(device);
      await viewer.open(await host.link());
      await viewer.page.evaluate(() => {
        const root = document.documentElement;
        addEventListener(
          "click",
          () => {
            globalThis.claimedAt ??= performance.now();
          },
          { capture: true },
        );
        new MutationObserver(() => {
          if (root.dataset.firstFrame !== undefined) globalThis.frameAt ??= performance.now();
        }).observe(root, { attributes: true });
      });
      await viewer.page.click("#open");
      await viewer.page.waitForFunction(() => globalThis.frameAt !== undefined);
      times.push(await viewer.page.evaluate(() => globalThis.frameAt - globalThis.claimedAt));
    } finally {
      await world.close();
    }
  }
  return summary(times);
}

async function clickToPhoton(device) {
  const world = await World.open();
  try {
    await show(world, FLASH);
    const { viewer } = await world.live(device);
    await viewer.page.evaluate(() => {
      const video = document.getElementById("video");
      const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
      const white = () => {
        context.drawImage(video, video.videoWidth / 2, video.videoHeight / 2, 1, 1, 0, 0, 1, 1);
        return context.getImageData(0, 0, 1, 1).data[0] > 127;
      };
      const probe = { pressedAt: null, was: false, photons: [] };
      globalThis.probe = probe;
      addEventListener(
        "pointerdown",
        () => Object.assign(probe, { pressedAt: performance.now(), was: white() }),
        { capture: true },
      );
      const frame = (now, of) => {
        if (probe.pressedAt !== null && white() !== probe.was) {
          probe.photons.push(Math.max(now, of.expectedDisplayTime) - probe.pressedAt);
          probe.pressedAt = null;
        }
        video.requestVideoFrameCallback(frame);
      };
      video.requestVideoFrameCallback(frame);
    });
    const box = await viewer.page.locator("#video").boundingBox();
    await viewer.page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    for (let i = 0; i < CLICKS; i++) {
      await viewer.page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
      await viewer.page.waitForFunction((n) => globalThis.probe.photons.length > n, i, {
        polling: 20,
      });
      // Lets the refinement frames pass, so that each click meets an idle page; not in step with
      // frames.
      await pause(250 + Math.random() * 33);
    }
    return summary(await viewer.page.evaluate(() => globalThis.probe.photons));
  } finally {
    await world.close();
  }
}

async function idle() {
  const world = await World.open();
  try {
    const { host, viewer } = await world.live("phone");
    await viewer.field("username");
    await pause(3000);
    const traffic = () =>
      viewer.page.evaluate(async () => {
        const all = [...(await globalThis.peers.at(-1).getStats()).values()];
        const transport = all.find((s) => s.type === "transport");
        return {
          down: transport.bytesReceived,
          up: transport.bytesSent,
          frames: all.find((s) => s.type === "inbound-rtp")?.framesReceived,
        };
      });
    const pids = { host: host.child.pid, server: world.server.child.pid };
    const before = {
      ...(await traffic()),
      host: cpuSeconds(pids.host),
      server: cpuSeconds(pids.server),
    };
    await pause(IDLE_SECONDS * 1000);
    const after = {
      ...(await traffic()),
      host: cpuSeconds(pids.host),
      server: cpuSeconds(pids.server),
    };
    const rate = (key) => (after[key] - before[key]) / IDLE_SECONDS;
    return {
      downBytesPerSecond: Math.round(rate("down")),
      upBytesPerSecond: Math.round(rate("up")),
      frames: after.frames - before.frames,
      hostCpuPercent: Number((rate("host") * 100).toFixed(2)),
      serverCpuPercent: Number((rate("server") * 100).toFixed(2)),
    };
  } finally {
    await world.close();
  }
}

const results = {
  commit: execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim(),
  date: new Date().toISOString().slice(0, 10),
  load: loadavg()[0].toFixed(1),
  machine: `${cpus().length} x ${cpus()[0].model}`,
  claimToFirstFrameMs: {
    phone: await claimToFrame("phone"),
    desktop: await claimToFrame("desktop"),
  },
  clickToPhotonMs: { phone: await clickToPhoton("phone"), desktop: await clickToPhoton("desktop") },
  idle: await idle(),
  sideBySide: await sideBySide(),
  narrow: await sideBySideAtRate(),
  impaired: [],
};
for (const network of NETWORKS) {
  const seen = await measureImpaired(network).catch((error) => ({
    failed: String(error).split("\n")[0],
  }));
  results.impaired.push({ name: network.name, ...seen });
}
await closeBrowser();

const row = (name, { n, p50, p95 }) => `| ${name} | ${n} | ${p50} | ${p95} |`;
const { claimToFirstFrameMs: claim, clickToPhotonMs: photon, idle: quiet } = results;
const sideBySideTable = (rows) => {
  const lines = rows.map(({ page, way, photons, bytesPerClick }) => {
    const { n, p50, p95 } = summary(photons);
    return `| ${page} | ${way} | ${n} | ${p50} | ${p95} | ${(bytesPerClick / 1000).toFixed(1)} |`;
  });
  return [
    "| a click changes | way | n | p50 ms | p95 ms | kB a click |",
    "|---|---|---|---|---|---|",
    ...lines,
  ].join("\n");
};
const impairedRows = results.impaired.map((w) => {
  if (w.failed) return `| ${w.name} | ${w.failed} | | | | | |`;
  const [fps, gap, kbps, dropped, sharp] = [
    w.fps.toFixed(1),
    w.longestGapMs,
    w.kbps,
    w.droppedPercent,
    w.sharpMs,
  ].map((v) => (typeof v === "number" ? Math.round(v) : v));
  return `| ${w.name} | ${fps} | ${gap} | ${kbps} | ${dropped} | ${w.keysInOrder ? "yes" : "no"} | ${sharp} |`;
});
const table = `# The handoff, measured

Commit ${results.commit}, ${results.date}, ${results.machine}. Written by \`script/measure\`: server, host and both
Chromiums share this one machine, loopback, software rendering; release build. Load average at the start: ${results.load}.

| milliseconds | n | p50 | p95 |
|---|---|---|---|
${row("claim to first frame, phone", claim.phone)}
${row("claim to first frame, desktop", claim.desktop)}
${row("click to photon, phone 780x1466", photon.phone)}
${row("click to photon, desktop", photon.desktop)}

A click counts from the viewer's pointerdown to the expected display time of the first video frame whose middle pixel
changed. The page that is clicked changes whole, the worst case for the encoder.

Idle, phone, e-mail field focused, ${IDLE_SECONDS} s: ${quiet.downBytesPerSecond} B/s down and ${quiet.upBytesPerSecond} B/s up at the viewer (WebRTC transport
payload), ${quiet.frames} video frames, host ${quiet.hostCpuPercent}% and server ${quiet.serverCpuPercent}% of one core.

## Beside CDP's JPEGs and noVNC

The same page in a remote Chromium of each one's own, desktop, in interleaved rounds of this run. CDP: screencast frames (JPEG,
quality 85) forwarded over a WebSocket as they come and drawn on a canvas. noVNC: Debian's novnc, websockify and TigerVNC,
defaults. The user's Chromium has windows on an X screen. From pointerdown to when a pixel near the middle had changed on that
screen, which is looked at every half millisecond. Bytes are what the user's device received from one click to the next, 0.7 s
later: for authloop the refinements to a sharp picture are in it.

${sideBySideTable(results.sideBySide)}

The same where what the device receives comes at ${LINE_RATE.replace("mbit", " Mbit/s")} (an HTB class on the loopback of a network namespace, no delay):

${results.narrow.rows ? sideBySideTable(results.narrow.rows) : `Not measured: ${results.narrow.missing}`}

## Behind bad networks

A phone behind \`authloop-loadtest impair\`, both directions alike: losses with 20 ms delay and up to 10 ms jitter a way, rates with
20 ms and a queue of 250 ms. For 10 s a page of text becomes another one ten times a second, the worst case, while 22 keys
are typed into its field; then it stands still.

| network | pictures a second | longest gap ms | kbit/s received | % dropped by the network | keys whole and in order | sharp after ms |
|---|---|---|---|---|---|---|
${impairedRows.join("\n")}
`;
writeFileSync(new URL("../RESULTS.md", import.meta.url), table);
console.log(table);
console.log(JSON.stringify(results));
