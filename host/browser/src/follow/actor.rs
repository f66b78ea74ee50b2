//! The actor behind [`Follower`](super::Follower).

mod asking;
mod dialogs;
mod focusing;
mod paging;
mod serving;

use std::collections::HashMap;

use authloop_cdp::{
    Browser, BrowserError, CdpSessionId, Connection, Event, EventStream, FrameId, Page, TargetId,
    TargetInfo,
};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::{Dialog, Health, View};
use crate::Refusals;
use crate::focus::{FocusedField, Report, Source};
use crate::native::Said;
use crate::origin::{Certificate, OriginTracker, SecurityState};
use crate::tabs::Tabs;

pub(super) use asking::Command;
use asking::{Asks, HeldChooser};

/// Events that may wait for the actor; it resynchronises if this is not enough.
const QUEUE: usize = 1024;
/// Reports from the actor's own tasks.
const REPORTS: usize = 64;

const EVENTS: [&str; 16] = [
    "Target.targetCreated",
    "Target.targetDestroyed",
    "Target.targetInfoChanged",
    "Target.attachedToTarget",
    "Target.detachedFromTarget",
    "Page.frameAttached",
    "Page.frameNavigated",
    "Page.domContentEventFired",
    "Page.loadEventFired",
    "Page.javascriptDialogOpening",
    "Page.javascriptDialogClosed",
    "Inspector.targetCrashed",
    "Inspector.targetReloadedAfterCrash",
    "Security.visibleSecurityStateChanged",
    "Fetch.authRequired",
    "Page.fileChooserOpened",
];

/// What the actor's tasks found out.
enum Found {
    Attached(Page),
    Address {
        target: TargetId,
        url: String,
        title: String,
    },
    Report {
        source: Source,
        report: Option<Report>,
    },
    Focus {
        turn: u64,
        field: FocusedField,
    },
    Pages(Vec<TargetInfo>),
    /// A page's answer to `Page.getFrameTree`.
    Frames(Page, Value),
    /// A session's answer to `Page.getFrameTree`, now that it is served.
    Served(Option<CdpSessionId>, Value),
    Said(Source, Said),
    Chooser(HeldChooser),
}

/// A frame in a process of its own.
struct FrameSession {
    parent: Option<CdpSessionId>,
    frame: FrameId,
}

pub(super) struct Actor {
    browser: Browser,
    events: EventStream,
    reports: mpsc::Receiver<Found>,
    reporter: mpsc::Sender<Found>,
    view: watch::Sender<View>,
    tabs: Tabs,
    pages: HashMap<TargetId, Page>,
    /// Told once per change, perhaps before the change of origin is known.
    security: HashMap<TargetId, (SecurityState, Option<Certificate>)>,
    frames: HashMap<CdpSessionId, FrameSession>,
    tracker: OriginTracker,
    focus_source: Option<(Source, u64)>,
    focus_turn: u64,
    fields: u64,
    dialogs: u32,
    open_dialogs: HashMap<TargetId, Dialog>,
    commands: mpsc::Receiver<Command>,
    asks: Asks,
}

impl Actor {
    pub(super) async fn prepare(
        browser: Browser,
        first: &TargetId,
        commands: mpsc::Receiver<Command>,
    ) -> Result<(Self, watch::Receiver<View>), BrowserError> {
        let events = browser.subscribe_all(&EVENTS, QUEUE);
        if !browser.is_one_page() {
            let params = json!({ "discover": true });
            browser.call("Target.setDiscoverTargets", params).await?;
        }
        let page = browser.attach(first).await?;
        watch_page(&page).await?;
        let mut tracker = OriginTracker::new();
        let (url, title) = committed_address(&page).await?;
        tracker.observe(&url, &title);
        let (view, receiver) = watch::channel(View {
            page: page.clone(),
            origin: tracker.info().clone(),
            focus: None,
            dialog: None,
            picker: None,
            challenge: None,
            chooser: None,
            refusals: Refusals::new(),
            tabs: Vec::new(),
            health: Health::Alive,
            document: 1,
        });
        let (reporter, reports) = mpsc::channel(REPORTS);
        let actor = Self {
            browser,
            events,
            reports,
            reporter,
            view,
            tabs: Tabs::new(first.clone()),
            pages: HashMap::from([(first.clone(), page)]),
            security: HashMap::new(),
            frames: HashMap::new(),
            tracker,
            focus_source: None,
            focus_turn: 0,
            fields: 0,
            dialogs: 0,
            open_dialogs: HashMap::new(),
            commands,
            asks: Asks::default(),
        };
        Ok((actor, receiver))
    }

    pub(super) async fn run(mut self) {
        for page in self.pages.clone().values() {
            self.watch_open_frames(page);
        }
        loop {
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(event) => self.on_event(&event),
                    None => break,
                },
                Some(found) = self.reports.recv() => self.on_found(found),
                Some(command) = self.commands.recv() => self.on_command(command),
            }
            if self.events.take_lost() > 0 {
                self.resynchronise();
            }
        }
        let error = self.browser.ended().await;
        self.change(|view| view.health = Health::Gone(error));
    }

    fn on_event(&mut self, event: &Event) {
        let params = &*event.params;
        match &*event.method {
            "Target.targetCreated" => self.on_target(&params["targetInfo"]),
            "Target.targetInfoChanged" => self.on_target(&params["targetInfo"]),
            "Target.targetDestroyed" => {
                if let Some(id) = params["targetId"].as_str() {
                    self.on_closed(&TargetId::from(id));
                }
            }
            "Target.attachedToTarget" => self.on_frame_session(event),
            "Target.detachedFromTarget" => {
                if let Some(session) = params["sessionId"].as_str().map(CdpSessionId::from) {
                    self.frames.remove(&session);
                    self.drop_focus_of(Some(&session));
                    self.forget_asks(|gone| gone == Some(&session));
                }
            }
            "Page.frameAttached" => self.watch_focus(event.session.as_ref(), &params["frameId"]),
            "Page.frameNavigated" => {
                self.watch_focus(event.session.as_ref(), &params["frame"]["id"]);
                self.on_navigated(event);
            }
            // The title is known only now, and nothing else tells of it.
            "Page.domContentEventFired" | "Page.loadEventFired" if self.is_active(event) => {
                self.ask_address();
            }
            "Page.javascriptDialogOpening" => self.on_dialog(event),
            "Page.javascriptDialogClosed" => {
                if let Some(page) = self.page_of(event.session.as_ref()) {
                    self.forget_dialog(&page.target().clone());
                }
            }
            "Fetch.authRequired" => self.on_challenge(event),
            "Page.fileChooserOpened" => self.on_chooser(event),
            "Inspector.targetCrashed" if self.is_active(event) => {
                self.focus_source = None;
                self.change(|view| {
                    view.health = Health::Crashed;
                    view.focus = None;
                    view.dialog = None;
                });
            }
            "Inspector.targetReloadedAfterCrash" if self.is_active(event) => {
                self.change(|view| view.health = Health::Alive);
            }
            "Security.visibleSecurityStateChanged" => {
                if let Some(page) = self.page_of(event.session.as_ref()) {
                    let state = SecurityState::from_cdp(params);
                    let told = (state, Certificate::from_cdp(params));
                    self.security.insert(page.target().clone(), told);
                    self.publish_origin();
                }
            }
            _ => {}
        }
    }

    fn on_found(&mut self, found: Found) {
        match found {
            Found::Attached(page) => {
                self.pages.insert(page.target().clone(), page.clone());
                self.watch_open_frames(&page);
                self.serve_session(page.session().cloned());
                if self.tabs.active() == Some(page.target()) {
                    self.show(&page);
                }
            }
            Found::Address { target, url, title } => {
                if self.tabs.active() == Some(&target) {
                    self.tracker.observe(&url, &title);
                    self.publish_origin();
                }
            }
            Found::Report { source, report } => self.on_report(&source, report),
            Found::Focus { turn, field } => {
                if turn == self.focus_turn {
                    self.change(|view| view.focus = Some(field));
                }
            }
            Found::Frames(page, answer) => {
                for frame in frames_in(&answer) {
                    self.watch_focus(page.session(), frame);
                }
            }
            Found::Served(session, answer) => self.on_served(session.as_ref(), &answer),
            Found::Said(source, said) => self.on_said(&source, said),
            Found::Chooser(held) => self.on_chooser_described(held),
            Found::Pages(open) => {
                let gone: Vec<TargetId> = self
                    .pages
                    .keys()
                    .filter(|id| !open.iter().any(|page| page.id == **id))
                    .cloned()
                    .collect();
                for id in gone {
                    self.on_closed(&id);
                }
                for page in &open {
                    self.on_opened(page);
                }
                self.ask_address();
            }
        }
    }

    fn on_navigated(&mut self, event: &Event) {
        let frame = &event.params["frame"];
        if frame["parentId"].is_string() {
            return;
        }
        let of = self.pages.values().find(|page| page.owns(event)).cloned();
        if let Some(page) = of {
            self.forget_asks_of(&page);
            self.forget_dialog(page.target());
        }
        if !self.is_active(event) {
            return;
        }
        self.focus_source = None;
        self.focus_turn += 1;
        self.tracker.forget_title();
        self.change(|view| {
            view.focus = None;
            view.document += 1;
            view.health = Health::Alive;
        });
        self.ask_address();
    }

    /// The committed address comes from the browser process, not from the page's renderer.
    fn ask_address(&self) {
        let Some(page) = self
            .tabs
            .active()
            .and_then(|id| self.pages.get(id))
            .cloned()
        else {
            return;
        };
        let reporter = self.reporter.clone();
        tokio::spawn(async move {
            if let Ok((url, title)) = committed_address(&page).await {
                let target = page.target().clone();
                let _actor_gone = reporter.send(Found::Address { target, url, title }).await;
            }
        });
    }

    fn on_frame_session(&mut self, event: &Event) {
        let info = &event.params["targetInfo"];
        let session = event.params["sessionId"].as_str().map(CdpSessionId::from);
        let (Some(session), Some(frame), Some("iframe")) =
            (session, info["targetId"].as_str(), info["type"].as_str())
        else {
            return;
        };
        let connection = self.connection();
        for (method, params) in [
            ("Page.enable", json!({})),
            ("Target.setAutoAttach", frames_only()),
        ] {
            // A frame that is gone before it is watched needs no watching.
            let _gone = connection.notify(Some(&session), method, params);
        }
        self.frames.insert(
            session.clone(),
            FrameSession {
                parent: event.session.clone(),
                frame: FrameId::from(frame),
            },
        );
        self.watch_focus(Some(&session), &info["targetId"]);
        self.serve_session(Some(session));
    }

    /// The page a session belongs to, directly or through frames.
    fn page_of(&self, session: Option<&CdpSessionId>) -> Option<Page> {
        let mut at = session;
        while let Some(frame) = at.and_then(|session| self.frames.get(session)) {
            at = frame.parent.as_ref();
        }
        self.pages
            .values()
            .find(|page| page.session() == at)
            .cloned()
    }

    fn is_active(&self, event: &Event) -> bool {
        let active = self.tabs.active().and_then(|id| self.pages.get(id));
        active.is_some_and(|page| page.owns(event))
    }

    fn publish_origin(&self) {
        let mut origin = self.tracker.info().clone();
        let security = self.tabs.active().and_then(|id| self.security.get(id));
        (origin.security, origin.certificate) = security.cloned().unwrap_or_default();
        self.change(|view| view.origin = origin);
    }

    fn change(&self, change: impl FnOnce(&mut View)) {
        self.view.send_if_modified(|view| {
            let before = view.clone();
            change(view);
            *view != before
        });
    }

    fn connection(&self) -> Connection {
        self.browser.connection().clone()
    }
}

/// Sets up a page: frames in other processes, crash and security reports. Nothing here waits for
/// the page's renderer, which may be busy or held by a dialog.
async fn watch_page(page: &Page) -> Result<(), BrowserError> {
    page.post("Inspector.enable", json!({})).await?;
    page.post("Security.enable", json!({})).await?;
    // A page without the window's focus shows no caret and takes no keys.
    let focused = json!({ "enabled": true });
    page.post("Emulation.setFocusEmulationEnabled", focused)
        .await?;
    page.post("Target.setAutoAttach", frames_only()).await
}

/// The ids of all frames in an answer to `Page.getFrameTree`.
fn frames_in(answer: &Value) -> Vec<&Value> {
    let mut trees = vec![&answer["frameTree"]];
    let mut frames = Vec::new();
    while let Some(tree) = trees.pop() {
        frames.push(&tree["frame"]["id"]);
        trees.extend(tree["childFrames"].as_array().into_iter().flatten());
    }
    frames
}

/// Attaches to frames in other processes, and to nothing else.
fn frames_only() -> Value {
    json!({
        "autoAttach": true, "waitForDebuggerOnStart": false, "flatten": true,
        "filter": [{ "type": "iframe" }],
    })
}

async fn committed_address(page: &Page) -> Result<(String, String), BrowserError> {
    let history = page.call("Page.getNavigationHistory", json!({})).await?;
    let current = history["currentIndex"].as_u64().unwrap_or(0) as usize;
    let entry = &history["entries"][current];
    let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    Ok((text("url"), text("title")))
}
