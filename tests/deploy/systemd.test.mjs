// The unit is as tight as it says, and the server really fits into it.

import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { AUTHLOOP, DEPLOY, exercise, folder, run, Server } from "./parts.mjs";

const UNITS = `${DEPLOY}systemd/`;
const unit = readFileSync(`${UNITS}authloop.service`, "utf8");
const setting = (name) =>
  [...unit.matchAll(new RegExp(`^${name}=(.*)$`, "gm"))].map(([, value]) => value);

/** A copy whose binary exists, as `verify` looks. */
function install(t, dropIns = []) {
  const home = folder(t);
  writeFileSync(`${home}/authloop.service`, unit.replaceAll("/usr/local/bin/authloop", AUTHLOOP));
  if (dropIns.length > 0) mkdirSync(`${home}/authloop.service.d`);
  for (const name of dropIns)
    copyFileSync(`${UNITS}authloop.service.d/${name}`, `${home}/authloop.service.d/${name}`);
  return `${home}/authloop.service`;
}

for (const dropIns of [[], ["https.conf"], ["acme.conf"]]) {
  test(`systemd takes the unit${dropIns.map((name) => ` with ${name}`)}, and rates its exposure 1.5 or better`, (t) => {
    const path = install(t, dropIns);
    run("systemd-analyze", ["verify", "--man=no", path]);
    run("systemd-analyze", ["security", "--offline=true", "--no-pager", "--threshold=15", path]);
  });
}

/** The system calls of a filter's names, sets taken apart. */
function calls(names) {
  const all = new Set();
  for (const name of names) {
    if (!name.startsWith("@")) all.add(name);
    else {
      const listed = run("systemd-analyze", ["--no-pager", "syscall-filter", name])
        .split("\n")
        .slice(1)
        .map((line) => line.trim());
      for (const call of calls(listed.filter((line) => line && !line.startsWith("#"))))
        all.add(call);
    }
  }
  return all;
}

test("a whole handoff makes no system call and no socket that the unit forbids", {
  timeout: 120_000,
}, async (t) => {
  const [allow, deny] = setting("SystemCallFilter");
  const allowed = calls(allow.split(" "));
  for (const call of calls(deny.slice(1).split(" "))) allowed.delete(call);
  assert.ok(allowed.has("sendmmsg") && !allowed.has("mount"), "the filter is read wrongly");
  const trace = `${folder(t)}/trace`;

  const server = await Server.start(t, ["strace", "-f", "-qq", "-o", trace]);
  await exercise(server);
  // To the server, not to strace, so that its end is seen, too.
  process.kill(
    Number(readFileSync(`/proc/${server.pid}/task/${server.pid}/children`, "utf8").split(" ")[0]),
    "SIGTERM",
  );
  assert.equal(await server.exit(), 0);

  const lines = readFileSync(trace, "utf8").split("\n");
  const made = new Set(lines.map((line) => /^\d+ +(\w+)\(/.exec(line)?.[1]).filter(Boolean));
  assert.ok(
    made.has("recvmmsg") && made.has("clone3") && made.has("execve"),
    `strace saw too little: ${[...made]}`,
  );
  assert.deepEqual(
    [...made].filter((call) => !allowed.has(call)),
    [],
  );
  const families = new Set(
    lines.map((line) => / socket\((AF_\w+)/.exec(line)?.[1]).filter(Boolean),
  );
  const may = new Set(setting("RestrictAddressFamilies")[0].split(" "));
  assert.ok(families.has("AF_INET"), "no socket was seen");
  assert.deepEqual(
    [...families].filter((family) => !may.has(family)),
    [],
  );
  assert.deepEqual(
    lines.filter((line) => /PROT_WRITE\|PROT_EXEC/.test(line)),
    [],
    "MemoryDenyWriteExecute",
  );
});

test("the server takes the example's configuration", () => {
  const said = run(AUTHLOOP, [
    "check",
    "--config",
    `${UNITS}authloop.toml`,
    "--listen",
    "127.0.0.1:0",
    "--admin-listen",
    "127.0.0.1:0",
    "--relay-listen",
    "127.0.0.1:0",
  ]);
  assert.match(said, /^ok {4}the configuration is valid$/m);
  assert.match(said, /links will start with https:\/\/relay\.example$/m);
});

test("the kernel knows every setting of the sysctl advice, and each has its reason", () => {
  const lines = readFileSync(`${UNITS}authloop.conf`, "utf8").trim().split("\n");
  const settings = lines.filter((line) => /^#?\w+(\.\w+)+ = \d+$/.test(line));
  assert.ok(settings.length >= 5, settings.join("\n"));
  for (const paragraph of lines.join("\n").split("\n\n").slice(1))
    assert.match(paragraph, /^# \w/, `no reason: ${paragraph}`);
  for (const line of settings.filter((line) => !line.startsWith("#"))) {
    // Net namespaces without some, and containers, hide them: what is there must be a number.
    const path = `/proc/sys/${line.split(" ")[0].replaceAll(".", "/")}`;
    assert.match(readFileSync(path, "utf8"), /^\d+\s*$/, path);
  }
});
