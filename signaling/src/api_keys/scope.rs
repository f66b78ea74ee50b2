//! What API keys may do.

use std::str::FromStr;

/// One thing that an API key may do (`scope` in RFC 6749 section 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// `sessions:create`: `POST /v1/sessions`.
    CreateSessions,
    /// `sessions:end`: `DELETE /v1/sessions/{id}` of any session, without its host token.
    EndSessions,
    /// `metrics:read`: `GET /metrics`, which asks for a key as soon as one has this scope.
    ReadMetrics,
    /// `audit:read`: `GET /audit/head`.
    ReadAudit,
}

impl Scope {
    /// Every scope there is.
    pub const ALL: [Self; 4] = [
        Self::CreateSessions,
        Self::EndSessions,
        Self::ReadMetrics,
        Self::ReadAudit,
    ];

    /// The scope's name in a keys file and in challenges.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CreateSessions => "sessions:create",
            Self::EndSessions => "sessions:end",
            Self::ReadMetrics => "metrics:read",
            Self::ReadAudit => "audit:read",
        }
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == name)
            .ok_or(
                "scopes are sessions:create, sessions:end, metrics:read and audit:read, joined by `+`",
            )
    }
}
