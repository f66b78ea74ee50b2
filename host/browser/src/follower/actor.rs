//! The actor behind [`Follower`](super::Follower).

mod dialogs;
mod focus;
mod frames;
mod interception;
mod navigation;
mod pages;
mod prompts;

use std::collections::HashMap;

use authloop_cdp::{
    Browser, BrowserError, CdpSessionId, Connection, Event, EventStream, FrameId, Page, TargetId,
    TargetInfo, frames_in,
};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::{Dialog, Health, View, command::Command};
use crate::{
    Refusals,
    focus::{FocusReport, FocusedField, FrameSource},
    origin::{Certificate, OriginTracker, SecurityState},
    prompts::FrameReport,
    tabs::Tabs,
};
use frames::frames_only;
use navigation::committed_address;
use prompts::{PendingChooser, Prompts};

/// Most events that may wait for the actor; it resynchronises if this is not enough.
const MAX_QUEUED_EVENTS: usize = 1024;
/// Most reports of the actor's own tasks that may wait for it.
const MAX_QUEUED_REPORTS: usize = 64;

const FOLLOWED_EVENTS: [&str; 16] = [
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

/// What one of the actor's tasks found out.
enum TaskReport {
    Attached(Page),
    Address {
        target: TargetId,
        url: String,
        title: String,
    },
    FocusReport {
        source: FrameSource,
        report: Option<FocusReport>,
    },
    Focus {
        generation: u64,
        field: FocusedField,
    },
    Pages(Vec<TargetInfo>),
    /// The answer to `Page.getFrameTree` of a page, or of a frame in a process of its own.
    FrameTree(Option<CdpSessionId>, Value),
    /// A session's answer to `Page.getFrameTree`, now that its prompts are intercepted.
    Intercepted(Option<CdpSessionId>, Value),
    /// What a script in a frame says of prompts.
    Frame(FrameSource, FrameReport),
    Chooser(PendingChooser),
}

/// A frame in a process of its own.
struct FrameSession {
    parent: Option<CdpSessionId>,
    frame: FrameId,
}

pub(super) struct Actor {
    browser: Browser,
    events: EventStream,
    reports: mpsc::Receiver<TaskReport>,
    reporter: mpsc::Sender<TaskReport>,
    view: watch::Sender<View>,
    tabs: Tabs,
    pages: HashMap<TargetId, Page>,
    /// Told once per change, perhaps before the change of origin is known.
    security: HashMap<TargetId, (SecurityState, Option<Certificate>)>,
    frames: HashMap<CdpSessionId, FrameSession>,
    tracker: OriginTracker,
    focus_source: Option<(FrameSource, u64)>,
    focus_generation: u64,
    last_field_id: u64,
    last_dialog_id: u32,
    open_dialogs: HashMap<TargetId, Dialog>,
    commands: mpsc::Receiver<Command>,
    prompts: Prompts,
}

impl Actor {
    pub(super) async fn prepare(
        browser: Browser,
        first: &TargetId,
        commands: mpsc::Receiver<Command>,
    ) -> Result<(Self, watch::Receiver<View>), BrowserError> {
        let events = browser.subscribe_all(&FOLLOWED_EVENTS, MAX_QUEUED_EVENTS);
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
        let (reporter, reports) = mpsc::channel(MAX_QUEUED_REPORTS);
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
            focus_generation: 0,
            last_field_id: 0,
            last_dialog_id: 0,
            open_dialogs: HashMap::new(),
            commands,
            prompts: Prompts::default(),
        };
        Ok((actor, receiver))
    }

    pub(super) async fn run(mut self) {
        for page in self.pages.clone().values() {
            self.watch_open_frames(page.session().cloned());
        }
        loop {
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(event) => self.on_event(&event),
                    None => break,
                },
                Some(report) = self.reports.recv() => self.on_task_report(report),
                Some(command) = self.commands.recv() => self.on_command(command),
            }
            if self.events.take_lost() > 0 {
                self.resynchronise();
            }
        }
        let error = self.browser.ended().await;
        self.update_view(|view| view.health = Health::Gone(error));
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
                    self.forget_prompts(|gone| gone == Some(&session));
                }
            }
            "Page.frameAttached" => self.watch_focus(event.session.as_ref(), &params["frameId"]),
            "Page.frameNavigated" => {
                self.watch_focus(event.session.as_ref(), &params["frame"]["id"]);
                self.on_navigated(event);
            }
            // The title is known only now, and nothing else tells of it.
            "Page.domContentEventFired" | "Page.loadEventFired" if self.is_active(event) => {
                self.request_address();
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
                self.update_view(|view| {
                    view.health = Health::Crashed;
                    view.focus = None;
                    view.dialog = None;
                });
            }
            "Inspector.targetReloadedAfterCrash" if self.is_active(event) => {
                self.update_view(|view| view.health = Health::Alive);
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

    fn on_command(&mut self, command: Command) {
        match command {
            Command::BeginUserControl => self.begin_user_control(),
            Command::EndUserControl(done) => self.end_user_control(done),
            Command::Answer(answer) => self.on_answer(answer),
            Command::ShowTab(number) => self.show_tab(number),
            Command::CloseTab(number) => self.close_tab(number),
        }
    }

    fn on_task_report(&mut self, report: TaskReport) {
        match report {
            TaskReport::Attached(page) => {
                self.pages.insert(page.target().clone(), page.clone());
                self.watch_open_frames(page.session().cloned());
                self.intercept_session(page.session().cloned());
                if self.tabs.active() == Some(page.target()) {
                    self.show(&page);
                }
            }
            TaskReport::Address { target, url, title } => {
                if self.tabs.active() == Some(&target) {
                    self.tracker.observe(&url, &title);
                    self.publish_origin();
                }
            }
            TaskReport::FocusReport { source, report } => self.on_focus_report(&source, report),
            TaskReport::Focus { generation, field } => {
                if generation == self.focus_generation {
                    self.update_view(|view| view.focus = Some(field));
                }
            }
            TaskReport::FrameTree(session, answer) => {
                for frame in frames_in(&answer) {
                    self.watch_focus(session.as_ref(), &frame["id"]);
                }
            }
            TaskReport::Intercepted(session, answer) => {
                self.on_intercepted(session.as_ref(), &answer)
            }
            TaskReport::Frame(source, report) => self.on_frame_report(&source, report),
            TaskReport::Chooser(pending) => self.on_chooser_described(pending),
            TaskReport::Pages(open) => {
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
                self.request_address();
            }
        }
    }

    fn is_active(&self, event: &Event) -> bool {
        let active = self.tabs.active().and_then(|id| self.pages.get(id));
        active.is_some_and(|page| page.owns(event))
    }

    fn update_view(&self, change: impl FnOnce(&mut View)) {
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
