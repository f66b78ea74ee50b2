// SECURITY.md names tests that exist, and every attacker's row names one.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { ROOT, run } from "./parts.mjs";

const read = (path) => readFileSync(`${ROOT}${path}`, "utf8");
const rows = read("SECURITY.md")
  .split("\n")
  .filter((line) => /^\| (\*\*|\|)/.test(line) || /^\| \| /.test(line))
  .map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );

/**
 * Whether the file has a test of this name; a JavaScript name may be the beginning of a template.
 */
function exists(file, name) {
  const path = `${ROOT}${file}`;
  if (!existsSync(path)) return false;
  const text = readFileSync(path, "utf8");
  if (file.endsWith(".rs"))
    return new RegExp(
      `#\\[(tokio::)?test\\b[^\\]]*\\]\\s*(#\\[[^\\]]*\\]\\s*|//.*\\s*)*(async )?fn ${name}\\(`,
    ).test(text);
  const quoted = name.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`\\b(test|roomTest|scenario|withGate|withAgent)\\(\\s*(["'\`])${quoted}`).test(
    text,
  );
}

test("each threat of SECURITY.md names tests, and each of them exists", () => {
  assert.ok(rows.length >= 25, `${rows.length} rows`);
  for (const cells of rows) {
    assert.equal(cells.length, 4, cells.join(" | "));
    const [attacker, wants, holds, shown] = cells;
    assert.ok(wants && holds, `${attacker} ${wants}`);
    const named = [...shown.matchAll(/`([^`]+)` › `([^`]+)`/g)];
    const scripts = [...shown.matchAll(/`(script\/[\w-]+)`/g)];
    assert.ok(named.length + scripts.length > 0, `nothing shows: ${wants}`);
    assert.equal(
      named.length + scripts.length,
      shown.split(/, (?=`[\w-]+\/)/).length,
      `not understood: ${shown}`,
    );
    for (const [, file, name] of named)
      assert.ok(exists(file, name), `no such test: ${file} › ${name}`);
    for (const [, file] of scripts) {
      assert.ok(existsSync(`${ROOT}${file}`), file);
      assert.ok(read("script/test").includes(file), `script/test does not run ${file}`);
    }
  }
});

test("a test that does not exist would be noticed", () => {
  assert.equal(exists("tests/serve/secrets.rs", "no_such_test"), false);
  assert.equal(exists("tests/serve/support.rs", "unix_now"), false, "a helper is no test");
  assert.equal(exists("tests/e2e/hostile.test.mjs", "no such test"), false);
});

test("the page's one library has the bytes that its checksums name", () => {
  const vendor = "viewer/vendor/";
  const sums = read(`${vendor}SHA256SUMS`)
    .trim()
    .split("\n")
    .map((line) => line.split(/ +\*?/));
  for (const [sum, file] of sums)
    assert.equal(
      createHash("sha256")
        .update(readFileSync(`${ROOT}${vendor}${file}`))
        .digest("hex"),
      sum,
      file,
    );
  const here = readdirSync(`${ROOT}${vendor}`, { recursive: true, withFileTypes: true }).filter(
    (e) => e.isFile() && e.name.endsWith(".js"),
  );
  assert.equal(
    sums.filter(([, file]) => file.endsWith(".js")).length,
    here.length,
    "files without a checksum",
  );
});

test("every crate in the lock file comes from crates.io with a checksum, or from here", () => {
  const blocks = read("Cargo.lock").split("[[package]]").slice(1);
  assert.ok(blocks.length > 10, `${blocks.length} crates`);
  const metadata = JSON.parse(
    run("cargo", ["metadata", "--offline", "--locked", "--format-version", "1"], { cwd: ROOT }),
  );
  const own = new Set(
    metadata.packages
      .filter((p) => p.source === null && p.manifest_path.startsWith(ROOT))
      .map((p) => p.name),
  );
  for (const block of blocks) {
    const name = /^name = "(.*)"/m.exec(block)[1];
    const source = /^source = "(.*)"/m.exec(block)?.[1];
    if (source === undefined) assert.ok(own.has(name), `${name} comes from nowhere`);
    else {
      assert.equal(source, "registry+https://github.com/rust-lang/crates.io-index", name);
      assert.match(block, /^checksum = "[0-9a-f]{64}"/m, name);
    }
  }
});
