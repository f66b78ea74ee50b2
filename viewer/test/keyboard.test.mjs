// The keyboard's pure cores: the mirror of the local input, fields, keys.
import assert from "node:assert/strict";
import { test } from "node:test";
import { padAttributes, sameField, spreadCode } from "../js/field-attributes.js";
import { InputMirror, isLatin, SENTINEL } from "../js/input-mirror.js";
import { classifyKey, DoubleEscape, remoteModifiers, stuckModifiers } from "../js/keymap.js";
import { ClickCounter } from "../js/pointer.js";
import { Remote } from "./support/remote.mjs";

const P = SENTINEL.repeat(8);

test("typing, autocorrection, deletion", () => {
  const s = new InputMirror();
  const r = new Remote();
  for (const v of [
    "t",
    "te",
    "teh",
    "the ",
    "the c",
    "the ca",
    "the c",
    "the 😀",
    "the ",
    "THE ",
  ]) {
    r.apply(s.update(P + v));
    assert.equal(r.value, v);
  }
  assert.deepEqual(s.update(`${P}THE `), [], "the same value tells nothing twice");
});

test("edits in the middle move the remote caret by arrow keys", () => {
  const s = new InputMirror();
  const r = new Remote();
  for (const v of [
    "hello world",
    "hello, world",
    "hello, big world",
    "jello, big world",
    "jello, big world!",
  ])
    assert.equal(r.apply(s.update(P + v)).value, v);
});

test("emoji are never cut in half", () => {
  const s = new InputMirror();
  const r = new Remote();
  for (const v of ["👍", "👍🏽", "👎🏽", "👩‍👩‍👧", "👩‍👩‍👧x", "x", "é", "e\u0301"]) {
    for (const e of s.update(P + v)) {
      if ("text" in e) assert.equal(e.text, e.text.toWellFormed?.() ?? e.text);
      r.apply([e]);
    }
    assert.equal(r.value, v);
  }
});

test("backspace into what the field held before", () => {
  const s = new InputMirror();
  const r = new Remote("abcdef");
  r.apply(s.update(P.slice(1)));
  assert.equal(r.value, "abcde");
  s.reset();
  r.apply(s.update(P.slice(3)));
  assert.equal(r.value, "ab");
  s.reset();
  r.apply(s.update(`${P}x`));
  r.apply(s.update(P.slice(1)));
  assert.equal(r.value, "a", "what was typed here, and one more");
  const secret = new InputMirror(1);
  assert.deepEqual(secret.update(""), [{ t: "delete", before: 1, after: 0 }]);
});

test("autofill and managers replace the value whole", () => {
  const s = new InputMirror();
  const r = new Remote("old");
  r.apply(s.update(`${P}ty`));
  r.apply(s.update("123456"));
  assert.equal(r.value, "123456");
  const secret = new InputMirror(1);
  assert.deepEqual(secret.update("correct horse"), [{ t: "replace", text: "correct horse" }]);
});

test("compositions: hiragana to kanji, cancel, over an existing word", () => {
  const s = new InputMirror();
  const r = new Remote();
  const compose = (text, head = "") =>
    r.apply(s.update(P + head + text, { text, end: 8 + head.length + text.length }));
  for (const k of ["に", "にほ", "にほん", "日本"]) {
    compose(k);
    assert.equal(r.value, k);
    assert.equal(r.comp, k);
  }
  r.apply(s.update(`${P}日本`));
  assert.equal(r.value, "日本");
  assert.equal(r.comp, "");
  compose("ご", "日本");
  assert.equal(r.value, "日本ご");
  r.apply(s.update(`${P}日本`));
  assert.equal(r.value, "日本");
  assert.equal(r.comp, "", "cancelled");
  compose("日本");
  assert.equal(r.value, "日本", "a word taken up again is not doubled");
  assert.equal(r.comp, "日本");
  compose("日本語");
  assert.deepEqual(r.apply(s.flush()).value, "日本語");
  assert.deepEqual(s.update(`${P}日本語`), [], "committed by a click: not told again");
});

test("any edits keep both sides equal", () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1e9);
  let x = seed;
  const rnd = (n) => {
    x = (x * 1103515245 + 12345) % 2147483648;
    return x % n;
  };
  const pieces = ["a", "b", "ab", " ", "é", "😀", "日", "ñ", "aa", "👩‍👩‍👧"];
  for (let round = 0; round < 300; round++) {
    const s = new InputMirror();
    const r = new Remote();
    let v = "";
    let composing = null;
    for (let step = 0; step < 25; step++) {
      if (composing !== null) {
        composing.text += pieces[rnd(pieces.length)];
        const value = v.slice(0, composing.at) + composing.text + v.slice(composing.at);
        if (rnd(3) === 0) {
          v = rnd(4) === 0 ? v : value;
          composing = null;
          r.apply(s.update(P + v));
        } else
          r.apply(
            s.update(P + value, {
              text: composing.text,
              end: 8 + composing.at + composing.text.length,
            }),
          );
        if (composing === null) assert.equal(r.value, v, `SEED=${seed}`);
        continue;
      }
      const marks = [0];
      for (const g of new Intl.Segmenter("en", { granularity: "grapheme" }).segment(v))
        marks.push(g.index + g.segment.length);
      const i = marks[rnd(marks.length)];
      const j = marks[Math.min(marks.length - 1, marks.indexOf(i) + rnd(3))];
      if (rnd(5) === 0) {
        composing = { at: marks.at(-1), text: "" };
        continue;
      }
      v = v.slice(0, i) + (rnd(3) ? pieces[rnd(pieces.length)] : "") + v.slice(j);
      r.apply(s.update(P + v));
      assert.equal(r.value, v, `SEED=${seed}`);
    }
  }
});

test("Latin compositions are words on their way", () => {
  for (const w of ["hello", "né", "o'cl", "ß", "a1", "ångström", ""]) assert.ok(isLatin(w), w);
  for (const w of ["に", "привет", "שלום", "한", "你"]) assert.ok(!isLatin(w), w);
});

const field = (f) => ({
  kind: "text",
  inputmode: "",
  autocomplete: "",
  enterkeyhint: "",
  secret: false,
  multiline: false,
  length: 0,
  rect: [0, 0, 100, 100],
  ...f,
});

test("which local input stands for a field", () => {
  const a = (f) => padAttributes(field(f));
  assert.deepEqual(
    [a({ kind: "password", secret: true, autocomplete: "current-password" })].map((p) => [
      p.type,
      p.autocomplete,
      p.assist,
    ])[0],
    ["password", "current-password", false],
  );
  assert.equal(
    a({ kind: "password", secret: true, autocomplete: "new-password" }).autocomplete,
    "off",
    "no suggested password for the viewer's origin",
  );
  assert.equal(a({ kind: "email" }).type, "text");
  assert.equal(a({ kind: "email" }).inputmode, "email");
  assert.equal(
    a({ kind: "tel", autocomplete: "one-time-code", inputmode: "numeric" }).autocomplete,
    "one-time-code",
  );
  assert.equal(
    a({ secret: true, autocomplete: "one-time-code", inputmode: "numeric" }).type,
    "text",
    "phones offer codes to text inputs",
  );
  assert.equal(a({ autocomplete: "section-a shipping postal-code" }).autocomplete, "postal-code");
  assert.equal(a({ autocomplete: "cc-number" }).autocomplete, "off");
  assert.equal(a({ inputmode: "javascript:x" }).inputmode, "text");
  assert.equal(a({ enterkeyhint: "bogus" }).enterkeyhint, "");
  assert.equal(a({ kind: "textarea", multiline: true }).assist, true);
  assert.equal(a({ kind: "textarea", multiline: true, secret: true }).multiline, false);
  assert.equal(a({ autocomplete: "username" }).assist, false, "names are not corrected");
});

test("a code that comes whole fills a row of boxes, and only that is taken apart", () => {
  const told = (event, f) => spreadCode(event, f && field(f)).map((e) => `${e.t}:${e.text}`);
  const code = { t: "replace", text: "123 456" };
  assert.deepEqual(told(code, { maxlength: 1 }), [
    "replace:1",
    "text:2",
    "text:3",
    "text:4",
    "text:5",
    "text:6",
  ]);
  assert.deepEqual(told({ t: "paste", text: "12-34" }, { maxlength: 2 }), [
    "paste:12",
    "text:3",
    "text:4",
  ]);
  for (const f of [{}, { maxlength: 0 }, { maxlength: 6 }, null])
    assert.deepEqual(told(code, f), ["replace:123 456"]);
  assert.deepEqual(told({ t: "paste", text: "7" }, { maxlength: 1 }), ["paste:7"]);
  assert.deepEqual(
    told({ t: "text", text: "78" }, { maxlength: 1 }),
    ["text:78"],
    "what is typed stays as it is",
  );
  assert.equal(told({ t: "paste", text: "x".repeat(50) }, { maxlength: 1 }).length, 1, "no code");
});

test("fields are told apart", () => {
  const a = field({});
  assert.ok(sameField(a, field({ rect: [0, 9000, 100, 100], length: 5 })), "scrolled");
  assert.ok(!sameField(a, field({ rect: [5000, 0, 100, 100] })), "the next box of a code");
  assert.ok(!sameField(a, field({ kind: "password", secret: true })));
  assert.ok(!sameField(field({ id: 1 }), field({ id: 2 })), "by name, where there is one");
  assert.ok(!sameField(a, null));
  assert.ok(sameField(null, null));
});

const press = (key, o = {}) => ({
  key,
  code: o.code ?? (key.length === 1 ? `Key${key.toUpperCase()}` : key),
  keyCode: 0,
  altKey: false,
  ctrlKey: false,
  metaKey: false,
  shiftKey: false,
  isComposing: false,
  repeat: false,
  ...o,
  getModifierState: (m) => Boolean(o.altgr && m === "AltGraph"),
});

test("what a key press is", () => {
  const use = (key, o, mac = false) => classifyKey(press(key, o), mac);
  assert.equal(use("a"), "send");
  assert.equal(use("Tab"), "send");
  assert.equal(use("Dead"), "edit");
  assert.equal(use("a", { keyCode: 229 }), "edit");
  assert.equal(use("a", { code: "" }), "edit", "a soft keyboard");
  assert.equal(use("Backspace", { code: "" }), "edit");
  assert.equal(use("Enter", { code: "" }), "send");
  assert.equal(use("v", { ctrlKey: true }), "paste");
  assert.equal(use("v", { metaKey: true }, true), "paste");
  assert.equal(use("v", { ctrlKey: true }, true), "send");
  assert.equal(use("a", { ctrlKey: true }), "send");
  for (const [key, code, wanted] of [
    ["м", "KeyV", "paste"],
    ["ω", "KeyV", "paste"],
    ["ה", "KeyV", "paste"],
    ["ד", "KeyS", "send"],
    ["к", "KeyR", "own"],
    ["д", "KeyL", "own"],
    ["ö", "KeyV", "send"],
    ["y", "KeyZ", "send"],
  ])
    assert.equal(use(key, { code, ctrlKey: true }), wanted, key);
  for (const k of ["r", "t", "w", "+", "0"]) assert.equal(use(k, { ctrlKey: true }), "own", k);
  assert.equal(use("F5"), "own");
  assert.equal(use("r", { metaKey: true }, true), "own");
  assert.equal(use("Escape"), "send");
  assert.equal(use("Escape", { ctrlKey: true, altKey: true }), "leave");
  const d = new DoubleEscape();
  assert.deepEqual(
    [
      [0, 1000],
      [0, 1300],
      [0, 1400],
      [0, 2500],
    ].map(([, t]) => d.press("Escape", false, t)),
    [false, true, false, false],
  );
  assert.equal(d.press("a", false, 2600), false);
  assert.equal(d.press("Escape", false, 2700), false);
});

test("modifiers as the remote side is to see them", () => {
  assert.equal(
    remoteModifiers(press("@", { altKey: true, ctrlKey: true, altgr: true }), false),
    0,
    "AltGr makes a character",
  );
  assert.equal(remoteModifiers(press("@", { altKey: true }), true), 0, "and so does Option");
  assert.equal(remoteModifiers(press("a", { metaKey: true }), true), 2, "Command is Control");
  assert.equal(remoteModifiers(press("a", { ctrlKey: true, shiftKey: true }), false), 10);
  assert.equal(remoteModifiers(press("ArrowLeft", { altKey: true }), false), 1);
  assert.deepEqual(
    stuckModifiers(["ShiftLeft", "KeyA", "ControlRight"], press("b", { ctrlKey: true })),
    ["ShiftLeft"],
  );
  assert.deepEqual(stuckModifiers(["AltLeft"], press("Tab")), ["AltLeft"], "after Alt+Tab");
});

test("clicks are counted", () => {
  const c = new ClickCounter();
  assert.deepEqual(
    [0, 200, 400, 600, 2000].map((t) => c.down(t, 10, 10, 0)),
    [1, 2, 3, 1, 1],
  );
  assert.equal(c.down(2100, 30, 10, 0), 1, "elsewhere");
  assert.equal(c.down(2200, 30, 10, 2), 1, "another button");
});
