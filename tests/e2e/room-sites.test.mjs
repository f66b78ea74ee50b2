// The sites of the rooms' tests are honest: each signs a user in in a plain browser, without
// authloop, and the weak ones are as weak as they say.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { plainBrowser } from "./lib/harness.mjs";
import { walkPlainly } from "./lib/plain-user.mjs";
import {
  BAITED_KINDS,
  BOUND_KINDS,
  CARELESS_KINDS,
  MOVING_KINDS,
  RoomSites,
} from "./lib/room-sites.mjs";

let browser;
let sites;
before(async () => {
  [browser, sites] = await Promise.all([plainBrowser(), RoomSites.start()]);
});
after(async () => {
  await browser?.close();
  sites?.stop();
});

for (const kind of [...MOVING_KINDS, ...BOUND_KINDS]) {
  test(`${kind}: a user signs in`, { timeout: 30_000 }, async () => {
    const site = sites.of(kind);
    const context = await browser.newContext();
    const page = await context.newPage();
    await site.prepare?.(page);
    await page.goto(site.url);
    assert.equal(await page.locator("#who").count(), 0, "nobody is signed in before");

    await walkPlainly(context, site);

    await page.waitForSelector("#who");
    assert.equal(await page.textContent("#who"), "ada@example.com");
    await context.close();
  });
}

test("the partitioned cookie is for this pair of sites alone", async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  const site = sites.of("partitioned");
  await page.goto(site.url);
  await walkPlainly(context, site);
  await page.waitForSelector("#who");

  const cdp = await browser.newBrowserCDPSession();
  const { browserContextIds } = await cdp.send("Target.getBrowserContexts");
  const jars = await Promise.all(
    browserContextIds.map((browserContextId) =>
      cdp.send("Storage.getCookies", { browserContextId }),
    ),
  );
  const cookies = jars.flatMap((jar) => jar.cookies).filter((c) => c.domain === "widget.localhost");
  assert.deepEqual(
    cookies.map((c) => c.partitionKey),
    [{ topLevelSite: "http://partitioned.localhost", hasCrossSiteAncestor: true }],
  );
  await page.goto(`${sites.of("widget").origin}/panel`);
  assert.ok(await page.locator("#password").isVisible(), "elsewhere it does not count");
  await context.close();
});

test("an old token that comes back ends the rotating session", async () => {
  const site = sites.of("rotating");
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(site.url);
  await walkPlainly(context, site);
  await page.waitForSelector("#who");
  // So that the token that is copied is still the newest one when the copy comes.
  await context.setOffline(true);
  const second = await browser.newContext({ storageState: await context.storageState() });
  const copy = await second.newPage();
  await copy.goto(site.url);
  await copy.waitForSelector("#who");
  await context.setOffline(false);
  await page.reload();
  await page.waitForSelector("#password");
  assert.equal(site.revoked, 1);
  await Promise.all([context.close(), second.close()]);
});

test("another user agent, and another browser's key, are not let in", async () => {
  for (const kind of ["user-agent", "bound-key", "memory"]) {
    const site = sites.of(kind);
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(site.url);
    await walkPlainly(context, site);
    await page.waitForSelector("#who");
    const other = await browser.newContext({
      storageState: await context.storageState({ indexedDB: true }),
      userAgent: "Mozilla/5.0 (another)",
    });
    const copy = await other.newPage();
    await copy.goto(site.url);
    await copy.waitForSelector("#password");
    assert.equal(await copy.locator("#who").count(), 0, kind);
    await Promise.all([context.close(), other.close()]);
  }
});

for (const kind of BAITED_KINDS) {
  test(`${kind}: what an agent has planted hears what is typed`, async () => {
    const site = sites.of(kind);
    const { stolen } = sites.of("evil");
    stolen.length = 0;
    const context = await browser.newContext();
    const page = await context.newPage();
    await site.plant(page);
    await page.goto(kind === "query-hole" ? page.url() : site.url);

    await walkPlainly(context, site);

    await page.waitForURL("**/account");
    assert.ok(stolen.includes(sites.secrets["current-password"]), `${stolen}`);
    await context.close();
  });
}

for (const kind of CARELESS_KINDS) {
  test(`${kind}: the password is where it does not belong`, async () => {
    const site = sites.of(kind);
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(site.url);
    await walkPlainly(context, site);
    await page.waitForURL((url) => url.pathname !== "/login");
    const password = sites.secrets["current-password"];
    if (kind === "query-form") assert.ok(page.url().includes(password));
    else {
      const kept = await page.evaluate(() => ({ ...localStorage, ...sessionStorage }));
      assert.ok(kept.remembered.includes(password));
      assert.equal(atob(kept.basic).split(":")[1], password);
      assert.equal(Buffer.from(kept.hex, "hex").toString(), password);
      assert.equal(Buffer.from(kept.wide, "base64").toString("utf16le"), password);
      assert.ok(Object.keys(kept).some((name) => name.includes(password)));
      assert.match(await page.evaluate(() => document.cookie), /remember=.*language=en/);
    }
    await page.goto(`${site.origin}/account`);
    assert.equal(await page.textContent("#who"), "ada@example.com");
    await context.close();
  });
}

test("mirroring: what is typed is in an attribute, in the address and in a request", async () => {
  const site = sites.of("mirroring");
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(site.url);
  const password = sites.secrets["current-password"];
  await page.locator("#password").pressSequentially(password);
  await page.waitForSelector(`#password[value^="${password}"]`);
  assert.ok(page.url().includes(password));
  assert.ok(site.asked.some((asked) => asked.startsWith("GET /echo") && asked.includes(password)));
  await context.close();
});
