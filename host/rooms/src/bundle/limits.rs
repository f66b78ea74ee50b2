//! What of a bundle may leave: that of granted sites, and nothing that was typed as a secret. Pure.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use zeroize::Zeroize as _;

use super::{Bundle, Cookie, Item, NO_DATABASES, OriginStorage};
use crate::{grant::Grant, typed::TypedSecrets};

impl Bundle {
    /// Keeps what belongs to granted sites: of partitioned cookies those whose top-level site is granted, too.
    pub fn keep_granted(&mut self, grant: &Grant) {
        self.cookies.retain(|cookie| {
            let partition = cookie.partition.as_ref();
            grant.covers_cookie_domain(&cookie.domain)
                && partition.is_none_or(|key| grant.covers_partition(&key.top_level_site))
        });
        self.origins
            .retain(|origin| grant.covers_origin(&origin.origin));
    }

    /// Takes out every cookie, entry and database record that holds something of `typed`, in its name as well
    /// as in its value; returns how many there were.
    ///
    /// What came along from the agent's browser and is as it came stays in: it holds nothing that the agent
    /// does not have, and an agent that planted guesses would learn from what is missing which one is right.
    pub fn leave_typed_behind(&mut self, typed: &TypedSecrets, came_along: &Self) -> usize {
        if typed.is_empty() {
            return 0;
        }
        let before = self.cookies.len();
        self.cookies
            .retain(|cookie| came_along.has_cookie(cookie) || !cookie.holds(typed));
        let mut left = before - self.cookies.len();
        for origin in &mut self.origins {
            let mut known = came_along.origins.iter();
            let known = known.find(|known| known.origin == origin.origin);
            left += origin.leave_typed_behind(typed, known);
        }
        let before = self.origins.len();
        self.origins.retain(|origin| {
            came_along
                .origins
                .iter()
                .any(|known| known.origin == origin.origin)
                || !typed.found_in(&origin.origin)
        });
        left + before - self.origins.len()
    }

    fn has_cookie(&self, cookie: &Cookie) -> bool {
        self.cookies.iter().any(|known| {
            known.is_same(cookie) && known.value.expose_secret() == cookie.value.expose_secret()
        })
    }
}

impl Cookie {
    fn holds(&self, typed: &TypedSecrets) -> bool {
        let partition = self.partition.as_ref();
        [
            self.value.expose_secret(),
            &self.name,
            &self.domain,
            &self.path,
        ]
        .into_iter()
        .chain(partition.map(|key| key.top_level_site.as_str()))
        .any(|text| typed.found_in(text))
    }
}

impl Item {
    fn holds(&self, typed: &TypedSecrets) -> bool {
        typed.found_in(&self.name) || typed.found_in(self.value.expose_secret())
    }
}

impl OriginStorage {
    fn leave_typed_behind(&mut self, typed: &TypedSecrets, known: Option<&Self>) -> usize {
        let before = self.local.len() + self.session.len();
        let has = |items: Option<&Vec<Item>>, item: &Item| {
            items.is_some_and(|items| items.iter().any(|known| known.is_same(item)))
        };
        let local = known.map(|known| &known.local);
        self.local
            .retain(|item| has(local, item) || !item.holds(typed));
        let session = known.map(|known| &known.session);
        self.session
            .retain(|item| has(session, item) || !item.holds(typed));
        let left = before - self.local.len() - self.session.len();
        left + self.leave_typed_records_behind(typed, known)
    }

    /// Records are looked at one by one, so that a database does without one and not the site without all.
    fn leave_typed_records_behind(&mut self, typed: &TypedSecrets, known: Option<&Self>) -> usize {
        if self.databases.expose_secret() == NO_DATABASES {
            return 0;
        }
        let Ok(Value::Array(mut databases)) = serde_json::from_str(self.databases.expose_secret())
        else {
            self.databases = NO_DATABASES.into();
            return 1;
        };
        let known =
            known.and_then(|known| serde_json::from_str(known.databases.expose_secret()).ok());
        let known: Vec<Value> = known.unwrap_or_default();
        let mut left = 0;
        for database in &mut databases {
            let name = database["name"].clone();
            let same = known.iter().find(|known| known["name"] == name);
            left += leave_records_behind(database, typed, same);
        }
        // Names of databases, stores and indexes, and whatever else is left.
        let before = databases.len();
        databases.retain(|database| {
            known.iter().any(|known| known["name"] == database["name"]) || !holds(database, typed)
        });
        left += before - databases.len();
        self.databases = SecretString::from(Value::Array(databases).to_string());
        left
    }
}

impl Item {
    fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && self.value.expose_secret() == other.value.expose_secret()
    }
}

/// Takes the records out of one database that hold something typed, but for those of `known` that are as
/// they were.
fn leave_records_behind(
    database: &mut Value,
    typed: &TypedSecrets,
    known: Option<&Value>,
) -> usize {
    let mut left = 0;
    for store in database["stores"].as_array_mut().into_iter().flatten() {
        let known = known
            .and_then(|known| known["stores"].as_array())
            .and_then(|stores| stores.iter().find(|known| known["name"] == store["name"]))
            .and_then(|known| known["records"].as_array());
        if let Some(records) = store["records"].as_array_mut() {
            let before = records.len();
            records.retain(|record| {
                known.is_some_and(|known| known.contains(record)) || !holds(record, typed)
            });
            left += before - records.len();
        }
    }
    left
}

/// Whether any text within a JSON value, or the whole of it as text, holds something typed.
fn holds(value: &Value, typed: &TypedSecrets) -> bool {
    let mut text = value.to_string();
    let found = typed.found_in(&text) || texts(value).any(|text| typed.found_in(text));
    text.zeroize();
    found
}

/// Every string and member name within a value.
fn texts(value: &Value) -> Box<dyn Iterator<Item = &str> + '_> {
    match value {
        Value::String(text) => Box::new(std::iter::once(text.as_str())),
        Value::Array(items) => Box::new(items.iter().flat_map(texts)),
        Value::Object(members) => Box::new(
            members
                .iter()
                .flat_map(|(name, value)| std::iter::once(name.as_str()).chain(texts(value))),
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) => Box::new(std::iter::empty()),
    }
}
