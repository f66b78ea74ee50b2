// Applications of one page, whose session is a token that their own script keeps somewhere.

import { form, json, literal, PASSWORD_FORM, page, RoomSite, random, refuse } from "./web.mjs";

const post = `const post = (path, body) => fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });`;

/** Where a script keeps its token: `load` and `save`. */
const SESSION_STORAGE = `const load = async () => sessionStorage.getItem("token");
const save = async (token) => sessionStorage.setItem("token", token);`;
const MEMORY = `let kept = null;
const load = async () => kept;
const save = async (token) => { kept = token; };`;
const INDEXED_DB = `const request = (asked) => new Promise((resolve, reject) => {
  asked.onsuccess = () => resolve(asked.result);
  asked.onerror = () => reject(asked.error);
});
const open = () => {
  const asked = indexedDB.open("auth", 3);
  asked.onupgradeneeded = () => asked.result.createObjectStore("tokens", { keyPath: "kind" }).createIndex("by-date", "since");
  return request(asked);
};
const load = async () => {
  const db = await open();
  const found = await request(db.transaction("tokens").objectStore("tokens").index("by-date").get(IDBKeyRange.lowerBound(new Date(0))));
  db.close();
  return found?.kind === "access" && found.scopes.has("read") ? new TextDecoder().decode(found.token) : null;
};
const save = async (token) => {
  const db = await open();
  const record = { kind: "access", token: new TextEncoder().encode(token), since: new Date(), scopes: new Set(["read"]) };
  await request(db.transaction("tokens", "readwrite").objectStore("tokens").put(record));
  db.close();
};`;

/** The form and the account are one page: who is signed in sees the account. */
class TokenSite extends RoomSite {
  constructor(sites, host, store) {
    super(sites, host);
    this.store = store;
  }

  answer({ method, path, bearer, body }) {
    if (path === "/me") {
      const user = this.sessions.get(bearer);
      return user ? this.welcome(json({ user })) : refuse();
    }
    if (path === "/login" && method === "POST")
      return this.knows(body) ? json({ token: this.open() }) : refuse();
    if (path !== "/account") return refuse(404);
    return page(
      "App",
      `<main id=app hidden>${form(PASSWORD_FORM)}</main><script type=module>${post}${this.store}
const app = document.getElementById("app");
const enter = async () => {
  const token = await load();
  const me = token && (await fetch("/me", { headers: { authorization: "Bearer " + token } }));
  if (!me?.ok) return;
  const who = document.createElement("h1");
  who.id = "who";
  who.textContent = (await me.json()).user;
  app.replaceChildren(who);
};
document.getElementById("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await post("/login", Object.fromEntries(new FormData(event.target)));
  if (!answer.ok) return;
  await save((await answer.json()).token);
  await enter();
});
await enter();
app.hidden = false;
document.getElementById("user")?.focus();</script>`,
    );
  }
}

export class SessionStorageSite extends TokenSite {
  constructor(sites, host) {
    super(sites, host, SESSION_STORAGE);
  }
}

export class IndexedDbSite extends TokenSite {
  constructor(sites, host) {
    super(sites, host, INDEXED_DB);
  }
}

/** Its token is in a variable alone: nothing of it can move. */
export class MemorySite extends TokenSite {
  constructor(sites, host) {
    super(sites, host, MEMORY);
  }
}

/**
 * A token that is good for one refresh (RFC 9700 section 4.14.2): when an old one comes back, two
 * have it, and the whole session is revoked. A page in use refreshes all the time.
 */
export class RotatingSite extends RoomSite {
  /** Sessions that two copies were used of. */
  revoked = 0;
  #tokens = new Map();

  #issue(session) {
    const token = random();
    this.#tokens.set(token, session);
    session.current = token;
    return json({ token });
  }

  answer({ method, path, body }) {
    if (path === "/login" && method === "POST")
      return this.knows(body) ? this.#issue({ user: body.user, open: true }) : refuse();
    if (path === "/refresh" && method === "POST") {
      const session = this.#tokens.get(body.token);
      if (!session?.open) return refuse();
      if (session.current !== body.token) {
        session.open = false;
        this.revoked += 1;
        return refuse();
      }
      return this.welcome(this.#issue(session));
    }
    if (path !== "/account") return refuse(404);
    return page(
      "App",
      `<main id=app>${form(PASSWORD_FORM)}</main><script type=module>${post}
const user = ${literal(this.sites.secrets.username)};
const refresh = async () => {
  const token = localStorage.getItem("refresh");
  if (!token) return;
  const answer = await post("/refresh", { token });
  if (!answer.ok) return localStorage.removeItem("refresh"), location.reload();
  localStorage.setItem("refresh", (await answer.json()).token);
  const who = document.createElement("h1");
  who.id = "who";
  who.textContent = user;
  document.getElementById("app").replaceChildren(who);
  setTimeout(refresh, 1000);
};
document.getElementById("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await post("/login", Object.fromEntries(new FormData(event.target)));
  if (!answer.ok) return;
  localStorage.setItem("refresh", (await answer.json()).token);
  await refresh();
});
await refresh();</script>`,
    );
  }
}

const PARTS = `const request = (asked) => new Promise((resolve, reject) => {
  asked.onsuccess = () => resolve(asked.result);
  asked.onerror = () => reject(asked.error);
});
const database = async () => {
  const asked = indexedDB.open("parts");
  asked.onupgradeneeded = () => asked.result.createObjectStore("parts");
  return request(asked);
};
globalThis.parts = async () => {
  const db = await database();
  const kept = await request(db.transaction("parts").objectStore("parts").get("session"));
  db.close();
  return { local: localStorage.getItem("session"), tab: sessionStorage.getItem("session"), database: kept ?? null };
};
const keep = async (id) => {
  localStorage.setItem("session", id);
  sessionStorage.setItem("session", id);
  const db = await database();
  await request(db.transaction("parts", "readwrite").objectStore("parts").put(id, "session"));
  db.close();
};`;

/** Keeps the same session in every store there is, so that half of one can be told from a whole. */
export class EverywhereSite extends RoomSite {
  /** The cookies and what `parts()` tells in its page. */
  parts = ["first", "second", "local", "tab", "database"];

  answer({ method, path, cookies, bearer, body }) {
    if (path === "/login" && method === "POST") {
      if (!this.knows(body)) return refuse();
      const id = this.open();
      const set = ["first", "second"].map(
        (name) => `${name}=${id}; Path=/; HttpOnly; SameSite=Lax`,
      );
      return json({ id }, { "set-cookie": set });
    }
    if (path === "/me") {
      const good =
        this.sessions.has(bearer) && cookies.first === bearer && cookies.second === bearer;
      return good ? this.welcome(json({ user: this.sessions.get(bearer) })) : refuse();
    }
    if (path === "/parts") return page("Parts", `<script>${PARTS}</script>`);
    if (path !== "/account") return refuse(404);
    return page(
      "App",
      `<main id=app>${form(PASSWORD_FORM)}</main><script type=module>${post}${PARTS}
const enter = async () => {
  const { local, tab, database } = await globalThis.parts();
  if (!local || local !== tab || local !== database) return;
  const me = await fetch("/me", { headers: { authorization: "Bearer " + local } });
  if (!me.ok) return;
  const who = document.createElement("h1");
  who.id = "who";
  who.textContent = (await me.json()).user;
  document.getElementById("app").replaceChildren(who);
};
document.getElementById("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await post("/login", Object.fromEntries(new FormData(event.target)));
  if (!answer.ok) return;
  await keep((await answer.json()).id);
  await enter();
});
await enter();</script>`,
    );
  }
}
