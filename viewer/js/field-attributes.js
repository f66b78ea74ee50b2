// Which local input stands for a focused remote field. Pure.

/** @typedef {import("./events.js").Field} Field */
/**
 * @typedef {object} PadAttributes
 * @property {boolean} multiline
 * @property {"text" | "password" | "tel" | "search"} type
 * @property {string} inputmode
 * @property {string} autocomplete
 * @property {string} enterkeyhint
 * @property {string} autocapitalize
 * @property {boolean} assist spelling and autocorrection
 */

const INPUTMODES = new Set(["none", "text", "decimal", "numeric", "tel", "search", "email", "url"]);
const ENTERKEYHINTS = new Set(["enter", "done", "go", "next", "previous", "search", "send"]);
const AUTOCOMPLETE_TOKENS = new Set(
  (
    "one-time-code current-password username email tel tel-national name given-name family-name " +
    "additional-name organization street-address address-line1 address-line2 address-level1 " +
    "address-level2 postal-code country country-name bday url"
  ).split(" "),
);

/**
 * - Only types with a readable selection are used: `email` and `number` hide the caret from
 *   scripts and refuse half-written values, so they become `text` with the right `inputmode`.
 * - A secret is `type=password`, because that is what stops keyboards from learning it, spelling
 *   services from seeing it and people from reading it over a shoulder. The price would be the
 *   browser's offer to save it under the viewer's origin, where it does not belong. That offer
 *   needs a form that is submitted with, or a page that is left with, a password in it: there is
 *   no form here, the value is taken out of the input after every single event (see keyboard.js),
 *   and the input never leaves the document. What remains is what the user asks for: a manager
 *   fills `current-password`, and its whole value goes to the host as one replacement.
 * - `new-password` becomes `off`, or the browser would suggest a password and store it for the
 *   viewer's origin at once. Card fields are `off` for the same reason.
 * - A one-time code is a secret on the wire (its timing is hidden), but `text` here: phones offer
 *   the code from the SMS to text inputs only, and it is worthless once used.
 * @param {Field} field
 * @returns {PadAttributes}
 */
export function padAttributes(field) {
  const { kind, secret } = field;
  const complete = field.autocomplete.toLowerCase().split(/\s+/).at(-1) ?? "";
  const autocomplete = AUTOCOMPLETE_TOKENS.has(complete) ? complete : "off";
  const byKind = { email: "email", url: "url", tel: "tel", number: "decimal", search: "search" };
  const asked = field.inputmode.toLowerCase();
  const inputmode = INPUTMODES.has(asked)
    ? asked
    : (byKind[/** @type {keyof typeof byKind} */ (kind)] ?? "text");
  const plain =
    !secret &&
    (kind === "text" || kind === "textarea" || kind === "contenteditable" || kind === "search");
  const assist =
    plain && autocomplete === "off" && (inputmode === "text" || inputmode === "search");
  return {
    multiline: field.multiline && !secret,
    type:
      secret && complete !== "one-time-code"
        ? "password"
        : kind === "tel"
          ? "tel"
          : kind === "search"
            ? "search"
            : "text",
    inputmode,
    autocomplete,
    enterkeyhint: ENTERKEYHINTS.has(field.enterkeyhint) ? field.enterkeyhint : "",
    autocapitalize: assist && field.multiline ? "sentences" : "none",
    assist,
  };
}

/**
 * Whether two messages tell of one field. Where the host names no field, one that moved sideways
 * or changed its kind is another one, and one that only scrolled is the same.
 * @param {Field | null} a
 * @param {Field | null} b
 */
export function sameField(a, b) {
  if (!a || !b) return a === b;
  if (a.id !== undefined && b.id !== undefined) return a.id === b.id;
  const alike = /** @type {const} */ ([
    "kind",
    "inputmode",
    "autocomplete",
    "enterkeyhint",
    "secret",
    "multiline",
  ]);
  // A tolerance of half a percent: rectangles are rounded on their way.
  const near = (/** @type {number} */ p, /** @type {number} */ q) => Math.abs(p - q) < 330;
  return (
    alike.every((k) => a[k] === b[k]) && near(a.rect[0], b.rect[0]) && near(a.rect[2], b.rect[2])
  );
}

// Boxes for one or two characters each, in a row.
const MAX_BOX_LENGTH = 2;
const MAX_CODE_LENGTH = 32;

/**
 * A code that comes whole, by autofill or paste, for a row of boxes: the first takes its part as
 * before, the rest come as single characters, which a page that moves on from box to box by itself
 * puts where they belong. A whole text would be cut at the first box's end.
 * @param {import("./events.js").InputEvent} event
 * @param {Field | null} field
 * @returns {import("./events.js").InputEvent[]}
 */
export function spreadCode(event, field) {
  const box = field?.maxlength ?? 0;
  if (
    (event.t !== "replace" && event.t !== "paste") ||
    box < 1 ||
    box > MAX_BOX_LENGTH ||
    event.text.length <= box
  )
    return [event];
  const code = event.text.replace(/[\s-]+/g, "");
  if (code.length > MAX_CODE_LENGTH) return [event];
  const rest = [...code.slice(box)].map((text) => ({ t: /** @type {const} */ ("text"), text }));
  return [{ ...event, text: code.slice(0, box) }, ...rest];
}
