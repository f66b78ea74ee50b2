// Fingers, a mouse and a soft keyboard at the user's device, through to what the remote page sees.

import assert from "node:assert/strict";
import { after } from "node:test";
import { CHROMIUM, closeBrowser, Server, scenario, within } from "./lib/harness.mjs";
import { RemotePage } from "./lib/remote-page.mjs";

after(closeBrowser);

/** The site's records of one kind, once `enough` holds for them. */
async function told(world, step, enough = (all) => all.length > 0) {
  let values = [];
  const seek = async () => {
    for (let count = 0; ; ) {
      const all = await world.site.records(count);
      values = all.filter((r) => r.step === step).map((r) => r.fields.value ?? r.fields);
      if (enough(values)) return values;
      count = all.length + 1;
    }
  };
  return within(15_000, () => `enough "${step}" at the site: ${values}`, seek());
}

/** The user's hands on the picture; places are the remote page's CSS pixels. */
class Hands {
  constructor(viewer, cdp) {
    Object.assign(this, { viewer, page: viewer.page, cdp });
  }

  static async of(viewer) {
    const { page } = viewer;
    // The remote page has taken the size of the place, so that their pixels are the same.
    await page.waitForFunction(() => {
      const [video, place] = [document.getElementById("video"), document.getElementById("page")];
      return (
        Math.abs(video.videoWidth / video.videoHeight - place.offsetWidth / place.offsetHeight) <
        0.01
      );
    });
    return new Hands(viewer, await viewer.context.newCDPSession(page));
  }

  /** Where a place of the remote page is on the user's screen, zoomed or not. */
  async at(x, y) {
    return this.page.evaluate(
      ([x, y]) => {
        const place = document.getElementById("page");
        const r = place.getBoundingClientRect();
        const scale = r.width / place.offsetWidth;
        return [r.left + x * scale, r.top + y * scale];
      },
      [x, y],
    );
  }

  touch(type, ...points) {
    return this.cdp.send("Input.dispatchTouchEvent", {
      type,
      touchPoints: points.map(([x, y], id) => ({ x, y, id })),
    });
  }

  async tap(x, y) {
    await this.touch("touchStart", await this.at(x, y));
    await this.touch("touchEnd");
  }

  /**
   * One finger along a straight way, in `steps` of a screen's refresh; however slow this machine
   * is, the finger is not.
   */
  async swipe(from, to, steps = 6) {
    const [a, b] = [await this.at(...from), await this.at(...to)];
    const start = Date.now();
    const touch = async (type, after, ...points) => {
      await new Promise((resolve) => setTimeout(resolve, start + after - Date.now()));
      const touchPoints = points.map(([x, y]) => ({ x, y, id: 0 }));
      await this.cdp.send("Input.dispatchTouchEvent", {
        type,
        touchPoints,
        timestamp: (start + after) / 1000,
      });
    };
    await touch("touchStart", 0, a);
    for (let i = 1; i <= steps; i++)
      await touch(
        "touchMove",
        16 * i,
        [0, 1].map((k) => a[k] + ((b[k] - a[k]) * i) / steps),
      );
    await touch("touchEnd", 16 * steps + 8);
  }

  async mouse(x, y) {
    await this.page.mouse.move(...(await this.at(x, y)));
  }

  /** What an input method has on its way, in the viewer page. */
  compose(text) {
    return this.cdp.send("Input.imeSetComposition", {
      text,
      selectionStart: text.length,
      selectionEnd: text.length,
    });
  }

  commit(text) {
    return this.cdp.send("Input.insertText", { text });
  }
}

/** Waits until the local input stands for a remote field that has the focus. */
const ready = (page, selector = ".pad[tabindex='0']") =>
  page.waitForFunction((s) => {
    const pad = document.querySelector(s);
    return pad && !pad.disabled && document.activeElement === pad;
  }, selector);

scenario(
  "fingers: tap, double tap, long press, drag, scroll with momentum, pinch; a frame of another site",
  { path: "/extra/hands", remote: CHROMIUM },
  async (world) => {
    const { viewer } = await world.live("phone", ["--expect-origin", world.site.url]);
    const { page } = viewer;
    const hands = await Hands.of(viewer);

    await hands.tap(80, 84);
    assert.deepEqual(await told(world, "click"), ["touch"]);
    await hands.tap(80, 84);
    await hands.tap(80, 84);
    await told(world, "dblclick");
    const [x, y] = await hands.at(80, 84);
    const before = (await told(world, "click", (all) => all.length === 3)).length;
    await hands.touch("touchStart", [x, y]);
    await new Promise((resolve) => setTimeout(resolve, 700)); // a finger rests
    await hands.touch("touchEnd");
    await told(world, "contextmenu");
    await hands.swipe([60, 230], [260, 230]);
    assert.deepEqual(await told(world, "slide"), ["touch 200"]);

    // A pinch is the view's, and a tap in the zoomed view hits what is under the finger.
    const clicks = (await told(world, "click")).length;
    assert.equal(clicks, before, "a long press is no click");
    const [cx, cy] = await hands.at(80, 84);
    await hands.touch("touchStart", [cx - 20, cy]);
    await hands.touch("touchStart", [cx - 20, cy], [cx + 20, cy]);
    for (const d of [30, 40, 50]) await hands.touch("touchMove", [cx - d, cy], [cx + d, cy]);
    await hands.touch("touchEnd");
    await page.waitForFunction(() =>
      /scale\(2/.test(document.getElementById("page").style.transform),
    );
    await hands.tap(80, 84);
    await told(world, "click", (all) => all.length > clicks);
    const [zx, zy] = await hands.at(80, 84);
    await hands.touch("touchStart", [zx - 60, zy], [zx + 60, zy]);
    for (const d of [40, 20, 10]) await hands.touch("touchMove", [zx - d, zy], [zx + d, zy]);
    await hands.touch("touchEnd");
    await page.waitForFunction(() => document.getElementById("page").style.transform === "");

    // The focused field is another site's, in a frame: its origin is shown, and nothing typed
    // before the user decides.
    await hands.tap(120, 330);
    await page.waitForSelector("#unexpected:not([hidden])");
    assert.match(await page.textContent("#unexpected-text"), new RegExp(world.site.other));
    assert.equal((await viewer.dataset()).keyboard, "disabled");
    assert.equal(await page.isEnabled("#done"), true);
    await page.tap("#unexpected-continue");
    await viewer.data("keyboard", "enabled");
    await ready(page);
    assert.equal(await page.getAttribute("#seal-line", "data-seal"), "frame");
    assert.match(await page.textContent("#seal-text"), /localhost/);
    assert.equal(
      (await page.textContent("#origin")).trim(),
      world.site.url,
      "the bar still names the page",
    );
    await page.tap("#site");
    assert.equal((await page.textContent("#site-frame")).trim(), world.site.other);
    await page.tap("#sheet-site [data-close]");
    await page.tap("#type-here");
    await ready(page);
    await hands.commit("2718");
    await page.keyboard.press("Enter");
    const [form] = await told(world, "form");
    assert.deepEqual(form, { host: new URL(world.site.other).host, password: "2718" });

    await hands.swipe([300, 560], [300, 330], 5);
    const [lifted] = await told(world, "lifted");
    const scrolled = await told(
      world,
      "scrolled",
      (all) => Number(all.at(-1)) > Number(lifted) + 40,
    );
    assert.ok(Number(scrolled.at(-1)) > Number(lifted), "it goes on after the finger has left");
    assert.deepEqual(viewer.errors, []);
  },
);

scenario(
  "a finger keeps its momentum when the page is busy while it moves",
  { path: "/extra/hands", remote: CHROMIUM },
  async (world) => {
    const { viewer } = await world.live("phone", ["--expect-origin", world.site.url]);
    const hands = await Hands.of(viewer);
    const remote = world.keep(await RemotePage.of(world.remote.cdp));
    await remote.evaluate(`addEventListener("touchmove", () => {
      for (const end = performance.now() + 400; performance.now() < end; );
    }, { passive: false, once: true })`);

    await hands.swipe([300, 560], [300, 330], 10);
    await told(world, "scrolled", (all) => Number(all.at(-1)) > 560 - 330 + 200);
  },
);

scenario(
  "a mouse: clicks, wheel, drag and drop, modifiers that do not stick, a flood before a click",
  { path: "/extra/hands", remote: CHROMIUM },
  async (world) => {
    const { viewer } = await world.live("desktop");
    const { page } = viewer;
    const hands = await Hands.of(viewer);

    await hands.mouse(80, 84);
    await page.mouse.dblclick(...(await hands.at(80, 84)));
    await told(world, "dblclick");
    await page.mouse.click(...(await hands.at(80, 84)), { button: "right" });
    assert.deepEqual(await told(world, "contextmenu"), ["mouse"]);
    await page.mouse.wheel(0, 120);
    assert.deepEqual(await told(world, "wheel"), ["120"]);
    await page.mouse.wheel(0, -120);
    await told(world, "scrolled", (all) => all.at(-1) === "0");

    await hands.mouse(60, 160);
    await page.mouse.down();
    for (const x of [70, 120, 200, 250]) await hands.mouse(x, 160);
    await page.mouse.up();
    assert.deepEqual(await told(world, "drop"), ["parcel"]);
    await hands.mouse(30, 230);
    await page.mouse.down();
    await hands.mouse(130, 230);
    await page.mouse.up();
    assert.deepEqual(await told(world, "slide"), ["mouse 100"]);

    // Another window takes the keyup of Shift away.
    await page.keyboard.down("Shift");
    await page.evaluate(() => window.dispatchEvent(new Event("blur")));
    await told(world, "keyup", (all) => all.includes("Shift"));
    const before = (await told(world, "click")).length;
    // Every move of a hand in a hurry, without a pause, and a click behind them.
    await page.evaluate(
      ([x, y]) => {
        const place = document.getElementById("page");
        const fire = (type, x, o) =>
          place.dispatchEvent(
            new PointerEvent(type, {
              clientX: x,
              clientY: y,
              pointerType: "mouse",
              pointerId: 1,
              isPrimary: true,
              bubbles: true,
              button: -1,
              ...o,
            }),
          );
        place.setPointerCapture = () => {};
        for (let i = 0; i < 20_000; i++) fire("pointermove", x + (i % 40) - 20, {});
        fire("pointerdown", x, { button: 0, buttons: 1 });
        fire("pointerup", x, { button: 0, buttons: 0 });
      },
      await hands.at(80, 84),
    );
    const clicks = await told(world, "click", (all) => all.length > before);
    assert.equal(clicks.at(-1), "mouse", "and no Shift with it");
    const moves = Number((await told(world, "moves", (all) => all.length > before)).at(-1));
    assert.ok(moves < 400, `${moves} moves came before the click`);
    await page.keyboard.up("Shift");
  },
);

scenario(
  "a soft keyboard: words, emoji, right to left, a code in boxes, a secret as a block",
  { path: "/extra/fields", remote: CHROMIUM },
  async (world) => {
    const { viewer } = await world.live("phone");
    const { page } = viewer;
    const hands = await Hands.of(viewer);
    const remote = world.keep(await RemotePage.of(world.remote.cdp));
    const place = (selector) =>
      remote.evaluate(
        `(() => { const r = document.querySelector('${selector}').getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()`,
      );
    const enter = async (selector, attribute) => {
      await hands.tap(...(await place(selector)));
      await ready(page, attribute);
    };
    const holds = (id, value) => told(world, id, (all) => all.at(-1) === value);

    await enter("#text", "#pad[enterkeyhint=next]");
    for (const t of ["h", "he", "hel"]) await hands.compose(t);
    await hands.commit("hello ");
    await holds("text", "hello ");
    await hands.commit("👩‍👩‍👧👍🏽🇩🇪❤️1️⃣e\u0301");
    await holds("text", "hello 👩‍👩‍👧👍🏽🇩🇪❤️1️⃣e\u0301");
    await page.evaluate(() => {
      const pad = document.activeElement;
      pad.setRangeText("", pad.value.indexOf("👩"), pad.value.length, "end");
      pad.dispatchEvent(new InputEvent("input"));
    });
    await holds("text", "hello ");
    // Hebrew, with a letter put in where the caret is not.
    await hands.commit("שלם עולם");
    await holds("text", "hello שלם עולם");
    await page.evaluate(() => {
      const pad = document.activeElement;
      pad.setRangeText("ו", pad.value.indexOf("ם"), pad.value.indexOf("ם"), "end");
      pad.dispatchEvent(new InputEvent("input"));
    });
    await holds("text", "hello שלום עולם");
    assert.deepEqual(
      (await world.site.records()).filter(
        (r) => /^composition/.test(r.step) && /[a-z]/i.test(r.fields.value),
      ),
      [],
      "no Latin word is composed there on Android",
    );

    // Into the next field, where nothing of this one may be.
    await enter("#rich", "#pad-multi");
    for (const t of ["に", "にほ", "日本"]) await hands.compose(t);
    await hands.commit("日本");
    await hands.commit("語");
    await holds("rich", "日本語");
    assert.ok(
      (await told(world, "compositionstart")).length > 0,
      "the remote page saw a composition",
    );

    await enter(".box", "#pad[autocomplete=one-time-code]");
    await page.fill("#pad", "314159", { force: true });
    await holds("code", "314159");

    await enter("#secret", "#pad[autocomplete=current-password]");
    await page.tap("#compose");
    await page.fill("#compose-secret", "correct horse – ünïcode");
    await page.tap("#compose-send");
    await holds("secret", "correct horse – ünïcode");
    const texts = await told(world, "text");
    assert.equal(texts.at(-1), "hello שלום עולם", "and the first field still holds what it held");
    assert.deepEqual(viewer.errors, []);
  },
);

scenario(
  "keys meant for one origin are refused after the page has moved to another",
  { path: "/extra/form", remote: CHROMIUM },
  async (world) => {
    const viewer = await world.viewer("desktop");
    // The viewer hears nothing of the host while `deaf`: what it types then, it types for the old
    // page.
    await viewer.context.addInitScript(() => {
      globalThis.deaf = false;
      const kept = [];
      const { set, ...rest } = Object.getOwnPropertyDescriptor(
        RTCDataChannel.prototype,
        "onmessage",
      );
      const later = (listener) => (event) =>
        globalThis.deaf ? kept.push(() => listener(event)) : listener(event);
      Object.defineProperty(RTCDataChannel.prototype, "onmessage", {
        ...rest,
        set(f) {
          set.call(this, f && later(f));
        },
      });
      globalThis.listen = () => {
        globalThis.deaf = false;
        for (const say of kept.splice(0)) say();
      };
    });
    const host = world.host();
    await viewer.open(await host.link());
    await viewer.claim();
    const { page } = viewer;
    await ready(page, "#pad[type=password]");

    const remote = world.keep(await RemotePage.of(world.remote.cdp));
    await page.evaluate(() => (globalThis.deaf = true));
    await remote.evaluate("location.href = '/extra/move'; 0");
    await remote.reaches(world.site.other);
    await viewer.type("for the first site");
    await viewer.press("Enter");
    await page.evaluate(() => globalThis.listen());

    await page.waitForSelector("#notices [data-code=refused_epoch]");
    await page.waitForFunction(
      (o) => document.getElementById("origin").textContent === o,
      world.site.other,
    );
    await ready(page, "#pad[type=password]");
    await viewer.type("for the other");
    await viewer.press("Enter");
    const forms = await told(world, "form");
    assert.deepEqual(forms, [{ host: new URL(world.site.other).host, password: "for the other" }]);

    // A site whose certificate nobody vouches for is named, with what the browser has against it.
    const stranger = world.keep(new Server(["--tls", "self-signed"]));
    await stranger.ready();
    await remote.send("Page.navigate", { url: stranger.url });
    await page.waitForFunction(
      (o) => document.getElementById("origin").textContent === o,
      stranger.url,
    );
    await page.waitForFunction(
      () =>
        document.getElementById("site-problem").textContent === "net::ERR_CERT_AUTHORITY_INVALID",
    );
    assert.equal(await page.textContent("#lock-text"), "Certificate not valid");
    assert.equal(await page.getAttribute("#origin-line", "data-secure"), "false");
  },
);
