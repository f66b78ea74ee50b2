// Names and limits of files, without a browser.
import assert from "node:assert/strict";
import { test } from "node:test";

// ui.js, which upload.js needs for its sheet, looks at the document as it loads.
globalThis.document = { documentElement: { dataset: {} } };
const { selectionProblem, safeName } = await import("../js/upload.js");

test("a name keeps its end and loses what could be a path", () => {
  assert.equal(safeName("Ausweis – vorn.jpg"), "Ausweis – vorn.jpg");
  assert.equal(safeName("../../etc/passwd"), ".._.._etc_passwd");
  assert.equal(safeName("a\\b\u0000c\n.png"), "a_b_c_.png");
  for (const bad of ["", ".", ".."]) assert.equal(safeName(bad), "_");
  const long = safeName(`${"ü".repeat(300)}.jpeg`);
  assert.ok(new TextEncoder().encode(long).length <= 255);
  assert.ok(long.endsWith("ü.jpeg"));
  assert.ok(safeName("\ud800.txt").isWellFormed?.() ?? true);
});

test("too many, too large, none", () => {
  const limits = { max_files: 2, max_bytes: 10 };
  const files = (...sizes) => sizes.map((size) => ({ size }));
  assert.equal(selectionProblem(files(), limits), "none");
  assert.equal(selectionProblem(files(5, 5), limits), null);
  assert.equal(selectionProblem(files(5, 6), limits), "too_big");
  assert.equal(selectionProblem(files(0, 0, 0), limits), "too_many");
});
