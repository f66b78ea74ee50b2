// The viewer in Firefox, by WebDriver BiDi: another engine's WebRTC, WebCrypto and events.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import puppeteer from "puppeteer-core";
import { scenario } from "./lib/harness.mjs";
import { CODE, PASSWORD, site, submissions, USER } from "./lib/signin.mjs";

const FIREFOX = process.env.FIREFOX ?? "/usr/bin/firefox-esr";
const skip = existsSync(FIREFOX)
  ? false
  : `no Firefox at ${FIREFOX} (script/bootstrap --tests installs it)`;

scenario("signs in from Firefox", { site, skip }, async (world) => {
  const browser = await puppeteer.launch({
    browser: "firefox",
    executablePath: FIREFOX,
    headless: true,
    // The relay is on this machine's loopback, where no page usually looks for one.
    extraPrefsFirefox: {
      "media.peerconnection.ice.loopback": true,
      "media.peerconnection.ice.obfuscate_host_addresses": false,
    },
  });
  world.keep({ stop: () => browser.close() });
  const host = world.host(["--expect-origin", world.site.url]);
  const page = await browser.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  const data = (key, value) =>
    page.waitForFunction(
      (k, v) => document.documentElement.dataset[k] === v,
      { timeout: 40_000 },
      key,
      value,
    );
  const field = (autocomplete) =>
    page.waitForFunction(
      (a) => document.activeElement?.matches(`#pad[autocomplete="${a}"]`),
      { timeout: 20_000 },
      autocomplete,
    );

  await page.goto(await host.link());
  await data("state", "invitation");
  await page.click("#open");
  await data("state", "live");
  await data("keyboard", "enabled");
  await page.waitForFunction(() => document.getElementById("video").videoWidth > 0);
  await field("username");
  await page.keyboard.type(USER);
  await page.keyboard.press("Tab");
  await field("current-password");
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press("Enter");
  await field("one-time-code");
  await page.keyboard.type(CODE);
  await page.keyboard.press("Enter");
  assert.deepEqual(await world.site.records(2), submissions);
  await page.click("#done");
  await data("outcome", "resolved");

  assert.deepEqual(await host.outcome(), { code: 0, event: "resolved", cookies: 1 });
  assert.deepEqual(errors, []);
});
