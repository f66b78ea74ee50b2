//! A sign-in site to be handed off: a password page, a one-time code, a session cookie.
//!
//! It remembers every form it was sent, so that a test can say exactly what reached it. A second
//! listener stands for another origin: the identity provider of the pop-up, and where the page
//! moves to under the user's hands.

mod extras;
mod interaction;
mod native;
mod pages;
mod report;
mod state;
mod submissions;

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use axum::{
    Form, Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
    routing::get,
};
use serde::Deserialize;
use tokio::net::TcpListener;

use state::SharedState;

pub use state::{SESSION_COOKIE, SiteConfig};
pub use submissions::{Submission, SubmissionLog};

/// A running site; it ends with the process.
pub struct Site {
    origin: String,
    other_origin: String,
    shared: SharedState,
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site").finish_non_exhaustive()
    }
}

impl Site {
    /// Starts both listeners at `ip`, on ports the system chooses.
    ///
    /// # Errors
    /// When a port cannot be opened.
    pub async fn start(config: SiteConfig, ip: IpAddr) -> std::io::Result<Self> {
        let main = TcpListener::bind(SocketAddr::new(ip, 0)).await?;
        let other = TcpListener::bind(SocketAddr::new(ip, 0)).await?;
        let origin = format!("http://{}", main.local_addr()?);
        // Another host name, not another port alone: cookies do not tell ports apart.
        let other_origin = format!("http://localhost:{}", other.local_addr()?.port());
        let shared = SharedState::new(config, origin.clone(), other_origin.clone());
        tokio::spawn(serve(main, router(shared.clone())));
        tokio::spawn(serve(other, extras::other_router(shared.clone())));
        Ok(Self {
            origin,
            other_origin,
            shared,
        })
    }

    /// Where people sign in, `http://ip:port`.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The other origin.
    #[must_use]
    pub fn other_origin(&self) -> &str {
        &self.other_origin
    }

    /// What the site was sent so far.
    #[must_use]
    pub fn submissions(&self) -> &SubmissionLog {
        &self.shared.0.submissions
    }
}

async fn serve(listener: TcpListener, router: Router) {
    // axum retries what fails to accept, so this ends with the runtime.
    let _endless = axum::serve(listener, router).await;
}

fn router(shared: SharedState) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/signin", get(password_page).post(password))
        .route("/code", get(code_page).post(code))
        .route("/account", get(account))
        .route("/signout", get(sign_out))
        .route("/style.css", get(pages::style))
        .route("/records", get(records))
        .merge(extras::router())
        .merge(interaction::router())
        .with_state(shared)
}

/// How long a client may wait for more records, below the usual time-out of HTTP clients.
const RECORDS_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Deserialize)]
struct RecordsQuery {
    #[serde(default)]
    count: usize,
}

/// Answers as soon as there are `count` records, or with those there are after [`RECORDS_TIMEOUT`].
async fn records(
    State(shared): State<SharedState>,
    Query(query): Query<RecordsQuery>,
) -> Json<Vec<Submission>> {
    let submissions = &shared.0.submissions;
    let reached = tokio::time::timeout(RECORDS_TIMEOUT, submissions.reach(query.count)).await;
    Json(reached.unwrap_or_else(|_| submissions.all()))
}

async fn home(State(shared): State<SharedState>, headers: HeaderMap) -> Redirect {
    Redirect::to(match shared.signed_in(&headers) {
        Some(_) => "/account",
        None => "/signin",
    })
}

async fn password_page(State(shared): State<SharedState>) -> Html<String> {
    pages::password(&shared.password_hint(), "", None)
}

#[derive(Deserialize)]
struct PasswordForm {
    user: String,
    password: String,
}

async fn password(State(shared): State<SharedState>, Form(form): Form<PasswordForm>) -> Response {
    let config = &shared.0.config;
    let ok = form.user == config.user && form.password == config.password;
    shared.0.submissions.push(
        "password",
        ok,
        &[("user", &form.user), ("password", &form.password)],
    );
    if !ok {
        let page = pages::password(
            &shared.password_hint(),
            &form.user,
            Some("That e-mail address and password do not match."),
        );
        return (StatusCode::UNAUTHORIZED, page).into_response();
    }
    let Some(attempt) = random_token() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    shared.0.attempts.lock().push(attempt.clone());
    Redirect::to(&format!("/code?attempt={attempt}")).into_response()
}

#[derive(Deserialize)]
struct AttemptQuery {
    #[serde(default)]
    attempt: String,
}

async fn code_page(
    State(shared): State<SharedState>,
    Query(query): Query<AttemptQuery>,
) -> Html<String> {
    pages::code(&shared.code_hint(), &query.attempt, None)
}

#[derive(Deserialize)]
struct CodeForm {
    attempt: String,
    code: String,
}

async fn code(State(shared): State<SharedState>, Form(form): Form<CodeForm>) -> Response {
    let known = shared.0.attempts.lock().contains(&form.attempt);
    let ok = known && form.code == shared.0.config.code;
    shared
        .0
        .submissions
        .push("code", ok, &[("code", &form.code)]);
    if !ok {
        let page = pages::code(
            &shared.code_hint(),
            &form.attempt,
            Some("That code is not right. Try again."),
        );
        return (StatusCode::UNAUTHORIZED, page).into_response();
    }
    let Some(session) = random_token() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let cookie = format!("{SESSION_COOKIE}={session}; Path=/; HttpOnly; SameSite=Lax");
    shared
        .0
        .attempts
        .lock()
        .retain(|attempt| *attempt != form.attempt);
    shared
        .0
        .sessions
        .lock()
        .insert(session, shared.0.config.user.clone());
    ([(header::SET_COOKIE, cookie)], Redirect::to("/account")).into_response()
}

async fn account(State(shared): State<SharedState>, headers: HeaderMap) -> Response {
    match shared.signed_in(&headers) {
        Some(user) => pages::account(&user).into_response(),
        None => Redirect::to("/signin").into_response(),
    }
}

async fn sign_out() -> Response {
    let gone = format!("{SESSION_COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    ([(header::SET_COOKIE, gone)], Redirect::to("/signin")).into_response()
}

fn random_token() -> Option<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(hex::encode(bytes))
}
