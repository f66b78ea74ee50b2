//! What the browser draws outside the page's pixels, and what the viewer draws in its place:
//! pickers, HTTP authentication, file choosers, windows.
//!
//! The words in here are the page's own, cut to size: treat them as hints.

use serde::{Deserialize, Serialize};

/// The most options of a [`Picker`].
pub const MAX_PICKER_OPTIONS: usize = 1000;
/// The longest word of a picker's (a label, a group, a bound), in characters.
pub const MAX_LABEL_CHARS: usize = 100;
/// The most windows that are told.
pub const MAX_TABS: usize = 16;
/// The most files of one choice.
pub const MAX_FILES: usize = 16;
/// The most bytes of one choice's files together.
pub const MAX_TOTAL_FILE_BYTES: u64 = 32 * 1024 * 1024;
/// The longest name of a file, in bytes of UTF-8, as most file systems have it.
pub const MAX_FILE_NAME_BYTES: usize = 255;
/// The most bytes of a file that one event carries: as base64url they fit a message.
pub const MAX_CHUNK_BYTES: usize = 24 * 1024;
/// The longest user name or password, in bytes of UTF-8.
pub const MAX_CREDENTIAL_BYTES: usize = 1024;

/// Which control the page has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PickerKind {
    /// A `select`.
    Select,
    /// The suggestions of a text field (`datalist`); the field itself is typed into.
    Datalist,
    /// An `input` of this type, and the next ones likewise.
    Date,
    /// A time of day.
    Time,
    /// A date with a time of day.
    DatetimeLocal,
    /// A month of a year.
    Month,
    /// A week of a year.
    Week,
    /// A colour.
    Color,
}

/// A control that the user opened. Unlike a field's, its value is told: the user must see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picker {
    /// Differs from every other picker opened in this session.
    pub id: u32,
    /// Which control.
    pub kind: PickerKind,
    /// What the page calls it; may be empty.
    pub label: String,
    /// For a select: whether several options may be chosen.
    #[serde(default)]
    pub multiple: bool,
    /// Of a select or a datalist, in the page's order, at most [`MAX_PICKER_OPTIONS`].
    #[serde(default)]
    pub options: Vec<PickerOption>,
    /// The page has more options than are told.
    #[serde(default)]
    pub truncated: bool,
    /// The value of an input, as HTML writes it; empty for none.
    #[serde(default)]
    pub value: String,
    /// An input's least value, or empty.
    #[serde(default)]
    pub min: String,
    /// An input's greatest value, or empty.
    #[serde(default)]
    pub max: String,
    /// An input's step, or empty.
    #[serde(default)]
    pub step: String,
}

/// One option of a [`Picker`]; it is named by its place in the list, from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PickerOption {
    /// What it says.
    pub label: String,
    /// The group it stands in; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// It cannot be chosen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    /// It is chosen now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub selected: bool,
}

/// A window of the page's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tab {
    /// Differs from every other window of this session.
    pub id: u32,
    /// Its page's true origin.
    pub origin: String,
    /// Its title; the page chooses it, so it proves nothing.
    pub title: String,
    /// Whether it is the one shown.
    pub shown: bool,
}

/// What the user wants of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TabAction {
    /// Show it.
    Show,
    /// Close it.
    Close,
}

/// A file that the user chose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileInfo {
    /// Its name, without a path.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
}

/// Whether these files are within bounds: their number, their names, their size together.
#[must_use]
pub fn files_fit(files: &[FileInfo]) -> bool {
    let named = |file: &FileInfo| {
        let name = file.name.as_str();
        (1..=MAX_FILE_NAME_BYTES).contains(&name.len())
            && !matches!(name, "." | "..")
            && !name.contains(|c: char| matches!(c, '/' | '\\') || c.is_control())
    };
    let total = files
        .iter()
        .try_fold(0_u64, |sum, file| sum.checked_add(file.size));
    (1..=MAX_FILES).contains(&files.len())
        && files.iter().all(named)
        && total.is_some_and(|total| total <= MAX_TOTAL_FILE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, size: u64) -> FileInfo {
        FileInfo {
            name: name.to_owned(),
            size,
        }
    }

    #[test]
    fn files_keep_to_their_directory_and_to_the_bounds() {
        assert!(files_fit(&[file(
            "Ausweis – vorn.jpg",
            MAX_TOTAL_FILE_BYTES
        )]));
        for name in ["", ".", "..", "../x", "a/b", "a\\b", "a\0b", "a\nb"] {
            assert!(!files_fit(&[file(name, 1)]), "{name:?}");
        }
        assert!(!files_fit(&[file(&"x".repeat(MAX_FILE_NAME_BYTES + 1), 1)]));
        assert!(!files_fit(&[]));
        assert!(!files_fit(&vec![file("a", 0); MAX_FILES + 1]));
        assert!(!files_fit(&[file("a", MAX_TOTAL_FILE_BYTES), file("b", 1)]));
        assert!(!files_fit(&[file("a", u64::MAX), file("b", u64::MAX)]));
    }
}
