// The screen that the user looks at: an X server, and an eye on one of its pixels. What a page
// could tell of itself would differ between a video and a canvas; what is on the screen is the same
// for all.

import { setTimeout as pause } from "node:timers/promises";
import { Part, paintOn } from "../lib/harness.mjs";

/** Windows side by side, so that none covers another; in pixels. */
const WINDOW = { width: 1300, height: 1000 };
/** No page has a colour like it. */
const MARK_COLOUR = [254, 1, 253];
const MAX_FIND_ATTEMPTS = 20;

/**
 * An X server of 24 bits a pixel.
 * @param {string} name of the part
 * @param {string} display
 * @param {{width: number, height: number}} size in pixels
 * @param {number} rfb the port for viewers of it; -1: none
 */
export function xServer(name, display, { width, height }, rfb) {
  const size = ["-geometry", `${width}x${height}`, "-depth", "24"];
  return new Part(name, "Xtigervnc", [
    display,
    ...size,
    "-SecurityTypes",
    "None",
    "-localhost",
    "-rfbport",
    String(rfb),
  ]);
}

/** Paints a spot there, or takes it away. */
function mark([x, y, colour]) {
  document.getElementById("mark")?.remove();
  if (!colour) return;
  const spot = document.createElement("div");
  spot.id = "mark";
  spot.style.cssText = `position:fixed;z-index:2147483647;left:${x}px;top:${y}px;width:12px;height:12px;background:rgb(${colour})`;
  document.documentElement.append(spot);
}

export class Screen {
  #parts = [];
  #eye;

  /** @param {number} windows how many find room on it */
  static async start(windows) {
    const screen = new Screen();
    try {
      await screen.#start(windows);
      return screen;
    } catch (error) {
      await screen.stop();
      throw error;
    }
  }

  async #start(windows) {
    const display = `:${90 + (process.pid % 100)}`;
    const server = xServer("screen", display, { ...WINDOW, width: WINDOW.width * windows }, -1);
    this.#parts.push(server);
    await server.line(/created/);
    const eye = new URL("screen.py", import.meta.url).pathname;
    this.#eye = new Part("eye", "python3", [eye], { env: { DISPLAY: display }, input: true });
    this.#parts.push(this.#eye);
    await this.#eye.event((e) => e.event === "open", "its start");
    await paintOn(display);
  }

  /** Says it and waits for one answer. */
  async #ask(line, event) {
    this.#eye.events.length = 0;
    this.#eye.child.stdin.write(`${line}\n`);
    return this.#eye.event((e) => e.event === event, `an answer to ${line}`);
  }

  /** Moves the page's window to a place of its own, the how-manieth. */
  async place(page, n) {
    const cdp = await page.context().newCDPSession(page);
    const { windowId } = await cdp.send("Browser.getWindowForTarget");
    await cdp.send("Browser.setWindowBounds", {
      windowId,
      bounds: { left: WINDOW.width * n, top: 0 },
    });
    await cdp.detach();
  }

  /** Where a point of the page is on the screen. */
  async find(page, x, y) {
    await page.evaluate(mark, [x, y, MARK_COLOUR]);
    try {
      for (let i = 0; i < MAX_FIND_ATTEMPTS; i++) {
        const found = await this.#ask(`find ${MARK_COLOUR.join(" ")}`, "found");
        if (found.x !== undefined) return { x: found.x, y: found.y };
        await pause(100);
      }
      throw new Error(
        `a spot in the page never came to the screen; ${await page.title()} is ${page.url()}`,
      );
    } finally {
      await page.evaluate(mark, [x, y, null]);
    }
  }

  /** Whether that pixel is light. */
  async isLight({ x, y }) {
    return (await this.#ask(`look ${x} ${y}`, "seen")).light;
  }

  /**
   * Begins to look at a pixel, which is to go from dark to light or back.
   * @returns {Promise<() => Promise<number>>} when it did, in milliseconds since 1970
   */
  async watch({ x, y }) {
    await this.#ask(`watch ${x} ${y}`, "watching");
    return async () =>
      (await this.#eye.event((e) => e.event === "changed", "a change on the screen", 10_000)).at;
  }

  async stop() {
    await paintOn();
    for (const part of this.#parts.reverse()) await part.stop();
  }
}
