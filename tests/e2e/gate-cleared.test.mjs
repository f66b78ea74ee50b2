// What agents look for once they have the browser back: where scripts keep what was typed.

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { after } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Hands } from "./lib/gate.mjs";
import { html, SIGN_IN, withAgent } from "./lib/gate-agent.mjs";

// Chromium's, too: what it would leave there is looked for.
const HOME = mkdtempSync(`${tmpdir()}/authloop-home-`);
process.env.HOME = HOME;
after(() => rmSync(HOME, { recursive: true, force: true }));

const PASSWORD = "document.getElementById('password').focus()";

/** The values and attributes of every field there is, in a document or not. */
async function everyField(agent, session) {
  const prototype = { expression: "HTMLInputElement.prototype" };
  const { result } = await agent.cdp.call("Runtime.evaluate", prototype, session);
  const query = { prototypeObjectId: result.objectId };
  const { objects } = await agent.cdp.call("Runtime.queryObjects", query, session);
  const read = {
    objectId: objects.objectId,
    functionDeclaration:
      "function () { return this.map((i) => [i.value, i.getAttribute('value')]); }",
    returnByValue: true,
  };
  return JSON.stringify((await agent.cdp.call("Runtime.callFunctionOn", read, session)).result);
}

// A form that is taken out when it has done its work, and that a script still holds.
const APPLICATION = `<!doctype html><title>App</title><main><form><input id=user><input id=password type=password><button id=go>Go</button></form></main>
<script>const form = document.querySelector("form");
form.addEventListener("submit", (e) => { e.preventDefault(); document.querySelector("main").innerHTML = "<h1>Welcome</h1>"; });</script>`;

withAgent("a field that only a script holds is emptied", async ({ gate, agent, serve, secret }) => {
  const site = await serve((_, response) => html(response, APPLICATION));
  const page = await agent.open(`${site.url}/app`);
  await gate.shut();
  const user = await Hands.on(gate, `${site.url}/app`);
  await user.type("document.getElementById('user').focus()", `${secret}user`);
  await user.type(PASSWORD, secret);
  await user.cdp.evaluate(
    "window.ofTheUsersTime = 1; document.getElementById('go').click()",
    user.session,
  );
  user.close();
  await gate.open();

  assert.equal(await agent.run("document.body.innerText", page.session), "Welcome");
  assert.equal(
    await agent.run("window.ofTheUsersTime", page.session),
    1,
    "the document is another",
  );
  assert.ok(!(await everyField(agent, page.session)).includes(secret));
});

// Writes what is typed into the attribute, as React does, and formats it; copies it as well.
const FORMATTED = `<!doctype html><title>Code</title><form><input id=code value="from the server"><input id=kept value="from the server"><input type=hidden id=copy></form><div id=host></div>
<script>const write = (e) => { const text = e.target.value.toUpperCase(); if (e.target.value !== text) e.target.value = text; e.target.setAttribute("value", text); if (text) document.getElementById("copy").value = "<" + text + ">"; };
document.getElementById("code").addEventListener("input", write);
const root = document.getElementById("host").attachShadow({ mode: "closed" }); root.innerHTML = "<input>"; window.inner = root.firstChild; root.firstChild.addEventListener("input", write);</script>`;

withAgent("fields that scripts write over are emptied", async ({ gate, agent, serve, secret }) => {
  const site = await serve((_, response) => html(response, FORMATTED));
  const page = await agent.open(`${site.url}/code`);
  await gate.shut();
  const user = await Hands.on(gate, `${site.url}/code`);
  await user.type("document.getElementById('code').select()", secret.toLowerCase());
  await user.type("window.inner.focus()", secret.toLowerCase());
  user.close();
  await gate.open();

  const fields = await everyField(agent, page.session);
  assert.ok(!fields.includes(secret.toUpperCase()), fields);
  assert.equal(
    await agent.run("document.getElementById('kept').value", page.session),
    "from the server",
    "what nobody typed into is left",
  );
});

withAgent(
  "too many targets do not keep a field from being emptied",
  async ({ gate, agent, serve, secret }) => {
    const site = await serve((_, response) => html(response, SIGN_IN));
    const many = `<script>const kept = Array.from({ length: 510 }, () => new Worker("/w.js"))</script>`;
    const other = await serve(({ url }, response) =>
      url === "/w.js"
        ? response.writeHead(200, { "content-type": "text/javascript" }).end()
        : html(response, many),
    );
    const page = await agent.open(`${site.url}/signin`);
    await agent.cdp.call("Target.createTarget", { url: other.url });
    await pause(2000);
    await gate.shut();
    await pause(10_000);
    const user = await Hands.on(gate, `${site.url}/signin`);
    await user.type(PASSWORD, secret);
    user.close();
    await gate.open();

    const value = "document.getElementById('password')?.value ?? ''";
    assert.equal(await agent.run(value, page.session), "");
  },
);

withAgent(
  "a handoff that the user did not end leaves no document",
  async ({ gate, agent, serve, secret }) => {
    const keep = `<script>addEventListener("input", (e) => (window.kept = e.target.value))</script>`;
    const site = await serve((_, response) => html(response, SIGN_IN + keep));
    const page = await agent.open(`${site.url}/signin`);
    await gate.shut();
    const user = await Hands.on(gate, `${site.url}/signin`);
    await user.type(PASSWORD, secret);
    assert.equal(await user.cdp.evaluate("window.kept", user.session), secret);
    user.close();
    gate.abandon();

    const kept = await agent.run("[window.kept ?? null, location.pathname]", page.session);
    assert.deepEqual(kept, [null, "/signin"]);
  },
);

withAgent("what a crash leaves is in the profile", async ({ gate, agent, serve }) => {
  const site = await serve((_, response) => html(response, SIGN_IN));
  const page = await agent.open(site.url);
  const past = await gate.past();
  const attach = { targetId: page.targetId, flatten: true };
  const { sessionId } = await past.call("Target.attachToTarget", attach);
  await past.ask("Page.crash", {}, sessionId, 1000);
  await pause(4000);
  past.close();
  const files = readdirSync(HOME, { recursive: true });
  assert.deepEqual(
    files.filter((name) => name.endsWith(".dmp")),
    [],
  );
});

withAgent("clients that say nothing keep nobody out", async ({ gate }) => {
  const { hostname, port } = new URL(gate.cdp);
  const sockets = Array.from({ length: 520 }, () => connect(Number(port), hostname));
  for (const socket of sockets) socket.on("error", () => {});
  try {
    await pause(3000);
    const signal = AbortSignal.timeout(30_000);
    const answer = await fetch(`${gate.cdp}/json/version`, { signal });
    assert.equal(answer.status, 200);
  } finally {
    for (const socket of sockets) socket.destroy();
  }
});
