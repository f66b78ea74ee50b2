// Copies the one third-party library that the page loads, @hpke/core, from node_modules to
// vendor/hpke, so that what is audited is what runs: no bundler, and only the files that are
// reached from the four names we use.
//
// Browsers have no bare imports, so each `from "@hpke/common"` becomes relative paths to the
// files that define those names; the sources are otherwise byte for byte those of the package.
// Run `npm ci && npm run vendor` and compare with git to audit; SHA256SUMS lists the result.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const packages = path.join(here, "node_modules", "@hpke");
const out = path.join(here, "vendor");

const ENTRY = {
  "core/src/native.js": ["CipherSuite", "DhkemP256HkdfSha256", "HkdfSha256"],
  "core/src/aeads/aesGcm.js": ["Aes256Gcm"],
};

/** @param {string} name for example `core/src/native.js` */
function source(name) {
  const [pkg, ...rest] = name.split("/");
  return readFileSync(path.join(packages, pkg ?? "", "esm", ...rest), "utf8");
}

/** Which file of @hpke/common defines an exported name; from its mod.js. */
function commonExports() {
  /** @type {Map<string, string>} */
  const map = new Map();
  const mod = source("common/mod.js");
  for (const [, names, file] of mod.matchAll(/export \{([^}]*)\} from "\.\/([^"]+)"/g)) {
    for (const name of (names ?? "")
      .split(",")
      .map((n) => n.trim())
      .filter(Boolean)) {
      map.set(name, `common/${file}`);
    }
  }
  for (const [, file] of mod.matchAll(/export \* from "\.\/([^"]+)"/g)) {
    for (const [, name] of source(`common/${file}`).matchAll(
      /export (?:class|const|function) (\w+)/g,
    )) {
      map.set(name ?? "", `common/${file}`);
    }
  }
  return map;
}

/**
 * @param {string} name
 * @param {Map<string, string>} exported
 */
function rewrite(name, exported) {
  const dir = path.posix.dirname(name);
  return source(name).replace(
    /import \{([^}]*)\} from "@hpke\/common";/g,
    (_, /** @type {string} */ names) => {
      /** @type {Map<string, string[]>} */
      const files = new Map();
      for (const n of names
        .split(",")
        .map((s) => s.trim())
        .filter(Boolean)) {
        const file = exported.get(n);
        if (!file) throw new Error(`${name}: @hpke/common exports no ${n}`);
        files.set(file, [...(files.get(file) ?? []), n]);
      }
      return [...files]
        .map(([file, ns]) => {
          const rel = path.posix.relative(dir, file);
          return `import { ${ns.join(", ")} } from "${rel.startsWith(".") ? rel : `./${rel}`}";`;
        })
        .join("\n");
    },
  );
}

const exported = commonExports();
/** @type {Map<string, string>} */
const files = new Map();
const queue = Object.keys(ENTRY);
for (let name = queue.shift(); name; name = queue.shift()) {
  if (files.has(name)) continue;
  const text = rewrite(name, exported);
  files.set(name, text);
  for (const [, rel] of text.matchAll(/(?:import|export)[^"']*from "(\.[^"]+)"/g)) {
    queue.push(path.posix.join(path.posix.dirname(name), rel ?? ""));
  }
}
files.set(
  "mod.js",
  "// Written by vendor.mjs.\n" +
    Object.entries(ENTRY)
      .map(([file, names]) => `export { ${names.join(", ")} } from "./${file}";\n`)
      .join(""),
);
files.set(
  "mod.d.ts",
  "// Written by vendor.mjs: types come from the package itself.\n" +
    `export { ${Object.values(ENTRY).flat().join(", ")} } from "@hpke/core";\n`,
);
for (const pkg of ["core", "common"]) {
  files.set(`${pkg}/LICENSE`, readFileSync(path.join(packages, pkg, "LICENSE"), "utf8"));
  const { version } = JSON.parse(readFileSync(path.join(packages, pkg, "package.json"), "utf8"));
  files.set(`${pkg}/VERSION`, `@hpke/${pkg} ${version}\n`);
}

rmSync(out, { recursive: true, force: true });
for (const [name, text] of files) {
  const file = path.join(out, "hpke", name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
}

const sums = readdirSync(out, { recursive: true, withFileTypes: true })
  .filter((e) => e.isFile())
  .map((e) =>
    path
      .relative(out, path.join(e.parentPath ?? e.path, e.name))
      .split(path.sep)
      .join("/"),
  )
  .sort()
  .map(
    (f) =>
      `${createHash("sha256")
        .update(readFileSync(path.join(out, f)))
        .digest("hex")}  ${f}\n`,
  )
  .join("");
writeFileSync(path.join(out, "SHA256SUMS"), sums);
console.log(`vendor: ${files.size} files`);
