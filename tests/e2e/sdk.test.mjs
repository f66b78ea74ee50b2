// The SDKs' examples, as their readers would run them: an agent meets a wall, a person signs in,
// the agent goes on.

import assert from "node:assert/strict";
import { after } from "node:test";
import { AgentApi } from "./lib/agentapi.mjs";
import { closeBrowser, Part, scenario } from "./lib/harness.mjs";
import { signIn, site, USER } from "./lib/signin.mjs";

after(closeBrowser);

const SDK = new URL("../../sdk/", import.meta.url).pathname;
const PYTHON =
  process.env.E2E_PYTHON ?? new URL("../../.cache/venv/bin/python", import.meta.url).pathname;

const EXAMPLES = {
  "TypeScript and Playwright": {
    command: process.execPath,
    args: [`${SDK}typescript/dist/examples/playwright.js`],
    says: [`a fresh context: ${USER}`, `signed in as: ${USER}`],
  },
  "Python and Playwright": {
    command: PYTHON,
    args: [`${SDK}python/examples/playwright_login.py`],
    says: [`a fresh context: ${USER}`, `signed in as: ${USER}`],
  },
  LangGraph: {
    command: PYTHON,
    args: [`${SDK}python/examples/langgraph_agent.py`],
    says: ["the model saw the link: False", /^answer: .*Welcome back.*2,718\.28/],
  },
  "browser-use": {
    command: PYTHON,
    args: [`${SDK}python/examples/browser_use_agent.py`],
    says: ["the model saw the link: False", "answer: Welcome back"],
  },
};

for (const [name, { command, args, says }] of Object.entries(EXAMPLES)) {
  scenario(`the example for ${name}`, { site }, async (world) => {
    const api = await AgentApi.start(world);
    const env = { AUTHLOOP_HOST_URL: api.url };
    const example = world.keep(
      new Part("example", command, [...args, world.remote.cdp, world.site.url], { env }),
    );

    const [, link] = await example.line(/^link: (http\S+)$/, 90_000);
    const viewer = await world.viewer("desktop");
    await viewer.open(link);
    await viewer.claim();
    await signIn(viewer);
    await world.site.records(2);
    await viewer.done();

    assert.equal(await example.exit(90_000), 0, example.tail());
    for (const line of says) {
      const said = example.lines.some((l) =>
        typeof line === "string" ? l === line : line.test(l),
      );
      assert.ok(said, `it did not say ${line}\n${example.tail()}`);
    }
  });
}
