// Loaded before everything else, with two small modules only, so that the secret is out of the
// address bar, and of what is copied or shared from it, as early as can be. The browser's history has
// it all the same, and what syncs it.

import { parseFragment, publicFragment } from "./link.js";

export const fragment = parseFragment(location.hash);
history.replaceState(null, "", location.pathname + location.search + publicFragment(fragment));
