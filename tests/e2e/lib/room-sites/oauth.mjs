// An identity provider, and two applications that sign their users in there.

import {
  cookie,
  escapeHtml,
  form,
  json,
  literal,
  PASSWORD_FORM,
  page,
  RoomSite,
  random,
  redirect,
  refuse,
  sha256,
} from "./web.mjs";

/** OAuth 2.1's code with PKCE (RFC 7636), with a session of its own. */
export class IdentityProvider extends RoomSite {
  #codes = new Map();

  answer({ method, path, query, cookies, body }) {
    if (path !== "/authorize") return refuse(404);
    const asked = method === "POST" ? body : query;
    const known = ["redirected", "popup"].map((name) => this.sites.of(name).origin);
    const back = URL.canParse(asked.redirect_uri) ? new URL(asked.redirect_uri).origin : "";
    if (!known.includes(back) || !asked.code_challenge) return refuse(400);
    if (this.sessions.has(cookies.idp_session)) return this.#grant(asked, {});
    if (method === "POST" && this.knows(body))
      return this.#grant(asked, cookie("idp_session", this.open()));
    const kept = ["redirect_uri", "state", "code_challenge", "response_mode"]
      .filter((name) => asked[name] !== undefined)
      .map((name) => `<input type=hidden name=${name} value="${escapeHtml(asked[name])}">`)
      .join("");
    // A visit alone leaves a cookie, as such sites do.
    return page(
      "Identity",
      form(PASSWORD_FORM, { action: "/authorize", more: kept }),
      cookie("idp_visit", random()),
    );
  }

  #grant({ redirect_uri, state, code_challenge, response_mode }, headers) {
    const code = random();
    this.#codes.set(code, code_challenge);
    if (response_mode !== "web_message") {
      const back = new URL(redirect_uri);
      back.searchParams.set("code", code);
      back.searchParams.set("state", state);
      return redirect(back.href, headers);
    }
    const { origin } = new URL(redirect_uri);
    return page(
      "Back",
      `<script>opener.postMessage(${literal({ code, state })}, ${literal(origin)}); close();</script>`,
      headers,
    );
  }

  /** Whether the code is good, once. */
  redeem(code, verifier) {
    const challenge = this.#codes.get(code);
    this.#codes.delete(code);
    return challenge !== undefined && sha256(verifier) === challenge;
  }
}

const BEGIN = `const random = () => btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(24)))).replaceAll("+", "-").replaceAll("/", "_");
const begin = async (idp, more) => {
  const [state, verifier] = [random(), random()];
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier)));
  const code_challenge = btoa(String.fromCharCode(...hash)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const redirect_uri = location.origin + "/callback";
  return { state, verifier, url: idp + "/authorize?" + new URLSearchParams({ redirect_uri, state, code_challenge, ...more }) };
};
const post = (path, body) => fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });`;
const SHOW = `const show = async (answer) => {
  const who = document.createElement("h1");
  who.id = "who";
  who.textContent = (await answer.json()).user;
  document.body.replaceChildren(who);
};`;

/**
 * Goes to the identity provider and comes back: `state` and verifier wait in session storage, and
 * the session is a cookie.
 */
export class RedirectedApp extends RoomSite {
  wall = "oauth";

  get expected() {
    return [this.origin, this.sites.of("idp").origin];
  }

  answer({ method, path, cookies, body }) {
    const user = this.sessions.get(cookies.session);
    if (path === "/me") return user ? this.welcome(json({ user })) : refuse();
    if (path === "/exchange" && method === "POST") {
      if (!this.sites.of("idp").redeem(body.code, body.verifier)) return refuse();
      return json({}, cookie("session", this.open()));
    }
    if (path === "/account")
      return page(
        "App",
        `<script type=module>${BEGIN}${SHOW}
const me = await fetch("/me");
if (me.ok) await show(me);
else {
  const { url, ...kept } = await begin(${literal(this.sites.of("idp").origin)}, {});
  sessionStorage.setItem("oauth", JSON.stringify(kept));
  location.assign(url);
}</script>`,
      );
    if (path === "/callback")
      return page(
        "Back",
        `<p id=state>…</p><script type=module>${BEGIN}
const kept = JSON.parse(sessionStorage.getItem("oauth") ?? "{}");
const given = new URLSearchParams(location.search);
sessionStorage.removeItem("oauth");
if (!kept.state || kept.state !== given.get("state")) document.getElementById("state").textContent = "This was not begun here.";
else if ((await post("/exchange", { code: given.get("code"), verifier: kept.verifier })).ok) location.replace("/account");
</script>`,
      );
    return refuse(404);
  }
}

/** The same in a window of its own, which tells its opener; the session is a token in local storage. */
export class PopupApp extends RoomSite {
  wall = "oauth";
  way = ["email", "Enter", "username", "Tab", "current-password", "Enter"];

  get expected() {
    return [this.origin, this.sites.of("idp").origin];
  }

  answer({ method, path, bearer, body }) {
    if (path === "/me") {
      const user = this.sessions.get(bearer);
      return user ? this.welcome(json({ user })) : refuse();
    }
    if (path === "/exchange" && method === "POST") {
      const good = this.sites.of("idp").redeem(body.code, body.verifier);
      return good ? json({ token: this.open() }) : refuse();
    }
    if (path !== "/account") return refuse(404);
    return page(
      "App",
      `${form(["email"])}<script type=module>${BEGIN}${SHOW}
const idp = ${literal(this.sites.of("idp").origin)};
const enter = async () => {
  const token = localStorage.getItem("token");
  const me = token && (await fetch("/me", { headers: { authorization: "Bearer " + token } }));
  if (me?.ok) await show(me);
};
document.getElementById("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const popup = open("about:blank", "idp", "width=500,height=400");
  begin(idp, { response_mode: "web_message" }).then(({ url, state, verifier }) => {
    addEventListener("message", async ({ origin, data }) => {
      if (origin !== idp || data.state !== state) return;
      const { token } = await (await post("/exchange", { code: data.code, verifier })).json();
      localStorage.setItem("token", token);
      await enter();
    });
    popup.location = url;
  });
});
await enter();</script>`,
    );
  }
}
