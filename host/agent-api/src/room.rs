//! In which room a session is to take place: what the agent asks for, within what the operator allows. Pure.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use authloop_agent_api_types::{RoomKind, RoomStart};
use authloop_protocol::signal::WallType;
use url::{Host, Url};

use super::error::ApiError;

/// As many sites as an invitation shows in full.
const MAX_GRANTS: usize = 8;
const MAX_GRANT_BYTES: usize = 253;
/// RFC 1035 section 2.3.4.
const MAX_LABEL_BYTES: usize = 63;

const NO_PRIVATE_ROOMS: &str =
    "this host has no private rooms; leave out \"room\", \"start\" and \"grants\"";

/// In which room a session is to take place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoomChoice {
    /// In the agent's browser.
    InPlace,
    /// In a browser of the host's own.
    Private {
        /// With what it begins.
        start: RoomStart,
        /// The sites that the agent asks for, well-formed and each once, but not checked to be sites; empty for those of
        /// the expected origins, or else of `url`, or else of the page shown.
        grants: Vec<String>,
        /// The context's address, if it is `http` or `https`.
        url: Option<String>,
    },
}

/// In which rooms users may sign in, as the operator chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomPolicy {
    /// The rooms.
    pub rooms: RoomsAllowed,
    /// Whether a private room may begin from the agent's page.
    pub as_is: bool,
}

/// Which rooms the operator allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomsAllowed {
    /// Private ones only.
    Private,
    /// The agent may choose.
    Any,
    /// The agent's browser only.
    InPlace,
}

impl Default for RoomPolicy {
    fn default() -> Self {
        Self {
            rooms: RoomsAllowed::Any,
            as_is: true,
        }
    }
}

/// What a request says of its room.
#[derive(Debug, Default)]
pub(super) struct RoomMembers {
    pub(super) room: Option<RoomKind>,
    pub(super) start: Option<RoomStart>,
    pub(super) grants: Option<Vec<String>>,
}

impl RoomPolicy {
    /// Chooses the room. What was asked for is given or refused; what was not asked for is bent to what is allowed.
    ///
    /// `wall` is the agent's own word for the wall, `url` the address of its page.
    pub(super) fn choose(
        self,
        members: RoomMembers,
        wall: Option<&str>,
        url: Option<&Url>,
    ) -> Result<RoomChoice, ApiError> {
        let RoomMembers {
            room,
            start,
            grants,
        } = members;
        let grants = grants.map(checked_grants).transpose()?;
        let of_private_rooms = match (&start, &grants) {
            (Some(_), _) => Some("start"),
            (None, Some(_)) => Some("grants"),
            (None, None) => None,
        };
        let room = match (room, of_private_rooms) {
            (Some(RoomKind::InPlace), Some(member)) => {
                let problem = "is for private rooms only; leave it out with \"room\": \"in_place\"";
                return Err(ApiError::invalid(member, problem));
            }
            (Some(room), _) => self.allow(room, "room")?,
            // Who asks for what only private rooms have asks for one.
            (None, Some(member)) => self.allow(RoomKind::Private, member)?,
            (None, None) => self.default_room(wall),
        };
        if room == RoomKind::InPlace {
            return Ok(RoomChoice::InPlace);
        }
        let start = match start {
            Some(RoomStart::AsIs) if !self.as_is => {
                let problem = "this host begins private rooms \"fresh\" only; leave it out";
                return Err(not_allowed("start", problem));
            }
            Some(start) => start,
            None if self.as_is => default_start(wall),
            None => RoomStart::Fresh,
        };
        Ok(RoomChoice::Private {
            start,
            grants: grants.unwrap_or_default(),
            url: url.map(Url::to_string),
        })
    }

    fn allow(self, room: RoomKind, member: &'static str) -> Result<RoomKind, ApiError> {
        match (self.rooms, room) {
            (RoomsAllowed::Private, RoomKind::InPlace) => Err(not_allowed(
                member,
                "this host allows private rooms only; ask for \"private\", or leave it out",
            )),
            (RoomsAllowed::InPlace, RoomKind::Private) => {
                Err(not_allowed(member, NO_PRIVATE_ROOMS))
            }
            (RoomsAllowed::Private, RoomKind::Private)
            | (RoomsAllowed::InPlace, RoomKind::InPlace)
            | (RoomsAllowed::Any, _) => Ok(room),
        }
    }

    fn default_room(self, wall: Option<&str>) -> RoomKind {
        match self.rooms {
            RoomsAllowed::Private => RoomKind::Private,
            RoomsAllowed::InPlace => RoomKind::InPlace,
            RoomsAllowed::Any if wall.is_some_and(is_in_page) => RoomKind::InPlace,
            RoomsAllowed::Any => RoomKind::Private,
        }
    }
}

/// Whether a wall's state lives in the agent's page, so that it cannot be passed anywhere else.
fn is_in_page(wall: &str) -> bool {
    let word = wall.trim().to_ascii_lowercase().replace(['-', ' '], "_");
    WallType::of(wall) == WallType::Captcha || word == "document_upload"
}

/// A wall in the midst of a sign-in is not at the site's front door.
fn default_start(wall: Option<&str>) -> RoomStart {
    match wall.map(WallType::of) {
        Some(WallType::Otp | WallType::Totp | WallType::Push | WallType::Consent) => {
            RoomStart::AsIs
        }
        Some(
            WallType::Password
            | WallType::Captcha
            | WallType::Qr
            | WallType::Passkey
            | WallType::Oauth
            | WallType::Other,
        )
        | None => RoomStart::Fresh,
    }
}

fn not_allowed(field: &'static str, problem: &'static str) -> ApiError {
    ApiError::RoomNotAllowed { field, problem }
}

fn checked_grants(list: Vec<String>) -> Result<Vec<String>, ApiError> {
    if !(1..=MAX_GRANTS).contains(&list.len()) {
        let problem = format!("must hold from 1 to {MAX_GRANTS} sites");
        return Err(ApiError::invalid("grants", problem));
    }
    let mut grants = Vec::with_capacity(list.len());
    for (i, grant) in list.into_iter().enumerate() {
        check_grant(&grant)
            .map_err(|problem| ApiError::invalid(format!("grants[{i}]"), problem))?;
        if !grants.contains(&grant) {
            grants.push(grant);
        }
    }
    Ok(grants)
}

fn check_grant(grant: &str) -> Result<(), String> {
    if grant.len() > MAX_GRANT_BYTES {
        return Err(format!("is longer than {MAX_GRANT_BYTES} bytes"));
    }
    if !is_host(grant) {
        return Err(format!(
            "{grant:?} is not a site: give a name such as \"bank.example\", in lower case and without scheme, port or path"
        ));
    }
    Ok(())
}

/// Whether it is a host as an origin has it: a name in lower-case ASCII, an IPv4 address, or an IPv6 address in brackets.
fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        (1..=MAX_LABEL_BYTES).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    match Host::parse(text) {
        Ok(Host::Domain(name)) => name == text && name.split('.').all(label),
        Ok(address @ (Host::Ipv4(_) | Host::Ipv6(_))) => address.to_string() == text,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests;
