// Where the remote browser is, outside the picture: the bar, the warning, and the sheet that tells
// all.

import { button, dialog, el, setIcon } from "./dom.js";
import { formatDay, t } from "./i18n.js";
import { splitHost, splitOrigin } from "./origin.js";
import { plain } from "./plain-text.js";
import { PressGuard } from "./press-guard.js";

/** @typedef {import("./events.js").Page} Page */

/**
 * Somebody's words inside a sentence, which may run from right to left (UAX 9: LRI … PDI).
 * @param {string} words
 */
export const isolate = (words) => `\u2066${plain(words)}\u2069`;

/**
 * @param {string} name of the class
 * @param {string} text
 */
function originPart(name, text) {
  const outer = document.createElement("span");
  outer.className = name;
  const inner = document.createElement("span");
  inner.textContent = text;
  outer.append(inner);
  return outer;
}

/** The whole origin, with its owner's name emphasised. @param {string} origin */
const originNode = (origin) => partsNode(splitOrigin(plain(origin)));

/** @param {Pick<import("./origin.js").OriginParts, "before" | "name" | "after">} parts */
function partsNode({ before, name, after }) {
  const strong = document.createElement("strong");
  strong.textContent = name;
  const bdi = document.createElement("bdi");
  bdi.dir = "ltr";
  bdi.append(originPart("before", before), strong, originPart("after", after));
  return bdi;
}

/**
 * The expected sites, as list items.
 * @param {readonly string[]} origins
 */
export function siteItems(origins) {
  return listItems(origins.length > 0 ? origins.map(originNode) : [t("invitation.any_site")]);
}

/**
 * Hosts, as list items.
 * @param {readonly string[]} hosts
 * @param {boolean} [sites] they are granted sites: the whole of a name counts
 */
export const hostItems = (hosts, sites = false) =>
  listItems(
    hosts.map((host) => partsNode(sites ? { before: "", name: host, after: "" } : splitHost(host))),
  );

/** @param {string} host */
export const isPunycode = (host) => splitHost(host).punycode;

/** @param {readonly (Node | string)[]} items */
function listItems(items) {
  return items.map((item) => {
    const li = document.createElement("li");
    li.append(item);
    return li;
  });
}

/**
 * What the bar calls the connection: a certificate that is not valid is told apart from none.
 * @param {Page} page
 */
const connectionState = (page) =>
  page.connection === "broken" ? "broken" : page.secure ? "secure" : "insecure";

/** @param {Page} page */
export function showPage(page) {
  el("origin").replaceChildren(page.origin ? originNode(page.origin) : t("live.no_origin"));
  setIcon("lock", page.secure ? "i-lock" : page.connection === "broken" ? "i-warn" : "i-unlock");
  el("origin-line").dataset.secure = String(page.secure);
  el("lock-text").textContent = t(`live.${connectionState(page)}`);
  el("loading").hidden = !page.loading;
  button("back").disabled = !page.can_go_back;
  fillSheet(page);
}

/**
 * The part of an origin that names its owner; an opaque one has no owner.
 * @param {string} origin
 */
export const ownerName = (origin) => {
  const { name, after } = splitOrigin(origin);
  return origin === "" ? "" : isolate(name + after);
};

/** @type {PressGuard | null} */
let unexpectedGuard = null;

/**
 * The warning above the picture: a site that was not expected takes nothing before the user decides.
 * @param {{origin: string, frame: boolean} | null} unexpected
 */
export function showUnexpected(unexpected) {
  const text = unexpected
    ? t(unexpected.frame ? "unexpected.frame" : "unexpected.text", {
        origin: isolate(unexpected.origin),
      })
    : "";
  const banner = el("unexpected");
  const other = el("unexpected-text").textContent !== text;
  const appears = unexpected !== null && (other || banner.hidden);
  if (other) el("unexpected-text").textContent = text;
  banner.hidden = unexpected === null;
  unexpectedGuard ??= new PressGuard(banner);
  if (appears) unexpectedGuard.appear();
}

/** @param {import("./invitation.js").Invitation} invitation */
export function wireOriginPanel(invitation) {
  el("site-requester").textContent = invitation.requester;
  el("site-reason").textContent = invitation.reason;
  el("site-reason-row").hidden = invitation.reason === "";
  el("site-expected").replaceChildren(...siteItems(invitation.origins));
  button("site").onclick = () => dialog("sheet-site").showModal();
}

/** @param {string} origin of the focused field's frame, or nothing */
export function showFrame(origin) {
  el("site-frame-row").hidden = origin === "";
  el("site-frame").replaceChildren(origin ? originNode(origin) : "");
}

/** @param {Page} page */
function fillSheet(page) {
  const { certificate: seen } = page;
  el("site-address").replaceChildren(page.origin ? originNode(page.origin) : t("live.no_origin"));
  el("site-punycode").hidden = !splitOrigin(page.origin).punycode;
  const told =
    page.connection === "secure" || page.connection === "broken" || page.connection === "insecure";
  el("site-connection").textContent = t(`site.${told ? page.connection : "unknown"}`);
  el("site-connection").dataset.state = page.connection ?? "unknown";
  el("site-certificate-row").hidden = !seen;
  if (seen) {
    const { subject, issuer } = seen;
    el("site-certificate").textContent = t("site.issued", {
      subject: isolate(subject),
      issuer: isolate(issuer),
      date: formatDay(seen.valid_to),
    });
  }
  el("site-problem").textContent = plain(seen?.problem ?? "");
  const title = plain(page.title);
  el("site-name-row").hidden = title === "";
  el("site-name").textContent = title;
}
