// Writes the list of modules into index.html, so that a phone fetches them in one round trip
// instead of one for each level of imports. `--check` only compares; npm test runs that.
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const BEGIN = "<!-- modules: written by preload.mjs -->\n";
const END = "<!-- /modules -->\n";

/** @type {Set<string>} */
const seen = new Set();
const queue = ["js/boot.js", "js/main.js"];
for (let name = queue.shift(); name; name = queue.shift()) {
  if (seen.has(name)) continue;
  seen.add(name);
  const text = readFileSync(path.join(here, name), "utf8").replace(/\/\*[\s\S]*?\*\//g, "");
  for (const [, rel] of text.matchAll(/^(?:import|export)\b[^"';]*?from "(\.[^"]+)"/gm)) {
    queue.push(path.posix.join(path.posix.dirname(name), rel ?? ""));
  }
}

const file = path.join(here, "index.html");
const html = readFileSync(file, "utf8");
const list = [...seen]
  .sort()
  .map((m) => `<link rel="modulepreload" href="${m}">\n`)
  .join("");
const start = html.indexOf(BEGIN) + BEGIN.length;
const next = html.slice(0, start) + list + html.slice(html.indexOf(END));
if (process.argv.includes("--check")) {
  if (next !== html)
    throw new Error("index.html does not list the modules in use: run `npm run preload`");
} else {
  writeFileSync(file, next);
}
