// Other people's software as sites to sign in at: Django's admin, JupyterLab, and an OpenID provider
// for a page with oidc-client-ts and one with auth0-spa-js.

import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import Provider from "oidc-provider";
import { Part } from "./part.mjs";
import { escapeHtml, form, literal, PASSWORD_FORM, page, read } from "./room-sites/web.mjs";

const PYTHON = new URL("../../../.cache/venv-real/bin/python", import.meta.url).pathname;
const module = (path) => readFileSync(new URL(`../node_modules/${path}`, import.meta.url));

/** A program of `tests/e2e/real/`, run by the Python that script/bootstrap has made for it. */
class PythonSite extends Part {
  constructor(program, user) {
    if (!existsSync(PYTHON)) throw new Error(`${PYTHON} is missing: script/bootstrap --tests`);
    const folder = mkdtempSync(`${tmpdir()}/authloop-real-`);
    const path = new URL(`../real/${program}.py`, import.meta.url).pathname;
    super(program, PYTHON, [path, folder, ...user], { env: { HOME: folder } });
    this.folder = folder;
  }

  async stop() {
    await super.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export class DjangoAdmin extends PythonSite {
  wall = "password";
  host = "django.localhost";
  grants = [this.host];
  way = ["username", "Tab", "current-password", "Enter"];
  signedIn = "#logout-form";

  static async start(secrets) {
    const site = new DjangoAdmin("django_admin", [secrets.username, secrets["current-password"]]);
    site.secrets = secrets;
    const { port } = await site.event((e) => e.event === "listening", "the start", 60_000);
    site.origin = `http://${site.host}:${port}`;
    return Object.assign(site, { url: `${site.origin}/admin/`, expected: [site.origin] });
  }
}

export class JupyterLab extends PythonSite {
  wall = "password";
  host = "jupyter.localhost";
  grants = [this.host];
  /** Its field does not take the focus by itself, and says no `autocomplete`. */
  way = ["Tab", "Tab", "current-password", "Enter"];
  fields = { "current-password": "[type=password]" };
  signedIn = "#jp-top-panel";

  static async start(secrets) {
    const site = new JupyterLab("jupyter_lab", [secrets["current-password"]]);
    site.secrets = secrets;
    const [, port] = await site.line(/http:\/\/127\.0\.0\.1:(\d+)\/lab/, 60_000);
    site.origin = `http://${site.host}:${port}`;
    return Object.assign(site, { url: `${site.origin}/lab`, expected: [site.origin] });
  }
}

const SHOW = `const show = (user) => {
  const who = document.createElement("h1");
  who.id = "who";
  who.textContent = user;
  document.body.replaceChildren(who);
};`;
/** The two applications: the library that they are served, and their own script. */
const APPS = {
  "oidc-client-ts": {
    file: "oidc-client-ts/dist/browser/oidc-client-ts.min.js",
    script: (authority) => `const manager = new oidc.UserManager({
  authority: ${literal(authority)}, client_id: "oidc-client-ts", redirect_uri: location.origin + "/callback", scope: "openid profile",
});
if (location.pathname === "/callback") {
  await manager.signinCallback();
  location.replace("/account");
} else {
  const user = await manager.getUser();
  if (user && !user.expired) show(user.profile.sub);
  else await manager.signinRedirect();
}`,
  },
  "auth0-spa-js": {
    file: "@auth0/auth0-spa-js/dist/auth0-spa-js.production.js",
    script: (authority) => `const client = await auth0.createAuth0Client({
  domain: ${literal(authority)}, clientId: "auth0-spa-js", cacheLocation: "localstorage", useRefreshTokens: true,
  authorizationParams: { redirect_uri: location.origin + "/callback" },
});
if (location.pathname === "/callback") {
  await client.handleRedirectCallback();
  location.replace("/account");
} else if (await client.isAuthenticated()) show((await client.getUser()).sub);
else await client.loginWithRedirect();`,
  },
};

/** A page with a library of OpenID Connect's, whose user signs in at the provider. */
class OidcApp {
  wall = "oauth";
  way = ["username", "Tab", "current-password", "Enter"];
  signedIn = "#who";

  constructor(name, world) {
    this.secrets = world.secrets;
    this.host = `${name}.localhost`;
    this.grants = [this.host];
    this.origin = `http://${this.host}:${world.port}`;
    this.url = `${this.origin}/account`;
    this.expected = [this.origin, world.issuer];
    this.library = module(APPS[name].file);
    this.html = page(
      name,
      `<script src=/library.js></script><script type=module>${SHOW}${APPS[name].script(world.issuer)}</script>`,
    );
  }

  answer(request, response) {
    const { pathname } = new URL(request.url, this.origin);
    if (pathname === "/library.js")
      return response.writeHead(200, { "content-type": "text/javascript" }).end(this.library);
    if (!["/account", "/callback"].includes(pathname)) return response.writeHead(404).end();
    response.writeHead(200, this.html.headers).end(this.html.body);
  }
}

/** `oidc-provider` at one host, and its two applications at others. */
export class OpenIdWorld {
  static async start(secrets) {
    const world = new OpenIdWorld();
    world.secrets = secrets;
    world.server = createServer((request, response) => world.#answer(request, response));
    world.server.listen(0, "127.0.0.1");
    await once(world.server, "listening");
    world.port = world.server.address().port;
    world.issuer = `http://openid.localhost:${world.port}`;
    world.apps = Object.fromEntries(
      Object.keys(APPS).map((name) => [name, new OidcApp(name, world)]),
    );
    world.#provide();
    return world;
  }

  #provide() {
    const client = (name) => ({
      client_id: name,
      application_type: "web",
      token_endpoint_auth_method: "none",
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
      redirect_uris: [`${this.apps[name].origin}/callback`],
      scope: "openid profile email offline_access",
    });
    // Auth0's library expects a slash at the end, and these paths.
    this.provider = new Provider(`${this.issuer}/`, {
      clients: Object.keys(APPS).map(client),
      claims: { openid: ["sub"], profile: ["name"], email: ["email"] },
      clientBasedCORS: () => true,
      cookies: { keys: ["of a test"] },
      features: { devInteractions: { enabled: false } },
      findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, name: id, email: id }) }),
      interactions: { url: (_, { uid }) => `/interaction/${uid}` },
      routes: { authorization: "/authorize", token: "/oauth/token" },
      ttl: { Interaction: 600, Session: 600, Grant: 600, AccessToken: 600, IdToken: 600 },
    });
    this.callback = this.provider.callback();
  }

  async #answer(request, response) {
    const [host] = (request.headers.host ?? "").split(":");
    const app = Object.values(this.apps).find((one) => one.host === host);
    if (app) return app.answer(request, response);
    if (!request.url.startsWith("/interaction/")) return this.callback(request, response);
    await this.#interact(request, response).catch((error) =>
      response.writeHead(400).end(String(error)),
    );
  }

  /** The user's part: a form, and a consent that the operator has given for all. */
  async #interact(request, response) {
    const { prompt, params, session, grantId } = await this.provider.interactionDetails(
      request,
      response,
    );
    if (prompt.name === "consent") {
      const { Grant } = this.provider;
      const grant = grantId
        ? await Grant.find(grantId)
        : new Grant({ accountId: session.accountId, clientId: params.client_id });
      grant.addOIDCScope(params.scope);
      const consent = { grantId: await grant.save() };
      return this.provider.interactionFinished(
        request,
        response,
        { consent },
        { mergeWithLastSubmission: true },
      );
    }
    const asked = await read(request);
    const { user, password } = asked.body;
    if (user === this.secrets.username && password === this.secrets["current-password"]) {
      const login = { accountId: user };
      return this.provider.interactionFinished(
        request,
        response,
        { login },
        { mergeWithLastSubmission: false },
      );
    }
    const { headers, body } = page(
      "OpenID",
      form(PASSWORD_FORM, { action: escapeHtml(asked.path) }),
    );
    response.writeHead(200, headers).end(body);
  }

  async stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}
