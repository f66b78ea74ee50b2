// Loaded before everything else, with two small modules only, so that the secret is out of the
// address bar (and out of what the browser syncs, suggests and restores) as early as can be.

import { parseFragment, publicFragment } from "./link.js";

export const fragment = parseFragment(location.hash);
history.replaceState(null, "", location.pathname + location.search + publicFragment(fragment));
