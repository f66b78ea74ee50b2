// The promise: a person signs in from their own device, and the agent's browser is signed in.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after } from "node:test";
import { ARTIFACTS, CHROMIUM, closeBrowser, scenario } from "./lib/harness.mjs";
import { PASSWORD, signIn, site, submissions, USER } from "./lib/signin.mjs";

after(closeBrowser);

const BUTTON_BLUE = [11, 95, 255];

for (const device of ["phone", "desktop"]) {
  scenario(`signs in from a ${device}`, { site, remote: CHROMIUM }, async (world) => {
    const state = `${ARTIFACTS}state-${device}.json`;
    const host = world.host([
      "--expect-origin",
      world.site.url,
      "--requester",
      "Invoice agent",
      "--storage-state",
      state,
    ]);
    const link = await host.link();
    assert.equal(new URL(link).origin, world.origin);
    await host.state("waiting");
    const viewer = await world.viewer(device);

    await viewer.open(link);
    assert.ok(
      !viewer.page.url().includes(new URL(link).hash.slice(23)),
      "the secret has left the address bar",
    );
    assert.equal(await viewer.page.textContent("#requester"), "Invoice agent");
    assert.equal((await viewer.dataset()).keyboard, "disabled");
    await viewer.claim();

    await host.state("live");
    assert.equal((await viewer.page.textContent("#origin")).trim(), world.site.url);
    const picture = await viewer.picture(BUTTON_BLUE);
    assert.ok(picture.colours > 8, `a blank picture: ${JSON.stringify(picture)}`);
    assert.ok(picture.near > 500, `no blue button in the picture: ${JSON.stringify(picture)}`);

    await signIn(viewer);
    assert.deepEqual(await world.site.records(2), submissions);

    const path = await viewer.path();
    assert.equal(path.selected, world.server.relay);
    const ways = [world.server.relay, ...world.server.streams.tcp];
    assert.deepEqual(
      path.remotes.filter((address) => !ways.includes(address)),
      [],
      "no way but the relay",
    );
    assert.ok(path.framesDecoded > 0 && path.received > 0, JSON.stringify(path));
    await viewer.page.screenshot({ path: `${ARTIFACTS}signin-${device}.png` });

    await viewer.done();
    await viewer.state("ended");
    assert.equal((await viewer.dataset()).outcome, "resolved");
    assert.deepEqual(await host.outcome(), { code: 0, event: "resolved", cookies: 1 });
    assert.equal(
      await viewer.page.evaluate(() => globalThis.enabledUnverified),
      undefined,
      "a keyboard before the keys were confirmed",
    );
    assert.deepEqual(viewer.errors, []);

    const cookies = JSON.parse(readFileSync(state)).cookies;
    assert.deepEqual(
      cookies.map((c) => [c.name, c.httpOnly, c.sameSite]),
      [["demo_session", true, "Lax"]],
    );
    const signedIn = await fetch(`${world.site.url}/account`, {
      headers: { cookie: `demo_session=${cookies[0].value}` },
      redirect: "manual",
    });
    assert.equal(signedIn.status, 200, "the cookie that the agent got opens the account");
  });
}

scenario(
  "a wrong password and a wrong code are told by the site and mended",
  { site },
  async (world) => {
    const { host, viewer } = await world.live("desktop");

    await viewer.field("username");
    await viewer.type(USER);
    await viewer.press("Tab");
    await viewer.field("current-password");
    await viewer.type("wrong");
    await viewer.press("Enter");
    const [first] = await world.site.records(1);
    assert.deepEqual(first, {
      step: "password",
      ok: false,
      fields: { user: USER, password: "wrong" },
    });

    // The page keeps the name and asks again; select what is there and write over it.
    await viewer.field("username");
    await viewer.press("ControlOrMeta+a");
    await signIn(viewer);
    assert.deepEqual((await world.site.records(3)).slice(1), submissions);
    await viewer.done();
    assert.equal((await host.outcome()).code, 0);
  },
);

scenario("a password is pasted as one edit", { site }, async (world) => {
  const { host, viewer } = await world.live("desktop");
  await viewer.context.grantPermissions(["clipboard-read", "clipboard-write"], {
    origin: world.origin,
  });

  await viewer.field("username");
  await viewer.type(USER);
  await viewer.press("Tab");
  await viewer.field("current-password");
  await viewer.page.evaluate((text) => navigator.clipboard.writeText(text), PASSWORD);
  await viewer.page.click("#paste");
  await viewer.field("current-password");
  await viewer.press("Enter");

  const [first] = await world.site.records(1);
  assert.deepEqual(first, submissions[0]);
  await viewer.page.click("#decline");
  await viewer.page.click("#sheet-decline [data-reason=declined]");
  assert.equal((await host.outcome()).code, 3);
});

scenario(
  "every key arrives once and in order, in the page's own events",
  { path: "/extra/keys" },
  async (world) => {
    const { viewer } = await world.live("desktop");
    const text = "the quick brown fox jumps over the lazy dog 0123456789 the end";

    await viewer.page.waitForSelector("#pad[autocomplete=off]", { state: "attached" });
    await viewer.type(text);

    const downs = await world.site.records(3 * text.length);
    const keys = (step) => downs.filter((r) => r.step === step).map((r) => r.fields.value);
    assert.equal(keys("keydown").join(""), text);
    assert.equal(keys("keyup").join(""), text);
    assert.equal(keys("text").at(-1), text);
  },
);
