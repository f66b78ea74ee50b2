//! The end of a sign-in in a private room: its session is read, and sent on its way to the agent's browser.

use authloop_cdp::Page;
use authloop_done_when::Conclusion;
use authloop_protocol::output::OutputMessage;
use authloop_rooms::{Bundle, Grant, TypedSecrets};
use serde_json::json;
use url::Url;

use super::{
    HandoffSession, Place, Step,
    done_when::Verifier,
    moving::{Leaving, Moved, Moving, MovingEvent},
    rooms::not_moved,
};
use crate::{HandoffEnd, HandoffError, HandoffEvent, HandoffState};

impl<R: FnMut(HandoffEvent) + Send> HandoffSession<R> {
    /// The user is done in the room: the room ends before anyone hears of it, and its session moves.
    pub(super) async fn carry_out(&mut self) -> Step {
        let Some(mut stage) = self.stage.take() else {
            return Ok(None);
        };
        let Place::Private(mut room) = std::mem::replace(&mut self.place, Place::AgentBrowser)
        else {
            return Ok(None);
        };
        self.link.send(&OutputMessage::Moving {}).await;
        stage.end_user_control().await;
        let typed = stage.take_typed();
        let (browser, page, tabs) = (stage.browser(), stage.page(), stage.other_pages().await);
        let address = last_address(&page, room.grant(), &typed).await;
        let expected = &self.config.expected_origins;
        let read = Bundle::take_from_room(&browser, &page, &tabs, expected, room.grant()).await;
        drop((stage, browser, page, tabs));
        room.close().await;
        let came_along = room.take_came_along();
        let mut bundle = read?;
        let left = bundle.leave_typed_behind(&typed, &came_along);
        drop(typed);
        // The agent may hear from here on that the user is done: nothing in the room can tell it more.
        self.enter(HandoffState::Checking);
        if left > 0 {
            tracing::warn!(left, "entries that held what was typed stay behind");
            self.notify_user(
                "left_behind",
                "Something that held what you typed stayed behind.",
            )
            .await;
        }
        // What a check of the room may still find is of no use.
        self.verifier = Verifier::new(&self.config.verify, None, None);
        let leaving = Leaving { bundle, address };
        self.place = Place::Moving(Moving::start(room, leaving, &self.config));
        Ok(None)
    }

    pub(super) async fn on_moving(&mut self, event: MovingEvent) -> Step {
        let Place::Moving(moving) = &mut self.place else {
            return Ok(None);
        };
        match event {
            MovingEvent::AgentAway => {
                moving.agent_away = true;
                self.tell_agent_away().await;
                Ok(None)
            }
            MovingEvent::Ended(ended) => match ended? {
                Moved::Yes(bundle, conclusion) => Ok(Some(self.moved(bundle, conclusion))),
                Moved::No(conclusion) => Ok(self.on_not_moved(conclusion).await),
                Moved::GivenUp => Ok(Some(HandoffEnd::Cancelled)),
            },
        }
    }

    /// The handoff ends while a session may be on its way: what is planted by then is said to be.
    pub(super) async fn settle(
        &mut self,
        end: Result<HandoffEnd, HandoffError>,
    ) -> Result<HandoffEnd, HandoffError> {
        let Place::Moving(moving) = &mut self.place else {
            return end;
        };
        match moving.give_up().await {
            Ok(Moved::Yes(bundle, conclusion)) => Ok(self.moved(bundle, conclusion)),
            Ok(Moved::No(_) | Moved::GivenUp) | Err(_) => end,
        }
    }

    pub(super) async fn tell_agent_away(&mut self) {
        self.notify_user(
            "agent_browser_away",
            "The agent's browser cannot be reached. Your session waits for it.",
        )
        .await;
    }

    fn moved(&self, bundle: Bundle, conclusion: Conclusion) -> HandoffEnd {
        HandoffEnd::Resolved {
            cookies: bundle.cookie_count(),
            storage_state: self.config.storage_state.then_some(bundle),
            conclusion,
        }
    }

    async fn on_not_moved(&mut self, conclusion: Conclusion) -> Option<HandoffEnd> {
        let Place::Moving(moving) = &self.place else {
            return None;
        };
        let in_place = moving.room.in_place_allowed() && self.link.is_verified();
        self.link.send(&not_moved(in_place)).await;
        if !in_place {
            return Some(HandoffEnd::NotMoved { conclusion });
        }
        self.place = Place::Undecided(conclusion);
        self.enter(HandoffState::Live);
        None
    }

    async fn notify_user(&mut self, code: &str, message: &str) {
        let notice = OutputMessage::Notice {
            code: code.to_owned(),
            message: message.to_owned(),
        };
        self.link.send(&notice).await;
    }
}

/// Where the room's page is, if the agent's page may be led there.
async fn last_address(page: &Page, grant: &Grant, typed: &TypedSecrets) -> Option<Url> {
    let tree = page.call("Page.getFrameTree", json!({})).await.ok()?;
    let frame = &tree["frameTree"]["frame"];
    let fragment = frame["urlFragment"].as_str().unwrap_or_default();
    let address = format!("{}{fragment}", frame["url"].as_str()?);
    let url = Url::parse(&address).ok()?;
    let may = matches!(url.scheme(), "http" | "https")
        && grant.covers_url(&url)
        && !typed.found_in(url.as_str());
    may.then_some(url)
}
