//! Checks whether the browser shows that the user has signed in.

mod condition_checker;

use std::{sync::Arc, time::Duration};

use authloop_browser::View;
use authloop_done_when::{Conclusion, DoneWhen, Finding};
use authloop_protocol::output::{OutputMessage, Verdict};
use authloop_rooms::Grant;
use tokio::sync::{mpsc, watch};

use crate::Verify;

pub(super) use condition_checker::ConditionChecker;

/// Between two checks when the handoff is to end by itself.
const AUTO_FINISH_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct Verifier {
    done_when: Option<DoneWhen>,
    view: Option<watch::Receiver<View>>,
    granted: Option<Grant>,
    /// There is one from the claim on.
    checker: Option<Arc<ConditionChecker>>,
    auto_finish: bool,
    begun: bool,
    checking: bool,
    sender: mpsc::Sender<CheckResult>,
    results: mpsc::Receiver<CheckResult>,
    /// The last check's failure, for a user who finishes anyway.
    failed: Option<Finding>,
    /// What the viewer was not there to be told.
    undelivered: Option<OutputMessage>,
}

/// What a check found.
pub(super) struct CheckResult {
    finding: Finding,
    /// The user is waiting for it.
    user_waits: bool,
}

/// What a check's result means.
pub(super) enum CheckOutcome {
    /// The user is signed in.
    SignedIn(Finding),
    /// The browser does not show it, which the viewer is told by this.
    NotShown(OutputMessage),
}

impl Verifier {
    /// Checks what `view` shows, and nothing if there is none yet; in a private room only documents of the
    /// granted sites.
    pub(super) fn new(
        verify: &Verify,
        view: Option<watch::Receiver<View>>,
        granted: Option<Grant>,
    ) -> Self {
        let (sender, results) = mpsc::channel(2);
        Self {
            done_when: verify.done_when.clone(),
            view,
            granted,
            checker: None,
            auto_finish: verify.auto_finish,
            begun: false,
            checking: false,
            sender,
            results,
            failed: None,
            undelivered: None,
        }
    }

    /// Looks at the browser from now on, the claim: what comes before is another handoff's, and none of
    /// this agent's business.
    pub(super) fn watch(&mut self) {
        let watched = self.view.clone().zip(self.done_when.take());
        let started =
            watched.map(|(view, when)| ConditionChecker::start(when, view, self.granted.clone()));
        self.checker = started.map(Arc::new).or(self.checker.take());
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
                        let user_waits = false;
                        let _ = sender.send(CheckResult { finding, user_waits }).await;
                    }
                }
            });
        }
    }

    /// Waits for what a check has found.
    pub(super) async fn next_result(&mut self) -> CheckResult {
        match self.results.recv().await {
            Some(result) => result,
            None => std::future::pending().await,
        }
    }

    /// Checks, for a while if need be. `false` if there is nothing to check.
    pub(super) fn start_check(&mut self) -> bool {
        let Some(checker) = self.checker.clone() else {
            return false;
        };
        if !std::mem::replace(&mut self.checking, true) {
            let sender = self.sender.clone();
            tokio::spawn(async move {
                let finding = checker.check_with_grace().await;
                let user_waits = true;
                let _ = sender
                    .send(CheckResult {
                        finding,
                        user_waits,
                    })
                    .await;
            });
        }
        true
    }

    /// Takes what a check has found.
    pub(super) fn handle(&mut self, result: CheckResult) -> CheckOutcome {
        let CheckResult {
            finding,
            user_waits,
        } = result;
        if user_waits {
            self.checking = false;
        }
        let message = match finding.verdict {
            Verdict::SignedIn => return CheckOutcome::SignedIn(finding),
            Verdict::NotSignedIn => "The browser does not show that you are signed in.",
            Verdict::Inconclusive => "The browser did not answer the check.",
        };
        let verdict = finding.verdict;
        self.failed = Some(finding);
        CheckOutcome::NotShown(OutputMessage::Checked {
            verdict,
            message: message.to_owned(),
        })
    }

    /// The user is done although the browser does not show it.
    pub(super) async fn overrule(&mut self) -> Conclusion {
        match self.failed.take() {
            Some(finding) => overruled(finding),
            None => match self.checker.clone() {
                Some(checker) => overruled(checker.check().await),
                None => Conclusion::Unchecked,
            },
        }
    }

    /// Keeps what cannot be said while the viewer is away.
    pub(super) fn keep_undelivered(&mut self, message: OutputMessage) {
        self.undelivered = Some(message);
    }

    /// Gives what could not be said while the viewer was away.
    pub(super) fn take_undelivered(&mut self) -> Option<OutputMessage> {
        self.undelivered.take()
    }
}

/// A finding that the user has overruled, if it needed that.
pub(super) fn overruled(finding: Finding) -> Conclusion {
    match finding.verdict {
        Verdict::NotSignedIn => Conclusion::UserOverride(finding),
        Verdict::SignedIn | Verdict::Inconclusive => Conclusion::Checked(finding),
    }
}
