// In another page's frame, and under another name: only where the server allows it, and telling
// nothing but the state.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { bench, inState } from "../support/browser.mjs";

let b;
let parents;
before(async () => {
  b = await bench();
  parents = createServer((_, res) =>
    res.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>app</title>"),
  );
  await new Promise((r) => parents.listen(0, "127.0.0.1", () => r(null)));
});
after(async () => {
  parents?.close();
  await b?.stop();
});
const parentAt = (host) => `http://${host}:${parents.address().port}`;

/** A page that frames the link and notes every message, from whomever. */
async function framed(link, host = "127.0.0.1") {
  const v = await b.viewer({ viewport: { width: 900, height: 700 } });
  await v.page.goto(parentAt(host));
  await v.page.evaluate((src) => {
    globalThis.messages = [];
    addEventListener("message", (e) => messages.push({ origin: e.origin, data: e.data }));
    const frame = document.createElement("iframe");
    frame.allow = "clipboard-read; clipboard-write";
    Object.assign(frame.style, { width: "800px", height: "600px" });
    frame.src = src;
    document.body.append(frame);
  }, link);
  return v;
}
const messages = (page) => page.evaluate(() => globalThis.messages);
const viewerIn = (page) => page.frames().find((f) => f.url().startsWith(b.stub.origin));

function allow(...origins) {
  b.stub.ancestors = origins.join(" ");
  b.stub.files["brand/brand.json"] = JSON.stringify({
    name: "Contoso",
    logo: "brand/logo.svg",
    embed: origins,
  });
}

test("an allowed page frames it and hears each state, never the secret or what is typed", async () => {
  allow(parentAt("127.0.0.1"));
  const s = await b.session();
  const v = await framed(s.link);

  await v.page.waitForFunction(() => messages.some((m) => m.data.state === "invitation"));
  const frame = viewerIn(v.page);
  await frame.click("#open");
  await v.page.waitForFunction(() => messages.some((m) => m.data.state === "live"));
  await frame.waitForFunction(() => document.documentElement.dataset.keyboard === "enabled");
  await frame.focus("#pad");
  await v.page.keyboard.type("hunter2");
  await s.host.waitForFunction(() => fake.events.filter((e) => e.key === "2").length === 2);
  await frame.click("#done");
  await v.page.waitForFunction(() => messages.some((m) => m.data.state === "ended"));

  const all = await messages(v.page);
  assert.deepEqual([...new Set(all.map((m) => m.origin))], [b.stub.origin]);
  const base = { source: "authloop", version: 1, session: s.id };
  const states = all.map((m) => m.data).filter((m, i, a) => m.state !== a[i - 1]?.state);
  assert.deepEqual(states, [
    ...["connecting", "invitation", "connecting", "live"].map((state) => ({ ...base, state })),
    { ...base, state: "ended", outcome: "resolved" },
  ]);
  const secret = s.link.split("#")[1].slice(22);
  for (const m of all)
    assert.doesNotMatch(JSON.stringify(m), new RegExp(`hunter|${secret.slice(4, 24)}`));
  await v.context.close();
  await s.closeHost();
});

test("any other page gets neither the frame nor a message", async () => {
  allow(parentAt("127.0.0.1"));
  const s = await b.session();
  const blocked = await framed(s.link, "localhost");
  await blocked.page.waitForFunction(
    () => document.querySelector("iframe").contentWindow.length === 0,
  );
  await blocked.page.waitForFunction(() =>
    performance.getEntriesByType("resource").some((r) => r.initiatorType === "iframe"),
  );
  assert.equal(
    await blocked.page
      .frames()
      .at(-1)
      .evaluate(() => document.documentElement.dataset.state ?? "none"),
    "none",
  );
  assert.deepEqual(await messages(blocked.page), []);
  await blocked.context.close();

  // Should a server's list and its policy ever differ, the list is what counts for messages.
  b.stub.ancestors = "*";
  const stranger = await framed(s.link, "localhost");
  await stranger.page.waitForFunction(() => document.querySelector("iframe"));
  await (
    await stranger.page.waitForSelector("iframe").then((h) => h.contentFrame())
  ).waitForFunction(() => document.documentElement.dataset.state === "invitation");
  assert.deepEqual(await messages(stranger.page), []);
  await stranger.context.close();
  await s.closeHost();
});

test("an error is told by its code; by itself the page tells nobody", async () => {
  allow(parentAt("127.0.0.1"));
  const v = await framed(`${b.stub.origin}/#abc`);
  await v.page.waitForFunction(() => messages.some((m) => m.data.state === "error"));
  assert.deepEqual((await messages(v.page)).at(-1).data, {
    source: "authloop",
    version: 1,
    session: "",
    state: "error",
    code: "link_incomplete",
  });
  await v.context.close();

  const alone = await b.viewer();
  await alone.page.goto(`${b.stub.origin}/#abc`);
  await inState(alone.page, "error");
  assert.equal(
    await alone.page.evaluate(() => document.documentElement.hasAttribute("data-embedded")),
    false,
  );
  await alone.context.close();
});

test("a brand's name, logo and colour are on the page", async () => {
  allow(parentAt("127.0.0.1"));
  b.stub.files["brand/logo.svg"] =
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path d="M0 0h8v8z" fill="#036"/></svg>';
  b.stub.files["brand/brand.css"] = ":root { --accent: #003366; }";
  const s = await b.session();
  const v = await b.viewer({ colorScheme: "light" });
  await v.page.goto(s.link);
  await inState(v.page, "invitation");

  assert.equal((await v.page.textContent("#screen-invitation .brand")).trim(), "Contoso");
  await v.page.waitForFunction(
    () => document.querySelector("#screen-invitation .logo").naturalWidth > 0,
  );
  assert.equal(
    await v.page.evaluate(() => getComputedStyle(document.querySelector("#open")).backgroundColor),
    "rgb(0, 51, 102)",
  );
  assert.deepEqual(v.errors, []);
  await v.context.close();
  await s.closeHost();
});
