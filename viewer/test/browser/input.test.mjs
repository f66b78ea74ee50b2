// Hands: mouse, wheel, fingers, soft keyboard, IME, paste, managers, and no hands but a keyboard.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { bench, inState } from "../support/browser.mjs";

const PHONE = {
  viewport: { width: 390, height: 760 },
  deviceScaleFactor: 3,
  isMobile: true,
  hasTouch: true,
};
const W = 65535;

let b;
before(async () => {
  b = await bench();
});
after(async () => {
  await b?.stop();
});

async function live(options) {
  const s = await b.live(options);
  await s.page.waitForFunction(() => document.documentElement.dataset.firstFrame);
  await s.host.waitForFunction(() => fake.events.some((e) => e.t === "viewport"));
  await s.page.waitForTimeout(700); // the picture takes the size of the place
  const cdp = await s.context.newCDPSession(s.page);
  return { ...s, cdp };
}
const events = (host, ...types) =>
  host.evaluate((t) => fake.events.filter((e) => t.includes(e.t)), types);
const until = (host, body, arg) => host.waitForFunction(body, arg, { timeout: 10_000 });
const field = (host, f) =>
  host.evaluate(
    (x) => fake.output({ t: "field", field: x }),
    f && {
      kind: "text",
      inputmode: "",
      autocomplete: "",
      enterkeyhint: "",
      secret: false,
      multiline: false,
      length: 0,
      rect: [W * 0.2, W * 0.3, W * 0.6, W * 0.07].map(Math.round),
      ...f,
    },
  );
const dressed = (page, type, mode) =>
  page.waitForFunction(
    ([t, m]) => {
      const p = document.querySelector(".pad[tabindex='0']") ?? document.querySelector("#pad");
      return p.type === t && p.inputMode === m;
    },
    [type, mode],
  );

test("mouse: the middle button pastes nothing, and a dropped file opens nothing", async () => {
  const s = await live({ viewport: { width: 1000, height: 700 } });
  await s.page.evaluate(() => {
    globalThis.prevented = {};
    for (const type of ["mouseup", "auxclick", "dragover", "drop"])
      addEventListener(type, (e) => {
        globalThis.prevented[type] = e.defaultPrevented;
      });
  });
  const box = await s.page.locator("#video").boundingBox();
  const at = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
  await s.page.mouse.click(at.x, at.y, { button: "middle" });
  const data = { items: [], files: [import.meta.filename], dragOperationsMask: 1 };
  for (const type of ["dragEnter", "dragOver", "drop"])
    await s.cdp.send("Input.dispatchDragEvent", { type, ...at, data });

  assert.deepEqual(await s.page.evaluate(() => globalThis.prevented), {
    mouseup: true,
    auxclick: true,
    dragover: true,
  });
  assert.equal(s.page.url().startsWith("http"), true, "the page is there");
  await s.close();
});

test("mouse: move, click, double click, right button, drag, wheel", async () => {
  const s = await live({ viewport: { width: 1000, height: 700 } });
  const box = await s.page.locator("#video").boundingBox();
  const at = (fx, fy) => [box.x + box.width * fx, box.y + box.height * fy];
  await s.page.mouse.move(...at(0.25, 0.5));
  await s.page.mouse.dblclick(...at(0.25, 0.5));
  await s.page.mouse.click(...at(0.75, 0.5), { button: "right" });
  await s.page.mouse.move(...at(0.1, 0.1));
  await s.page.mouse.down();
  await s.page.mouse.move(...at(0.9, 0.9), { steps: 5 });
  await s.page.mouse.up();
  await s.page.mouse.wheel(0, 300);
  await until(s.host, () => fake.events.some((e) => e.t === "wheel"));
  const p = await events(s.host, "pointer");
  const down = p.filter((e) => e.phase === "down");
  assert.deepEqual(
    down.map((e) => [e.button, e.clicks]),
    [
      ["left", 1],
      ["left", 2],
      ["right", 1],
      ["left", 1],
    ],
  );
  assert.ok(
    Math.abs(down[0].x - W / 4) < 300 && Math.abs(down[0].y - W / 2) < 300,
    JSON.stringify(down[0]),
  );
  const drag = p.slice(p.lastIndexOf(down[3]));
  assert.ok(drag.filter((e) => e.phase === "move").every((e) => e.buttons === 1));
  assert.equal(drag.at(-1).phase, "up");
  assert.equal(drag.at(-1).buttons, 0);
  const [wheel] = await events(s.host, "wheel");
  assert.equal(wheel.dy, 300);
  assert.equal(
    p.filter((e) => e.phase === "down").length,
    p.filter((e) => e.phase === "up").length,
  );
  await s.close();
});

test("keys: modifiers do not stick, the browser keeps its own shortcuts, paste is one event", async () => {
  const s = await live();
  await s.page.keyboard.press("Shift+A");
  await s.page.keyboard.press("Control+a");
  await s.page.keyboard.press("Tab");
  await s.page.keyboard.down("Shift");
  // Another window took the keyup.
  await s.page.evaluate(() => window.dispatchEvent(new Event("blur")));
  await until(s.host, () => fake.events.some((e) => e.t === "release_all"));
  await s.page.keyboard.up("Shift");
  await s.page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await s.page.evaluate(() => navigator.clipboard.writeText("pasted\ntext ✓"));
  await s.page.keyboard.press("Control+v");
  await until(s.host, () => fake.events.some((e) => e.t === "paste"));
  await s.page.click("#paste");
  await until(s.host, () => fake.events.filter((e) => e.t === "paste").length === 2);
  assert.deepEqual(
    (await events(s.host, "paste")).map((e) => e.text),
    ["pasted\ntext ✓", "pasted\ntext ✓"],
  );
  const keys = await events(s.host, "key");
  assert.ok(!keys.some((e) => e.key === "v"), "the paste is not also a key");
  const a = keys.find((e) => e.key === "a" && e.down);
  assert.equal(a.mods, 2);
  assert.equal(a.code, "KeyA");
  assert.ok(keys.some((e) => e.key === "Tab"));
  await s.close();
});

test("without a pointer: in, out and done", async () => {
  const s = await live();
  assert.equal(await s.page.evaluate(() => document.activeElement.id), "pad");
  await s.page.keyboard.press("Control+Alt+Escape");
  assert.equal(await s.page.evaluate(() => document.activeElement.id), "done");
  await s.page.keyboard.press("Shift+Tab");
  assert.equal(await s.page.evaluate(() => document.activeElement.id), "decline");
  await s.page.keyboard.press("Enter");
  await s.page.waitForSelector("#sheet-decline[open]");
  await s.page.keyboard.press("Escape");
  assert.equal(await s.page.evaluate(() => document.activeElement.id), "decline");
  for (const id of ["compose", "paste", "keyboard"]) {
    await s.page.keyboard.press("Shift+Tab");
    assert.equal(await s.page.evaluate(() => document.activeElement.id), id);
  }
  await s.page.keyboard.press("Enter");
  assert.equal(await s.page.evaluate(() => document.activeElement.id), "pad");
  await s.page.keyboard.press("Escape");
  await s.page.keyboard.press("Escape");
  assert.equal(await s.page.evaluate(() => document.activeElement.id), "done");
  // On to the bar: what it says is heard with its button, and the whole of it opens and closes by
  // keys.
  const focused = () => s.page.evaluate(() => document.activeElement.id);
  // Behind the last button comes the browser's own bar, where there is one.
  for (let i = 0; i < 3 && (await focused()) !== "back"; i++) await s.page.keyboard.press("Tab");
  assert.equal(await focused(), "back");
  await s.page.keyboard.press("Tab");
  assert.equal(await focused(), "site");
  const heard = await s.page.locator("#site").ariaSnapshot();
  for (const part of [
    "Secure site",
    "login.",
    "example.com",
    "End-to-end encrypted, verified",
    "About this page",
  ])
    assert.ok(heard.includes(part), heard);
  await s.page.keyboard.press("Enter");
  await s.page.waitForSelector("#sheet-site[open]");
  assert.equal(
    await s.page.evaluate(() => document.activeElement.id),
    "sheet-site-title",
    "the sheet begins with its title",
  );
  await s.page.keyboard.press("Escape");
  assert.equal(await s.page.evaluate(() => document.activeElement.id), "site");
  await s.page.focus("#done");
  await s.page.keyboard.press("Enter");
  await inState(s.page, "ended");
  assert.equal(await s.page.evaluate(() => document.activeElement.id), "ended-title");
  await s.close();
});

test("an IME on a laptop: sent as a composition, committed once", async () => {
  const s = await live();
  await field(s.host, {});
  await dressed(s.page, "text", "text");
  for (const text of ["に", "にほ", "日本"])
    await s.cdp.send("Input.imeSetComposition", {
      text,
      selectionStart: text.length,
      selectionEnd: text.length,
    });
  await s.cdp.send("Input.insertText", { text: "日本" });
  await until(s.host, () => fake.events.some((e) => e.t === "text"));
  await s.page.keyboard.type("!");
  await until(s.host, () => fake.events.some((e) => e.key === "!"));
  const told = (await events(s.host, "composition", "text", "delete", "replace")).map((e) => [
    e.t,
    e.text,
  ]);
  assert.deepEqual(told, [
    ["composition", "に"],
    ["composition", "にほ"],
    ["composition", "日本"],
    ["text", "日本"],
  ]);
  // A click commits what is composing, before the click.
  await s.cdp.send("Input.imeSetComposition", { text: "ご", selectionStart: 1, selectionEnd: 1 });
  await s.page.mouse.click(300, 300);
  await until(s.host, () => fake.events.some((e) => e.t === "pointer" && e.phase === "up"));
  const order = (await events(s.host, "composition", "text", "pointer"))
    .slice(-8)
    .filter((e) => e.phase !== "move")
    .map((e) => e.text ?? e.phase);
  assert.deepEqual(order.slice(-4), ["ご", "ご", "down", "up"]);
  await s.close();
});

test("a phone: tap, field, keyboard, autocorrection, backspace, enter", async () => {
  const s = await live(PHONE);
  const [vp] = await events(s.host, "viewport");
  assert.equal(vp.mobile, true);
  assert.equal(vp.scale, 200);
  assert.equal(vp.width, 390);
  assert.notEqual(
    await s.page.evaluate(() => document.activeElement.id),
    "pad",
    "no keyboard without a field",
  );
  await s.page.tap("#keyboard");
  await s.page.waitForSelector("[data-code=no_field]");
  const box = await s.page.locator("#video").boundingBox();
  await s.page.touchscreen.tap(box.x + box.width / 2, box.y + box.height * 0.33);
  await until(s.host, () => fake.events.some((e) => e.t === "touch" && e.phase === "end"));
  const touches = await events(s.host, "touch");
  assert.deepEqual(
    touches.map((e) => [e.phase, e.points.length]),
    [
      ["start", 1],
      ["end", 0],
    ],
  );
  assert.equal((await events(s.host, "pointer")).length, 0, "a tap is not also a click");
  await field(s.host, { kind: "email", autocomplete: "username", enterkeyhint: "next" });
  await dressed(s.page, "text", "email");
  await s.page.waitForFunction(() => document.activeElement.id === "pad");
  const pad = await s.page.evaluate(() => {
    const p = document.querySelector("#pad");
    return [p.autocomplete, p.enterKeyHint, p.autocapitalize];
  });
  assert.deepEqual(pad, ["username", "next", "none"]);
  // A soft keyboard changes the value without keys.
  await s.cdp.send("Input.insertText", { text: "ada@exmaple" });
  await until(s.host, () => fake.events.some((e) => e.t === "text"));
  await s.page.evaluate(() => {
    const p = document.querySelector("#pad");
    p.value = p.value.replace("exmaple", "example.com");
    p.dispatchEvent(new InputEvent("input", { inputType: "insertReplacementText" }));
  });
  await until(s.host, () => fake.events.filter((e) => e.t === "text").length === 2);
  const told = (await events(s.host, "text", "delete")).map((e) => e.text ?? -e.before);
  assert.deepEqual(told, ["ada@exmaple", -5, "ample.com"]);
  await s.page.evaluate(() => {
    const p = document.querySelector("#pad");
    p.value = p.value.slice(0, -1);
    p.dispatchEvent(new InputEvent("input", { inputType: "deleteContentBackward" }));
  });
  await s.page.evaluate(() => {
    const p = document.querySelector("#pad");
    p.dispatchEvent(
      new InputEvent("beforeinput", { inputType: "insertLineBreak", cancelable: true }),
    );
  });
  await until(s.host, () => fake.events.some((e) => e.key === "Enter" && !e.down));
  assert.deepEqual((await events(s.host, "text", "delete")).at(-1).before, 1);
  // The next field starts empty; leaving all fields closes the keyboard.
  await field(s.host, {
    kind: "password",
    secret: true,
    autocomplete: "current-password",
    rect: [W * 0.2, W * 0.4, W * 0.6, W * 0.07].map(Math.round),
  });
  await dressed(s.page, "password", "text");
  assert.equal(await s.page.evaluate(() => document.activeElement.id), "pad");
  assert.equal((await s.page.inputValue("#pad")).length, 1);
  await s.cdp.send("Input.insertText", { text: "s" });
  await s.cdp.send("Input.insertText", { text: "3" });
  await until(s.host, () => fake.events.filter((e) => e.t === "text").length === 4);
  assert.deepEqual(
    (await events(s.host, "text")).slice(-2).map((e) => e.text),
    ["s", "3"],
  );
  assert.equal((await s.page.inputValue("#pad")).length, 1);
  await field(s.host, null);
  await s.page.waitForFunction(() => document.activeElement.id !== "pad");
  await s.close();
});

test("a code from an SMS and a password from a manager come whole", async () => {
  const s = await live(PHONE);
  await field(s.host, { kind: "text", autocomplete: "one-time-code", inputmode: "numeric" });
  await dressed(s.page, "text", "numeric");
  assert.equal(await s.page.getAttribute("#pad", "autocomplete"), "one-time-code");
  await s.page.tap("#type-here");
  await s.page.waitForFunction(() => document.activeElement.id === "pad");
  await s.page.fill("#pad", "123456", { force: true });
  await field(s.host, { kind: "password", secret: true, autocomplete: "current-password" });
  await dressed(s.page, "password", "text");
  await s.page.fill("#pad", "correct horse battery", { force: true });
  await until(s.host, () => fake.events.filter((e) => e.t === "replace").length === 2);
  assert.deepEqual(
    (await events(s.host, "replace")).map((e) => e.text),
    ["123456", "correct horse battery"],
  );
  assert.equal((await s.page.inputValue("#pad")).length, 1, "not left in the page");
  // Compose and send.
  await s.page.tap("#compose");
  await s.page.fill("#compose-secret", "by hand");
  await s.page.tap("#compose-send");
  await until(s.host, () => fake.events.filter((e) => e.t === "replace").length === 3);
  assert.equal(await s.page.inputValue("#compose-secret"), "");
  await s.close();
});

test("Android composes Latin words: the page sees text, other scripts compositions", async () => {
  const s = await live({
    ...PHONE,
    userAgent:
      "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
  });
  await field(s.host, {});
  await dressed(s.page, "text", "text");
  await s.page.tap("#type-here");
  const ime = (text) =>
    s.cdp.send("Input.imeSetComposition", {
      text,
      selectionStart: text.length,
      selectionEnd: text.length,
    });
  for (const t of ["h", "ha", "hal"]) await ime(t);
  await s.cdp.send("Input.insertText", { text: "hallo " });
  for (const t of ["п", "пр"]) await ime(t);
  await s.cdp.send("Input.insertText", { text: "привет" });
  await until(s.host, () => fake.events.some((e) => e.text === "привет"));
  const told = (await events(s.host, "composition", "text", "delete")).map(
    (e) => `${e.t}:${e.text ?? e.before}`,
  );
  assert.deepEqual(told, [
    "text:h",
    "text:a",
    "text:l",
    "text:lo ",
    "composition:п",
    "composition:пр",
    "composition:привет",
    "text:привет",
  ]);
  await s.close();
});

test("a field in another site's frame: shown, and locked until the user decides", async () => {
  const s = await live({ viewport: { width: 1000, height: 700 } });
  const keyboard = (state) =>
    s.page.waitForFunction((k) => document.documentElement.dataset.keyboard === k, state);
  await field(s.host, { id: 1, origin: "https://login.example.com", expected: true });
  await s.page.waitForFunction(
    () => document.querySelector("#seal-line").dataset.seal === "verified",
  );
  await field(s.host, { id: 2, origin: "https://id.contoso.example", expected: true });
  await s.page.waitForFunction(() =>
    /id\.contoso|contoso\.example/.test(document.querySelector("#seal-text").textContent),
  );
  assert.equal(
    await s.page.evaluate(() => document.documentElement.dataset.keyboard),
    "enabled",
    "an expected one needs no choice",
  );
  await field(s.host, { id: 3, origin: "https://evil.example", expected: false });
  await s.page.waitForSelector("#unexpected:not([hidden])");
  await keyboard("disabled");
  assert.match(await s.page.textContent("#unexpected-text"), /https:\/\/evil\.example/);
  assert.deepEqual(
    await s.page.evaluate(() =>
      ["pad", "paste", "compose", "keyboard", "done"].map(
        (id) => document.getElementById(id).disabled,
      ),
    ),
    [true, true, true, true, false],
  );
  await s.page.keyboard.type("secret");
  // Clicking elsewhere is free, and another field needs no decision.
  await s.page.mouse.click(300, 600);
  await until(s.host, () => fake.events.some((e) => e.t === "pointer" && e.phase === "up"));
  await field(s.host, { id: 4, origin: "https://login.example.com", expected: true });
  await keyboard("enabled");
  assert.equal(await s.page.isVisible("#unexpected"), false);
  await field(s.host, { id: 5, origin: "https://evil.example", expected: false });
  await s.page.click("#unexpected-continue");
  await keyboard("enabled");
  await s.page.keyboard.type("x");
  await until(s.host, () => fake.events.some((e) => e.key === "x"));
  assert.ok(
    !(await events(s.host, "key")).some((e) => e.key === "s"),
    "nothing of what was typed before",
  );
  // The whole story, with the way out.
  await s.page.click("#site");
  assert.equal((await s.page.textContent("#site-frame")).trim(), "https://evil.example");
  assert.equal((await s.page.textContent("#site-requester")).trim(), "Invoice assistant");
  await s.page.click("#sheet-site [data-reason=not_requested]");
  await inState(s.page, "ended");
  assert.equal(await s.host.evaluate(() => fake.declined), "not_requested");
  await s.close();
});

test("a long press asks for the menu and clicks nothing; a longer one is the page's", async () => {
  const s = await live(PHONE);
  const box = await s.page.locator("#video").boundingBox();
  const press = async (ms) => {
    await s.cdp.send("Input.dispatchTouchEvent", {
      type: "touchStart",
      touchPoints: [{ x: box.x + 90, y: box.y + 90 }],
    });
    await s.page.waitForTimeout(ms);
    await s.cdp.send("Input.dispatchTouchEvent", { type: "touchEnd", touchPoints: [] });
  };
  await press(700);
  await until(s.host, () => fake.events.some((e) => e.t === "pointer" && e.phase === "up"));
  assert.deepEqual(
    (await events(s.host, "touch", "pointer")).map((e) =>
      `${e.t} ${e.phase} ${e.button ?? ""}`.trim(),
    ),
    ["touch start", "touch cancel", "pointer down right", "pointer up right"],
  );
  await press(1700);
  await until(s.host, () => fake.events.some((e) => e.t === "touch" && e.phase === "end"));
  assert.deepEqual(
    (await events(s.host, "touch", "pointer")).slice(4).map((e) => `${e.t} ${e.phase}`),
    ["touch start", "touch end"],
  );
  await s.close();
});

test("two fingers zoom the view, not the page", async () => {
  const s = await live(PHONE);
  const touch = (type, points) =>
    s.cdp.send("Input.dispatchTouchEvent", {
      type,
      touchPoints: points.map(([x, y], id) => ({ x, y, id })),
    });
  await touch("touchStart", [[150, 300]]);
  await touch("touchStart", [
    [150, 300],
    [250, 300],
  ]);
  for (const d of [20, 40, 60])
    await touch("touchMove", [
      [150 - d, 300],
      [250 + d, 300],
    ]);
  await touch("touchEnd", []);
  await s.page.waitForFunction(() =>
    /scale\(2\./.test(document.querySelector("#page").style.transform),
  );
  await until(s.host, () => fake.events.some((e) => e.t === "touch" && e.phase === "cancel"));
  const phases = (await events(s.host, "touch")).map((e) => e.phase);
  assert.deepEqual(phases, ["start", "cancel"]);
  // A tap in the zoomed view still hits the point under the finger.
  const box = await s.page.locator("#video").boundingBox();
  await s.page.touchscreen.tap(200, 400);
  await until(
    s.host,
    () => fake.events.filter((e) => e.t === "touch" && e.phase === "start").length === 2,
  );
  const tap = (await events(s.host, "touch")).filter((e) => e.phase === "start").at(-1).points[0];
  assert.ok(Math.abs(tap.x - ((200 - box.x) / box.width) * W) < 400);
  assert.ok(Math.abs(tap.y - ((400 - box.y) / box.height) * W) < 400);
  await s.close();
});

test("the soft keyboard does not hide the field, nor resize the page", async () => {
  const s = await live(PHONE);
  await field(s.host, { rect: [W * 0.2, W * 0.8, W * 0.6, W * 0.06].map(Math.round) });
  await dressed(s.page, "text", "text");
  await s.page.tap("#type-here");
  const before = (await events(s.host, "viewport")).length;
  // Chromium has no soft keyboard here: the visual viewport's new height is what one would tell.
  await s.page.evaluate(() => {
    Object.defineProperty(visualViewport, "height", { value: 430, configurable: true });
    visualViewport.dispatchEvent(new Event("resize"));
  });
  await s.page.waitForFunction(() => document.documentElement.hasAttribute("data-soft-keyboard"));
  const { field: f, stage } = await s.page.evaluate(() => {
    const r = document.querySelector("#pad").getBoundingClientRect();
    const t = document.querySelector("#stage").getBoundingClientRect();
    return { field: [r.top, r.bottom], stage: [t.top, t.bottom] };
  });
  assert.ok(f[0] >= stage[0] && f[1] <= stage[1], JSON.stringify({ f, stage }));
  assert.ok(
    (await s.page.locator("#done").boundingBox()).y < 430,
    "the tools are above the keyboard",
  );
  await s.page.waitForTimeout(500);
  assert.equal((await events(s.host, "viewport")).length, before);
  await s.page.evaluate(() => {
    delete visualViewport.height;
    visualViewport.dispatchEvent(new Event("resize"));
  });
  await s.page.waitForFunction(() => !document.documentElement.hasAttribute("data-soft-keyboard"));
  await s.page.setViewportSize({ width: 760, height: 390 });
  await until(s.host, () => fake.events.filter((e) => e.t === "viewport").at(-1).width > 700);
  await s.close();
});

test("a flood of moves does not delay a click", async () => {
  const s = await live({ viewport: { width: 1000, height: 700 } });
  await s.page.evaluate(() => {
    const page = document.querySelector("#page");
    const r = page.getBoundingClientRect();
    const fire = (type, x, o = {}) =>
      page.dispatchEvent(
        new PointerEvent(type, {
          clientX: r.left + x,
          clientY: r.top + 50,
          pointerType: "mouse",
          pointerId: 1,
          bubbles: true,
          button: -1,
          ...o,
        }),
      );
    for (let i = 0; i < 20_000; i++) fire("pointermove", i % 900);
    page.setPointerCapture = () => {};
    fire("pointerdown", 5, { button: 0, buttons: 1 });
    globalThis.clicked = Date.now();
    fire("pointerup", 5, { button: 0, buttons: 0 });
  });
  await until(s.host, () => fake.events.some((e) => e.t === "pointer" && e.phase === "up"));
  const moves = (await events(s.host, "pointer")).filter((e) => e.phase === "move").length;
  assert.ok(moves < 200, `${moves} moves were sent before the click`);
  await s.close();
});
