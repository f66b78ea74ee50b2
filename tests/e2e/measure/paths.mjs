// Three ways to show a remote page and to click in it, each with a remote Chromium of its own on
// the same page: authloop, CDP's JPEGs over a WebSocket, and noVNC before TigerVNC.

import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as listener } from "node:net";
import { tmpdir } from "node:os";
import { chromium } from "playwright-core";
import { WebSocket, WebSocketServer } from "ws";
import { CHROMIUM, DEVICES, Part, Remote, usersBrowser, World } from "../lib/harness.mjs";
import { xServer } from "./screen.mjs";

/**
 * @typedef {object} Way
 * @property {string} name
 * @property {import("playwright-core").Page} page the user's
 * @property {string} screen a selector of the video or canvas that shows the remote page
 * @property {() => Promise<number>} received bytes that the user's device was sent so far
 * @property {number[]} ports where what the user's device receives comes from
 * @property {() => Promise<void>} close
 */

/** Counts what every WebSocket of the page receives. */
function countSockets() {
  globalThis.received = 0;
  // Not a subclass: noVNC looks for its methods on the object's own prototype.
  globalThis.WebSocket = new Proxy(globalThis.WebSocket, {
    construct(Real, args) {
      const socket = new Real(...args);
      socket.addEventListener(
        "message",
        ({ data }) => (globalThis.received += data.byteLength ?? data.size ?? data.length),
      );
      return socket;
    },
  });
}

async function freePort() {
  const server = listener().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** @param {string} url @returns {Promise<Way & {size: {width: number, height: number}}>} */
export async function authloop(url) {
  const world = await World.open();
  const browser = await chromium.connectOverCDP(world.remote.cdp);
  await browser.contexts()[0].pages()[0].goto(url);
  await browser.close();
  const { viewer } = await world.live("desktop");
  // The layout that the viewer asks for replaces the remote browser's own.
  await viewer.page.waitForFunction(() => {
    const video = document.getElementById("video");
    const page = document.getElementById("page");
    return (
      Math.abs(video.videoWidth - page.offsetWidth) <= 2 &&
      Math.abs(video.videoHeight - page.offsetHeight) <= 2
    );
  });
  const size = await viewer.page.evaluate(() => {
    const { videoWidth: width, videoHeight: height } = document.getElementById("video");
    return { width, height };
  });
  const received = () =>
    viewer.page.evaluate(async () => {
      const stats = [...(await globalThis.peers.at(-1).getStats()).values()];
      return stats.find((s) => s.type === "transport").bytesReceived;
    });
  const ports = [world.server.listen, world.server.relay].map((address) =>
    Number(address.split(":").at(-1)),
  );
  return {
    name: "authloop",
    page: viewer.page,
    screen: "#video",
    received,
    ports,
    size,
    close: () => world.close(),
  };
}

const CANVAS = `<!doctype html><title>CDP</title><body style="margin:0"><canvas id="screen"></canvas><script>
  const canvas = document.getElementById("screen"), context = canvas.getContext("2d", { alpha: false });
  const socket = new WebSocket("ws://" + location.host);
  socket.binaryType = "blob";
  let drawing = Promise.resolve();
  socket.onmessage = ({ data }) => { drawing = drawing.then(async () => {
    const image = await createImageBitmap(data);
    if (canvas.width !== image.width || canvas.height !== image.height) Object.assign(canvas, { width: image.width, height: image.height });
    context.drawImage(image, 0, 0);
    image.close();
    document.title = "drawn";
  }); };
  for (const [name, type] of [["pointerdown", "mousePressed"], ["pointerup", "mouseReleased"]])
    canvas.addEventListener(name, (e) => socket.send(JSON.stringify({ type, x: e.offsetX, y: e.offsetY, button: "left", clickCount: 1 })));
</script>`;

/**
 * What one writes in an afternoon: screencast frames forwarded as they come, acknowledged at once,
 * input back.
 */
export async function cdpJpeg(url, { width, height }) {
  const remote = new Remote(url);
  await remote.ready();
  const [target] = (await (await fetch(`${remote.cdp}/json/list`)).json()).filter(
    (t) => t.type === "page",
  );
  const cdp = new WebSocket(target.webSocketDebuggerUrl, { perMessageDeflate: false });
  await new Promise((resolve) => cdp.once("open", resolve));
  let id = 0;
  const say = (method, params = {}) => cdp.send(JSON.stringify({ id: ++id, method, params }));
  const http = createServer((_, response) =>
    response.writeHead(200, { "content-type": "text/html" }).end(CANVAS),
  );
  const sockets = new WebSocketServer({ server: http, perMessageDeflate: false });
  let last = null;
  cdp.on("message", (data) => {
    const { method, params } = JSON.parse(data);
    if (method !== "Page.screencastFrame") return;
    say("Page.screencastFrameAck", { sessionId: params.sessionId });
    last = Buffer.from(params.data, "base64");
    for (const client of sockets.clients) client.send(last);
  });
  sockets.on("connection", (client) => {
    if (last) client.send(last);
    client.on("message", (data) => say("Input.dispatchMouseEvent", JSON.parse(data)));
  });
  say("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: false });
  // The quality that authloop asks for, too.
  say("Page.startScreencast", { format: "jpeg", quality: 85, maxWidth: width, maxHeight: height });
  await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
  const context = await (await usersBrowser()).newContext(DEVICES.desktop);
  await context.addInitScript(countSockets);
  const page = await context.newPage();
  await page.goto(`http://127.0.0.1:${http.address().port}/`);
  await page.waitForFunction(() => document.title === "drawn");
  return {
    name: "CDP JPEG over WebSocket",
    page,
    screen: "#screen",
    received: () => page.evaluate(() => globalThis.received),
    ports: [http.address().port],
    close: async () => {
      await context.close();
      for (const client of sockets.clients) client.terminate();
      http.close();
      cdp.terminate();
      await remote.stop();
    },
  };
}

/** Debian's packages novnc, websockify and tigervnc-standalone-server, as they come. */
export async function noVnc(url, { width, height }) {
  const parts = [];
  const display = 40 + (process.pid % 50);
  const [rfb, web] = [await freePort(), await freePort()];
  const profile = mkdtempSync(`${tmpdir()}/authloop-vnc-`);
  const close = async () => {
    for (const part of parts.reverse()) await part.stop();
    rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  };
  try {
    parts.push(xServer("xvnc", `:${display}`, { width, height }, rfb));
    await parts.at(-1).line(/[Ll]istening for VNC connections/);
    const window = [
      "--kiosk",
      `--window-size=${width},${height}`,
      "--window-position=0,0",
      `--user-data-dir=${profile}`,
    ];
    const flags = [
      "--no-sandbox",
      "--disable-gpu",
      "--no-first-run",
      "--no-default-browser-check",
      "--disable-background-networking",
      "--disable-sync",
      "--disable-dev-shm-usage",
    ];
    parts.push(
      new Part("vnc-chromium", CHROMIUM, [...flags, ...window, url], {
        env: { DISPLAY: `:${display}` },
        group: true,
      }),
    );
    parts.push(
      new Part(
        "websockify",
        "websockify",
        ["--web", "/usr/share/novnc", `127.0.0.1:${web}`, `127.0.0.1:${rfb}`],
        { env: { PYTHONUNBUFFERED: "1" } },
      ),
    );
    await parts.at(-1).line(/proxying from|Listen on/);
    const context = await (await usersBrowser()).newContext(DEVICES.desktop);
    parts.push({ stop: () => context.close() });
    await context.addInitScript(countSockets);
    const page = await context.newPage();
    await page.goto(`http://127.0.0.1:${web}/vnc_lite.html`);
    await page.waitForFunction(
      (width) => document.querySelector("#screen canvas")?.width === width,
      width,
    );
    const received = () => page.evaluate(() => globalThis.received);
    return {
      name: "noVNC + TigerVNC",
      page,
      screen: "#screen canvas",
      received,
      ports: [web],
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
