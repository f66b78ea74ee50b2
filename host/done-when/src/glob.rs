//! URL patterns: `*` is any text without `/`, `**` any text, everything else is itself.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The longest pattern and the longest address that is looked at, in bytes.
const MAX_URL_BYTES: usize = 2048;
/// More wildcards than any address needs.
const MAX_WILDCARDS: usize = 16;

/// A pattern for a whole URL, with the wildcards of Playwright's: `*` and `**`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, min_length = 1, max_length = 2048)]
pub struct Glob(Vec<Token>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    /// Any text without `/`.
    Segment,
    /// Any text.
    Any,
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// Empty, or too long.
    #[error("a URL pattern has from 1 to {MAX_URL_BYTES} bytes")]
    Length,
    /// Too many wildcards.
    #[error("a URL pattern has at most {MAX_WILDCARDS} wildcards")]
    Wildcards,
}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`GlobError`].
    pub fn parse(text: &str) -> Result<Self, GlobError> {
        if !(1..=MAX_URL_BYTES).contains(&text.len()) {
            return Err(GlobError::Length);
        }
        let mut tokens: Vec<Token> = Vec::with_capacity(text.len());
        for byte in text.bytes() {
            match (byte, tokens.last_mut()) {
                (b'*', Some(last @ (Token::Segment | Token::Any))) => *last = Token::Any,
                (b'*', _) => tokens.push(Token::Segment),
                (byte, _) => tokens.push(Token::Byte(byte)),
            }
        }
        let wildcards = tokens.iter().filter(|t| !matches!(t, Token::Byte(_)));
        if wildcards.count() > MAX_WILDCARDS {
            return Err(GlobError::Wildcards);
        }
        Ok(Self(tokens))
    }

    /// Whether the whole of `url` is as the pattern says. Takes time in proportion to the product of
    /// both lengths: the page chooses its address.
    #[must_use]
    pub fn matches(&self, url: &str) -> bool {
        if url.len() > MAX_URL_BYTES {
            return false;
        }
        // reached[i]: the first i tokens match what has been read.
        let mut reached = vec![false; self.0.len() + 1];
        reached[0] = true;
        self.skip(&mut reached);
        for byte in url.bytes() {
            for i in (0..self.0.len()).rev() {
                let stays = match self.0[i] {
                    Token::Byte(wanted) => {
                        reached[i + 1] = reached[i] && wanted == byte;
                        continue;
                    }
                    Token::Segment => byte != b'/',
                    Token::Any => true,
                };
                reached[i + 1] = stays && (reached[i] || reached[i + 1]);
            }
            reached[0] = false;
            self.skip(&mut reached);
        }
        reached[self.0.len()]
    }

    /// A wildcard may stand for nothing.
    fn skip(&self, reached: &mut [bool]) {
        for (i, token) in self.0.iter().enumerate() {
            if !matches!(token, Token::Byte(_)) && reached[i] {
                reached[i + 1] = true;
            }
        }
    }
}

impl TryFrom<String> for Glob {
    type Error = GlobError;

    fn try_from(text: String) -> Result<Self, GlobError> {
        Self::parse(&text)
    }
}

impl From<Glob> for String {
    fn from(glob: Glob) -> Self {
        glob.to_string()
    }
}

impl std::fmt::Display for Glob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = Vec::with_capacity(self.0.len());
        for token in &self.0 {
            match token {
                Token::Byte(byte) => text.push(*byte),
                Token::Segment => text.push(b'*'),
                Token::Any => text.extend(b"**"),
            }
        }
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wildcards_are_playwrights() {
        let cases = [
            (
                "https://a.example/account",
                "https://a.example/account",
                true,
            ),
            (
                "https://a.example/account",
                "https://a.example/account/",
                false,
            ),
            (
                "https://a.example/account*",
                "https://a.example/accounts?x=1",
                true,
            ),
            (
                "https://a.example/account*",
                "https://a.example/account/1",
                false,
            ),
            ("https://a.example/**", "https://a.example/a/b?c#d", true),
            (
                "https://a.example/**",
                "https://a.example.evil.example/",
                false,
            ),
            ("**/account?tab=*", "https://a.example/account?tab=1", true),
            ("**/account?tab=*", "https://a.example/accountXtab=1", false),
            ("https://*.a.example/", "https://x.a.example/", true),
            (
                "https://*.a.example/",
                "https://evil.example/x.a.example/",
                false,
            ),
            ("*", "", true),
            ("a", "", false),
        ];
        for (pattern, url, expected) in cases {
            let glob = Glob::parse(pattern).unwrap();
            assert_eq!(glob.matches(url), expected, "{pattern} {url}");
        }
    }

    #[test]
    fn bounds_are_kept() {
        assert_eq!(Glob::parse(""), Err(GlobError::Length));
        assert_eq!(Glob::parse(&"a".repeat(2049)), Err(GlobError::Length));
        assert_eq!(Glob::parse(&"*a".repeat(17)), Err(GlobError::Wildcards));
    }

    proptest! {
        #[test]
        fn what_matches_is_what_the_regular_expression_matches(
            pattern in "[ab/*]{1,12}",
            url in "[ab/]{0,12}",
        ) {
            let glob = Glob::parse(&pattern).unwrap();
            prop_assert_eq!(glob.matches(&url), slow(pattern.as_bytes(), url.as_bytes()));
            prop_assert_eq!(Glob::parse(&glob.to_string()).unwrap(), glob);
        }
    }

    /// The definition, by trying everything.
    fn slow(pattern: &[u8], url: &[u8]) -> bool {
        match pattern {
            [] => url.is_empty(),
            [b'*', rest @ ..] => {
                let stars = 1 + rest.iter().take_while(|b| **b == b'*').count();
                let rest = &pattern[stars..];
                let any = stars > 1;
                (0..=url.len())
                    .take_while(|n| any || !url[..*n].contains(&b'/'))
                    .any(|n| slow(rest, &url[n..]))
            }
            [first, rest @ ..] => url.first() == Some(first) && slow(rest, &url[1..]),
        }
    }
}
