// Text from the catalogs in locales/. English fills what a catalog lacks.

/** @typedef {Record<string, string>} Catalog */

export const LOCALES = ["en", "de", "es", "fr", "ja", "ar"];
const RTL = new Set(["ar"]);

/** @type {Catalog} */
let catalog = {};
/** @type {Catalog} */
let fallback = {};
let locale = "en";

/**
 * The best catalog for what the user prefers. Pure.
 * @param {readonly string[]} wanted BCP 47 tags, most wanted first
 */
export function pickLocale(wanted) {
  for (const tag of wanted) {
    const language = tag.toLowerCase().split("-")[0] ?? "";
    if (LOCALES.includes(language)) return language;
  }
  return "en";
}

/** @param {string} name @returns {Promise<Catalog>} */
async function loadCatalog(name) {
  const response = await fetch(new URL(`../locales/${name}.json`, import.meta.url));
  if (!response.ok) throw new Error(`catalog ${name}: ${response.status}`);
  return response.json();
}

/** @param {readonly string[]} wanted */
export async function loadLocale(wanted) {
  locale = pickLocale(wanted);
  const [en, own] = await Promise.all([
    loadCatalog("en"),
    locale === "en" ? {} : loadCatalog(locale).catch(() => ({})),
  ]);
  fallback = en;
  catalog = own;
  document.documentElement.lang = locale;
  document.documentElement.dir = RTL.has(locale) ? "rtl" : "ltr";
}

/**
 * @param {string} key
 * @param {Record<string, string>} [params] for `{name}` places
 */
export function t(key, params = {}) {
  const text = catalog[key] ?? fallback[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => params[name] ?? whole);
}

/** @param {string} key */
export const hasText = (key) => key in catalog || key in fallback;

/** Fills every element that names a text. */
export function translatePage() {
  for (const el of document.querySelectorAll("[data-i18n]")) {
    el.textContent = t(/** @type {HTMLElement} */ (el).dataset.i18n ?? "");
  }
  for (const el of document.querySelectorAll("[data-i18n-label]")) {
    el.setAttribute("aria-label", t(/** @type {HTMLElement} */ (el).dataset.i18nLabel ?? ""));
  }
}

/**
 * "in 14 minutes", in the user's language.
 * @param {number} seconds from now
 */
export function formatRelative(seconds) {
  const format = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  if (Math.abs(seconds) < 90) return format.format(Math.round(seconds), "second");
  if (Math.abs(seconds) < 90 * 60) return format.format(Math.round(seconds / 60), "minute");
  return format.format(Math.round(seconds / 3600), "hour");
}

/**
 * A date, in the user's language.
 * @param {number} seconds since 1970
 */
export const formatDay = (seconds) =>
  new Intl.DateTimeFormat(locale, { dateStyle: "medium" }).format(new Date(seconds * 1000));

/**
 * "3.2 MB", in the user's language.
 * @param {number} n of bytes
 */
export function bytes(n) {
  const format = (/** @type {string} */ unit) =>
    new Intl.NumberFormat(locale, { style: "unit", unit, maximumFractionDigits: 1 });
  return n < 1024 * 1024
    ? format("kilobyte").format(Math.ceil(n / 1024))
    : format("megabyte").format(n / 1024 / 1024);
}
