// What the small sites share: a request as they see it, answers, and a site with its sessions.

import { createHash, randomBytes } from "node:crypto";
import { EventEmitter } from "node:events";
import { within } from "../part.mjs";

export const random = () => randomBytes(18).toString("base64url");
export const sha256 = (text) => createHash("sha256").update(text).digest("base64url");
/** For a page's own script, whatever the text holds. */
export const literal = (value) => JSON.stringify(value).replaceAll("<", "\\u003c");
/** For an attribute or text of a document. */
export const escapeHtml = (text) =>
  text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");

export const page = (title, body, headers = {}) => ({
  headers: { "content-type": "text/html; charset=utf-8", "cache-control": "no-store", ...headers },
  body: `<!doctype html><html lang=en><meta charset=utf-8><title>${title}</title>
<style>body{font:20px sans-serif;margin:40px}input,button{font:inherit;display:block;margin:12px 0}</style>
${body}</html>`,
});
export const json = (value, headers = {}) => ({
  headers: { "content-type": "application/json", "cache-control": "no-store", ...headers },
  body: JSON.stringify(value),
});
export const redirect = (location, headers = {}) => ({
  status: 303,
  headers: { location, ...headers },
});
export const refuse = (status = 401) => ({ ...json({ error: status }), status });
export const cookie = (name, value, more = "HttpOnly; SameSite=Lax") => ({
  "set-cookie": `${name}=${value}; Path=/; ${more}`,
});

/** The page that only a user who is signed in sees. */
export const account = (user) => page("Account", `<h1 id=who>${user}</h1>`);

const FIELDS = {
  email: "<input id=email name=email type=email autocomplete=email autofocus>",
  username: "<input id=user name=user autocomplete=username autofocus>",
  password: "<input id=password name=password type=password autocomplete=current-password>",
  code: "<input id=code name=code autocomplete=one-time-code inputmode=numeric autofocus>",
};
/** A form of some of the usual fields. */
export const form = (fields, { action = "/login", method = "post", more = "" } = {}) =>
  `<form id=form method=${method} action="${action}">${fields.map((name) => FIELDS[name]).join("")}${more}<button id=go>Go on</button></form>`;
export const PASSWORD_FORM = ["username", "password"];

/** A request, read whole. */
export async function read(request) {
  const url = new URL(request.url, `http://${request.headers.host}`);
  let body = "";
  for await (const chunk of request) body += chunk;
  const isJson = request.headers["content-type"]?.startsWith("application/json");
  return {
    method: request.method,
    path: url.pathname,
    query: Object.fromEntries(url.searchParams),
    headers: request.headers,
    url,
    body:
      body === "" ? {} : isJson ? JSON.parse(body) : Object.fromEntries(new URLSearchParams(body)),
    cookies: Object.fromEntries(
      (request.headers.cookie ?? "")
        .split("; ")
        .filter(Boolean)
        .map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]),
    ),
    bearer: /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1],
  };
}

/** An honest site of one kind at a host of its own, with its open sessions. */
export class RoomSite {
  /** The wall's kind, as an agent names it. */
  wall = "password";
  /** Where an agent stands when it meets the wall, and where a room begins. */
  begin = "/account";
  /** What a user does there: fields by their `autocomplete`, whose texts are `sites.secrets`, and keys. */
  way = ["username", "Tab", "current-password", "Enter"];
  /** What the site itself asked for since: method, path and query. */
  asked = [];
  sessions = new Map();
  welcomes = 0;
  #news = new EventEmitter().setMaxListeners(0);

  constructor(sites, host) {
    Object.assign(this, { sites, host });
  }

  get origin() {
    return `http://${this.host}:${this.sites.port}`;
  }

  get url() {
    return `${this.origin}${this.begin}`;
  }

  /** Where the user types. */
  get expected() {
    return [this.origin];
  }

  /** What the agent is to get. */
  get grants() {
    return [this.host];
  }

  /** Whether it is the user who signs in. */
  knows({ user, password }) {
    const { secrets } = this.sites;
    return user === secrets.username && password === secrets["current-password"];
  }

  knowsCode(code) {
    return code === this.sites.secrets["one-time-code"];
  }

  /** A new session's name. */
  open(value = this.sites.secrets.username) {
    const id = random();
    this.sessions.set(id, value);
    return id;
  }

  /** An answer that only a signed-in browser gets. */
  welcome(answer) {
    this.welcomes += 1;
    this.#news.emit("welcome");
    return answer;
  }

  /** Waits for the next such answer after the first `count`. */
  async welcomed(count = 0) {
    const come = new Promise((resolve) => {
      const look = () => this.welcomes > count && resolve();
      this.#news.on("welcome", look);
      look();
    });
    await within(
      30_000,
      () => `a welcome at ${this.host}; it was asked for ${this.asked.slice(-5)}`,
      come,
    );
  }
}

/** A site whose session is a cookie, and whose wall is one form. */
export class CookieSite extends RoomSite {
  cookieName = "session";
  attributes = "HttpOnly; SameSite=Lax";
  asks = PASSWORD_FORM;

  passes(body) {
    return this.knows(body);
  }

  answer({ method, path, cookies, body }) {
    const user = this.sessions.get(cookies[this.cookieName]);
    if (path === "/account") return user ? this.welcome(account(user)) : redirect("/login");
    if (path !== "/login") return refuse(404);
    if (method !== "POST") return page("Sign in", form(this.asks));
    if (!this.passes(body)) return page("Try again", form(this.asks));
    return redirect("/account", cookie(this.cookieName, this.open(), this.attributes));
  }
}
