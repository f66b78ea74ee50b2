/**
 * A Playwright agent that meets a sign-in wall, hands its browser over, and goes on signed in.
 *
 *     node dist/examples/playwright.js CDP_URL SITE_URL
 */

import { Client } from "authloop-handoff";
import { chromium } from "playwright-core";

const [cdpUrl, site] = process.argv.slice(2);
if (!cdpUrl || !site) throw new Error("usage: playwright.js CDP_URL SITE_URL");

const client = new Client();
const browser = await chromium.connectOverCDP(cdpUrl);
try {
  const page = browser.contexts()[0]?.pages()[0] ?? (await browser.newPage());
  await page.goto(`${site}/account`);

  if (new URL(page.url()).pathname === "/signin") {
    const handoff = await client.handoffs.create({
      cdpUrl,
      service: "Demo Bank",
      url: page.url(),
      wallType: "password",
      requester: "Balance agent",
      reason: "Read your balance",
      doneWhen: { any: [{ url: `${site}/account*` }] },
      storageState: [site],
    });
    console.log(`link: ${handoff.url}`);
    (await handoff.wait()).requireResolved();

    // The same browser is signed in; the state also opens a fresh one, without the user.
    const state = await handoff.storageState();
    const fresh = await browser.newContext({ storageState: state });
    const copy = await fresh.newPage();
    await copy.goto(`${site}/account`);
    console.log(`a fresh context: ${await copy.textContent("strong")}`);
    await fresh.close();
  }

  await page.goto(`${site}/account`);
  console.log(`signed in as: ${await page.textContent("strong")}`);
} finally {
  await browser.close();
}
