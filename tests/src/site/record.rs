//! What the site was sent.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde::Serialize;

use super::lock;

/// One form or event that reached the site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Which form or event.
    pub step: String,
    /// Whether the site was satisfied.
    pub ok: bool,
    /// Its fields, exactly as they came.
    pub fields: BTreeMap<String, String>,
}

/// Every [`Record`], oldest first.
#[derive(Debug, Default)]
pub struct Records(Mutex<Vec<Record>>);

impl Records {
    /// A copy of them.
    #[must_use]
    pub fn all(&self) -> Vec<Record> {
        lock(&self.0).clone()
    }

    pub(super) fn push(&self, step: &str, ok: bool, fields: &[(&str, &str)]) {
        let fields = fields
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()));
        let record = Record {
            step: step.to_owned(),
            ok,
            fields: fields.collect(),
        };
        lock(&self.0).push(record);
    }
}
