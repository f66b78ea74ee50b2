// What the remote browser asks outside its pixels: pickers, suggestions, HTTP authentication,
// files, windows, passkeys. Both sizes, clean for axe-core.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { violationsIn } from "../support/axe.mjs";
import { bench } from "../support/browser.mjs";

const shots = process.env.SHOTS;
if (shots) mkdirSync(shots, { recursive: true });
const DEVICES = {
  phone: {
    viewport: { width: 390, height: 760 },
    deviceScaleFactor: 2,
    isMobile: true,
    hasTouch: true,
  },
  laptop: { viewport: { width: 1200, height: 800 }, colorScheme: "dark" },
};

let b;
before(async () => {
  b = await bench();
});
after(async () => {
  await b?.stop();
});

async function live(options) {
  const s = await b.live(options);
  const say = (output) => s.host.evaluate((o) => fake.output(o), output);
  const answers = (t) =>
    s.host.evaluate(
      (t) => fake.events.filter((e) => e.t === t).map(({ epoch, ...rest }) => rest),
      t,
    );
  /** The host's events of this kind, once there are so many. */
  const heard = async (t, n) => {
    await s.host.waitForFunction(
      ([t, n]) => fake.events.filter((e) => e.t === t).length >= n,
      [t, n],
      { timeout: 10_000 },
    );
    return answers(t);
  };
  return { ...s, say, heard };
}

async function clean(s, name) {
  await s.page.waitForTimeout(100);
  if (shots) await s.page.screenshot({ path: `${shots}/${name}.png` });
  assert.deepEqual(
    (await violationsIn(s.page)).map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join()}`),
    [],
    name,
  );
  const wide = await s.page.evaluate(() =>
    [...document.querySelectorAll("dialog[open] *")]
      .filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
      .map((e) => e.id),
  );
  assert.deepEqual(wide, [], name);
}

const blank = {
  label: "",
  multiple: false,
  options: [],
  truncated: false,
  value: "",
  min: "",
  max: "",
  step: "",
};
const ORIGIN = "https://login.example.com";

for (const [device, options] of Object.entries(DEVICES)) {
  test(`on a ${device}, each question gets a control of the device's own and one answer`, async () => {
    const s = await live(options);
    const { page } = s;
    const open = (id) => page.waitForSelector(`#${id}[open]:not(:has([inert]))`);
    const shut = (id) => page.waitForSelector(`#${id}:not([open])`, { state: "attached" });

    const list = {
      ...blank,
      kind: "select",
      label: "Country",
      truncated: true,
      options: [
        { label: "Choose", disabled: true, selected: true },
        { label: "Åland", group: "Nordic" },
        { label: "Denmark", group: "Nordic" },
        { label: "Peru" },
      ],
    };
    await s.say({ t: "picker", picker: { ...list, id: 1 } });
    await open("sheet-picker");
    assert.equal(await page.textContent("#picker-title"), "Country");
    assert.deepEqual(
      await page.$$eval("#picker-control > *", (all) => all.map((e) => e.label || e.textContent)),
      ["Choose", "Nordic", "Peru"],
    );
    await clean(s, `${device}-select`);
    // The first may close the device's own list, if the last gesture was fresh enough to open it.
    await page.keyboard.press("Escape");
    if (await page.$("#sheet-picker[open]")) await page.keyboard.press("Escape");
    await shut("sheet-picker");
    await s.say({ t: "picker", picker: { ...list, id: 2 } });
    await open("sheet-picker");
    await page.selectOption("#picker-control", "2");
    if (device === "laptop") await page.click("#picker-set");
    await shut("sheet-picker");
    await s.say({ t: "picker", picker: { ...list, id: 3, multiple: true } });
    await open("sheet-picker");
    await page.selectOption("#picker-control", ["1", "3"]);
    await clean(s, `${device}-multiple`);
    await page.click("#picker-set");
    await s.say({
      t: "picker",
      picker: { ...blank, id: 4, kind: "date", value: "2001-02-03", min: "1900-01-01" },
    });
    await open("sheet-picker");
    assert.deepEqual(await page.$eval("#picker-control", (e) => [e.type, e.value, e.min]), [
      "date",
      "2001-02-03",
      "1900-01-01",
    ]);
    await clean(s, `${device}-date`);
    await page.click("#picker-clear");
    await s.say({ t: "picker", picker: { ...blank, id: 5, kind: "time" } });
    await open("sheet-picker");
    await s.say({ t: "picker", picker: null });
    await shut("sheet-picker");
    await s.say({
      t: "picker",
      picker: {
        ...blank,
        id: 6,
        kind: "datalist",
        options: [{ label: "Aarhus" }, { label: "Aalborg" }],
      },
    });
    await page.waitForSelector("#suggestions button");
    await clean(s, `${device}-suggestions`);
    await page.click("#suggestions >> text=Aalborg");
    assert.deepEqual(await s.heard("pick", 5), [
      { t: "pick", id: 1 },
      { t: "pick", id: 2, options: [2] },
      { t: "pick", id: 3, options: [1, 3] },
      { t: "pick", id: 4, value: "" },
      { t: "pick", id: 6, options: [1] },
    ]);

    await s.say({
      t: "auth",
      id: 7,
      origin: "http://intranet.example",
      realm: "Staff",
      secure: false,
      expected: false,
    });
    await open("sheet-auth");
    await s.host.waitForFunction(() => fake.fillers > 3); // the tick hides the typing
    await page.fill("#auth-user", "ada");
    await page.fill("#auth-password", "päss");
    await clean(s, `${device}-auth`);
    await page.click("#auth-send");
    await s.say({ t: "auth", id: 8, origin: ORIGIN, realm: "", secure: true, expected: true });
    await open("sheet-auth");
    assert.deepEqual(
      await page.$eval("#auth-password", (e) => [
        e.value,
        document.querySelector("#auth-warning").hidden,
      ]),
      ["", true],
    );
    await page.click("#sheet-auth [data-close]");
    await s.say({ t: "auth", id: 9, origin: ORIGIN, realm: "", secure: true, expected: true });
    await open("sheet-auth");
    await s.say({ t: "auth_closed", id: 9 });
    await shut("sheet-auth");
    assert.deepEqual(await s.heard("auth", 2), [
      { t: "auth", id: 7, user: "ada", password: "päss" },
      { t: "auth", id: 8 },
    ]);

    await s.say({
      t: "tabs",
      tabs: [
        { id: 1, origin: ORIGIN, title: "Sign in", shown: false },
        { id: 2, origin: "https://id.example", title: "", shown: true },
      ],
    });
    await page.click("#windows");
    await open("sheet-windows");
    await clean(s, `${device}-windows`);
    await page.click("#windows-list li:last-child button:last-child");
    await page.click("#windows-list li:first-child button:first-child");
    assert.deepEqual(await s.heard("tab", 2), [
      { t: "tab", id: 2, action: "close" },
      { t: "tab", id: 1, action: "show" },
    ]);
    await s.say({ t: "tabs", tabs: [{ id: 1, origin: ORIGIN, title: "Sign in", shown: true }] });
    await page.waitForSelector("#windows", { state: "hidden" });

    await s.say({
      t: "dialog",
      id: 10,
      kind: "confirm",
      message: "Sure?",
      default: "",
      origin: "https://frame.example",
    });
    await open("page-dialog");
    assert.match(await page.textContent("#page-dialog-from"), /frame\.example/);
    await page.click("#page-dialog-cancel");
    assert.deepEqual(await s.heard("dialog", 1), [{ t: "dialog", id: 10, accept: false }]);

    await s.say({ t: "notice", code: "geolocation_refused", message: "" });
    await page.waitForSelector("#notices li");
    await s.say({ t: "notice", code: "passkey_required", message: "" });
    await open("sheet-passkey");
    await clean(s, `${device}-passkey`);
    await page.click("#passkey-cannot");
    await s.host.waitForFunction(() => fake.declined === "cannot_complete");
    assert.deepEqual(s.errors, []);
    assert.deepEqual(b.stub.violations, []);
    await s.close();
  });
}

test("a question right behind another is not dismissed with it", async () => {
  const s = await live(DEVICES.laptop);
  const seen = await s.page.evaluate(async () => {
    const { PromptSheet } = await import(
      new URL("prompt-sheet.js", document.querySelector('script[type="module"]').src).href
    );
    const said = [];
    const sheet = new PromptSheet(
      "sheet-files",
      () => said.push("dismissed"),
      () => said.push("closed"),
    );
    const field = document.getElementById("files-input");
    sheet.show(field);
    sheet.end();
    sheet.show(field);
    globalThis.asked = { said, sheet };
    await new Promise((resolve) => setTimeout(resolve, 200));
    return [...said];
  });
  assert.deepEqual(seen, ["closed"]);
  await s.page.click("#sheet-files [data-close]");
  await s.page.waitForFunction(() => !asked.sheet.open);
  assert.deepEqual(await s.page.evaluate(() => asked.said), ["closed", "dismissed", "closed"]);
  await s.close();
});

test("files go in pieces, no faster than they come, and say how far they are", async () => {
  const s = await live(DEVICES.phone);
  const { page } = s;
  const chooser = {
    t: "file_chooser",
    id: 1,
    origin: ORIGIN,
    multiple: true,
    accept: "image/*",
    max_files: 2,
    max_bytes: 300_000,
    received: 0,
  };
  const file = (name, size) => ({ name, mimeType: "image/png", buffer: randomBytes(size) });
  await s.say(chooser);
  await page.waitForSelector("#sheet-files[open]");
  await clean(s, "phone-files");
  for (const [files, why] of [
    [[file("a", 1), file("b", 1), file("c", 1)], /at most 2/],
    [[file("a", 300_001)], /at most/],
  ]) {
    await page.setInputFiles("#files-input", files);
    assert.match(await page.textContent("#files-problem"), why);
    assert.ok(await page.isDisabled("#files-send"));
  }
  const files = [file("vorn.png", 200_000), file("hinten.png", 3)];
  await page.setInputFiles("#files-input", files);
  await page.click("#files-send");
  const first = await s.heard("file_chunk", 4);
  assert.equal(first.length, 4, "four pieces, then the host must have some");
  assert.deepEqual(await s.heard("files", 1), [
    {
      t: "files",
      id: 1,
      files: [
        { name: "vorn.png", size: 200_000 },
        { name: "hinten.png", size: 3 },
      ],
    },
  ]);
  await s.say({ ...chooser, received: 4 * 24 * 1024 });
  await s.heard("file_chunk", 8);
  await page.waitForFunction(() => document.querySelector("#files-bar").value === 4 * 24 * 1024);
  await clean(s, "phone-files-sending");
  await s.say({ ...chooser, received: 8 * 24 * 1024 });
  const all = await s.heard("file_chunk", 9);
  const got = Buffer.concat(all.map((c) => Buffer.from(c.data, "base64url")));
  const hash = (bytes) => createHash("sha256").update(bytes).digest("hex");
  assert.equal(hash(got), hash(Buffer.concat(files.map((f) => f.buffer))));
  await s.say({ t: "file_chooser_closed", id: 1 });
  await page.waitForSelector("#sheet-files:not([open])", { state: "attached" });

  await s.say({ ...chooser, id: 2 });
  await page.waitForSelector("#sheet-files[open]");
  await page.setInputFiles("#files-input", files);
  await page.click("#files-send");
  await s.heard("file_chunk", 13);
  await page.click("#sheet-files [data-close]");
  assert.deepEqual((await s.heard("files", 3)).at(-1), { t: "files", id: 2, files: [] });
  assert.deepEqual(s.errors, []);
  await s.close();
});
