// What an agent may have prepared before the user has the browser, and what it may look for
// afterwards: each of these told it a password once.

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { Hands } from "./lib/gate.mjs";
import { eventually, html, SIGN_IN, spy, withAgent } from "./lib/gate-agent.mjs";

const PASSWORD = "document.getElementById('password').focus()";

withAgent(
  "an agent gets no page of the browser's own, nor a file",
  async ({ gate, agent, serve }) => {
    const site = await serve((_, response) => html(response, SIGN_IN));
    const page = await agent.open(site.url);
    const past = await gate.past();
    const own = (await past.call("Target.getTargets", { filter: [{}] })).targetInfos;
    const { targetId } = await past.call("Target.createTarget", { url: "chrome://version" });
    past.close();
    const bubble = own.find((target) => target.type === "browser_ui");

    for (const url of [
      "chrome://policy/test",
      "chrome://inspect",
      "chrome://settings",
      "devtools://devtools/bundled/inspector.html",
      "file:///etc/passwd",
      "view-source:file:///etc/passwd",
      " FI\tLE:///etc/passwd",
    ]) {
      assert.match(await agent.refusal("Target.createTarget", { url }), /takes http, https/, url);
      assert.match(await agent.refusal("Page.navigate", { url }, page.session), /takes http/, url);
      const query = encodeURIComponent(url);
      const made = await fetch(`${gate.cdp}/json/new?${query}`, { method: "PUT" });
      assert.equal(made.status, 403, url);
    }
    for (const id of [bubble?.targetId, targetId].filter(Boolean)) {
      const attach = { targetId: id, flatten: true };
      assert.match(await agent.refusal("Target.attachToTarget", attach), /No target/);
    }
    const seen = [...(await agent.targets()), ...(await (await fetch(`${gate.cdp}/json`)).json())];
    assert.deepEqual(
      seen.filter(({ type, url }) => type === "browser_ui" || /^(chrome|devtools):/.test(url)),
      [],
    );
    for (const method of ["Tethering.bind", "Page.addCompilationCache", "Cast.enable"])
      assert.match(await agent.refusal(method, {}, page.session), /not among the methods/);
    const universal = { originsWithUniversalNetworkAccess: [site.url] };
    assert.match(await agent.refusal("Target.createBrowserContext", universal), /may not use/);

    await gate.shut();
    const after = await gate.past();
    const { targetInfos } = await after.call("Target.getTargets");
    after.close();
    await gate.open();
    assert.deepEqual(
      targetInfos.filter(({ type, url }) => type === "page" && url.startsWith("chrome:")),
      [],
      "a page of the browser's own is open while the user has it",
    );
  },
);

withAgent("files of an agent's stay in the gate's folder", async ({ gate, agent, serve }) => {
  const home = mkdtempSync(`${tmpdir()}/authloop-home-`);
  try {
    writeFileSync(`${home}/keys`, "somebody's");
    writeFileSync(`${gate.files}/note`, "the agent's");
    const site = await serve(({ url }, response) => {
      if (!url.endsWith("/keys")) return html(response, "<input type=file id=file>");
      response.writeHead(200, { "content-disposition": "attachment; filename=keys" }).end("AGENT");
    });
    const { session } = await agent.open(site.url);
    const { root } = await agent.cdp.call("DOM.getDocument", {}, session);
    const input = { nodeId: root.nodeId, selector: "#file" };
    const { nodeId } = await agent.cdp.call("DOM.querySelector", input, session);
    const give = (file) =>
      agent.refusal("DOM.setFileInputFiles", { nodeId, files: [file] }, session);

    assert.match(await give(`${home}/keys`), /files of .* only/);
    assert.match(await give(`${gate.files}/../${home}/keys`), /files of .* only/);
    assert.equal(await give(`${gate.files}/note`), "");
    const read = "document.getElementById('file').files[0].text()";
    assert.equal(await agent.run(read, session), "the agent's");

    const save = { behavior: "allow", downloadPath: home, eventsEnabled: true };
    await agent.cdp.call("Browser.setDownloadBehavior", save);
    await agent.cdp.ask("Page.navigate", { url: `${site.url}/keys` }, session, 3000);
    await eventually(() => existsSync(`${gate.files}/keys`), "the download");
    assert.equal(readFileSync(`${home}/keys`, "utf8"), "somebody's");
  } finally {
    rmSync(home, { recursive: true });
  }
});

withAgent("a password of HTTP's is not told", async ({ gate, agent, serve, secret }) => {
  const site = await serve(({ headers }, response) => {
    if (headers.authorization) return html(response, "<title>Intranet</title>");
    response.writeHead(401, { "www-authenticate": 'Basic realm="intranet"' }).end();
  });
  const { session } = await agent.open("about:blank");
  await gate.shut();
  const user = await Hands.on(gate, "about:blank");
  const { cdp } = user;
  cdp.socket.on("message", (data) => {
    const { method, params, sessionId } = JSON.parse(data);
    const { requestId } = params ?? {};
    const response = { response: "ProvideCredentials", username: "user", password: secret };
    if (method === "Fetch.requestPaused")
      void cdp.ask("Fetch.continueRequest", { requestId }, sessionId);
    if (method === "Fetch.authRequired")
      void cdp.ask(
        "Fetch.continueWithAuth",
        { requestId, authChallengeResponse: response },
        sessionId,
      );
  });
  await cdp.call("Fetch.enable", { handleAuthRequests: true }, user.session);
  await user.go(site.url);
  const { targetInfos } = await cdp.call("Target.getTargets");
  user.close();
  await gate.open();

  const { targetId } = targetInfos.find((target) => target.url.startsWith(site.url));
  const again = targetId === undefined ? session : await agent.attach(targetId);
  await agent.cdp.call("Network.enable", {}, again);
  const sent = () => agent.events("Network.requestWillBeSentExtraInfo");
  site.asked.length = 0;
  await agent.cdp.ask("Page.reload", {}, again);
  await eventually(() => sent().some((e) => e.params.headers.Authorization), "the header");
  assert.ok(site.asked[0].headers.authorization, "the browser does not send it");
  const encoded = Buffer.from(`user:${secret}`).toString("base64");
  assert.ok(!agent.cdp.heard.join().includes(encoded));
});

for (const framed of [false, true]) {
  const where = framed ? "a frame" : "a page";
  withAgent(
    `a form that made ${where} is not sent again`,
    async ({ gate, agent, serve, secret }) => {
      const site = await serve(({ method }, response) =>
        html(response, method === "POST" ? "<title>Wrong code</title>" : SIGN_IN),
      );
      const page = await agent.open(`${site.url}/signin`);
      await agent.cdp.call("Network.enable", { maxPostDataSize: 9999 }, page.session);
      await gate.shut();
      const user = await Hands.on(gate, `${site.url}/signin`);
      if (framed) {
        const frame = "document.querySelector('iframe')";
        await user.cdp.evaluate(
          `document.body.innerHTML = "<iframe src=/framed></iframe>"; new Promise((r) => ${frame}.onload = r)`,
          user.session,
        );
        await user.type(`${frame}.contentDocument.getElementById('password').focus()`, secret);
        await user.cdp.evaluate(
          `${frame}.contentDocument.getElementById('go').click(); new Promise((r) => ${frame}.onload = r)`,
          user.session,
        );
      } else {
        await user.type(PASSWORD, secret);
        await user.submit();
      }
      user.close();
      assert.equal(site.heard(secret).length, 1);
      await gate.open();

      agent.cdp.heard.length = 0;
      const asked = site.asked.length;
      if (framed)
        await agent.run(
          "document.querySelector('iframe').contentWindow.location.reload()",
          page.session,
        );
      else await agent.cdp.ask("Page.reload", {}, page.session);
      await eventually(() => site.asked.length > asked, "the reload");
      await pause(300);
      assert.equal(site.heard(secret).length, 1, "the form was sent again");
      assert.ok(!agent.cdp.heard.join().includes(secret));
    },
  );
}

for (const ms of [0, 300, 1500]) {
  withAgent(
    `a page that takes ${ms} ms to give way reaches no new document`,
    async ({ gate, agent, serve, secret }) => {
      const listener = await serve((_, response) => response.end());
      const site = await serve(async ({ url }, response) => {
        if (url.startsWith("/report")) await pause(ms);
        html(response, SIGN_IN);
      });
      const page = await agent.open(`${site.url}/signin`);
      await agent.run("void window.open('/report', 'report')", page.session);
      const report = await agent.target((t) => t.url.endsWith("/report"), "the report");
      const other = await agent.attach(report.targetId);
      const script = JSON.stringify(spy(listener));
      await agent.run(
        `void setInterval(() => { try { if (!opener.spied) opener.eval("spied = 1;" + ${script}); } catch {} }, 1)`,
        other,
      );

      await gate.shut();
      const user = await Hands.on(gate, `${site.url}/signin`);
      await user.type(PASSWORD, secret);
      await pause(500);
      user.close();
      assert.deepEqual(listener.heard(secret), []);
    },
  );
}

for (const foreign of [false, true]) {
  const whose = foreign ? "another site" : "the same site";
  withAgent(
    `a service worker answers no frame of ${whose}`,
    async ({ gate, agent, serve, secret }) => {
      const listener = await serve((_, response) => response.end());
      const evil = `${SIGN_IN}<script>${spy(listener)} try { ${spy(listener, "parent")} } catch {}</script>`;
      const worker = `addEventListener("install", () => skipWaiting());
        addEventListener("activate", (e) => e.waitUntil(clients.claim()));
        addEventListener("fetch", (e) => { if (e.request.destination === "iframe")
          e.respondWith(new Response(${JSON.stringify(evil)}, { headers: { "content-type": "text/html" } })); });`;
      const site = await serve(({ url, headers }, response) => {
        if (url === "/sw.js")
          return response.writeHead(200, { "content-type": "text/javascript" }).end(worker);
        const frame = `http://${foreign ? "idp.two.localhost" : headers.host.split(":")[0]}:${site.port}/frame`;
        html(response, url === "/frame" ? SIGN_IN : `${SIGN_IN}<iframe src="${frame}"></iframe>`);
      });
      const shop = `http://shop.one.localhost:${site.port}/`;
      const page = await agent.open(shop);
      let inside = page.session;
      if (foreign) {
        const frame = await agent.target((t) => t.type === "iframe", "the frame");
        inside = await agent.attach(frame.targetId);
      }
      await agent.run(
        "navigator.serviceWorker.register('/sw.js').then(() => navigator.serviceWorker.ready).then(async (r) => { while (r.active.state !== 'activated') await new Promise((go) => setTimeout(go, 50)); })",
        inside,
      );
      await pause(300);

      await gate.shut();
      const past = await gate.past();
      const target = await eventually(async () => {
        const { targetInfos } = await past.call("Target.getTargets", { filter: [{}] });
        const wanted = (t) =>
          foreign ? t.type === "iframe" && t.url.includes("two") : t.url === shop;
        return targetInfos.find((t) => wanted(t) && t.type !== "tab");
      }, "the page");
      const { targetId } = target;
      const attached = await past.call("Target.attachToTarget", { targetId, flatten: true });
      const session = attached.sessionId;
      await eventually(
        () => past.evaluate("!!document.getElementById('password')", session),
        "the form",
      );
      await past.evaluate(PASSWORD, session);
      await past.evaluate(`document.execCommand("insertText", false, "${secret}")`, session);
      const controlled = await past.evaluate("!!navigator.serviceWorker?.controller", session);
      await pause(500);
      past.close();
      assert.equal(controlled, false);
      assert.deepEqual(listener.heard(secret), []);
    },
  );
}

for (const how of ["script", "frame", "late"]) {
  withAgent(
    `a script that the agent answered is not kept: ${how}`,
    async ({ gate, agent, serve, secret }) => {
      const listener = await serve((_, response) => response.end());
      const load = `const s = document.createElement("script"); s.src = "/code.js"; document.head.append(s)`;
      const site = await serve(({ url }, response) => {
        if (url === "/code.js")
          return response
            .writeHead(200, { "content-type": "text/javascript", "cache-control": "max-age=3600" })
            .end("window.honest = true");
        const app = `<input id=password><button id=next onclick='${load}'>Next</button>`;
        html(response, url === "/code" ? `<input id=password><script src=/code.js></script>` : app);
      });
      const page = await agent.open(`${site.url}/app`);
      agent.cdp.socket.on("message", (data) => {
        const { method, params, sessionId } = JSON.parse(data);
        if (method !== "Fetch.requestPaused") return;
        const answer = {
          requestId: params.requestId,
          responseCode: 200,
          responseHeaders: [
            { name: "content-type", value: "text/javascript" },
            { name: "cache-control", value: "max-age=3600" },
          ],
          body: Buffer.from(spy(listener)).toString("base64"),
        };
        void agent.cdp.ask("Fetch.fulfillRequest", answer, sessionId);
      });
      await agent.cdp.call(
        "Fetch.enable",
        { patterns: [{ urlPattern: "*code.js" }] },
        page.session,
      );
      const tag = how === "frame" ? ["iframe", "/code"] : ["script", "/code.js"];
      await agent.run(
        `new Promise((r) => { const e = document.createElement("${tag[0]}"); e.src = "${tag[1]}"; e.onload = r; document.body.append(e); }).then(() => 1)`,
        page.session,
      );
      await gate.shut();
      const user = await Hands.on(gate, `${site.url}/app`);
      if (how === "late")
        await user.cdp.evaluate("document.getElementById('next').click()", user.session);
      else await user.go(`${site.url}/code`);
      await eventually(() => user.cdp.evaluate("window.honest", user.session), "the site's script");
      await user.type(PASSWORD, secret);
      await pause(300);
      user.close();
      assert.deepEqual(listener.heard(secret), []);
    },
  );
}
