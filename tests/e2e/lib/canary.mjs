// The search for a secret in memory and files, in every usual encoding.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { text } from "node:stream/consumers";
import { bin } from "./harness.mjs";

// Reading another process's memory and packets takes root.
export const asRoot = (file, ...args) =>
  process.getuid() === 0 ? [file, args] : ["sudo", ["-n", file, ...args]];

/** Letters and digits only, so that no encoder has a reason to escape one. */
export const secret = () =>
  randomBytes(24)
    .toString("base64")
    .replaceAll(/[^A-Za-z0-9]/g, "x");

/** Asks the Rust helper. */
export function search({ secrets, pids = [], files = [] }) {
  const [file, args] = asRoot(bin("authloop-canary"));
  const run = spawnSync(file, args, {
    input: JSON.stringify({ secrets, pids, files }),
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  assert.equal(run.status, 0, run.stderr);
  return JSON.parse(run.stdout);
}

/** The same while the tests' own servers go on answering: browsers are large. */
export async function searchBeside({ secrets, pids = [], files = [] }) {
  const [file, args] = asRoot(bin("authloop-canary"));
  const run = spawn(file, args);
  run.stdin.end(JSON.stringify({ secrets, pids, files }));
  const [found, problem] = await Promise.all([text(run.stdout), text(run.stderr)]);
  assert.notEqual(found, "", problem);
  return JSON.parse(found);
}

/** Which of what was looked for is there, and in which encoding. */
export const needlesOf = (found) => new Set(found.hits.map((hit) => hit.needle));
