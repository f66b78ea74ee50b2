//! What the site's pages share: its configuration, and who is half or wholly signed in.

use std::{collections::HashMap, sync::Arc};

use axum::http::{HeaderMap, header};
use parking_lot::Mutex;

use super::{pages, submissions::SubmissionLog};

/// The cookie that makes a browser signed in.
pub const SESSION_COOKIE: &str = "demo_session";

/// Who may sign in.
#[derive(Clone, Debug)]
pub struct SiteConfig {
    /// The user's name.
    pub user: String,
    /// Its password.
    pub password: String,
    /// The one-time code, six digits.
    pub code: String,
    /// Whether the pages tell what to type.
    pub hints: bool,
}

impl Default for SiteConfig {
    fn default() -> Self {
        Self {
            user: "ada@example.com".to_owned(),
            password: "orchid-lamp-42".to_owned(),
            code: "271828".to_owned(),
            hints: true,
        }
    }
}

/// The state that every handler gets.
#[derive(Clone)]
pub(super) struct SharedState(pub(super) Arc<SiteState>);

pub(super) struct SiteState {
    pub(super) config: SiteConfig,
    pub(super) origin: String,
    pub(super) other_origin: String,
    pub(super) submissions: SubmissionLog,
    /// Sign-ins with a good password that owe their code.
    pub(super) attempts: Mutex<Vec<String>>,
    /// The user of each session cookie.
    pub(super) sessions: Mutex<HashMap<String, String>>,
}

impl SharedState {
    pub(super) fn new(config: SiteConfig, origin: String, other_origin: String) -> Self {
        Self(Arc::new(SiteState {
            config,
            origin,
            other_origin,
            submissions: SubmissionLog::default(),
            attempts: Mutex::default(),
            sessions: Mutex::default(),
        }))
    }

    /// The user whose session cookie a request carries.
    pub(super) fn signed_in(&self, headers: &HeaderMap) -> Option<String> {
        let token = cookie(headers, SESSION_COOKIE)?;
        self.0.sessions.lock().get(&token).cloned()
    }

    pub(super) fn password_hint(&self) -> String {
        let SiteConfig { user, password, .. } = &self.0.config;
        self.hint(&format!("Demo: sign in as {user} with {password}"))
    }

    pub(super) fn code_hint(&self) -> String {
        self.hint(&format!("Demo: the code is {}", self.0.config.code))
    }

    /// A hint's HTML, or nothing if the site gives no hints.
    fn hint(&self, text: &str) -> String {
        if self.0.config.hints {
            pages::hint(text)
        } else {
            String::new()
        }
    }
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get(header::COOKIE)?.to_str().ok()?;
    all.split("; ").find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name).then(|| value.to_owned())
    })
}
