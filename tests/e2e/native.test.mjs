// What a screencast does not show, the viewer draws natively: one phone through all of it.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after } from "node:test";
import { ARTIFACTS, CHROMIUM, closeBrowser, scenario } from "./lib/harness.mjs";
import { Probe } from "./lib/probe.mjs";

after(closeBrowser);

const byId = (id) => `document.getElementById(${JSON.stringify(id)})`;

/** A phone's hand on the remote page, and an eye on what reached the site. */
class Hand {
  constructor(world, viewer, probe) {
    Object.assign(this, { world, viewer, probe, page: viewer.page, seen: 0 });
  }

  async tap(element) {
    const [x, y] = await this.probe.middle(element);
    const box = await this.page.locator("#video").boundingBox();
    await this.page.touchscreen.tap(box.x + x * box.width, box.y + y * box.height);
  }

  async sheet(id) {
    await this.page.waitForSelector(`#${id}[open]:not(:has([inert]))`);
  }

  async closed(id) {
    await this.page.waitForSelector(`#${id}:not([open])`, { state: "attached" });
  }

  shot(name) {
    return this.page.screenshot({ path: `${ARTIFACTS}native-${name}.png` });
  }

  /** The next records of the site, as "step value". */
  async next(count) {
    const all = await this.world.site.records(this.seen + count);
    const fresh = all.slice(this.seen).map((r) => `${r.step} ${r.fields.value ?? ""}`);
    this.seen = all.length;
    return fresh;
  }

  async pick(element, choose) {
    await this.tap(element);
    await this.sheet("sheet-picker");
    await choose(this.page.locator("#picker-control"));
    // A list of one says its last word by itself.
    if (await this.page.locator("#sheet-picker[open]").count())
      await this.page.click("#picker-set").catch(() => {});
    await this.closed("sheet-picker");
  }
}

scenario(
  "everything that the browser would ask unseen reaches the user",
  { path: "/native/controls", remote: CHROMIUM },
  async (world) => {
    const { host, viewer } = await world.live("phone");
    const { site } = world;
    const probe = world.keep(await Probe.open(world.remote.cdp, site.url));
    const hand = new Hand(world, viewer, probe);
    const { page } = viewer;
    // The picture, too, has the phone's shape: a tap beside it is none.
    await probe.until("innerWidth < 500");
    await page.waitForFunction(() => {
      const {
        videoWidth: w,
        videoHeight: h,
        clientWidth,
        clientHeight,
      } = document.querySelector("#video");
      return w > 0 && Math.abs(w / h - clientWidth / clientHeight) < 0.02;
    });

    // Lists: one, with groups and what cannot be chosen; several; in a shadow tree, in frames of
    // both origins.
    await hand.tap(byId("country"));
    await hand.sheet("sheet-picker");
    const told = await page.$$eval("#picker-control option", (all) =>
      all.map((o) => [o.textContent, o.matches(":disabled"), o.parentElement.label ?? ""]),
    );
    assert.deepEqual(
      told,
      [
        ["Country", true, ""],
        ["Åland", false, "Nordic"],
        ["Denmark", false, "Nordic"],
        ["Nowhere", false, "Closed"],
      ].map(([l, d, g]) => [l, d || g === "Closed", g]),
    );
    await hand.shot("select");
    await page.click("#sheet-picker [data-close]");
    await hand.closed("sheet-picker");
    await hand.pick(byId("country"), (c) => c.selectOption("1"));
    assert.deepEqual(await hand.next(2), ["input country ax", "change country ax"]);
    await hand.pick(byId("multi"), (c) => c.selectOption(["0", "2"]));
    assert.deepEqual(await hand.next(2), ["input multi a,c", "change multi a,c"]);
    await hand.pick(byId("custom"), (c) => c.selectOption("1"));
    assert.deepEqual(await hand.next(2), ["input custom Two", "change custom Two"]);
    await hand.pick(`${byId("host")}.shadowRoot.getElementById("inner")`, (c) =>
      c.selectOption("1"),
    );
    assert.ok((await hand.next(2)).includes("change inner Outside"));
    for (const [i, host] of ["127.0.0.1", "localhost"].entries()) {
      await hand.pick(`document.querySelectorAll("iframe")[${i}]`, (c) => c.selectOption("2"));
      assert.deepEqual(await hand.next(1), [`change framed ${host} dk`]);
    }

    // Dates, times, colours; by the page's own call, too.
    for (const [id, value] of [
      ["day", "1990-12-31"],
      ["time", "23:45"],
      ["stamp", "2026-11-25T10:30"],
      ["month", "2026-02"],
      ["week", "2026-W07"],
      ["colour", "#0b5fff"],
    ]) {
      await hand.pick(byId(id), (c) => c.fill(value));
      assert.deepEqual(await hand.next(2), [`input ${id} ${value}`, `change ${id} ${value}`]);
    }
    await hand.tap(byId("show"));
    await hand.sheet("sheet-picker");
    assert.equal(await page.inputValue("#picker-control"), "1990-12-31");
    await hand.shot("date");
    await page.click("#picker-clear");
    assert.deepEqual(await hand.next(2), ["input day ", "change day "]);

    // Suggestions follow what is typed.
    await hand.tap(byId("city"));
    await page.waitForSelector("#suggestions button");
    await page.waitForFunction(() => document.activeElement.id.startsWith("pad"));
    await viewer.type("aa");
    await page.waitForFunction(() => document.querySelectorAll("#suggestions button").length === 2);
    await hand.shot("suggestions");
    await hand.next(2);
    await page.click("#suggestions button >> text=Aalborg");
    assert.deepEqual(await hand.next(2), ["input city Aalborg", "change city Aalborg"]);
    await page.waitForSelector("#suggestions", { state: "hidden" });

    // HTTP authentication: wrong, cancelled, right; the page's other requests go their way.
    // Answered only once the page is there, and that is the user's to decide.
    const arrives = probe.send("Page.navigate", { url: `${site.url}/native/staff` });
    await hand.sheet("sheet-auth");
    assert.match(
      await page.textContent("#auth-title"),
      new RegExp(site.url.replaceAll(".", "\\.")),
    );
    assert.match(await page.textContent("#auth-realm"), /Northwind staff/);
    await page.fill("#auth-user", "staff");
    await page.fill("#auth-password", "wrong");
    await hand.shot("auth");
    await page.click("#auth-send");
    await site.records(hand.seen + 2);
    await hand.sheet("sheet-auth");
    assert.equal(await page.inputValue("#auth-password"), "");
    await page.fill("#auth-user", "staff");
    await page.fill("#auth-password", "brass-kettle-7");
    // A field takes Enter only once it has had the focus for a while.
    while (await page.isVisible("#sheet-auth")) {
      await page.press("#auth-password", "Enter").catch(() => {});
      await page.waitForTimeout(100);
    }
    await arrives;
    await probe.until(`${byId("staff")} !== null`);
    assert.deepEqual((await hand.next(4)).at(-1), "data 200,200,200");
    await hand.closed("sheet-auth");

    // Files: cancelled, refused for their size, sent in pieces as a whole.
    await probe.goto(`${site.url}/native/files`);
    await hand.tap(byId("card"));
    await hand.sheet("sheet-files");
    await page.click("#sheet-files [data-close]");
    assert.deepEqual(await hand.next(1), ["cancel 0"]);
    await hand.tap(byId("card"));
    await hand.sheet("sheet-files");
    assert.equal(await page.getAttribute("#files-input", "accept"), "image/*,.pdf");
    const file = (name, mimeType, buffer) => ({ name, mimeType, buffer });
    await page.setInputFiles("#files-input", [
      file("much.pdf", "application/pdf", Buffer.alloc(33 * 1024 * 1024)),
    ]);
    await page.waitForSelector("#files-problem:not([hidden])");
    assert.ok(await page.isDisabled("#files-send"));
    await hand.shot("files");
    const card = [
      file("Ausweis – vorn.png", "image/png", randomBytes(700_000)),
      file("back.pdf", "application/pdf", randomBytes(5)),
    ];
    await page.setInputFiles("#files-input", card);
    await page.click("#files-send");
    await page.waitForSelector("#files-progress:not([hidden])");
    await hand.closed("sheet-files");
    const sent = (await site.records(hand.seen + 2)).slice(hand.seen);
    hand.seen += 2;
    assert.deepEqual(
      sent.map((r) => r.fields),
      card.map(({ name, mimeType, buffer }) => ({
        name: encodeURIComponent(name),
        type: mimeType,
        size: String(buffer.length),
        sha256: createHash("sha256").update(buffer).digest("hex"),
      })),
    );

    // Passkeys and permissions: refused and explained, never a frozen page.
    await probe.goto(`${site.other}/native/asks`);
    for (const id of ["passkey", "create"]) {
      await hand.tap(byId(id));
      assert.deepEqual(await hand.next(1), [`${id} NotAllowedError`]);
      await hand.sheet("sheet-passkey");
      await hand.shot("passkey");
      await page.click("#passkey-other");
      await hand.closed("sheet-passkey");
    }
    await hand.tap(byId("where"));
    assert.deepEqual(await hand.next(1), ["where 1"]);
    await hand.tap(byId("camera"));
    assert.match((await hand.next(1))[0], /^camera Not(Allowed|Found)Error$/);
    await hand.tap(byId("notify"));
    assert.match((await hand.next(1))[0], /^notify (default|denied)$/);
    await hand.shot("refused");

    // They lie over the page until the user has read them.
    while (await page.locator("#notices button").count())
      await page.locator("#notices button").first().click();

    // A window that stays open, and the way back.
    await probe.goto(`${site.url}/native/window`);
    await hand.tap(byId("open"));
    await page.waitForSelector("#windows:not([hidden])");
    await page.waitForFunction(
      (o) => document.querySelector("#origin").textContent.trim() === o,
      site.other,
    );
    await page.click("#windows");
    await hand.sheet("sheet-windows");
    await hand.shot("windows");
    await page.click("#windows-list li:first-child button:first-child");
    await page.waitForFunction(
      (o) => document.querySelector("#origin").textContent.trim() === o,
      site.url,
    );
    await hand.tap(byId("here"));
    assert.deepEqual(await hand.next(1), ["here visible"]);
    await page.click("#windows");
    await page.click("#windows-list li:last-child button:last-child");
    await page.waitForSelector("#windows", { state: "hidden" });

    // Dialogs, each with what it takes.
    await probe.goto(`${site.url}/extra/dialogs`);
    for (const [id, answer] of [
      ["alert", "undefined"],
      ["confirm", "true"],
      ["prompt", "My phone"],
    ]) {
      await hand.tap(byId(id));
      await hand.sheet("page-dialog");
      assert.match(await page.textContent("#page-dialog-from"), /127\.0\.0\.1/);
      if (id === "prompt") await page.fill("#page-dialog-input", answer);
      await page.click("#page-dialog-ok");
      assert.deepEqual(await hand.next(1), [`${id} ${answer}`]);
    }

    // In the end the browser is as it was: a passkey's request waits again, a file chooser opens
    // again.
    await host.event(
      (e) => e.event === "notice" && e.code === "passkey_required",
      "the passkey's notice",
    );
    await viewer.done();
    await viewer.state("ended");
    assert.equal((await host.outcome()).code, 0);
    await probe.goto(`${site.other}/native/asks`);
    const waits = await probe.eval(
      `Promise.race([navigator.credentials.get({ publicKey: { challenge: new Uint8Array(32) } }).then(() => "got", (e) => e.name), new Promise((r) => setTimeout(r, 300, "waits"))])`,
    );
    assert.equal(waits, "waits");
    assert.deepEqual(viewer.errors, []);
  },
);
