// Other people's software: where an agent was stopped, its user signs in in a private room, and the
// agent's browser is signed in, whichever start the wall's kind has.

import assert from "node:assert/strict";
import { plainBrowser } from "./lib/harness.mjs";
import { walkPlainly } from "./lib/plain-user.mjs";
import { DjangoAdmin, JupyterLab, OpenIdWorld } from "./lib/real-software.mjs";
import { RoomAgent } from "./lib/room-agents.mjs";
import { assertSignedIn, finish, roomsOfFile, walk } from "./lib/rooms.mjs";

const roomTest = roomsOfFile();

/** The software by its name, running until the test ends. */
const SOFTWARE = {
  "Django's admin": async (rooms) => rooms.guest(await DjangoAdmin.start(rooms.sites.secrets)),
  JupyterLab: async (rooms) => rooms.guest(await JupyterLab.start(rooms.sites.secrets)),
  "oidc-client-ts": async (rooms) => (await openId(rooms)).apps["oidc-client-ts"],
  "auth0-spa-js": async (rooms) => (await openId(rooms)).apps["auth0-spa-js"],
};
const openId = async (rooms) => rooms.guest(await OpenIdWorld.start(rooms.sites.secrets));

for (const [name, start] of Object.entries(SOFTWARE)) {
  roomTest(`${name}: the session moves to the agent's browser`, async (rooms, t) => {
    const site = await start(rooms);
    await t.test("a plain browser signs in", async () => {
      const browser = await plainBrowser();
      const context = await browser.newContext();
      const page = await context.newPage();
      await page.goto(site.url);
      await walkPlainly(context, site);
      await page.waitForSelector(site.signedIn);
      await browser.close();
    });

    const agent = await RoomAgent.playwright(rooms);
    await agent.arrive(site);
    assert.equal(await agent.shows(site.signedIn), false, "the agent is at the wall");
    const made = await rooms.ask(agent, site);
    assert.equal(made.room, "private");
    const viewer = await rooms.user(made.session_url);
    await walk(viewer, site);
    const told = await finish(viewer);
    for (const granted of site.grants) assert.ok(told.includes(granted), told);
    await viewer.state("ended");
    assertSignedIn(await rooms.ended(made.session_id));

    await agent.sees(site.signedIn);
    await agent.page.goto(site.url);
    await agent.sees(site.signedIn);
    const cookies = await agent.cookies();
    const elsewhere = cookies.filter(
      ({ name: n, domain }) => n === "_session" && domain === "openid.localhost",
    );
    assert.deepEqual(elsewhere, [], "the identity provider's session moved");
  });
}
