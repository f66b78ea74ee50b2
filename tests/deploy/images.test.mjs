// Dockerfiles and compose file, as far as they can be held without a container engine.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { AUTHLOOP, DEPLOY, folder, ROOT, run, TOOLS, yaml } from "./parts.mjs";

const DOCKERFILES = ["Dockerfile", "host.Dockerfile"];
const COMPOSE = `${DEPLOY}compose.yaml`;
const read = (path) => readFileSync(path, "utf8");

test("hadolint has nothing against the Dockerfiles", () => {
  run(
    `${TOOLS}/hadolint`,
    DOCKERFILES.map((name) => `${DEPLOY}docker/${name}`),
  );
});

test("every image is pinned to a version and ends as nobody, by number", () => {
  for (const name of DOCKERFILES) {
    const text = read(`${DEPLOY}docker/${name}`);
    assert.equal(text.match(/^USER .*/gm).at(-1), "USER 65532:65532", name);
    for (const [, image] of text.matchAll(/^ARG \w+_IMAGE=(.*)/gm))
      assert.match(image, /:(?!latest)[\w.-]+$/, name);
  }
  const { services } = yaml(COMPOSE);
  for (const [name, { image }] of Object.entries(services))
    assert.match(image, /:v?\d+\.\d+\.\d+$/, name);
  const rust = /^rust-version = "(.*)"/m.exec(read(`${ROOT}Cargo.toml`))[1];
  for (const name of DOCKERFILES)
    assert.ok(read(`${DEPLOY}docker/${name}`).includes(`RUST_IMAGE=rust:${rust}.`), name);
});

test("what .dockerignore lets into the build is a whole workspace, with the viewer and nothing built", (t) => {
  for (const name of DOCKERFILES) {
    const lines = read(`${DEPLOY}docker/${name}.dockerignore`)
      .split("\n")
      .filter((line) => line && !line.startsWith("#"));
    const home = folder(t);
    const files = run("git", [
      "-C",
      ROOT,
      "ls-files",
      "-co",
      "--exclude-standard",
      "--",
      ...lines.filter((l) => l.startsWith("!")).map((l) => l.slice(1)),
    ])
      .trim()
      .split("\n");
    const out = lines.filter((line) => /^\w/.test(line));
    for (const file of files.filter(
      (f) => existsSync(`${ROOT}${f}`) && !out.some((o) => f.startsWith(`${o}/`)),
    ))
      cpSync(`${ROOT}${file}`, `${home}/${file}`);
    const { packages } = JSON.parse(
      run("cargo", ["metadata", "--offline", "--locked", "--format-version", "1"], { cwd: home }),
    );
    assert.ok(packages.some((p) => p.name === "authloop-host"));
    assert.ok(existsSync(`${home}/viewer/index.html`));
    assert.ok(!existsSync(`${home}/deploy`) && !existsSync(`${home}/tests/e2e`));
  }
});

test("the compose file is one, and each service is confined", () => {
  run(`${TOOLS}/check-jsonschema`, ["--builtin-schema", "vendor.compose-spec", COMPOSE]);
  const { services } = yaml(COMPOSE);
  for (const [name, service] of Object.entries(services)) {
    assert.equal(service.read_only, true, name);
    assert.deepEqual(service.cap_drop, ["ALL"], name);
    assert.deepEqual(service.security_opt, ["no-new-privileges:true"], name);
    for (const volume of service.volumes ?? []) {
      const [source] = volume.split(":");
      if (source.startsWith("./"))
        assert.ok(existsSync(`${DEPLOY}${source}`), `${name}: ${source}`);
    }
    // Only the relay is for the world; the rest is behind a proxy on the same machine.
    for (const port of service.ports ?? [])
      assert.ok(port.startsWith("127.0.0.1:") || port === "3478:3478/udp", port);
  }
});

test("the server takes the environment that compose gives it", (t) => {
  const home = folder(t);
  const keys = `${home}/api-keys`;
  writeFileSync(keys, "0123456789abcdef0123456789abcdef\n");
  const values = {
    AUTHLOOP_PUBLIC_ORIGIN: "https://relay.example",
    AUTHLOOP_RELAY_ADVERTISE: "203.0.113.7",
  };
  const given = Object.entries(yaml(COMPOSE).services.authloop.environment).map(([key, value]) => [
    key,
    value
      .replace(/\$\{(\w+):([?-])([^}]*)\}/, (_, name, how, text) =>
        how === "?" ? values[name] : text,
      )
      .replace("/run/secrets/api-keys", keys)
      .replace("/var/lib/authloop", home),
  ]);
  const env = {
    PATH: process.env.PATH,
    ...Object.fromEntries(given),
    AUTHLOOP_LISTEN: "127.0.0.1:0",
    AUTHLOOP_RELAY_LISTEN: "127.0.0.1:0",
  };
  // The name leads nowhere here: all is well but for that.
  const { stdout } = spawnSync(AUTHLOOP, ["check"], { env, encoding: "utf8" });
  assert.match(stdout, /^ok {4}the configuration is valid$/m);
  assert.match(stdout, /^FAIL {2}Redis .*--redis-url/m);
  assert.equal(stdout.match(/^FAIL/gm).length, 1, stdout);
});
