//! What `check` and `verify` print: one line for each thing they looked at.

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether it is as it should be.
    pub status: FindingStatus,
    /// What was found, and the fix if one is needed.
    pub text: String,
}

/// Whether a thing is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingStatus {
    /// It is as it should be.
    Good,
    /// It works, but not for everyone.
    Doubtful,
    /// `serve` would fail, or no user could use it.
    Bad,
}

impl Finding {
    pub(crate) fn good(text: impl Into<String>) -> Self {
        Self::new(FindingStatus::Good, text)
    }

    pub(crate) fn doubtful(text: impl Into<String>) -> Self {
        Self::new(FindingStatus::Doubtful, text)
    }

    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self::new(FindingStatus::Bad, text)
    }

    fn new(status: FindingStatus, text: impl Into<String>) -> Self {
        Self {
            status,
            text: text.into(),
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let status = match self.status {
            FindingStatus::Good => "ok  ",
            FindingStatus::Doubtful => "warn",
            FindingStatus::Bad => "FAIL",
        };
        write!(f, "{status}  {}", self.text)
    }
}
