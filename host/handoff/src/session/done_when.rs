//! Looks whether the browser shows that the user has signed in, and tells the user when not.

mod condition_checker;

use std::sync::Arc;
use std::time::Duration;

use authloop_browser::View;
use authloop_done_when::{Conclusion, Finding};
use authloop_protocol::output::{OutputMessage, Verdict};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use super::{HandoffSession, Step};
use crate::{HandoffEnd, HandoffEvent, HandoffState, Verify};
use condition_checker::ConditionChecker;

/// After Done the page may still be on its way to where it shows the sign-in.
const DONE_GRACE_PERIOD: Duration = Duration::from_secs(3);
/// Between two looks within [`DONE_GRACE_PERIOD`].
const RECHECK_INTERVAL: Duration = Duration::from_millis(250);
/// Between two looks when the handoff is to end by itself.
const AUTO_FINISH_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct Verifier {
    checker: Option<Arc<ConditionChecker>>,
    auto_finish: bool,
    begun: bool,
    checking: bool,
    sender: mpsc::Sender<CheckResult>,
    results: mpsc::Receiver<CheckResult>,
    /// The last check's failure, for a user who finishes anyway.
    failed: Option<Finding>,
    /// The viewer was not there to be told.
    untold: Option<OutputMessage>,
}

/// What a look found.
pub(super) struct CheckResult {
    finding: Finding,
    /// The user is waiting for it.
    asked: bool,
}

impl Verifier {
    pub(super) fn new(verify: &Verify, view: watch::Receiver<View>) -> Self {
        let (sender, found) = mpsc::channel(2);
        Self {
            checker: verify
                .done_when
                .clone()
                .map(|done_when| Arc::new(ConditionChecker::start(done_when, view))),
            auto_finish: verify.auto_finish,
            begun: false,
            checking: false,
            sender,
            found,
            failed: None,
            untold: None,
        }
    }

    /// The user sees the browser: from now on it may turn out to be signed in.
    pub(super) fn begin(&mut self) {
        if std::mem::replace(&mut self.begun, true) || !self.auto_finish {
            return;
        }
        if let Some(checker) = self.checker.clone() {
            let sender = self.sender.clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = sender.closed() => {}
                    finding = checker.until_signed_in(AUTO_FINISH_INTERVAL) => {
                        let _ = sender.send(CheckResult { finding, asked: false }).await;
                    }
                }
            });
        }
    }

    /// Waits for what a look has found.
    pub(super) async fn next_result(&mut self) -> CheckResult {
        match self.results.recv().await {
            Some(found) => found,
            None => std::future::pending().await,
        }
    }

    /// Looks, for a while if need be. `false` if there is nothing to look for.
    fn check(&mut self) -> bool {
        let Some(checker) = self.checker.clone() else {
            return false;
        };
        if !std::mem::replace(&mut self.checking, true) {
            let sender = self.sender.clone();
            tokio::spawn(async move {
                let until = Instant::now() + DONE_GRACE_PERIOD;
                let finding = loop {
                    let finding = checker.check().await;
                    if finding.verdict == Verdict::SignedIn || Instant::now() >= until {
                        break finding;
                    }
                    sleep(RECHECK_INTERVAL).await;
                };
                let asked = true;
                let _ = sender.send(CheckResult { finding, asked }).await;
            });
        }
        true
    }
}

impl<R: FnMut(HandoffEvent) + Send> HandoffSession<R> {
    /// The user says that they are done.
    pub(super) async fn done(&mut self) -> Option<HandoffEnd> {
        if !self.verifier.check() {
            return Some(self.resolve(Conclusion::Unchecked).await);
        }
        self.enter(HandoffState::Checking);
        None
    }

    /// The user is done although the browser does not show it.
    pub(super) async fn finish_anyway(&mut self) -> HandoffEnd {
        let conclusion = match self.verifier.failed.take() {
            Some(finding) => by_finding(finding),
            None => match self.verifier.checker.clone() {
                Some(checker) => by_finding(checker.check().await),
                None => Conclusion::Unchecked,
            },
        };
        self.resolve(conclusion).await
    }

    pub(super) async fn on_found(&mut self, found: CheckResult) -> Step {
        let CheckResult { finding, asked } = found;
        if asked {
            self.verifier.checking = false;
        }
        let message = match finding.verdict {
            Verdict::SignedIn => {
                return Ok(Some(self.resolve(Conclusion::Checked(finding)).await));
            }
            Verdict::NotSignedIn => "The browser does not show that you are signed in.",
            Verdict::Inconclusive => "The browser did not answer the check.",
        };
        let checked = OutputMessage::Checked {
            verdict: finding.verdict,
            message: message.to_owned(),
        };
        self.verifier.failed = Some(finding);
        if self.connection.as_ref().is_some_and(|c| c.verified) {
            self.say(&checked).await;
            if self.state == HandoffState::Checking {
                self.enter(HandoffState::Live);
            }
        } else {
            self.verifier.untold = Some(checked);
        }
        Ok(None)
    }

    /// Says what could not be said while the viewer was away.
    pub(super) async fn retell(&mut self) {
        if let Some(message) = self.verifier.untold.take() {
            self.say(&message).await;
        }
    }
}

/// A finding that the user has overruled, if it needed that.
fn by_finding(finding: Finding) -> Conclusion {
    match finding.verdict {
        Verdict::NotSignedIn => Conclusion::UserOverride(finding),
        Verdict::SignedIn | Verdict::Inconclusive => Conclusion::Checked(finding),
    }
}
