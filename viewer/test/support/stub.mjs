// A signaling server for tests: the sessions API, both WebSockets, the viewer's files under the
// real policy, and the test relay. In memory, without limits or auth beyond what the viewer sees.
import { createHash, randomBytes, webcrypto } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { WebSocketServer } from "ws";
import { concat, encodeUtf8, fromBase64Url, toBase64Url } from "../../js/bytes.js";
import { TestRelay } from "./relay.mjs";

const viewer = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const TYPES = {
  html: "text/html; charset=utf-8",
  js: "text/javascript",
  css: "text/css",
  json: "application/json",
  svg: "image/svg+xml",
  png: "image/png",
};
export const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob: mediastream:; " +
  "connect-src 'self' ORIGIN; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

const hash = (/** @type {Uint8Array} */ b) => createHash("sha256").update(b).digest();

export class Stub {
  /** @type {Map<string, any>} */
  sessions = new Map();
  /** What the viewer sent, by type. */
  /** @type {any[]} */
  fromViewer = [];
  /** Set to a function to change what is sent to the viewer: a hostile server. */
  /** @type {((m: any) => any) | null} */
  tamper = null;
  down = false;
  /**
   * Files in the place of the viewer's own, as the server's branding makes them.
   * @type {Record<string, string>}
   */
  files = {};
  /** Who may frame the page. */
  ancestors = "'none'";
  /** @type {string[]} */
  violations = [];

  async start() {
    this.relay = await new TestRelay().start();
    this.http = createServer((req, res) => this.#http(req, res));
    this.wss = new WebSocketServer({ noServer: true });
    this.http.on("upgrade", (req, socket, head) => {
      const match = /^\/v1\/sessions\/([\w-]{22})\/(host|viewer)$/.exec(req.url ?? "");
      if (!match || this.down) return socket.destroy();
      this.wss.handleUpgrade(req, socket, head, (ws) => this.#socket(ws, match[1], match[2]));
    });
    await new Promise((r) => this.http.listen(0, "127.0.0.1", () => r(null)));
    this.origin = `http://localhost:${this.http.address().port}`;
    return this;
  }

  async stop() {
    for (const ws of this.wss.clients) ws.terminate();
    this.relay.stop();
    this.http.closeAllConnections?.();
    await new Promise((r) => this.http.close(r));
  }

  /** Cuts both sockets of a side, as a network change does. */
  cut(id, side = "viewer") {
    this.sessions.get(id)?.[`${side}Ws`]?.terminate();
  }

  end(id, outcome) {
    const s = this.sessions.get(id);
    s.state = "ended";
    s.outcome = outcome;
    for (const ws of [s.hostWs, s.viewerWs]) {
      ws?.send(JSON.stringify({ type: "ended", outcome }));
      ws?.close(1000);
    }
  }

  #http(req, res) {
    const url = new URL(req.url, this.origin);
    const session = /^\/v1\/sessions\/([\w-]{22})$/.exec(url.pathname);
    if (this.down) return req.socket.destroy();
    if (req.method === "POST" && url.pathname === "/v1/sessions") {
      let body = "";
      req.on("data", (c) => (body += c));
      req.on("end", () => {
        const s = JSON.parse(body);
        this.sessions.set(s.id, {
          ...s,
          state: "created",
          outcome: null,
          device: null,
          mail: { host: [], viewer: [] },
          legs: this.relay.pair(),
        });
        json(res, 201, { host_token: "x", expires_at: 0 });
      });
      return;
    }
    if (req.method === "POST" && url.pathname === "/csp") {
      req.on("data", (c) => this.violations.push(String(c)));
      return res.writeHead(204).end();
    }
    if (session) {
      const s = this.sessions.get(session[1]);
      if (!s) return json(res, 404, { error: { code: "not_found", message: "", details: {} } });
      const invitation = this.tamperInvitation ? this.tamperInvitation(s.invitation) : s.invitation;
      return json(res, 200, {
        state: s.state,
        outcome: s.outcome,
        invitation,
        expires_at: Math.floor(Date.now() / 1000) + 900,
      });
    }
    const name = url.pathname === "/" ? "index.html" : url.pathname.slice(1);
    if (name.includes("..")) return res.writeHead(404).end();
    try {
      const data = this.files[name] ?? readFileSync(path.join(viewer, name));
      const type = TYPES[name.split(".").at(-1)] ?? "text/plain";
      res.writeHead(200, {
        "content-type": type,
        "content-security-policy": `${CSP.replace("ORIGIN", this.origin.replace("http", "ws")).replace("'none'; require", `${this.ancestors}; require`)}; report-uri /csp`,
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
      });
      res.end(data);
    } catch {
      res.writeHead(404).end();
    }
  }

  #socket(ws, id, side) {
    const s = this.sessions.get(id);
    const send = (m) => {
      const out = side === "viewer" && this.tamper ? this.tamper(m) : m;
      if (out && ws.readyState === 1) ws.send(JSON.stringify(out));
    };
    const challenge = randomBytes(32);
    send({ type: "challenge", nonce: toBase64Url(challenge) });
    const refuse = (code, name) => {
      send({ type: "error", code: name, message: name });
      ws.close(code);
    };
    let open = false;
    ws.on("message", async (data) => {
      const m = JSON.parse(String(data));
      if (side === "viewer") this.fromViewer.push(m);
      if (!open) {
        if (!s) return refuse(4404, "not_found");
        if (s.state === "ended") return refuse(4410, "ended");
        if (side === "viewer") {
          const why = await authenticate(s, id, m, challenge);
          if (why === 4409) {
            for (const w of [s.viewerWs, s.hostWs])
              if (w) w.send(JSON.stringify({ type: "second_claim" }));
          }
          if (why) return refuse(why, String(why));
        }
        open = true;
        const old = s[`${side}Ws`];
        s[`${side}Ws`] = ws;
        if (old) old.close(4499);
        s[`send_${side}`] = send;
        const other = side === "host" ? "viewer" : "host";
        send({
          type: "welcome",
          state: s.state,
          peer: Boolean(s[`${other}Ws`]),
          device: s.device,
          expires_at: 0,
        });
        s[`send_${other}`]?.({ type: "peer", present: true });
        if (side === "viewer") {
          if (!s.viewerIce) s.viewerIce = this.relay.credentials(s.legs.viewer);
          send(s.viewerIce);
          if (m.type === "claim") s.send_host?.({ type: "claimed", device: s.device });
        }
        if (s.state === "claimed") {
          if (!s.hostIce) s.hostIce = this.relay.credentials(s.legs.host);
          s.send_host?.(s.hostIce);
        }
        for (const blob of s.mail[side].splice(0)) send({ type: "sealed", data: blob });
        return;
      }
      if (m.type === "sealed") {
        const other = side === "host" ? "viewer" : "host";
        if (s[`${other}Ws`]) s[`send_${other}`]({ type: "sealed", data: m.data });
        else s.mail[other].push(m.data);
      }
      if (m.type === "restart") {
        s[`${side}Ice`] = this.relay.credentials(s.legs[side]);
        send(s[`${side}Ice`]);
      }
      if (m.type === "end" && side === "host") this.end(id, m.outcome);
    });
    ws.on("close", () => {
      if (s?.[`${side}Ws`] === ws) {
        s[`${side}Ws`] = null;
        s[`send_${side}`] = null;
        s[`send_${side === "host" ? "viewer" : "host"}`]?.({ type: "peer", present: false });
      }
    });
  }
}

async function authenticate(s, id, m, challenge) {
  const idBytes = fromBase64Url(id);
  const verify = async (device, label, ...rest) => {
    const key = await webcrypto.subtle.importKey(
      "raw",
      fromBase64Url(device),
      { name: "ECDSA", namedCurve: "P-256" },
      true,
      ["verify"],
    );
    return webcrypto.subtle.verify(
      { name: "ECDSA", hash: "SHA-256" },
      key,
      fromBase64Url(m.signature),
      concat(encodeUtf8(label), idBytes, challenge, ...rest),
    );
  };
  if (m.type === "claim") {
    const tokenHash = hash(fromBase64Url(m.token));
    if (toBase64Url(tokenHash) !== s.claim_hash) return 4401;
    if (!(await verify(m.device, "authloop/1 claim", tokenHash))) return 4401;
    if (s.state === "claimed") return 4409;
    s.state = "claimed";
    s.device = m.device;
    return 0;
  }
  if (m.type !== "resume") return 4400;
  if (!s.device || !(await verify(s.device, "authloop/1 resume"))) return 4401;
  return 0;
}

function json(res, status, body) {
  res.writeHead(status, { "content-type": "application/json" });
  res.end(JSON.stringify(body));
}
