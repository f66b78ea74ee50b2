// Text that somebody else chose, in a form that stays in its place: it cannot push the words around
// it away, turn them, or run over them. The host has the same rules (`protocol/src/plain_text.rs`).

/** Marks on one base, such as accents and vowel signs; more would run over the lines around. */
const MAX_MARKS = 2;

const JOINER = /[\u200c\u200d]/u;
// Letters, and a pattern, without a shape: a name of them would look like none.
const SPACE = /[\p{White_Space}\u115f\u1160\u2800\u3164\uffa0]/u;
const INVISIBLE = /[\p{Cc}\p{Cf}]/u;
const MARK = /\p{M}/u;

/**
 * The text in one line: white space collapsed, without controls, characters that turn the direction
 * of writing or are invisible, and with at most two marks on a base. Pure.
 * @param {string} text
 */
export function plain(text) {
  let shown = "";
  let afterSpace = true;
  let marks = 0;
  for (const character of text) {
    if (SPACE.test(character)) afterSpace = true;
    else if (JOINER.test(character)) shown += afterSpace ? "" : character;
    else if (INVISIBLE.test(character)) continue;
    else if (MARK.test(character)) {
      // Without a base it would join what stands before the text.
      if (!afterSpace && ++marks <= MAX_MARKS) shown += character;
    } else {
      if (afterSpace && shown !== "") shown += " ";
      afterSpace = false;
      marks = 0;
      shown += character;
    }
  }
  return shown;
}

/**
 * The same for text of several lines, of which empty ones are left out. Pure.
 * @param {string} text
 */
export const plainLines = (text) =>
  text
    .split(/\r\n|[\n\r\u2028\u2029]/)
    .map(plain)
    .filter((line) => line !== "")
    .join("\n");
