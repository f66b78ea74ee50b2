//! Prompts that the browser would show the user unseen, and their answers.

use std::{collections::VecDeque, sync::Arc};

use authloop_cdp::{BrowserError, CdpSessionId, Connection, Event, FrameId, Page};
use authloop_protocol::browser_ui::PickerKind;
use serde_json::{Value, json};

use super::{Actor, TaskReport, interception::Interception};
use crate::{
    Refusals,
    focus::{self, FrameSource},
    prompts::{
        self, AuthChallenge, FileChooser, FrameReport, OfferedPicker, PromptAnswer, RefusedPrompt,
    },
};

/// Most challenges that wait for the user; a page that makes more is refused the rest.
const MAX_CHALLENGES: usize = 8;
/// The longest `accept` that is told, in characters.
const MAX_ACCEPT_CHARS: usize = 500;

/// The prompts that wait for an answer now.
#[derive(Default)]
pub(super) struct Prompts {
    pub(super) interception: Option<Interception>,
    picker: Option<OfferedPicker>,
    challenges: VecDeque<PendingChallenge>,
    chooser: Option<PendingChooser>,
    last_id: u32,
    refusals: Refusals,
}

impl Prompts {
    fn next_id(&mut self) -> u32 {
        self.last_id += 1;
        self.last_id
    }
}

struct PendingChallenge {
    challenge: AuthChallenge,
    session: Option<CdpSessionId>,
    request: Value,
}

pub(super) struct PendingChooser {
    chooser: FileChooser,
    source: FrameSource,
    node: Value,
}

impl Actor {
    pub(super) fn on_frame_report(&mut self, source: &FrameSource, report: FrameReport) {
        let page = self.page_of(source.session.as_ref());
        let shown = page.is_some_and(|page| self.tabs.active() == Some(page.target()));
        match report {
            FrameReport::Refused(refused) => self.refuse(refused),
            FrameReport::Picker(Some(opened)) if shown => {
                let id = self.prompts.next_id();
                self.prompts.picker = Some(OfferedPicker {
                    number: opened.number,
                    picker: Arc::new(opened.bounded(id)),
                    source: source.clone(),
                });
            }
            FrameReport::Picker(None)
                if self.prompts.picker.as_ref().is_some_and(|offered| {
                    offered.source == *source && offered.picker.kind == PickerKind::Datalist
                }) =>
            {
                self.prompts.picker = None;
            }
            FrameReport::Picker(_) => {}
        }
        self.publish_prompts();
    }

    pub(super) fn refuse(&mut self, refused: RefusedPrompt) {
        *self.prompts.refusals.entry(refused).or_default() += 1;
        self.publish_prompts();
    }

    pub(super) fn on_challenge(&mut self, event: &Event) {
        let (challenge, request) = (&event.params["authChallenge"], &event.params["requestId"]);
        let word = |name: &str| challenge[name].as_str().unwrap_or_default().to_owned();
        let ours =
            self.prompts.interception.is_some() && self.page_of(event.session.as_ref()).is_some();
        // A proxy's password and the machine's own tickets are no user's business.
        let personal = word("source") != "Proxy" && word("scheme") != "negotiate";
        if !ours || !personal || self.prompts.challenges.len() >= MAX_CHALLENGES {
            let response = json!({ "response": "Default" });
            return self.respond(event.session.clone(), request.clone(), response);
        }
        // A frame could ask just while the user types into the page around it.
        let of_main_document = self
            .page_of(event.session.as_ref())
            .is_some_and(|page| event.params["frameId"] == page.target().as_str());
        if !of_main_document {
            let response = json!({ "response": "CancelAuth" });
            return self.respond(event.session.clone(), request.clone(), response);
        }
        let id = self.prompts.next_id();
        self.prompts.challenges.push_back(PendingChallenge {
            challenge: AuthChallenge {
                id,
                origin: word("origin"),
                realm: word("realm"),
            },
            session: event.session.clone(),
            request: request.clone(),
        });
        self.publish_prompts();
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
            return self.refuse(RefusedPrompt::Files);
        }
        let source = FrameSource {
            session: event.session.clone(),
            frame,
        };
        let id = self.prompts.next_id();
        let multiple = event.params["mode"] == "selectMultiple";
        let (connection, reporter) = (self.connection(), self.reporter.clone());
        let node = node.clone();
        tokio::spawn(async move {
            let accept = accept_of(&connection, source.session.as_ref(), &node).await;
            let origin = focus::origin_of(&connection, &source).await;
            let (Ok(accept), Ok(origin)) = (accept, origin) else {
                return;
            };
            let chooser = FileChooser {
                id,
                origin,
                multiple,
                accept,
            };
            let pending = PendingChooser {
                chooser,
                source,
                node,
            };
            let _actor_gone = reporter.send(TaskReport::Chooser(pending)).await;
        });
    }

    pub(super) fn on_chooser_described(&mut self, pending: PendingChooser) {
        if self.prompts.interception.is_none()
            || self.page_of(pending.source.session.as_ref()).is_none()
        {
            return;
        }
        if let Some(older) = self.prompts.chooser.replace(pending) {
            self.give_files(older, Vec::new());
        }
        self.publish_prompts();
    }

    pub(super) fn on_answer(&mut self, answer: PromptAnswer) {
        match answer {
            PromptAnswer::Pick { id, options, value } => {
                let offered = self
                    .prompts
                    .picker
                    .take_if(|offered| offered.picker.id == id);
                if let Some(offered) = offered.filter(|_| options.is_some() || value.is_some()) {
                    let (connection, reporter) = (self.connection(), self.reporter.clone());
                    tokio::spawn(async move {
                        let taken = prompts::answer(&connection, &offered, options, value).await;
                        if !matches!(taken, Ok(true)) {
                            let report = FrameReport::Refused(RefusedPrompt::Answer);
                            let _actor_gone = reporter
                                .send(TaskReport::Frame(offered.source, report))
                                .await;
                        }
                    });
                }
            }
            PromptAnswer::Auth { id, credentials } => {
                let pending = self.prompts.challenges.iter();
                let asked = pending.map(|h| &h.challenge).find(|c| c.id == id).cloned();
                let Some(asked) = asked else { return };
                let response = match credentials {
                    Some((user, password)) => json!({
                        "response": "ProvideCredentials", "username": user, "password": password,
                    }),
                    None => json!({ "response": "CancelAuth" }),
                };
                // Requests that ran side by side are asked the same.
                let (same, others) =
                    std::mem::take(&mut self.prompts.challenges)
                        .into_iter()
                        .partition::<VecDeque<_>, _>(|PendingChallenge { challenge, .. }| {
                            challenge.origin == asked.origin && challenge.realm == asked.realm
                        });
                self.prompts.challenges = others;
                for pending in same {
                    self.respond(pending.session, pending.request, response.clone());
                }
            }
            PromptAnswer::Files { id, paths } => {
                let pending = self
                    .prompts
                    .chooser
                    .take_if(|pending| pending.chooser.id == id);
                if let Some(pending) = pending {
                    self.give_files(pending, paths);
                }
            }
        }
        self.publish_prompts();
    }

    /// Puts files into the input, or tells it that the user chose none.
    fn give_files(&self, pending: PendingChooser, paths: Vec<String>) {
        let (connection, reporter) = (self.connection(), self.reporter.clone());
        tokio::spawn(async move {
            let session = pending.source.session.as_ref();
            let given = if paths.is_empty() {
                cancel_choice(&connection, session, &pending.node).await
            } else {
                let params = json!({ "files": paths, "backendNodeId": pending.node });
                connection
                    .call(session, "DOM.setFileInputFiles", params)
                    .await
                    .map(drop)
            };
            if let Err(error) = given {
                tracing::debug!(%error, "a file chooser was gone before it was answered");
                let report = FrameReport::Refused(RefusedPrompt::Answer);
                let _actor_gone = reporter
                    .send(TaskReport::Frame(pending.source, report))
                    .await;
            }
        });
    }

    /// Drops the prompts of documents that are gone.
    pub(super) fn forget_prompts(&mut self, gone: impl Fn(Option<&CdpSessionId>) -> bool) {
        self.prompts
            .picker
            .take_if(|offered| gone(offered.source.session.as_ref()));
        let chooser = self
            .prompts
            .chooser
            .take_if(|pending| gone(pending.source.session.as_ref()));
        if let Some(chooser) = chooser.filter(|_| self.prompts.interception.is_none()) {
            self.give_files(chooser, Vec::new());
        }
        let (left, pending) = std::mem::take(&mut self.prompts.challenges)
            .into_iter()
            .partition::<VecDeque<_>, _>(|pending| gone(pending.session.as_ref()));
        self.prompts.challenges = pending;
        for pending in left {
            let cancel = json!({ "response": "CancelAuth" });
            self.respond(pending.session, pending.request, cancel);
        }
        self.publish_prompts();
    }

    /// Drops the picker of a frame whose document is gone.
    pub(super) fn forget_picker(&mut self, source: &FrameSource) {
        if self
            .prompts
            .picker
            .take_if(|offered| offered.source == *source)
            .is_some()
        {
            self.publish_prompts();
        }
    }

    /// Drops the picker of the page that is no longer shown.
    pub(super) fn forget_shown_picker(&mut self) {
        self.prompts.picker = None;
        self.publish_prompts();
    }

    /// Drops every prompt of a page and its frames.
    pub(super) fn forget_prompts_of(&mut self, page: &Page) {
        let session = page.session().cloned();
        let mut sessions: Vec<Option<CdpSessionId>> = vec![session];
        for frame in self.frames.keys() {
            if self.page_of(Some(frame)).as_ref() == Some(page) {
                sessions.push(Some(frame.clone()));
            }
        }
        self.forget_prompts(|session| sessions.iter().any(|s| s.as_ref() == session));
    }

    fn publish_prompts(&self) {
        let picker = self
            .prompts
            .picker
            .as_ref()
            .map(|offered| Arc::clone(&offered.picker));
        let shown = |pending: &&PendingChallenge| {
            let page = self.page_of(pending.session.as_ref());
            page.is_some_and(|page| self.tabs.active() == Some(page.target()))
        };
        let challenge = self
            .prompts
            .challenges
            .iter()
            .find(shown)
            .map(|pending| pending.challenge.clone());
        let chooser = self
            .prompts
            .chooser
            .as_ref()
            .map(|pending| pending.chooser.clone());
        let refusals = self.prompts.refusals.clone();
        self.update_view(|view| {
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
    Ok(accept.chars().take(MAX_ACCEPT_CHARS).collect())
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
