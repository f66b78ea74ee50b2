//! Text that somebody else chose, in a form that stays in its place: it cannot push the words around
//! it away, turn them, or run over them.

use unicode_general_category::{GeneralCategory, get_general_category};

/// Marks on one base, such as accents and vowel signs; more would run over the lines around.
const MAX_MARKS: usize = 2;

/// The text in one line: white space collapsed, without controls, characters that turn the direction
/// of writing or are invisible, and with at most two marks on a base. It may be empty.
#[must_use]
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut after_space = true;
    let mut marks = 0;
    for character in text.chars() {
        match kind(character) {
            Kind::Space => after_space = true,
            Kind::Invisible => {}
            // Without a base they would join what stands before the text.
            Kind::Joiner | Kind::Mark if after_space => {}
            Kind::Joiner => plain.push(character),
            Kind::Mark => {
                marks += 1;
                if marks <= MAX_MARKS {
                    plain.push(character);
                }
            }
            Kind::Base => {
                if after_space && !plain.is_empty() {
                    plain.push(' ');
                }
                (after_space, marks) = (false, 0);
                plain.push(character);
            }
        }
    }
    plain
}

/// Whether the text is in that form.
#[must_use]
pub fn is_plain(text: &str) -> bool {
    plain(text) == text
}

enum Kind {
    Space,
    Invisible,
    /// Scripts and emoji need them; alone they show nothing.
    Joiner,
    Mark,
    Base,
}

fn kind(character: char) -> Kind {
    match character {
        '\u{200c}' | '\u{200d}' => return Kind::Joiner,
        // Letters, and a pattern, without a shape: a name of them would look like none.
        '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}' => return Kind::Space,
        character if character.is_whitespace() => return Kind::Space,
        _ => {}
    }
    match get_general_category(character) {
        GeneralCategory::Control | GeneralCategory::Format => Kind::Invisible,
        GeneralCategory::NonspacingMark
        | GeneralCategory::SpacingMark
        | GeneralCategory::EnclosingMark => Kind::Mark,
        _ => Kind::Base,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_stays_as_it_is() {
        for text in [
            "",
            "Invoice assistant",
            "Lies die Rechnungen dieses Monats.",
            "日本語の名前",
            "هذا الوكيل",
            "हिन्दी क्षत्रिय",
            "ภาษาไทย น้ำ",
            "Tiê\u{301}ng Vie\u{323}\u{302}t",
            "👩‍👩‍👧 ❤️‍🔥",
        ] {
            assert_eq!(plain(text), text);
        }
    }

    #[test]
    fn what_would_leave_its_place_does_not() {
        for (text, expected) in [
            ("ok\n\n\n\r\n\u{2028}more \t", "ok more"),
            ("\u{202e}\u{2066}your bank", "your bank"),
            ("a\u{200b}\u{ad}\u{feff}b\0c", "abc"),
            ("z\u{301}\u{302}\u{303}\u{304}y", "z\u{301}\u{302}y"),
            ("\u{301}a \u{302}b", "a b"),
            ("\u{3164}\u{2800}\u{200d} ", ""),
        ] {
            assert_eq!(plain(text), expected);
            assert!(is_plain(expected) && !is_plain(text));
        }
    }
}
