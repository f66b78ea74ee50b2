// The MCP server, driven by the official clients: of 2025-11-25, which servers ask beside a call,
// and of 2026-07-28, which make a call again with what they were asked.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { after, test } from "node:test";
import {
  Client as ModernClient,
  StreamableHTTPClientTransport as ModernHttp,
} from "@modelcontextprotocol/client";
import { StdioClientTransport as ModernStdio } from "@modelcontextprotocol/client/stdio";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import {
  ElicitationCompleteNotificationSchema,
  ElicitRequestSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { AgentApi, FakeApi } from "./lib/agentapi.mjs";
import { bin, closeBrowser, Part, scenario } from "./lib/harness.mjs";
import { CODE, PASSWORD, signIn, site } from "./lib/signin.mjs";

const KEY = "canary-key-of-the-agent-api";
const files = mkdtempSync(`${tmpdir()}/authloop-mcp-`);
writeFileSync(`${files}/key`, `${KEY}\n`);
writeFileSync(`${files}/token`, "canary-token\n");
after(() => rmSync(files, { recursive: true }));
after(closeBrowser);

const ASK = {
  service: "Example Bank",
  reason: "Read your invoices",
  url: "https://bank.example/login",
};
const TIMEOUT = 60_000;

/** A connected client, the messages it got, and what its user was asked to open. */
class Agent {
  messages = [];
  opened = [];
  completed = [];
  progress = [];

  /**
   * @param {string | null} answer what the user says to a link; null for a client that cannot show
   *   one
   */
  static async connect(transport, answer) {
    const agent = new Agent();
    agent.client = new Client(
      { name: "test", version: "0" },
      { capabilities: answer ? { elicitation: { url: {} } } : {} },
    );
    if (answer) {
      agent.client.setRequestHandler(ElicitRequestSchema, ({ params }) => {
        agent.opened.push(params);
        agent.onOpen?.();
        return { action: answer };
      });
      agent.client.setNotificationHandler(ElicitationCompleteNotificationSchema, ({ params }) => {
        agent.completed.push(params.elicitationId);
        agent.onComplete?.();
      });
    }
    await agent.client.connect(transport);
    const inner = transport.onmessage;
    transport.onmessage = (message, extra) => {
      agent.messages.push(message);
      inner(message, extra);
    };
    return agent;
  }

  call(name, args, options = {}) {
    const onprogress = ({ message }) => this.progress.push(message);
    return this.client.callTool({ name, arguments: args }, undefined, {
      timeout: TIMEOUT,
      onprogress,
      ...options,
    });
  }

  /** The structured result, which must be what the text says too. */
  async report(name, args, options) {
    const { content, structuredContent, isError } = await this.call(name, args, options);
    assert.ok(!isError, JSON.stringify(content));
    assert.deepEqual(JSON.parse(content[0].text), structuredContent);
    return structuredContent;
  }

  async failure(name, args) {
    const { content, isError } = await this.call(name, args);
    assert.equal(isError, true, JSON.stringify(content));
    return content[0].text;
  }

  said() {
    return JSON.stringify(this.messages);
  }
}

/** `mcp`, by either transport; ends with the test. */
const WAYS = {
  async stdio(t, api, args, Transport = StdioClientTransport) {
    const env = { PATH: process.env.PATH };
    const transport = new Transport({
      command: bin("authloop-host"),
      args: ["mcp", "--api", api.url, "--key-file", `${files}/key`, ...args],
      env,
    });
    t.after(() => transport.close());
    return transport;
  },
  async http(t, api, args, Transport = StreamableHTTPClientTransport) {
    const { url } = await http(t, api, args);
    const transport = new Transport(new URL(url));
    t.after(() => transport.close());
    return transport;
  },
};

async function http(t, api, args = []) {
  const part = new Part("mcp", bin("authloop-host"), [
    "mcp",
    "--http",
    "127.0.0.1:0",
    "--json",
    "--api",
    api.url,
    "--key-file",
    `${files}/key`,
    ...args,
  ]);
  t.after(() => part.stop());
  return { part, ...(await part.event((e) => e.event === "listening", "the start")) };
}

for (const [way, open] of Object.entries(WAYS)) {
  const start = async (t, answer, args = ["--cdp", "http://127.0.0.1:9222"]) => {
    const api = await FakeApi.start();
    t.after(() => api.stop());
    return { api, agent: await Agent.connect(await open(t, api, args), answer) };
  };

  test(`${way}: without elicitation the answer brings the link at once, and the status waits`, {
    timeout: TIMEOUT,
  }, async (t) => {
    const { api, agent } = await start(t, null);

    const { tools } = await agent.client.listTools();
    const asked = await agent.report("request_human_login", {
      ...ASK,
      wall_type: "password",
      done_when: { any: [{ selector: "#out" }] },
    });
    const status = agent.report("get_handoff_status", { session_id: asked.session_id });
    await api.request((r) => r.method === "GET" && r !== api.asked[1]);
    api.change("ACTIVE");
    api.resolve();
    const done = await status;

    assert.deepEqual(
      tools.map((tool) => tool.name),
      ["request_human_login", "get_handoff_status"],
    );
    assert.ok(
      tools.every((tool) => tool.outputSchema?.type === "object" && tool.inputSchema.required),
    );
    assert.deepEqual(
      [asked.state, asked.finished, asked.user_link, asked.cdp_url],
      ["waiting", false, api.link, "http://127.0.0.1:9333"],
    );
    assert.deepEqual(
      [done.state, done.finished, done.detail],
      ["signed_in", true, "condition_met"],
    );
    const { body, key } = api.asked[0];
    assert.equal(key, `Bearer ${KEY}`);
    assert.deepEqual(body, {
      service: ASK.service,
      reason: ASK.reason,
      cdp_url: "http://127.0.0.1:9222",
      requester: "An AI agent",
      context: { url: ASK.url, wall_type: "password" },
      done_when: { any: [{ selector: "#out" }] },
    });
    assert.doesNotMatch(agent.said(), /canary|st_secret/);
  });

  test(`${way}: a client that can opens the link, and the model never sees it`, {
    timeout: TIMEOUT,
  }, async (t) => {
    const { api, agent } = await start(t, "accept");
    const complete = new Promise((resolve) => (agent.onComplete = resolve));

    const asked = agent.report("request_human_login", ASK);
    await api.request((r) => r.method === "GET");
    api.change("ACTIVE");
    api.resolve();
    const done = await asked;
    await complete;

    assert.deepEqual([done.state, done.finished, done.user_link], ["signed_in", true, undefined]);
    assert.equal(agent.opened.length, 1);
    const [{ mode, url, message, elicitationId }] = agent.opened;
    assert.deepEqual([mode, url, elicitationId], ["url", api.link, "hs_1"]);
    assert.match(message, /Example Bank.*Read your invoices/);
    assert.deepEqual(agent.completed, ["hs_1"]);
    const answers = agent.messages.filter((m) => "result" in m);
    assert.ok(!JSON.stringify(answers).includes(api.link), "the link is in no answer");
    assert.doesNotMatch(agent.said(), /canary|st_secret/);
  });

  test(`${way}: what the client's user declines is over`, { timeout: TIMEOUT }, async (t) => {
    const { api, agent } = await start(t, "decline");

    const done = await agent.report("request_human_login", ASK);

    assert.deepEqual([done.state, done.finished], ["declined", true]);
    assert.ok(api.asked.some((r) => r.method === "DELETE"));
  });

  test(`${way}: a user who takes long is waited for by more calls`, {
    timeout: TIMEOUT,
  }, async (t) => {
    const { api, agent } = await start(t, "accept", [
      "--cdp",
      "http://127.0.0.1:9222",
      "--wait",
      "2",
    ]);

    const first = await agent.report("request_human_login", ASK);
    const second = agent.report("get_handoff_status", { session_id: first.session_id });
    api.change("ACTIVE");
    const third = await second;
    api.resolve();
    const last = await agent.report("get_handoff_status", { session_id: first.session_id });

    assert.deepEqual([first.state, first.finished, first.user_link], ["waiting", false, undefined]);
    assert.equal(third.state, "waiting");
    assert.equal(last.state, "signed_in");
    assert.ok(agent.progress.includes("the user is signing in"), JSON.stringify(agent.progress));
  });

  test(`${way}: failures are told in words, and by the API's codes`, {
    timeout: TIMEOUT,
  }, async (t) => {
    const { api, agent } = await start(t, null, []);

    assert.match(await agent.failure("request_human_login", ASK), /cdp_url is missing/);
    assert.match(await agent.failure("request_human_login", { service: "Bank" }), /reason/);
    assert.match(
      await agent.failure("request_human_login", { ...ASK, cdp: "x" }),
      /unknown field `cdp`/,
    );
    api.refusal = { status: 412, code: "browser_unreachable", message: "nothing answers" };
    assert.match(
      await agent.failure("request_human_login", { ...ASK, cdp_url: "http://127.0.0.1:1" }),
      /nothing answers \(browser_unreachable\)/,
    );
    assert.match(
      await agent.failure("get_handoff_status", { session_id: "../healthz" }),
      /not_found/,
    );
    await assert.rejects(agent.call("no_such_tool", {}), /no such tool/);
  });

  test(`${way}: a call that is cancelled cancels its handoff`, { timeout: TIMEOUT }, async (t) => {
    const { api, agent } = await start(t, "accept");
    const stop = new AbortController();

    const call = agent.call("request_human_login", ASK, { signal: stop.signal });
    await api.request((r) => r.method === "GET");
    stop.abort("enough");

    await assert.rejects(call, /enough/);
    await api.request((r) => r.method === "DELETE");
  });
}

for (const [way, Transport] of [
  ["stdio", ModernStdio],
  ["http", ModernHttp],
]) {
  for (const [answer, state] of [
    ["accept", "signed_in"],
    ["decline", "declined"],
    [null, "waiting"],
  ]) {
    test(`${way}, 2026-07-28: ${answer ?? "no elicitation"} is ${state}`, {
      timeout: TIMEOUT,
    }, async (t) => {
      const api = await FakeApi.start();
      t.after(() => api.stop());
      const opened = [];
      const capabilities = answer ? { elicitation: { url: {} } } : {};
      const client = new ModernClient(
        { name: "test", version: "0" },
        { capabilities, versionNegotiation: { mode: { pin: "2026-07-28" } } },
      );
      if (answer) {
        client.setRequestHandler("elicitation/create", ({ params }) => {
          opened.push(params.url);
          if (answer === "accept") api.resolve();
          return { action: answer };
        });
      }
      await client.connect(await WAYS[way](t, api, ["--cdp", "http://127.0.0.1:9222"], Transport));

      const { structuredContent: done, isError } = await client.callTool({
        name: "request_human_login",
        arguments: ASK,
      });

      assert.ok(!isError);
      assert.deepEqual([done.state, done.cdp_url], [state, "http://127.0.0.1:9333"]);
      assert.deepEqual(opened, answer ? [api.link] : []);
      assert.equal(done.user_link, answer ? undefined : api.link);
      assert.equal(
        api.asked.filter((r) => r.method === "POST").length,
        1,
        "one handoff, however many rounds",
      );
      assert.equal(
        api.asked.some((r) => r.method === "DELETE"),
        answer === "decline",
      );
    });
  }
}

test("http: no web page, and nobody without the token", { timeout: TIMEOUT }, async (t) => {
  const api = await FakeApi.start();
  t.after(() => api.stop());
  const { url } = await http(t, api, ["--http-token-file", `${files}/token`]);
  const post = (headers) =>
    fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: "{}",
    });

  const authorization = "Bearer canary-token";
  assert.equal((await post({})).status, 401);
  assert.equal((await post({ authorization: "Bearer canary-toke" })).status, 401);
  assert.equal((await post({ authorization, origin: "http://127.0.0.1" })).status, 403);
  const transport = new StreamableHTTPClientTransport(new URL(url), {
    requestInit: { headers: { authorization } },
  });
  t.after(() => transport.close());
  const agent = await Agent.connect(transport, null);
  assert.equal((await agent.client.listTools()).tools.length, 2);
});

test("http: a listener on the network needs a token", { timeout: TIMEOUT }, async () => {
  const part = new Part("mcp", bin("authloop-host"), ["mcp", "--http", "0.0.0.0:0"]);

  assert.equal(await part.exit(), 2);
  assert.match(part.tail(), /--http-token-file/);
});

scenario(
  "mcp: a person signs in, and the agent's model learns nothing but that",
  { site },
  async (world, t) => {
    const api = await AgentApi.start(world);
    const agent = await Agent.connect(
      await WAYS.stdio(t, api, ["--cdp", world.remote.cdp]),
      "accept",
    );
    const account = `${world.site.url}/account*`;
    const opened = new Promise((resolve) => (agent.onOpen = resolve));

    const asked = agent.report("request_human_login", {
      ...ASK,
      url: world.site.url,
      done_when: { any: [{ url: account }] },
    });
    await opened;
    const viewer = await world.viewer("desktop");
    await viewer.open(agent.opened[0].url);
    await viewer.claim();
    await signIn(viewer);
    await world.site.records(2);
    await viewer.done();
    let done = await asked;
    while (!done.finished)
      done = await agent.report("get_handoff_status", { session_id: done.session_id });

    assert.deepEqual([done.state, done.detail], ["signed_in", "condition_met"]);
    for (const secret of [PASSWORD, CODE, KEY]) assert.ok(!agent.said().includes(secret));
    const answers = JSON.stringify(agent.messages.filter((m) => "result" in m));
    assert.ok(!answers.includes(new URL(agent.opened[0].url).hash));
  },
);
