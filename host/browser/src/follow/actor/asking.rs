//! What the browser would ask the user unseen, and their answers.

use std::collections::VecDeque;
use std::sync::Arc;

use authloop_cdp::{BrowserError, CdpSessionId, Connection, Event, FrameId, Page};
use authloop_protocol::native::PickerKind;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::serving::Serving;
use super::{Actor, Found};
use crate::Refusals;
use crate::focus::{self, Source};
use crate::native::{self, Answer, Challenge, Chooser, Offered, Refused, Said};

/// Challenges that wait for the user; a page that makes more is refused the rest.
const MAX_CHALLENGES: usize = 8;
/// The longest `accept` that is told, in characters.
const MAX_ACCEPT: usize = 500;
/// What the actor's owner wants of it.
pub(in crate::follow) enum Command {
    Serve,
    Release(oneshot::Sender<()>),
    Answer(Answer),
    ShowTab(u32),
    CloseTab(u32),
}

/// What is asked now.
#[derive(Default)]
pub(super) struct Asks {
    pub(super) serving: Option<Serving>,
    picker: Option<Offered>,
    challenges: VecDeque<HeldChallenge>,
    chooser: Option<HeldChooser>,
    numbers: u32,
    refusals: Refusals,
}

impl Asks {
    fn number(&mut self) -> u32 {
        self.numbers += 1;
        self.numbers
    }
}

struct HeldChallenge {
    challenge: Challenge,
    session: Option<CdpSessionId>,
    request: Value,
}

pub(super) struct HeldChooser {
    chooser: Chooser,
    source: Source,
    node: Value,
}

impl Actor {
    pub(super) fn on_command(&mut self, command: Command) {
        match command {
            Command::Serve => self.serve(),
            Command::Release(done) => self.release(done),
            Command::Answer(answer) => self.on_answer(answer),
            Command::ShowTab(number) => self.show_tab(number),
            Command::CloseTab(number) => self.close_tab(number),
        }
    }

    pub(super) fn on_said(&mut self, source: &Source, said: Said) {
        let page = self.page_of(source.session.as_ref());
        let shown = page.is_some_and(|page| self.tabs.active() == Some(page.target()));
        match said {
            Said::Refused(refused) => self.refuse(refused),
            Said::Picker(Some(opened)) if shown => {
                let id = self.asks.number();
                self.asks.picker = Some(Offered {
                    number: opened.number,
                    picker: Arc::new(opened.bounded(id)),
                    source: source.clone(),
                });
            }
            Said::Picker(None)
                if self.asks.picker.as_ref().is_some_and(|offered| {
                    offered.source == *source && offered.picker.kind == PickerKind::Datalist
                }) =>
            {
                self.asks.picker = None;
            }
            Said::Picker(_) => {}
        }
        self.publish_asks();
    }

    pub(super) fn refuse(&mut self, refused: Refused) {
        *self.asks.refusals.entry(refused).or_default() += 1;
        self.publish_asks();
    }

    pub(super) fn on_challenge(&mut self, event: &Event) {
        let (challenge, request) = (&event.params["authChallenge"], &event.params["requestId"]);
        let word = |name: &str| challenge[name].as_str().unwrap_or_default().to_owned();
        let ours = self.asks.serving.is_some() && self.page_of(event.session.as_ref()).is_some();
        // A proxy's password and the machine's own tickets are no user's business.
        let personal = word("source") != "Proxy" && word("scheme") != "negotiate";
        if !ours || !personal || self.asks.challenges.len() >= MAX_CHALLENGES {
            let response = json!({ "response": "Default" });
            return self.respond(event.session.clone(), request.clone(), response);
        }
        let id = self.asks.number();
        self.asks.challenges.push_back(HeldChallenge {
            challenge: Challenge {
                id,
                origin: word("origin"),
                realm: word("realm"),
            },
            session: event.session.clone(),
            request: request.clone(),
        });
        self.publish_asks();
    }

    fn respond(&self, session: Option<CdpSessionId>, request: Value, response: Value) {
        let connection = self.connection();
        tokio::spawn(async move {
            let params = json!({ "requestId": request, "authChallengeResponse": response });
            let method = "Fetch.continueWithAuth";
            if let Err(error) = connection.call(session.as_ref(), method, params).await {
                tracing::debug!(%error, "a challenge was gone before it was answered");
            }
        });
    }

    pub(super) fn on_chooser(&mut self, event: &Event) {
        let (frame, node) = (&event.params["frameId"], &event.params["backendNodeId"]);
        let Some(frame) = frame.as_str().map(FrameId::from) else {
            return;
        };
        if node.is_null() {
            // The browser has told the page already that the user chose nothing.
            return self.refuse(Refused::Files);
        }
        let source = Source {
            session: event.session.clone(),
            frame,
        };
        let id = self.asks.number();
        let multiple = event.params["mode"] == "selectMultiple";
        let (connection, reporter) = (self.connection(), self.reporter.clone());
        let node = node.clone();
        tokio::spawn(async move {
            let accept = accept_of(&connection, source.session.as_ref(), &node).await;
            let origin = focus::origin_of(&connection, &source).await;
            let (Ok(accept), Ok(origin)) = (accept, origin) else {
                return;
            };
            let chooser = Chooser {
                id,
                origin,
                multiple,
                accept,
            };
            let held = HeldChooser {
                chooser,
                source,
                node,
            };
            let _actor_gone = reporter.send(Found::Chooser(held)).await;
        });
    }

    pub(super) fn on_chooser_described(&mut self, held: HeldChooser) {
        if self.asks.serving.is_none() || self.page_of(held.source.session.as_ref()).is_none() {
            return;
        }
        if let Some(older) = self.asks.chooser.replace(held) {
            self.give_files(older, Vec::new());
        }
        self.publish_asks();
    }

    fn on_answer(&mut self, answer: Answer) {
        match answer {
            Answer::Pick { id, options, value } => {
                let offered = self.asks.picker.take_if(|offered| offered.picker.id == id);
                if let Some(offered) = offered.filter(|_| options.is_some() || value.is_some()) {
                    let (connection, reporter) = (self.connection(), self.reporter.clone());
                    tokio::spawn(async move {
                        let taken = native::answer(&connection, &offered, options, value).await;
                        if !matches!(taken, Ok(true)) {
                            let said = Said::Refused(Refused::Answer);
                            let _actor_gone =
                                reporter.send(Found::Said(offered.source, said)).await;
                        }
                    });
                }
            }
            Answer::Auth { id, credentials } => {
                let held = self.asks.challenges.iter();
                let asked = held.map(|h| &h.challenge).find(|c| c.id == id).cloned();
                let Some(asked) = asked else { return };
                let response = match credentials {
                    Some((user, password)) => json!({
                        "response": "ProvideCredentials", "username": user, "password": password,
                    }),
                    None => json!({ "response": "CancelAuth" }),
                };
                // Requests that ran side by side are asked the same.
                let (same, others) = std::mem::take(&mut self.asks.challenges)
                    .into_iter()
                    .partition::<VecDeque<_>, _>(|HeldChallenge { challenge, .. }| {
                        challenge.origin == asked.origin && challenge.realm == asked.realm
                    });
                self.asks.challenges = others;
                for held in same {
                    self.respond(held.session, held.request, response.clone());
                }
            }
            Answer::Files { id, paths } => {
                let held = self.asks.chooser.take_if(|held| held.chooser.id == id);
                if let Some(held) = held {
                    self.give_files(held, paths);
                }
            }
        }
        self.publish_asks();
    }

    /// Puts files into the input, or tells it that the user chose none.
    fn give_files(&self, held: HeldChooser, paths: Vec<String>) {
        let (connection, reporter) = (self.connection(), self.reporter.clone());
        tokio::spawn(async move {
            let session = held.source.session.as_ref();
            let given = if paths.is_empty() {
                cancel_choice(&connection, session, &held.node).await
            } else {
                let params = json!({ "files": paths, "backendNodeId": held.node });
                connection
                    .call(session, "DOM.setFileInputFiles", params)
                    .await
                    .map(drop)
            };
            if let Err(error) = given {
                tracing::debug!(%error, "a file chooser was gone before it was answered");
                let said = Said::Refused(Refused::Answer);
                let _actor_gone = reporter.send(Found::Said(held.source, said)).await;
            }
        });
    }

    /// Documents are gone: so is what they asked.
    pub(super) fn forget_asks(&mut self, gone: impl Fn(Option<&CdpSessionId>) -> bool) {
        self.asks
            .picker
            .take_if(|offered| gone(offered.source.session.as_ref()));
        let chooser = self
            .asks
            .chooser
            .take_if(|held| gone(held.source.session.as_ref()));
        if let Some(chooser) = chooser.filter(|_| self.asks.serving.is_none()) {
            self.give_files(chooser, Vec::new());
        }
        let (left, held) = std::mem::take(&mut self.asks.challenges)
            .into_iter()
            .partition::<VecDeque<_>, _>(|held| gone(held.session.as_ref()));
        self.asks.challenges = held;
        for held in left {
            let cancel = json!({ "response": "CancelAuth" });
            self.respond(held.session, held.request, cancel);
        }
        self.publish_asks();
    }

    /// The picker of a frame whose document is gone.
    pub(super) fn forget_picker(&mut self, source: &Source) {
        if self
            .asks
            .picker
            .take_if(|offered| offered.source == *source)
            .is_some()
        {
            self.publish_asks();
        }
    }

    /// Another page is shown.
    pub(super) fn forget_shown_picker(&mut self) {
        self.asks.picker = None;
        self.publish_asks();
    }

    /// Everything that a page and its frames ask.
    pub(super) fn forget_asks_of(&mut self, page: &Page) {
        let session = page.session().cloned();
        let mut sessions: Vec<Option<CdpSessionId>> = vec![session];
        for frame in self.frames.keys() {
            if self.page_of(Some(frame)).as_ref() == Some(page) {
                sessions.push(Some(frame.clone()));
            }
        }
        self.forget_asks(|session| sessions.iter().any(|s| s.as_ref() == session));
    }

    fn publish_asks(&self) {
        let picker = self
            .asks
            .picker
            .as_ref()
            .map(|offered| Arc::clone(&offered.picker));
        let challenge = self
            .asks
            .challenges
            .front()
            .map(|held| held.challenge.clone());
        let chooser = self.asks.chooser.as_ref().map(|held| held.chooser.clone());
        let refusals = self.asks.refusals.clone();
        self.change(|view| {
            view.picker = picker;
            view.challenge = challenge;
            view.chooser = chooser;
            view.refusals = refusals;
        });
    }
}

/// The `accept` attribute of a file input.
async fn accept_of(
    connection: &Connection,
    session: Option<&CdpSessionId>,
    node: &Value,
) -> Result<String, BrowserError> {
    let params = json!({ "backendNodeId": node });
    let answer = connection.call(session, "DOM.describeNode", params).await?;
    // Names and values take turns.
    let attributes = answer["node"]["attributes"].as_array();
    let mut pairs = attributes.map_or(&[][..], Vec::as_slice).chunks_exact(2);
    let accept = pairs.find(|pair| pair[0] == "accept");
    let accept = accept.and_then(|pair| pair[1].as_str()).unwrap_or_default();
    Ok(accept.chars().take(MAX_ACCEPT).collect())
}

async fn cancel_choice(
    connection: &Connection,
    session: Option<&CdpSessionId>,
    node: &Value,
) -> Result<(), BrowserError> {
    let params = json!({ "backendNodeId": node });
    let answer = connection.call(session, "DOM.resolveNode", params).await?;
    let cancel = json!({
        "objectId": answer["object"]["objectId"],
        "functionDeclaration":
            "function () { this.dispatchEvent(new Event('cancel', { bubbles: true })); }",
    });
    connection
        .call(session, "Runtime.callFunctionOn", cancel)
        .await?;
    Ok(())
}
