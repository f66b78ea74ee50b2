//! What the site was sent.

use std::collections::BTreeMap;

use serde::Serialize;
use tokio::sync::watch;

/// One form or event that reached the site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Submission {
    /// Which form or event.
    pub step: String,
    /// Whether the site was satisfied.
    pub ok: bool,
    /// Its fields, exactly as they came.
    pub fields: BTreeMap<String, String>,
}

/// Every [`Submission`], oldest first.
#[derive(Debug, Default)]
pub struct SubmissionLog(watch::Sender<Vec<Submission>>);

impl SubmissionLog {
    /// A copy of them.
    #[must_use]
    pub fn all(&self) -> Vec<Submission> {
        self.0.borrow().clone()
    }

    /// Waits until there are `count`.
    pub async fn reach(&self, count: usize) -> Vec<Submission> {
        let mut seen = self.0.subscribe();
        match seen
            .wait_for(|submissions| submissions.len() >= count)
            .await
        {
            Ok(submissions) => submissions.clone(),
            // The sender is `self`, which outlives this call.
            Err(_) => self.all(),
        }
    }

    pub(super) fn push(&self, step: &str, ok: bool, fields: &[(&str, &str)]) {
        let fields = fields
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()));
        let submission = Submission {
            step: step.to_owned(),
            ok,
            fields: fields.collect(),
        };
        self.0
            .send_modify(|submissions| submissions.push(submission));
    }
}
