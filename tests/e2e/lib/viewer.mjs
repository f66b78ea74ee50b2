// The user: a page on a device, and what can be seen and done there.

import { within } from "./part.mjs";

/**
 * Keeps hold of the peer connections, of whether the keyboard was ever enabled, and of all notices.
 */
function spy() {
  globalThis.peers = [];
  const Real = globalThis.RTCPeerConnection;
  globalThis.RTCPeerConnection = class extends Real {
    constructor(...args) {
      super(...args);
      globalThis.peers.push(this);
    }
  };
  globalThis.everEnabled = false;
  globalThis.noticed = new Set();
  new MutationObserver(() => {
    const root = document.documentElement;
    if (root?.dataset.keyboard === "enabled") globalThis.everEnabled = true;
    if (root?.dataset.keyboard === "enabled" && root.dataset.verified !== "true")
      globalThis.enabledUnverified = true;
    for (const { dataset } of document.querySelectorAll("#notices li"))
      globalThis.noticed.add(dataset.code);
  }).observe(document, { attributes: true, subtree: true, childList: true });
}

export class Viewer {
  errors = [];

  constructor(context, page, device) {
    Object.assign(this, { context, page, device });
    page.setDefaultTimeout(30_000);
    page.on("pageerror", (error) => this.errors.push(String(error)));
    page.on("console", (m) => m.type() === "error" && this.errors.push(m.text()));
  }

  static async start(context, device) {
    await context.addInitScript(spy);
    return new Viewer(context, await context.newPage(), device);
  }

  /** Opens the link, which must lead to the invitation. */
  async open(link) {
    await this.page.goto(link);
    await this.state("invitation");
  }

  /** Takes the session, and waits for the confirmed keys and the first frame. */
  async claim() {
    await this.page.click("#open");
    await this.state("live");
    await this.data("keyboard", "enabled");
  }

  state(...names) {
    return this.#data("state", names);
  }

  data(key, value, ms) {
    return this.#data(key, [value], ms);
  }

  async #data(key, values, ms = 30_000) {
    const reached = this.page.waitForFunction(
      ([k, v]) => v.includes(document.documentElement.dataset[k]),
      [key, values],
      { timeout: ms },
    );
    await reached.catch(async (error) => {
      throw new Error(
        `${key} did not become ${values.join(" or ")}: ${await this.tell().catch(String)}`,
        { cause: error },
      );
    });
  }

  dataset() {
    return this.page.evaluate(() => ({ ...document.documentElement.dataset }));
  }

  /** The error screen's code. */
  async error() {
    await this.state("error");
    return (await this.page.textContent("#error-code")).trim();
  }

  /**
   * Waits until the remote field with this `autocomplete` has the focus, and puts the local one on
   * it.
   */
  field(autocomplete) {
    return this.padLike(`[autocomplete="${autocomplete}"]`);
  }

  /** The same where the local field is such a one. */
  async padLike(selector) {
    const pad = `#pad${selector}`;
    await this.page.waitForSelector(pad, { state: "attached" });
    if (
      this.device === "phone" &&
      !(await this.page.evaluate(() => document.activeElement.id.startsWith("pad")))
    ) {
      await this.page.tap("#keyboard");
    }
    await this.page.waitForFunction(
      (s) => document.activeElement === document.querySelector(s),
      pad,
    );
  }

  type(text) {
    return this.page.keyboard.type(text);
  }

  press(key) {
    return this.page.keyboard.press(key);
  }

  async done() {
    await this.page.click("#done");
  }

  /** What the user typed has reached the remote page. */
  async applied() {
    await this.page.waitForFunction(() => document.documentElement.dataset.applied !== undefined);
    return Number((await this.dataset()).applied);
  }

  /** The decoded picture: its size, how many colours it has, and how many pixels are near `rgb`. */
  picture(rgb = [0, 0, 0]) {
    const look = this.page.evaluate(async (wanted) => {
      const video = document.getElementById("video");
      const frame = await new Promise((resolve) =>
        video.requestVideoFrameCallback((_, of) => resolve(of)),
      );
      const canvas = new OffscreenCanvas(frame.width, frame.height);
      const context = canvas.getContext("2d");
      context.drawImage(video, 0, 0);
      const { data } = context.getImageData(0, 0, frame.width, frame.height);
      const colours = new Set();
      let near = 0;
      for (let i = 0; i < data.length; i += 4) {
        colours.add(((data[i] >> 4) << 8) | ((data[i + 1] >> 4) << 4) | (data[i + 2] >> 4));
        if (wanted.every((v, c) => Math.abs(data[i + c] - v) < 40)) near++;
      }
      return {
        width: frame.width,
        height: frame.height,
        presented: frame.presentedFrames,
        colours: colours.size,
        near,
      };
    }, rgb);
    return within(30_000, () => "a decoded frame", look);
  }

  /**
   * Every remote address of the live peer connection's candidate pairs, and what the chosen one
   * carried.
   */
  path() {
    return this.page.evaluate(async () => {
      const stats = await globalThis.peers.at(-1).getStats();
      const all = [...stats.values()];
      const transport = all.find((s) => s.type === "transport");
      const pairs = all.filter((s) => s.type === "candidate-pair");
      const address = (id) => {
        const c = stats.get(id);
        return `${c.address}:${c.port}`;
      };
      const selected = stats.get(transport.selectedCandidatePairId);
      const video = all.find((s) => s.type === "inbound-rtp" && s.kind === "video");
      return {
        selected: address(selected.remoteCandidateId),
        remotes: [...new Set(pairs.map((p) => address(p.remoteCandidateId)))],
        received: selected.bytesReceived,
        framesDecoded: video?.framesDecoded ?? 0,
        codec: stats.get(video?.codecId)?.mimeType,
      };
    });
  }

  /** Whether the keyboard was ever enabled in this page's life. */
  everEnabled() {
    return this.page.evaluate(() => globalThis.everEnabled);
  }

  /** The codes of all notices that the user has seen, also of those that are gone. */
  notices() {
    return this.page.evaluate(() => [...globalThis.noticed]);
  }

  async tell(picture) {
    if (picture) await this.page.screenshot({ path: picture, timeout: 5000 });
    const text = await this.page.evaluate(
      // biome-ignore lint/performance/useDomNodeTextContent: what is seen, without what is hidden.
      () => document.querySelector("main:not([hidden])")?.innerText,
    );
    return `viewer ${this.device} at ${this.page.url().replace(/#.*/, "#…")}: ${JSON.stringify(await this.dataset())} ${JSON.stringify(this.errors)}\n${text}`;
  }

  async stop() {
    await this.context.close();
  }
}
