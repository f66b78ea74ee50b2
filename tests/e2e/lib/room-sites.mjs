// Small honest sites, each with a sign-in of one kind, at hosts under `localhost`: other sites to a
// browser, and loopback all the same.

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { BoundKeySite, UserAgentSite } from "./room-sites/bound.mjs";
import {
  CodeSite,
  HalfwaySite,
  HopSite,
  HostCookieSite,
  PartitionedSite,
  PasswordSite,
  StrictSite,
  WidgetSite,
} from "./room-sites/forms.mjs";
import { IdentityProvider, PopupApp, RedirectedApp } from "./room-sites/oauth.mjs";
import { FramedSite, PreparedSite } from "./room-sites/prepared.mjs";
import {
  EverywhereSite,
  IndexedDbSite,
  MemorySite,
  RotatingSite,
  SessionStorageSite,
} from "./room-sites/tokens.mjs";
import {
  CookieHoleSite,
  EvilSite,
  MirroringSite,
  PasskeySite,
  QueryFormSite,
  QueryHoleSite,
  RememberingSite,
  StorageHoleSite,
} from "./room-sites/weak.mjs";
import { read } from "./room-sites/web.mjs";

/** Those whose session can move. */
const MOVING = {
  password: PasswordSite,
  redirected: RedirectedApp,
  popup: PopupApp,
  halfway: HalfwaySite,
  code: CodeSite,
  "session-storage": SessionStorageSite,
  indexeddb: IndexedDbSite,
  partitioned: PartitionedSite,
  "host-cookie": HostCookieSite,
  rotating: RotatingSite,
  strict: StrictSite,
  "user-agent": UserAgentSite,
  everywhere: EverywhereSite,
};
/** Those whose session stays where it began. */
const BOUND = { memory: MemorySite, "bound-key": BoundKeySite };
/** Those that an agent puts a script into, and those that keep a password where it does not belong. */
const BAITED = {
  "storage-hole": StorageHoleSite,
  "cookie-hole": CookieHoleSite,
  "query-hole": QueryHoleSite,
};
const CARELESS = { remembering: RememberingSite, "query-form": QueryFormSite };
/** Those that an agent asks questions about. */
const TELLING = { mirroring: MirroringSite, passkey: PasskeySite };
const HELPERS = {
  idp: IdentityProvider,
  widget: WidgetSite,
  hop: HopSite,
  evil: EvilSite,
  prepared: PreparedSite,
  framed: FramedSite,
};

export const MOVING_KINDS = Object.keys(MOVING);
export const BOUND_KINDS = Object.keys(BOUND);
export const BAITED_KINDS = Object.keys(BAITED);
export const CARELESS_KINDS = Object.keys(CARELESS);

export class RoomSites {
  /** What the user knows, by the `autocomplete` of the field that wants it; fresh in each world. */
  secrets = {
    email: "ada@example.com",
    username: "ada@example.com",
    "current-password": `CANARY${randomBytes(18).toString("hex")}`,
    "one-time-code": `CODE${randomBytes(12).toString("hex")}`,
  };
  #sites = new Map();

  static async start() {
    const sites = new RoomSites();
    for (const [kind, Kind] of Object.entries({
      ...MOVING,
      ...BOUND,
      ...BAITED,
      ...CARELESS,
      ...TELLING,
      ...HELPERS,
    }))
      sites.#sites.set(kind, new Kind(sites, `${kind}.localhost`));
    sites.server = createServer((request, response) => sites.#answer(request, response));
    sites.server.listen(0, "127.0.0.1");
    await once(sites.server, "listening");
    sites.port = sites.server.address().port;
    return sites;
  }

  /** The site of that kind. */
  of(kind) {
    return this.#sites.get(kind);
  }

  origins() {
    return [...this.#sites.values()].map(({ origin }) => origin);
  }

  async #answer(request, response) {
    const [host] = (request.headers.host ?? "").split(":");
    const site = this.#sites.get(host.replace(/\.localhost$/, ""));
    if (!site || request.url === "/favicon.ico") return response.writeHead(404).end();
    const asked = await read(request);
    site.asked.push(`${request.method} ${request.url}`);
    const { status = 200, headers = {}, body = "" } = await site.answer(asked);
    response.writeHead(status, headers).end(body);
  }

  async stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}
