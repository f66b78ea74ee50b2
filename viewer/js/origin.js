// How an origin is shown: as the browser process gave it, with the part that names its owner
// emphasised. Pure.

// Not the whole Public Suffix List (some 200 kB), but the suffixes under which strangers register
// names most often. A suffix that is missing makes the emphasised part too short by a label, so
// the whole origin stays readable beside it.
const SECOND_LEVEL_LABELS =
  /^(?:ac|co|com|edu|gob|gouv|gov|govt|go|gv|id|ltd|me|mil|ne|net|nhs|nom|or|org|plc|sch|web)$/;
const SHARED_SUFFIXES = new Set(
  (
    "appspot.com azurewebsites.net blogspot.com cloudfront.net firebaseapp.com fly.dev " +
    "github.io gitlab.io glitch.me herokuapp.com netlify.app ngrok.app ngrok.io ngrok-free.app " +
    "onrender.com pages.dev r2.dev repl.co replit.app s3.amazonaws.com surge.sh " +
    "trycloudflare.com vercel.app web.app webflow.io wixsite.com wordpress.com workers.dev"
  ).split(" "),
);

/**
 * @typedef {object} OriginParts before + name + after is the whole
 * @property {string} before scheme and sub-domains
 * @property {string} name the registrable domain, or the whole host where there is none
 * @property {string} after the port
 * @property {boolean} punycode a label is written in another script
 */

/**
 * @param {string} origin for example `https://login.example.co.uk:8443`
 * @returns {OriginParts}
 */
export function splitOrigin(origin) {
  const match = /^([a-z][a-z0-9+.-]*:\/\/)(\[[^\]]*\]|[^:/?#]*)(:\d+)?/i.exec(origin);
  if (!match?.[2]) return { before: "", name: origin, after: "", punycode: false };
  const scheme = match[1] ?? "";
  const host = asciiHost(match[2]);
  const name = registrable(host);
  return {
    before: scheme + host.slice(0, host.length - name.length),
    name,
    after: match[3] ?? "",
    punycode: /(^|\.)xn--/.test(host),
  };
}

/**
 * @param {string} host as an origin writes it
 * @returns {OriginParts} without a scheme
 */
export function splitHost(host) {
  const parts = splitOrigin(`https://${host}`);
  return { ...parts, before: parts.before.replace("https://", "") };
}

/** Names in other scripts are shown as punycode, never drawn. @param {string} host */
function asciiHost(host) {
  if (/^[\x21-\x7e]*$/.test(host)) return host.toLowerCase();
  try {
    return new URL(`https://${host}/`).hostname;
  } catch {
    return host;
  }
}

/** @param {string} host */
function registrable(host) {
  if (host.startsWith("[") || /^[\d.]+$/.test(host)) return host;
  const labels = host.split(".");
  const last = (/** @type {number} */ n) => labels.slice(-n).join(".");
  let take = 2;
  if (SHARED_SUFFIXES.has(last(3))) take = 4;
  else if (SHARED_SUFFIXES.has(last(2))) take = 3;
  else if (
    labels.length > 2 &&
    labels.at(-1)?.length === 2 &&
    SECOND_LEVEL_LABELS.test(labels.at(-2) ?? "")
  )
    take = 3;
  return last(Math.min(take, labels.length));
}
