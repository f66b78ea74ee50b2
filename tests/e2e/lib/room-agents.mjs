// Agents at a wall, as their tools have them: a page of Playwright's or Puppeteer's over CDP.

import { chromium } from "playwright-core";
import puppeteer from "puppeteer-core";
import { within } from "./part.mjs";

export class RoomAgent {
  /**
   * Playwright over CDP.
   * @param {{own?: object, cdp?: string, kept?: boolean}} options `own`: in a context of its own, made
   *   with these options; `kept`: with what other tests have left in the browser
   */
  static async playwright(rooms, { own, cdp = rooms.world.remote.cdp, kept = false } = {}) {
    const browser = await chromium.connectOverCDP(cdp);
    const open = async () => {
      const context = own ? await browser.newContext(own) : browser.contexts()[0];
      const page = await context.newPage();
      return { page, session: await context.newCDPSession(page) };
    };
    // These have no time-out of Playwright's.
    const { page, session } = await within(20_000, () => "a page of Playwright's", open());
    const agent = rooms.guest(
      await RoomAgent.#at(cdp, { browser, page, session }, () => browser.close()),
    );
    if (!kept) await agent.#forget(rooms.sites.origins());
    return agent;
  }

  static async puppeteer(rooms, { own } = {}) {
    const { cdp } = rooms.world.remote;
    const browser = await puppeteer.connect({ browserURL: cdp, defaultViewport: null });
    const context = own ? await browser.createBrowserContext() : browser.defaultBrowserContext();
    const page = await context.newPage();
    const session = await page.createCDPSession();
    const leave = async () => {
      if (own) await context.close();
      await browser.disconnect();
    };
    const agent = rooms.guest(await RoomAgent.#at(cdp, { browser, page, session }, leave));
    await agent.#forget(rooms.sites.origins());
    return agent;
  }

  static async #at(cdp, parts, leave) {
    const agent = Object.assign(new RoomAgent(), parts, { leave });
    const { targetInfo } = await agent.session.send("Target.getTargetInfo");
    agent.targetId = targetInfo.targetId;
    agent.address = `${cdp.replace(/^http/, "ws")}/devtools/page/${agent.targetId}`;
    agent.browserContextId = targetInfo.browserContextId;
    return agent;
  }

  /** Begins with nothing of these sites. */
  async #forget(origins) {
    await this.session.send("Network.clearBrowserCookies");
    const forgotten = origins.map((origin) =>
      this.session.send("Storage.clearDataForOrigin", { origin, storageTypes: "all" }),
    );
    await Promise.all(forgotten);
  }

  /** Goes to the wall, as far as an agent comes by itself. */
  async arrive(site) {
    await site.prepare?.(this.page);
    await this.page.goto(site.url);
    await this.sees("form, iframe");
  }

  /** Whether the page shows the account now; never waits for a browser that is held. */
  shows(selector = "#who") {
    const look = this.page.evaluate((s) => document.querySelector(s) !== null, selector);
    return within(3000, () => "the agent's browser, which nothing may hold", look);
  }

  /** Waits until it is there; what else the agent has done to its page may hide it. */
  async sees(selector = "#who") {
    await this.page.waitForSelector(selector, { timeout: 15_000, state: "attached" });
  }

  /** All cookies of the page's context, of whatever site. */
  async cookies() {
    return (await this.session.send("Network.getAllCookies")).cookies;
  }

  async stop() {
    const left = this.page
      .close()
      .catch(() => {})
      .then(this.leave);
    await within(20_000, () => "an agent to leave", left);
  }
}
