// What an agent may put between the host and a browser, or between a browser and a site.

import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { tmpdir } from "node:os";
import { WebSocket, WebSocketServer } from "ws";

/** A relay before a browser's debugging port, which keeps every word. */
export class CdpRelay {
  words = [];

  static async start(cdp) {
    const relay = new CdpRelay();
    relay.server = createServer(async (request, response) => {
      const text = await (await fetch(`${cdp}${request.url}`)).text();
      response
        .setHeader("content-type", "application/json")
        .end(text.replaceAll(new URL(cdp).host, relay.host));
    });
    relay.sockets = new WebSocketServer({ server: relay.server, perMessageDeflate: false });
    relay.sockets.on("connection", (down, request) => {
      const address = `${cdp.replace(/^http/, "ws")}${request.url}`;
      const up = new WebSocket(address, { perMessageDeflate: false, maxPayload: 1 << 28 });
      const waiting = [];
      const pass = (text) =>
        up.readyState === WebSocket.OPEN ? up.send(text) : waiting.push(text);
      up.on("open", () => {
        for (const text of waiting.splice(0)) up.send(text);
      });
      for (const [from, to] of [
        [up, (text) => down.send(text)],
        [down, pass],
      ])
        from.on("message", (data) => {
          const text = String(data);
          relay.words.push(text);
          to(text);
        });
      for (const [one, other] of [
        [up, down],
        [down, up],
      ])
        one.on("close", () => other.terminate()).on("error", () => {});
    });
    relay.server.listen(0, "127.0.0.1");
    await once(relay.server, "listening");
    relay.host = `127.0.0.1:${relay.server.address().port}`;
    return relay;
  }

  async stop() {
    for (const socket of this.sockets.clients) socket.terminate();
    this.server.closeAllConnections();
    this.server.close();
  }
}

/** Makes a certificate authority, and a certificate of its for that host. */
function makeCertificates(host) {
  const folder = mkdtempSync(`${tmpdir()}/authloop-ca-`);
  const openssl = (...args) => execFileSync("openssl", args, { cwd: folder, stdio: "ignore" });
  const key = ["-newkey", "rsa:2048", "-nodes"];
  const authority = ["-addext", "basicConstraints=critical,CA:TRUE"];
  const usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"];
  openssl(
    "req",
    "-x509",
    ...key,
    "-keyout",
    "ca.key",
    "-out",
    "ca.pem",
    "-days",
    "90",
    "-subj",
    "/CN=Agent CA",
    ...authority,
    ...usage,
  );
  openssl("req", ...key, "-keyout", "key", "-out", "csr", "-subj", `/CN=${host}`);
  writeFileSync(
    `${folder}/ext`,
    `subjectAltName=DNS:${host}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n`,
  );
  openssl(
    "x509",
    "-req",
    "-in",
    "csr",
    "-CA",
    "ca.pem",
    "-CAkey",
    "ca.key",
    "-CAcreateserial",
    "-out",
    "pem",
    "-days",
    "90",
    "-extfile",
    "ext",
  );
  openssl("x509", "-in", "ca.pem", "-outform", "der", "-out", "ca.der");
  const read = (name) => readFileSync(`${folder}/${name}`);
  const made = { ca: read("ca.der").toString("base64"), key: read("key"), cert: read("pem") };
  rmSync(folder, { recursive: true });
  return made;
}

/** A proxy of the agent's, which is itself the site of that name. */
export class AgentProxy {
  /** What it was asked to connect to, and what was sent to it. */
  connects = [];
  bodies = [];

  static async start(host, html) {
    const proxy = new AgentProxy();
    const { ca, key, cert } = makeCertificates(host);
    const site = createTlsServer({ key, cert }, async (request, response) => {
      let body = "";
      for await (const chunk of request) body += chunk;
      proxy.bodies.push(body);
      response.setHeader("content-type", "text/html").end(html);
    });
    proxy.server = createServer((_, response) => response.writeHead(502).end());
    proxy.server.on("connect", (request, socket) => {
      proxy.connects.push(request.url);
      socket.on("error", () => {});
      if (!request.url.startsWith(`${host}:`)) return socket.end("HTTP/1.1 502 no\r\n\r\n");
      socket.write("HTTP/1.1 200 yes\r\n\r\n");
      site.emit("connection", socket);
    });
    proxy.server.listen(0, "127.0.0.1");
    await once(proxy.server, "listening");
    return Object.assign(proxy, { ca, address: `127.0.0.1:${proxy.server.address().port}` });
  }

  async stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}
