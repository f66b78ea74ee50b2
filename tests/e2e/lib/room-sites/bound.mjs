// Sites that bind a session to the browser that began it.

import {
  account,
  CookieSite,
  form,
  json,
  page,
  RoomSite,
  random,
  redirect,
  refuse,
} from "./web.mjs";

const NAMES = ["user-agent", "sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform"];

/** The session holds for the browser that calls itself as it did at the sign-in, and no other. */
export class UserAgentSite extends CookieSite {
  /** What the last browser with a session's cookie called itself, and what it should have. */
  told = null;

  answer(asked) {
    const self = NAMES.map((name) => asked.headers[name]).join("\n");
    // A browser without a window may say no language to sites.
    const language = asked.headers["accept-language"] ?? "";
    if (asked.path === "/login" && asked.method === "POST") {
      if (!this.knows(asked.body)) return page("Try again", form(this.asks));
      const id = this.open({ user: asked.body.user, self, language });
      return redirect("/account", { "set-cookie": `session=${id}; Path=/; HttpOnly` });
    }
    const session = this.sessions.get(asked.cookies.session);
    if (asked.path !== "/account") return super.answer(asked);
    if (!session) return redirect("/login");
    this.told = { self, language, expected: session };
    const same = session.self === self && (!language || session.language === language);
    return same ? this.welcome(account(session.user)) : redirect("/login");
  }
}

const KEY_SCRIPT = `const request = (asked) => new Promise((resolve, reject) => {
  asked.onsuccess = () => resolve(asked.result);
  asked.onerror = () => reject(asked.error);
});
const asked = indexedDB.open("keys");
asked.onupgradeneeded = () => asked.result.createObjectStore("keys");
const db = await request(asked);
const key = (await request(db.transaction("keys").objectStore("keys").get("own"))) ?? null;
const bytes = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)));
const post = (path, body) => fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
const prove = async (pair) => {
  const { challenge } = await (await fetch("/challenge")).json();
  const data = new TextEncoder().encode(challenge);
  const signature = bytes(await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, pair.privateKey, data));
  const me = await post("/me", { challenge, signature });
  if (!me.ok) return;
  const who = document.createElement("h1");
  who.id = "who";
  who.textContent = (await me.json()).user;
  document.getElementById("app").replaceChildren(who);
};
document.getElementById("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
  const own = bytes(await crypto.subtle.exportKey("spki", pair.publicKey));
  const answer = await post("/login", { ...Object.fromEntries(new FormData(event.target)), key: own });
  if (!answer.ok) return;
  await request(db.transaction("keys", "readwrite").objectStore("keys").put(pair, "own"));
  await prove(pair);
});
if (key) await prove(key);`;

/** The session holds for the browser that has a key which no script can read (as with DPoP). */
export class BoundKeySite extends RoomSite {
  #challenges = new Set();

  async answer({ method, path, cookies, body }) {
    if (path === "/challenge") {
      const challenge = random();
      this.#challenges.add(challenge);
      return json({ challenge });
    }
    if (path === "/login" && method === "POST") {
      if (!this.knows(body)) return refuse();
      const id = this.open({ user: body.user, key: body.key });
      return json({}, { "set-cookie": `session=${id}; Path=/; HttpOnly` });
    }
    if (path === "/me" && method === "POST") {
      const session = this.sessions.get(cookies.session);
      if (!session || !this.#challenges.delete(body.challenge)) return refuse();
      const good = await this.#verify(session.key, body);
      return good ? this.welcome(json({ user: session.user })) : refuse();
    }
    if (path !== "/account") return refuse(404);
    return page(
      "App",
      `<main id=app>${form(["username", "password"])}</main><script type=module>${KEY_SCRIPT}</script>`,
    );
  }

  async #verify(spki, { challenge, signature }) {
    const algorithm = { name: "ECDSA", namedCurve: "P-256" };
    const key = await crypto.subtle.importKey(
      "spki",
      Buffer.from(spki, "base64"),
      algorithm,
      false,
      ["verify"],
    );
    return crypto.subtle.verify(
      { name: "ECDSA", hash: "SHA-256" },
      key,
      Buffer.from(signature, "base64"),
      Buffer.from(challenge),
    );
  }
}
