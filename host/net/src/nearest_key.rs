//! Which known setting a misspelt one was meant to be. Pure.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// Similarity (Jaro-Winkler) from which on a key is offered in place of an unknown one.
const MIN_KEY_SIMILARITY: f64 = 0.75;

/// Returns the known key that is most similar to `key`, if one is similar enough.
pub fn nearest_key<'a>(key: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(key, candidate), candidate))
        .filter(|(similarity, _)| *similarity >= MIN_KEY_SIMILARITY)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_similar_key_is_offered() {
        let known = ["listen", "log", "server"];

        assert_eq!(nearest_key("listn", known), Some("listen"));
        assert_eq!(nearest_key("sever", known), Some("server"));
        assert_eq!(nearest_key("qqqq", known), None);
    }
}
