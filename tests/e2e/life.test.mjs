// What happens to phones: the trip to the SMS app, a dead socket, another network, a server that
// dies. Whatever it is, each key typed meanwhile arrives once and in order.

import assert from "node:assert/strict";
import { after } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import {
  ARTIFACTS,
  CHROMIUM,
  closeBrowser,
  DEVICES,
  plainBrowser,
  scenario,
  within,
} from "./lib/harness.mjs";
import { Netns, whyNoNamespaces } from "./lib/netns.mjs";
import { Viewer } from "./lib/viewer.mjs";

const namespaces = whyNoNamespaces();
const netns = namespaces ? null : new Netns();
after(async () => {
  netns?.stop();
  await closeBrowser();
});

/** The pace of a quick typist, in milliseconds a key. */
const PACE = 60;
/** Longer than the other side takes to miss it. */
const SLEEP_MS = 8000;

const keys = {
  path: "/extra/keys",
  skip: namespaces,
  server: [
    "--listen",
    `${netns?.outside}:0`,
    "--relay-listen",
    `${netns?.outside}:0`,
    "--open-registration",
  ],
};

/** A user in a network of their own, up to the first frame. */
async function live(world, device = "desktop") {
  const trust = `--unsafely-treat-insecure-origin-as-secure=${world.origin}`;
  const browser = await plainBrowser({ executablePath: netns.wrapper(CHROMIUM), args: [trust] });
  world.keep({ stop: () => browser.close() });
  const host = world.host();
  const viewer = world.keep(await Viewer.start(await browser.newContext(DEVICES[device]), device));
  await viewer.open(await host.link());
  await viewer.claim();
  await viewer.page.waitForSelector("#pad[autocomplete=off]", { state: "attached" });
  return { host, viewer };
}

/** What the remote page has, once it has `typed`; and its keydowns. */
async function arrived(world, typed) {
  const seen = async () => {
    const all = await world.site.records();
    return {
      text: all.filter((r) => r.step === "text").at(-1)?.fields.value ?? "",
      downs: all
        .filter((r) => r.step === "keydown")
        .map((r) => r.fields.value)
        .join(""),
    };
  };
  const whole = async () => {
    for (;;) {
      const now = await seen();
      if (now.text.length >= typed.length && now.downs.length >= typed.length) return now;
      await world.site.records((await world.site.records()).length + 1);
    }
  };
  return within(40_000, () => `the text ${JSON.stringify(typed)}`, whole());
}

scenario(
  "typing through a dead socket, another network, and a server that dies: nothing lost, doubled or reordered",
  keys,
  async (world) => {
    const { host, viewer } = await live(world);
    let typed = "";
    const type = async (text, meanwhile) => {
      const typing = viewer.page.keyboard.type(text, { delay: PACE });
      await meanwhile();
      await typing;
      typed += text;
      assert.deepEqual(await arrived(world, typed), { text: typed, downs: typed });
      await viewer.state("live");
    };

    await type("the socket is cut here. ", async () => {
      await pause(5 * PACE);
      netns.breakTcp();
    });
    await type("the address changes, as on leaving the house. ", async () => {
      await pause(5 * PACE);
      netns.changeAddress();
    });
    await type("the server is killed and comes back. ", async () => {
      await pause(5 * PACE);
      await world.restartServer(async () => {
        await viewer.state("reconnecting");
        await viewer.page.screenshot({ path: `${ARTIFACTS}life-reconnecting-desktop.png` });
      });
    });

    await viewer.done();
    assert.equal((await host.outcome()).code, 0);
    assert.deepEqual(
      viewer.errors.filter((e) => !/WebSocket|net::|Failed to load/.test(e)),
      [],
    );
  },
);

scenario("a phone that slept while the server died goes on where it was", keys, async (world) => {
  const { host, viewer } = await live(world, "phone");
  await viewer.page.tap("#keyboard");
  await viewer.type("before ");
  await arrived(world, "before ");

  netns.sleep();
  await world.restartServer();
  await pause(SLEEP_MS);
  netns.wake();

  await viewer.type("after");
  await viewer.page.screenshot({ path: `${ARTIFACTS}life-awake-phone.png` });
  assert.deepEqual(await arrived(world, "before after"), {
    text: "before after",
    downs: "before after",
  });
  await viewer.state("live");
  await viewer.done();
  assert.equal((await host.outcome()).code, 0);
});

scenario(
  "another device gets the session only by the first one's consent",
  { path: "/extra/keys" },
  async (world) => {
    const { host, viewer } = await world.live("phone");
    const link = await host.link();
    await viewer.page.waitForSelector("#pad[autocomplete=off]", { state: "attached" });
    await viewer.page.tap("#keyboard");
    await viewer.type("from the phone, ");
    const second = await world.viewer("desktop");
    const shown = async (page, place) => /\d{6}/.exec(await page.textContent(place))?.[0];

    // Asked, the phone consents; what was typed before goes first.
    await second.page.goto(link);
    assert.equal(await second.error(), "already_claimed");
    await second.page.click("#take-over");
    await viewer.page.waitForSelector("#takeover:not([hidden])");
    await second.page.waitForFunction(() =>
      /\d{6}/.test(document.querySelector("#connecting-note").textContent),
    );
    assert.equal(
      await shown(second.page, "#connecting-note"),
      await shown(viewer.page, "#takeover-text"),
    );
    assert.equal(await second.everEnabled(), false);
    await viewer.page.screenshot({ path: `${ARTIFACTS}life-takeover-phone.png` });
    await second.page.screenshot({ path: `${ARTIFACTS}life-takeover-desktop.png` });
    await viewer.type("the last of it, ");
    await viewer.page.tap("#takeover-consent");

    assert.equal(await viewer.error(), "handed_over");
    await viewer.page.screenshot({ path: `${ARTIFACTS}life-handed-over-phone.png` });
    await host.event((e) => e.event === "handed_over", "the takeover");
    await second.state("live");
    await second.data("keyboard", "enabled");
    await second.page.waitForSelector("#pad[autocomplete=off]", { state: "attached" });
    await second.type("and the desktop");
    const typed = "from the phone, the last of it, and the desktop";
    assert.deepEqual((await arrived(world, typed)).text, typed);

    // The phone wants it back: refused, nothing changes.
    await viewer.page.goto("about:blank");
    await viewer.page.goto(link);
    assert.equal(await viewer.error(), "already_claimed");
    await viewer.page.tap("#take-over");
    await second.page.waitForSelector("#takeover:not([hidden])");
    await second.page.screenshot({ path: `${ARTIFACTS}life-takeover-question-desktop.png` });
    await second.page.click("#takeover-refuse");
    await viewer.page.waitForFunction(
      () => document.querySelector("#error-code").textContent === "takeover_refused",
    );
    assert.equal(await viewer.everEnabled(), false, "in the life of this page");
    await second.done();
    assert.equal((await host.outcome()).code, 0);
  },
);
