//! In which browser the user signs in, and what of it the agent gets.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// In which browser the user signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoomKind {
    /// In a browser of the host's own, which the agent neither sees nor reaches.
    Private,
    /// In the agent's browser.
    InPlace,
}

/// With what a private room begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoomStart {
    /// With the site's address, and nothing of what the agent's browser holds.
    Fresh,
    /// With the address, the cookies and the storage of the agent's page, for a sign-in that is half done.
    AsIs,
}

/// What keeps a private room from the agent's programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// Rooms run as another user of the operating system.
    OwnUser,
    /// Rooms run as the host's user: a program of that user could read them.
    SameUser,
}

/// The room of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RoomView {
    /// In which browser the user signs in.
    pub room: RoomKind,
    /// With what a private room begins; `null` in place.
    pub start: Option<RoomStart>,
    /// The sites of which the agent gets cookies and storage; `null` in place, where it gets all.
    #[schema(example = json!(["bank.example"]))]
    pub grants: Option<Vec<String>>,
    /// What keeps a private room from the agent's programs; `null` in place.
    pub isolation: Option<Isolation>,
}

impl RoomView {
    /// The agent's own browser.
    pub const IN_PLACE: Self = Self {
        room: RoomKind::InPlace,
        start: None,
        grants: None,
        isolation: None,
    };

    /// A private room, of which the agent gets `grants`.
    #[must_use]
    pub fn private(start: RoomStart, grants: Vec<String>, isolation: Isolation) -> Self {
        Self {
            room: RoomKind::Private,
            start: Some(start),
            grants: Some(grants),
            isolation: Some(isolation),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_room_has_its_four_members_whatever_it_is() {
        let sites = vec!["bank.example".to_owned()];
        let private = RoomView::private(RoomStart::AsIs, sites, Isolation::OwnUser);

        assert_eq!(
            serde_json::to_value(private).unwrap(),
            json!({ "room": "private", "start": "as_is", "grants": ["bank.example"], "isolation": "own_user" })
        );
        assert_eq!(
            serde_json::to_value(RoomView::IN_PLACE).unwrap(),
            json!({ "room": "in_place", "start": null, "grants": null, "isolation": null })
        );
    }
}
