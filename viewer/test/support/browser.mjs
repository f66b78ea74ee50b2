// Chromium, a stub server and a fake host for one test file.
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";
import { Stub } from "./stub.mjs";

const HEADLESS_SHELL = "/usr/bin/chromium-headless-shell";
/** The engine alone takes half the processor time of the whole Chromium, whose windows nobody sees. */
const CHROMIUM =
  process.env.CHROMIUM ?? (existsSync(HEADLESS_SHELL) ? HEADLESS_SHELL : "/usr/bin/chromium");
/** Playwright's own is every animation frame, which has the page painted 60 times a second. */
const POLLING_INTERVAL_MS = 30;

export const FLAGS = [
  "--headless=new",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--allow-loopback-in-peer-connection",
  "--disable-dev-shm-usage",
];

/** Has waits in this page look less often than Playwright would. */
function pollSlowly(page) {
  const wait = page.waitForFunction.bind(page);
  page.waitForFunction = (condition, arg, options) =>
    wait(condition, arg, { polling: POLLING_INTERVAL_MS, ...options });
  return page;
}

export async function bench() {
  const stub = await new Stub().start();
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: FLAGS,
  });
  const bench = {
    stub,
    browser,
    /** A session with its host page. */
    async session(invitation = {}, lie = null) {
      const context = await browser.newContext();
      const host = pollSlowly(await context.newPage());
      await host.goto(`${stub.origin}/test/support/host.html`);
      await host.waitForFunction("window.fake?.create");
      const made = await host.evaluate(
        ([i, l]) => {
          fake.lie = l;
          return fake.create(i);
        },
        [invitation, lie],
      );
      return { host, ...made, closeHost: () => context.close() };
    },
    /** A viewer page. */
    async viewer(options = {}) {
      const context = await browser.newContext(options);
      const page = pollSlowly(await context.newPage());
      page.setDefaultTimeout(15_000);
      const errors = [];
      page.on("pageerror", (e) => errors.push(String(e)));
      page.on("console", (m) => m.type() === "error" && errors.push(m.text()));
      return { page, context, errors };
    },
    /** A viewer page that has claimed a session and may type. */
    async live(options = {}, invitation = {}) {
      const s = await bench.session(invitation);
      const v = await bench.viewer(options);
      await v.page.goto(s.link);
      await inState(v.page, "invitation");
      await v.page.click("#open");
      await enabled(v.page);
      return {
        ...s,
        ...v,
        close: async () => {
          await v.context.close();
          await s.closeHost();
        },
      };
    },
    async stop() {
      await browser.close();
      await stub.stop();
    },
  };
  return bench;
}

/** @param {import("playwright-core").Page} page @param {string} state */
export const inState = (page, state, timeout = 15_000) =>
  page.waitForFunction((s) => document.documentElement.dataset.state === s, state, { timeout });

export const enabled = (page) =>
  page.waitForFunction(
    () =>
      document.documentElement.dataset.keyboard === "enabled" &&
      document.documentElement.dataset.state === "live",
  );

/** What came up by another's will takes a press, or its field has the focus. */
export const takesPresses = (page, id) => page.waitForSelector(`#${id}:not([inert])`);

/** Presses Enter until the sheet is gone: a field takes it only once it has had the focus for a while. */
export async function pressEnter(page, sheet) {
  while (await page.isVisible(`#${sheet}`)) {
    await page.keyboard.press("Enter");
    await page.waitForTimeout(100);
  }
}

/** What the error screen calls its error. */
export const errorCode = (page) => page.textContent("#error-code");
