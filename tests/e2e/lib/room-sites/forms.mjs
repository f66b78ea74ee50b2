// Sites whose session is a cookie of some kind.

import {
  account,
  CookieSite,
  cookie,
  form,
  literal,
  PASSWORD_FORM,
  page,
  RoomSite,
  random,
  redirect,
  refuse,
} from "./web.mjs";

/** A name and a password. */
export class PasswordSite extends CookieSite {}

/** One code, without a name: nothing is begun before it. */
export class CodeSite extends CookieSite {
  wall = "otp";
  way = ["one-time-code", "Enter"];
  asks = ["code"];

  passes({ code }) {
    return this.knowsCode(code);
  }
}

/** A cookie that only this host can have set. */
export class HostCookieSite extends CookieSite {
  cookieName = "__Host-session";
  attributes = "Secure; HttpOnly; SameSite=Lax";
}

/**
 * A sign-in of two steps, of which the agent does the first: what has been begun is in a cookie, and
 * the second step asks for the code alone.
 */
export class HalfwaySite extends RoomSite {
  wall = "otp";
  begin = "/code";
  way = ["one-time-code", "Enter"];
  #begun = new Set();

  /** The agent's own step, in its browser. */
  async prepare(page) {
    await page.goto(`${this.origin}/login`);
    await page.fill("#email", this.sites.secrets.email);
    await page.click("#go");
    await page.waitForSelector("#code");
  }

  answer({ method, path, cookies, body }) {
    const user = this.sessions.get(cookies.session);
    if (path === "/account") return user ? this.welcome(account(user)) : redirect("/login");
    if (path === "/login" && method !== "POST") return page("Sign in", form(["email"]));
    if (path === "/login") {
      const id = random();
      this.#begun.add(id);
      return redirect("/code", cookie("pending", id));
    }
    if (path !== "/code") return refuse(404);
    if (!this.#begun.has(cookies.pending)) return redirect("/login");
    if (method !== "POST") return page("Code", form(["code"], { action: "/code" }));
    if (!this.knowsCode(body.code)) return page("Try again", form(["code"], { action: "/code" }));
    this.#begun.delete(cookies.pending);
    return redirect("/account", cookie("session", this.open()));
  }
}

/** A strict cookie, set on the way through another site and back. */
export class StrictSite extends RoomSite {
  #tickets = new Map();

  answer({ method, path, cookies, body, query }) {
    const user = this.sessions.get(cookies.session);
    if (path === "/account") return user ? this.welcome(account(user)) : redirect("/login");
    if (path === "/login" && method !== "POST") return page("Sign in", form(PASSWORD_FORM));
    if (path === "/login") {
      if (!this.knows(body)) return page("Try again", form(PASSWORD_FORM));
      const ticket = random();
      this.#tickets.set(ticket, this.open());
      return redirect(`${this.sites.of("hop").origin}/hop?ticket=${ticket}`);
    }
    if (path !== "/landed") return refuse(404);
    const session = this.#tickets.get(query.ticket);
    this.#tickets.delete(query.ticket);
    if (!session) return redirect("/login");
    // Coming from another site, the browser does not send it yet: the page goes on by itself.
    return page(
      "Landed",
      `<script>location.replace("/account")</script>`,
      cookie("session", session, "HttpOnly; SameSite=Strict"),
    );
  }
}

/** The other site on that way: it counts, and sends on. */
export class HopSite extends RoomSite {
  answer({ path, query }) {
    if (path !== "/hop") return refuse(404);
    return redirect(
      `${this.sites.of("strict").origin}/landed?ticket=${encodeURIComponent(query.ticket)}`,
      cookie("hop", random()),
    );
  }
}

/** A page whose sign-in is in a frame of another site, with a cookie for this pair alone (CHIPS). */
export class PartitionedSite extends RoomSite {
  /** No browser lets a frame of another site take the focus by itself. */
  way = ["Tab", "username", "Tab", "current-password", "Enter"];

  get #widget() {
    return this.sites.of("widget").origin;
  }

  get expected() {
    return [this.origin, this.#widget];
  }

  get grants() {
    return [this.host, this.sites.of("widget").host];
  }

  answer({ path }) {
    if (path !== "/account") return refuse(404);
    return page(
      "Shop",
      `<main id=app></main><iframe src="${this.#widget}/panel" width=600 height=300></iframe>
<script>addEventListener("message", (event) => {
  if (event.origin !== ${literal(this.#widget)}) return;
  const who = document.createElement("h1");
  who.id = "who";
  who.textContent = event.data.user;
  document.getElementById("app").replaceChildren(who);
});</script>`,
    );
  }

  welcomed(count) {
    return this.sites.of("widget").welcomed(count);
  }
}

export class WidgetSite extends RoomSite {
  answer({ method, path, cookies, body }) {
    if (path !== "/panel") return refuse(404);
    const user = this.sessions.get(cookies.session);
    if (user)
      return this.welcome(
        page(
          "Panel",
          `<script>parent.postMessage({ user: ${literal(user)} }, ${literal(this.sites.of("partitioned").origin)})</script>`,
        ),
      );
    const wall = page("Panel", form(PASSWORD_FORM, { action: "/panel" }));
    if (method !== "POST" || !this.knows(body)) return wall;
    return redirect(
      "/panel",
      cookie("session", this.open(), "HttpOnly; Secure; SameSite=None; Partitioned"),
    );
  }
}
