//! A bundle as Playwright's storage state. Pure.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use secrecy::{ExposeSecret as _, SecretString};
use serde::ser::{Error as _, Serialize, SerializeStruct as _, Serializer};
use serde_json::value::RawValue;

use super::{Bundle, Cookie, Item, OriginStorage};

impl Bundle {
    /// Playwright's JSON, secrets in the clear: seal it, or hand it to the agent and drop it. Session storage
    /// goes along as `sessionStorage`, which Playwright passes over.
    pub fn to_json(&self) -> SecretString {
        // Strings, numbers, booleans and JSON that has been parsed before cannot fail.
        serde_json::to_string(self).unwrap_or_default().into()
    }
}

/// The one way to the clear text, used by [`Bundle::to_json`] only.
impl Serialize for Bundle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let origins: Vec<&OriginStorage> = self
            .origins
            .iter()
            .filter(|origin| !origin.is_empty())
            .collect();
        let mut state = serializer.serialize_struct("StorageState", 2)?;
        state.serialize_field("cookies", &self.cookies)?;
        state.serialize_field("origins", &origins)?;
        state.end()
    }
}

impl Serialize for Cookie {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut cookie = serializer.serialize_struct("Cookie", 10)?;
        cookie.serialize_field("name", &self.name)?;
        cookie.serialize_field("value", self.value.expose_secret())?;
        cookie.serialize_field("domain", &self.domain)?;
        cookie.serialize_field("path", &self.path)?;
        cookie.serialize_field("expires", &self.expires)?;
        cookie.serialize_field("httpOnly", &self.http_only)?;
        cookie.serialize_field("secure", &self.secure)?;
        // What Chromium does with a cookie that says nothing, and what Playwright writes.
        let same_site = self
            .same_site
            .map_or("Lax", super::cookie::SameSite::as_str);
        cookie.serialize_field("sameSite", same_site)?;
        if let Some(partition) = &self.partition {
            cookie.serialize_field("partitionKey", &partition.top_level_site)?;
            cookie.serialize_field(
                "_crHasCrossSiteAncestor",
                &partition.has_cross_site_ancestor,
            )?;
        }
        cookie.end()
    }
}

impl Serialize for OriginStorage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let databases = RawValue::from_string(self.databases.expose_secret().to_owned())
            .map_err(S::Error::custom)?;
        let mut origin = serializer.serialize_struct("Origin", 4)?;
        origin.serialize_field("origin", &self.origin)?;
        origin.serialize_field("localStorage", &self.local)?;
        origin.serialize_field("indexedDB", &databases)?;
        if !self.session.is_empty() {
            origin.serialize_field("sessionStorage", &self.session)?;
        }
        origin.end()
    }
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut item = serializer.serialize_struct("Item", 2)?;
        item.serialize_field("name", &self.name)?;
        item.serialize_field("value", self.value.expose_secret())?;
        item.end()
    }
}
