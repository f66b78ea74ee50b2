// Catalogs hold the same texts, and every text that the page or the modules name.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { LOCALES } from "../js/i18n.js";

const root = new URL("../", import.meta.url);
const read = (f) => readFileSync(new URL(f, root), "utf8");
const load = (l) => JSON.parse(read(`locales/${l}.json`));
const en = load("en");

test("one catalog for each locale, with the same keys and places", () => {
  assert.deepEqual(
    readdirSync(new URL("locales", root)).sort(),
    LOCALES.map((l) => `${l}.json`).sort(),
  );
  for (const l of LOCALES) {
    const c = load(l);
    assert.deepEqual(Object.keys(c).sort(), Object.keys(en).sort(), l);
    for (const [k, v] of Object.entries(c)) {
      const places = (s) => (s.match(/\{\w+\}/g) ?? []).sort();
      assert.deepEqual(places(v), places(en[k]), `${l} ${k}`);
      if (!k.startsWith("invitation.asks_")) assert.ok(v.trim(), `${l} ${k} is empty`);
    }
  }
});

test("every text that is named exists", () => {
  const html = read("index.html");
  for (const [, key] of html.matchAll(/data-i18n(?:-label)?="([^"]+)"/g)) assert.ok(key in en, key);
  for (const f of readdirSync(new URL("js", root))) {
    for (const [, key] of read(`js/${f}`).matchAll(/\bt\(\s*"([^"]+)"/g))
      assert.ok(key in en, `${f}: ${key}`);
    for (const [, code] of read(`js/${f}`).matchAll(/\bnotice\("([^"]+)"/g))
      assert.ok(`notice.${code}` in en, `${f}: ${code}`);
    for (const [, code] of read(`js/${f}`).matchAll(/\bshowError\("([^"]+)"/g))
      assert.ok(`error.${code}` in en, `${f}: ${code}`);
    for (const [, code] of read(`js/${f}`).matchAll(/fatal\("([^"]+)"/g))
      assert.ok(`error.${code}` in en, `${f}: ${code}`);
  }
  assert.doesNotMatch(html, /\sstyle=|<style|\son[a-z]+=|javascript:/i, "nothing inline");
  for (const [, id] of html.matchAll(
    /(?:aria-labelledby|aria-describedby|for|aria-controls)="([^"]+)"/g,
  ))
    assert.ok(html.includes(`id="${id}"`), id);
});

test("the modules keep to the policy", () => {
  for (const f of readdirSync(new URL("js", root))) {
    assert.doesNotMatch(
      read(`js/${f}`),
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|\.cssText|setAttribute\("style"/,
      f,
    );
    assert.ok(read(`js/${f}`).split("\n").length <= 410, `${f} is too long`);
  }
});
