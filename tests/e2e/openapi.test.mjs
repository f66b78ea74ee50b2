// The OpenAPI document is valid, and the routes do what it says.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { after } from "node:test";
import { AgentApi } from "./lib/agentapi.mjs";
import { closeBrowser, Part, scenario } from "./lib/harness.mjs";
import { site } from "./lib/signin.mjs";

after(closeBrowser);

const PYTHON =
  process.env.E2E_PYTHON ?? new URL("../../.cache/venv/bin/python", import.meta.url).pathname;
const KEY = "openapi-0123456789abcdef";

scenario("the routes keep to the OpenAPI document", { site }, async (world) => {
  const folder = mkdtempSync(`${tmpdir()}/authloop-openapi-`);
  world.keep({ stop: async () => rmSync(folder, { recursive: true }) });
  writeFileSync(`${folder}/keys`, KEY);
  const api = await AgentApi.start(world, [
    "--rooms",
    "any",
    "--api-keys-file",
    `${folder}/keys`,
    "--rate",
    "10000",
    "--audit-log",
    `${folder}/audit`,
  ]);
  const script = new URL("openapi_check.py", import.meta.url).pathname;

  const check = world.keep(new Part("openapi", PYTHON, [script, api.url, KEY, world.remote.cdp]));

  assert.equal(await check.exit(120_000), 0, check.tail(60));
  assert.ok(check.events.find((e) => e.event === "walked").steps >= 15);
});
