// A signaling server that can lie: a proxy before the real one, for both the host and the viewer.

import { EventEmitter } from "node:events";
import { createServer } from "node:http";
import { WebSocket, WebSocketServer } from "ws";
import { within } from "./part.mjs";

/**
 * @typedef {object} Passing one signaling message on its way
 * @property {"host" | "viewer"} side whose WebSocket it travels on
 * @property {"client" | "server"} from who sent it
 * @property {string} session
 * @property {any} message
 */

export class Mitm {
  upstream = "";
  /** Every message that passed, as it came in. @type {Passing[]} */
  transcript = [];
  /** Changes a message: another one, several, or null for none. @type {(p: Passing) => any} */
  tamper = ({ message }) => message;
  /** Changes an HTTP answer's body. @type {(path: string, body: Buffer) => Buffer | string} */
  tamperHttp = (_, body) => body;
  #news = new EventEmitter().setMaxListeners(0);
  #sockets = new Map();

  static async start() {
    const mitm = new Mitm();
    const http = createServer((request, response) => void mitm.#http(request, response));
    const ws = new WebSocketServer({ server: http });
    ws.on("connection", (socket, request) => mitm.#socket(socket, request));
    await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
    mitm.origin = `http://127.0.0.1:${http.address().port}`;
    mitm.stop = async () => {
      for (const socket of ws.clients) socket.terminate();
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    };
    return mitm;
  }

  async #http(request, response) {
    try {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      const { host: _, connection: __, "content-length": ___, ...headers } = request.headers;
      const body = chunks.length ? Buffer.concat(chunks) : undefined;
      const answer = await fetch(this.upstream + request.url, {
        method: request.method,
        headers,
        body,
        redirect: "manual",
      });
      const kept = [...answer.headers].filter(
        ([name]) =>
          !["content-length", "content-encoding", "transfer-encoding", "connection"].includes(name),
      );
      response.writeHead(answer.status, Object.fromEntries(kept));
      response.end(this.tamperHttp(request.url, Buffer.from(await answer.arrayBuffer())));
    } catch (error) {
      response.writeHead(502).end(String(error));
    }
  }

  #socket(client, request) {
    const [, session, side] = /^\/v1\/sessions\/([^/]+)\/(host|viewer)$/.exec(request.url) ?? [];
    const headers = request.headers.origin ? { origin: request.headers.origin } : {};
    const server = new WebSocket(this.upstream.replace("http", "ws") + request.url, { headers });
    this.#sockets.set(`${session}/${side}`, { client, server });
    const pipe = (from, source, sink) => {
      const open =
        sink.readyState === WebSocket.CONNECTING
          ? new Promise((resolve) => sink.once("open", resolve))
          : Promise.resolve();
      source.on("message", async (data) => {
        await open;
        const message = JSON.parse(data);
        const passing = { side, from, session, message };
        this.transcript.push(structuredClone(passing));
        const out = this.tamper(passing);
        this.#news.emit("news");
        for (const m of [out].flat())
          if (m && sink.readyState === WebSocket.OPEN) sink.send(JSON.stringify(m));
      });
      source.on("close", (code, reason) =>
        code < 1000 || [1004, 1005, 1006, 1015].includes(code)
          ? sink.terminate()
          : sink.close(code, reason),
      );
      source.on("error", () => sink.terminate());
    };
    pipe("client", client, server);
    pipe("server", server, client);
  }

  /** Says something to a client in the server's name; whether the client is there. */
  inject(session, side, message) {
    const client = this.#sockets.get(`${session}/${side}`)?.client;
    client?.send(JSON.stringify(message));
    return client?.readyState === WebSocket.OPEN;
  }

  /** The `count`th message for which `match` holds, past or to come. */
  seen(match, what, count = 1, ms = 45_000) {
    let check;
    const found = new Promise((resolve) => {
      check = () => {
        const hits = this.transcript.filter(match);
        if (hits.length >= count) resolve(hits[count - 1]);
      };
      this.#news.on("news", check);
      check();
    });
    return within(
      ms,
      () => `${what} in signaling (${this.transcript.length} messages)`,
      found,
    ).finally(() => this.#news.off("news", check));
  }
}
