// Whose page it looks like, and in whose page it may stand: brand/brand.json, the same for
// everyone.

/**
 * @typedef {object} Brand
 * @property {string} name
 * @property {string | null} logo a path
 * @property {string[]} embed origins whose pages may frame this one
 */

/** @type {Brand} */
const DEFAULT_BRAND = { name: "authloop", logo: null, embed: [] };

/** @returns {Promise<Brand>} */
export async function loadBrand() {
  try {
    const response = await fetch(new URL("../brand/brand.json", import.meta.url));
    return response.ok ? { ...DEFAULT_BRAND, ...(await response.json()) } : DEFAULT_BRAND;
  } catch {
    return DEFAULT_BRAND; // a name is no reason to keep anyone from signing in
  }
}

/** @param {Brand} brand */
export function showBrand(brand) {
  for (const name of document.querySelectorAll(".brand-name")) name.textContent = brand.name;
  if (!brand.logo) return;
  const src = new URL(`../${brand.logo}`, import.meta.url).href;
  for (const mark of document.querySelectorAll(".mark")) {
    const img = document.createElement("img");
    img.className = "logo";
    img.alt = "";
    img.src = src;
    mark.replaceWith(img);
  }
  document.querySelector("link[rel=icon]")?.setAttribute("href", src);
}
