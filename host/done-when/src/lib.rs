//! Whether the browser shows that its user is signed in: what an agent may ask to be checked, and
//! what the check may find. Pure: the handoff asks the browser.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![forbid(unsafe_code)]

mod glob;

use authloop_protocol::output::Verdict;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use glob::{Glob, GlobError};

/// The most conditions that one handoff may have.
pub const MAX_CONDITIONS: usize = 16;
/// The longest cookie name, domain or selector, in bytes.
const MAX_TEXT_BYTES: usize = 1024;

/// What must hold for the user to be signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DoneWhen {
    /// One of these.
    Any(Vec<Condition>),
    /// All of these.
    All(Vec<Condition>),
}

/// One thing that the browser may show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// The top page's address, from the browser process.
    Url(Glob),
    /// A cookie of the page's browser context.
    Cookie(CookieCondition),
    /// A CSS selector that matches in the top page's document.
    Selector(String),
    /// An answer that the shown page's network has seen since the handoff began.
    Network(NetworkCondition),
}

/// Which cookie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CookieCondition {
    /// Its name.
    #[schema(min_length = 1, max_length = 1024)]
    pub name: String,
    /// A host that the cookie would be sent to; any if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub domain: Option<String>,
}

/// Which answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkCondition {
    /// What was asked for.
    pub url: Glob,
    /// The HTTP status.
    #[schema(minimum = 100, maximum = 599)]
    pub status: u16,
}

/// Why conditions cannot be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// None at all, or too many.
    #[error("must hold from 1 to {MAX_CONDITIONS} conditions")]
    Count,
    /// A text is empty or too long.
    #[error("{0} must have from 1 to {MAX_TEXT_BYTES} bytes")]
    Text(&'static str),
    /// The status is none of HTTP's.
    #[error("the status must be from 100 to 599")]
    Status,
}

impl DoneWhen {
    /// The conditions in the order in which they were given.
    #[must_use]
    pub fn conditions(&self) -> &[Condition] {
        match self {
            Self::Any(conditions) | Self::All(conditions) => conditions,
        }
    }

    /// Checks the bounds that the type alone does not hold.
    ///
    /// # Errors
    /// [`ConditionError`].
    pub fn check(&self) -> Result<(), ConditionError> {
        if !(1..=MAX_CONDITIONS).contains(&self.conditions().len()) {
            return Err(ConditionError::Count);
        }
        self.conditions().iter().try_for_each(Condition::check)
    }

    /// Puts together what was found of each condition; `answers` in the conditions' order.
    #[must_use]
    pub fn conclude(&self, answers: Vec<(ConditionState, String)>) -> Finding {
        let wanted = match self {
            Self::Any(_) => ConditionState::Met,
            Self::All(_) => ConditionState::Unmet,
        };
        let all = || answers.iter().map(|(answer, _)| *answer);
        // One is enough to decide; without it, one that is unknown leaves all open.
        let answer = if all().any(|answer| answer == wanted) {
            wanted
        } else if all().any(|answer| answer == ConditionState::Unknown) {
            ConditionState::Unknown
        } else {
            wanted.opposite()
        };
        let evidence = self.conditions().iter().cloned().zip(answers);
        Finding {
            verdict: match answer {
                ConditionState::Met => Verdict::SignedIn,
                ConditionState::Unmet => Verdict::NotSignedIn,
                ConditionState::Unknown => Verdict::Inconclusive,
            },
            evidence: evidence
                .map(|(condition, (answer, detail))| Evidence {
                    condition,
                    met: answer.into(),
                    detail,
                })
                .collect(),
        }
    }
}

impl Condition {
    fn check(&self) -> Result<(), ConditionError> {
        let text = |what, text: &str| match text.len() {
            1..=MAX_TEXT_BYTES => Ok(()),
            _ => Err(ConditionError::Text(what)),
        };
        match self {
            Self::Url(_) => Ok(()),
            Self::Cookie(cookie) => {
                text("the cookie's name", &cookie.name)?;
                let domain = cookie.domain.as_deref();
                domain.map_or(Ok(()), |domain| text("the cookie's domain", domain))
            }
            Self::Selector(selector) => text("the selector", selector),
            Self::Network(answer) => match answer.status {
                100..=599 => Ok(()),
                _ => Err(ConditionError::Status),
            },
        }
    }
}

impl CookieCondition {
    /// Whether a cookie of this name and CDP domain is the one.
    #[must_use]
    pub fn matches(&self, name: &str, domain: &str) -> bool {
        let sent_to = |host: &str| match domain.strip_prefix('.') {
            Some(parent) => {
                host == parent
                    || host
                        .strip_suffix(parent)
                        .is_some_and(|rest| rest.ends_with('.'))
            }
            None => host == domain,
        };
        let wanted = self.domain.as_deref();
        self.name == name
            && wanted.is_none_or(|host| sent_to(&host.trim_start_matches('.').to_ascii_lowercase()))
    }
}

/// What was found of one condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionState {
    /// It holds.
    Met,
    /// It does not.
    Unmet,
    /// The browser did not say.
    Unknown,
}

impl ConditionState {
    fn opposite(self) -> Self {
        match self {
            Self::Met => Self::Unmet,
            Self::Unmet => Self::Met,
            Self::Unknown => Self::Unknown,
        }
    }
}

impl From<bool> for ConditionState {
    fn from(met: bool) -> Self {
        if met { Self::Met } else { Self::Unmet }
    }
}

impl From<ConditionState> for Option<bool> {
    fn from(answer: ConditionState) -> Self {
        match answer {
            ConditionState::Met => Some(true),
            ConditionState::Unmet => Some(false),
            ConditionState::Unknown => None,
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// All in all.
    pub verdict: Verdict,
    /// Condition by condition.
    pub evidence: Vec<Evidence>,
}

/// What was found of one condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Evidence {
    /// The condition as given.
    pub condition: Condition,
    /// Whether it holds; `null` if the browser did not say.
    pub met: Option<bool>,
    /// One sentence on what was seen. Never a query, a cookie's value or the page's text.
    pub detail: String,
}

/// How a finished handoff is known to be so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// By the check, whose verdict is not [`Verdict::NotSignedIn`].
    Checked(Finding),
    /// The user finished although the check did not hold.
    UserOverride(Finding),
    /// By the user's word: there was nothing to check.
    Unchecked,
    /// By the agent's word.
    Agent,
}

impl Conclusion {
    /// What the browser showed, and what of it there is to tell.
    #[must_use]
    pub fn verdict(&self) -> (Verdict, &[Evidence]) {
        match self {
            Self::Checked(finding) => (finding.verdict, &finding.evidence),
            Self::UserOverride(finding) => (Verdict::NotSignedIn, &finding.evidence),
            Self::Unchecked | Self::Agent => (Verdict::Inconclusive, &[]),
        }
    }
}

#[cfg(test)]
mod tests;
