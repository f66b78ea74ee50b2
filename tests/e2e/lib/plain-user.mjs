// A user at a plain browser, without authloop: what a site's way is worth by itself.

import { within } from "./part.mjs";

/** The field in whatever window or frame shows it. */
async function field(context, selector) {
  const seek = async () => {
    for (;;) {
      for (const frame of context.pages().flatMap((page) => page.frames())) {
        const found = frame.locator(`${selector}:visible`);
        if ((await found.count().catch(() => 0)) > 0) return found.first();
      }
      await new Promise((look) => setTimeout(look, 20));
    }
  };
  return within(10_000, () => `a field like ${selector}`, seek());
}

/** Does by a keyboard what the site's user does. */
export async function walkPlainly(context, site) {
  const secrets = site.secrets ?? site.sites.secrets;
  let [page] = context.pages();
  for (const step of site.way) {
    const text = secrets[step];
    // A window that closes itself at the key's press is not there for its release.
    if (text === undefined)
      await page.keyboard.press(step).catch((e) => page.isClosed() || Promise.reject(e));
    else {
      const found = await field(context, site.fields?.[step] ?? `[autocomplete="${step}"]`);
      page = found.page();
      await found.focus();
      await page.keyboard.type(text);
    }
  }
}
