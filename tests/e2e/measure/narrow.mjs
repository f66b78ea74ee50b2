// Side by side once more, where what the user's device receives comes at the rate of a good mobile
// network or a middling line. On loopback the size of what is sent costs nothing.
//
// Run as a program, which `sideBySideAtRate` does in a network namespace of its own, it shapes that
// namespace's loopback, measures, and prints the rows as JSON on its last line.

import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { closeBrowser, Part } from "../lib/harness.mjs";
import { ip, whyNoNamespaces } from "../lib/netns.mjs";
import { sideBySide } from "./side-by-side.mjs";

export const LINE_RATE = "10mbit";
const MEASUREMENT_TIMEOUT_MS = 15 * 60_000;
const SELF = fileURLToPath(import.meta.url);

const tc = (...args) => execFileSync("tc", args, { stdio: ["ignore", "pipe", "pipe"] });

/**
 * Packets as they are on a line, and a class of them that is slow: no more than two leave at once.
 */
function shapeLoopback() {
  ip("link", "set", "lo", "up", "mtu", "1500", "gso_max_segs", "1");
  tc("qdisc", "add", "dev", "lo", "root", "handle", "1:", "htb", "default", "2");
  tc(
    "class",
    "add",
    "dev",
    "lo",
    "parent",
    "1:",
    "classid",
    "1:1",
    "htb",
    "rate",
    LINE_RATE,
    "burst",
    "3k",
    "cburst",
    "3k",
  );
  tc(
    "class",
    "add",
    "dev",
    "lo",
    "parent",
    "1:",
    "classid",
    "1:2",
    "htb",
    "rate",
    "100gbit",
    "quantum",
    "60000",
  );
}

function limitPorts(ports) {
  for (const port of ports) {
    tc(
      "filter",
      "add",
      "dev",
      "lo",
      "parent",
      "1:",
      "protocol",
      "ip",
      "u32",
      "match",
      "ip",
      "sport",
      String(port),
      "0xffff",
      "flowid",
      "1:1",
    );
  }
}

/** The rows of {@link sideBySide}, or why there are none here. */
export async function sideBySideAtRate() {
  const missing = whyNoNamespaces();
  if (missing) return { missing };
  const name = `al-narrow-${process.pid}`;
  ip("netns", "add", name);
  const part = new Part("narrow", "ip", ["netns", "exec", name, process.execPath, SELF], {
    group: true,
  });
  try {
    await part.exit(MEASUREMENT_TIMEOUT_MS);
    const rows = part.strays.find((line) => line.startsWith("["));
    return rows ? { rows: JSON.parse(rows) } : { missing: part.tail() };
  } finally {
    await part.stop();
    ip("netns", "del", name);
  }
}

if (process.argv[1] === SELF) {
  shapeLoopback();
  const rows = await sideBySide({ limitPorts });
  await closeBrowser();
  process.stdout.write(`${JSON.stringify(rows)}\n`);
  if (process.stdout.writableLength > 0) await once(process.stdout, "drain");
  process.exit(0);
}
