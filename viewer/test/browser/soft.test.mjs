// Soft keyboards and input methods, played: Gboard, iOS, Korean, Japanese, dead keys, right to
// left. The sequences follow what the specifications and the engines document; none was recorded
// from a phone. Whatever they do to the local input, the remote field holds the same text, once.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { bench } from "../support/browser.mjs";
import { Remote } from "../support/remote.mjs";

const IME = fileURLToPath(new URL("../support/ime.js", import.meta.url));
const PHONE = { viewport: { width: 390, height: 760 }, isMobile: true, hasTouch: true };
const ANDROID = {
  ...PHONE,
  userAgent:
    "Mozilla/5.0 (Linux; Android 16; Pixel 10) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/145.0.0.0 Mobile Safari/537.36",
};
const IOS = {
  ...PHONE,
  userAgent:
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Mobile/15E148 Safari/604.1",
};
const DESKTOP = { viewport: { width: 1000, height: 700 } };
const W = 65535;

let b;
let ids = 0;
before(async () => {
  b = await bench();
});
after(async () => {
  await b?.stop();
});

async function live(options) {
  const s = await b.live(options);
  await s.page.evaluate(readFileSync(IME, "utf8"));
  await s.page.evaluate((android) => {
    globalThis.ime = new Ime(android);
  }, options.userAgent?.includes("Android") ?? false);
  return {
    ...s,
    close: async () => {
      assert.deepEqual(s.errors, []);
      await s.close();
    },
  };
}

/** A field with nothing in it has the focus, and the local input stands for it. */
async function field(s, f = {}) {
  const id = ++ids;
  const whole = {
    id,
    kind: "text",
    inputmode: "",
    autocomplete: "",
    enterkeyhint: "",
    secret: false,
    multiline: false,
    length: 0,
    rect: [W * 0.2, W * 0.3, W * 0.6, W * 0.07].map(Math.round),
    ...f,
  };
  await s.host.evaluate((x) => {
    fake.from = fake.events.length;
    return fake.output({ t: "field", field: x });
  }, whole);
  await s.page.waitForFunction(
    (mark) => document.querySelector(".pad[tabindex='0']")?.getAttribute("enterkeyhint") === mark,
    whole.enterkeyhint,
  );
  await s.page.evaluate(() => document.querySelector(".pad[tabindex='0']").focus());
}

/** What the remote side was told since the field got the focus, once everything has arrived. */
async function told(s) {
  await s.page.evaluate(() => globalThis.ime.press("F9", 120)); // comes last
  await s.host.waitForFunction(() =>
    fake.events.slice(fake.from).some((e) => e.key === "F9" && !e.down),
  );
  return s.host.evaluate(() =>
    fake.events
      .slice(fake.from)
      .filter((e) => e.key !== "F9" && !["viewport", "refresh"].includes(e.t)),
  );
}
const gist = (events) =>
  events.filter((e) => e.t !== "key" || e.down).map((e) => `${e.t} ${e.text ?? e.key ?? e.before}`);

/** Plays, and compares what the remote field holds in the end. @returns what it was told */
async function plays(s, what, act, expected, before = "") {
  // An alternating hint tells one field's local input from the last one's.
  await field(s, { enterkeyhint: ids % 2 ? "next" : "go" });
  await s.page.evaluate(act);
  const events = await told(s);
  const remote = new Remote(before);
  remote.apply(events);
  assert.equal(remote.value, expected, `${what}: ${JSON.stringify(gist(events))}`);
  return gist(events);
}

test("Gboard on Android, and from field to field", async () => {
  const s = await live(ANDROID);

  await plays(
    s,
    "an at sign inside a word",
    () => {
      for (const t of ["a", "ad", "ada"]) ime.compose(t);
      ime.finish();
      ime.commit("@");
      for (const t of ["e", "ex"]) ime.compose(t);
      ime.commit("ex");
    },
    "ada@ex",
  );
  const suggestion = await plays(
    s,
    "a suggestion, which finishes the word",
    () => {
      for (const t of ["h", "he", "hel"]) ime.compose(t);
      ime.commit("hello ");
    },
    "hello ",
  );
  assert.deepEqual(
    suggestion,
    ["text h", "text e", "text l", "text lo "],
    "the page sees text, no Latin composition",
  );
  await plays(
    s,
    "an autocorrection, and its undoing by Backspace",
    () => {
      for (const t of ["t", "te", "teh"]) ime.compose(t);
      ime.commit("the ");
      ime.delete(4);
      ime.commit("teh");
    },
    "teh",
  );
  await plays(
    s,
    "a word taken up again",
    () => {
      ime.compose("hello");
      ime.commit("hello ");
      ime.delete(1);
      ime.take("hello");
      for (const t of ["hell", "help", "helping"]) ime.compose(t);
      ime.commit("helping");
    },
    "helping",
  );
  await plays(
    s,
    "a word in the middle replaced",
    () => {
      ime.commit("one tow three");
      ime.take("tow");
      ime.compose("two");
      ime.finish();
    },
    "one two three",
  );
  await plays(
    s,
    "gliding, and a whole word taken back",
    () => {
      ime.compose("hello");
      ime.finish();
      ime.commit(" ");
      ime.compose("world");
      ime.compose("");
      ime.finish();
      ime.compose("word");
      ime.commit("word");
    },
    "hello word",
  );
  await plays(
    s,
    "emoji, one deleted, one with a skin colour",
    () => {
      ime.commit("👩‍👩‍👧");
      ime.commit("😀");
      ime.delete(2);
      ime.commit("👍🏽");
    },
    "👩‍👩‍👧👍🏽",
  );
  await plays(
    s,
    "no composition at all, as in e-mail fields",
    () => {
      for (const c of "a.b@c.de") ime.commit(c);
      ime.delete(1);
    },
    "a.b@c.d",
  );
  await plays(
    s,
    "Backspace into what the field held before",
    () => {
      for (let i = 0; i < 3; i++) ime.delete(1);
      ime.commit("x");
    },
    "helx",
    "hello!",
  );
  await plays(
    s,
    "dictation, corrected as it goes",
    () => {
      for (const t of ["their", "there is", "there is a"]) ime.compose(t);
      ime.commit("There is a house.");
    },
    "There is a house.",
  );
  const russian = await plays(
    s,
    "a script that is composed",
    () => {
      for (const t of ["п", "пр", "при"]) ime.compose(t);
      ime.commit("привет ");
    },
    "привет ",
  );
  assert.deepEqual(russian.at(-1), "text привет ");
  assert.ok(
    russian.slice(0, -1).every((e) => e.startsWith("composition")),
    String(russian),
  );
  await plays(
    s,
    "right to left: a letter missing in the middle is put in",
    () => {
      ime.commit("שלם עולם");
      ime.take("שלם");
      ime.compose("שלום");
      ime.finish();
    },
    "שלום עולם",
  );
  await plays(s, "a code from the message", () => ime.fill("314159"), "314159", "27");

  // Enter, as Gboard tells of it, while a word is on its way.
  await field(s, { enterkeyhint: ids % 2 ? "next" : "go" });
  await s.page.evaluate(() => {
    ime.compose("ada");
    ime.finish();
    ime.press("Enter", 13);
  });
  assert.deepEqual(gist(await told(s)), ["text ada", "key Enter"]);

  // Nothing is carried from field to field.
  const mark = () => (ids % 2 ? "next" : "go");
  await plays(
    s,
    "the first field",
    () => {
      for (const t of ["a", "ad"]) ime.compose(t);
    },
    "ad",
  );
  // The page moved the focus on while a word was on its way; the keyboard starts a new one.
  await field(s, { enterkeyhint: mark() });
  await s.page.evaluate(() => {
    ime.compose("x");
    ime.commit("xy");
  });
  assert.deepEqual(gist(await told(s)), ["text x", "text y"]);

  // The same with a composition, which the remote browser has committed when the focus left.
  await plays(s, "composing", () => ime.compose("に"), "に");
  await field(s, { enterkeyhint: mark() });
  await s.page.evaluate(() => {
    ime.compose("ほ");
    ime.commit("ほ");
  });
  assert.deepEqual(gist(await told(s)), ["composition ほ", "text ほ"]);

  // A tap moves the remote caret: a later correction must not reach back before it.
  await plays(s, "before the tap", () => ime.commit("teh"), "teh");
  const box = await s.page.locator("#video").boundingBox();
  await s.page.touchscreen.tap(box.x + 5, box.y + box.height - 5);
  assert.equal(
    await s.page.evaluate(() => document.activeElement.value.replaceAll("\u200b", "")),
    "",
  );
  await s.page.evaluate(() => ime.commit("!"));
  assert.deepEqual(gist((await told(s)).filter((e) => e.t === "text")).slice(-1), ["text !"]);

  // Six boxes, one digit each; the code comes whole.
  await field(s, {
    enterkeyhint: mark(),
    autocomplete: "one-time-code",
    inputmode: "numeric",
    maxlength: 1,
  });
  await s.page.evaluate(() => ime.fill("123456"));
  assert.deepEqual(gist(await told(s)), [
    "replace 1",
    "text 2",
    "text 3",
    "text 4",
    "text 5",
    "text 6",
  ]);
  await s.close();
});

test("iOS: autocorrection without compositions, a password from the manager", async () => {
  const s = await live(IOS);

  await plays(
    s,
    "a word corrected",
    () => {
      for (const c of "teh") ime.commit(c);
      ime.correct("teh", "the");
      ime.commit(" ");
      ime.commit("end");
    },
    "the end",
  );
  await plays(
    s,
    "an accent held and chosen",
    () => {
      ime.commit("e");
      ime.correct("e", "é");
    },
    "é",
  );
  await field(s, {
    enterkeyhint: ids % 2 ? "next" : "go",
    kind: "password",
    secret: true,
    autocomplete: "current-password",
  });
  const frames = await s.host.evaluate(() => fake.applied);
  await s.page.evaluate(() => ime.fill("correct horse battery"));
  assert.deepEqual(gist(await told(s)), ["replace correct horse battery"]);
  // Two keys of F9, one frame each; the password is a block of four.
  assert.equal((await s.host.evaluate(() => fake.applied)) - frames, 6);
  assert.equal(
    await s.page.evaluate(() => document.activeElement.value.length),
    1,
    "it does not stay in the page",
  );
  await s.close();
});

test("Korean, Japanese and dead keys on a laptop are sent as compositions", async () => {
  const s = await live(DESKTOP);

  const korean = await plays(
    s,
    "syllables",
    () => {
      for (const t of ["ㅎ", "하", "한"]) ime.compose(t);
      ime.commit("한");
      for (const t of ["ㄱ", "그", "글"]) ime.compose(t);
      ime.commit("글");
    },
    "한글",
  );
  assert.deepEqual(korean, [
    "composition ㅎ",
    "composition 하",
    "composition 한",
    "text 한",
    "composition ㄱ",
    "composition 그",
    "composition 글",
    "text 글",
  ]);
  await plays(
    s,
    "kana to kanji, in the middle of text",
    () => {
      ime.commit("東に住む");
      ime.take("に");
      for (const t of ["きょ", "京に"]) ime.compose(t);
      ime.commit("京に");
    },
    "東京に住む",
  );
  const dead = await plays(
    s,
    "a dead key",
    () => {
      ime.compose("´");
      ime.commit("é");
    },
    "é",
  );
  assert.deepEqual(dead, ["composition ´", "composition é", "text é"]);
  await plays(
    s,
    "a composition given up",
    () => {
      ime.commit("a");
      ime.compose("か");
      ime.compose("");
      ime.finish();
      ime.commit("b");
    },
    "ab",
  );
  // Keys of a French and a Russian layout: what is printed on the key counts, not its place.
  await field(s, { enterkeyhint: ids % 2 ? "next" : "go" });
  await s.page.evaluate(() => {
    for (const [key, code] of [
      ["a", "KeyQ"],
      ["ы", "KeyS"],
      ["@", "Digit0"],
    ]) {
      for (const type of ["keydown", "keyup"])
        document.activeElement.dispatchEvent(
          new KeyboardEvent(type, {
            key,
            code,
            bubbles: true,
            cancelable: true,
            ctrlKey: key === "@",
            altKey: key === "@",
            modifierAltGraph: key === "@",
          }),
        );
    }
  });
  const keys = (await told(s)).filter((e) => e.down).map((e) => [e.key, e.code, e.mods]);
  assert.deepEqual(keys, [
    ["a", "KeyQ", 0],
    ["ы", "KeyS", 0],
    ["@", "Digit0", 0],
  ]);
  await s.close();
});
