//! A sign-in site to be handed off: a password page, a one-time code, a session cookie.
//!
//! It remembers every form it was sent, so that a test can say exactly what reached it. A second
//! listener stands for another origin: the identity provider of the pop-up, and where the page
//! moves to under the user's hands.

mod extras;
mod hands;
mod native;
mod pages;
mod record;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Form, Json, Router};
use serde::Deserialize;
use tokio::net::TcpListener;

pub use record::{Record, Records};

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

/// A running site; it ends with the process.
pub struct Site {
    origin: String,
    other_origin: String,
    shared: Shared,
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
        let shared = Shared(Arc::new(Inner {
            config,
            origin: origin.clone(),
            other_origin: other_origin.clone(),
            records: Records::default(),
            attempts: Mutex::default(),
            sessions: Mutex::default(),
        }));
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
    pub fn records(&self) -> &Records {
        &self.shared.0.records
    }
}

async fn serve(listener: TcpListener, router: Router) {
    // axum retries what fails to accept, so this ends with the runtime.
    let _endless = axum::serve(listener, router).await;
}

#[derive(Clone)]
struct Shared(Arc<Inner>);

struct Inner {
    config: SiteConfig,
    origin: String,
    other_origin: String,
    records: Records,
    /// Sign-ins with a good password that owe their code.
    attempts: Mutex<Vec<String>>,
    sessions: Mutex<HashMap<String, String>>,
}

impl Shared {
    fn hints(&self, text: &str) -> String {
        if self.0.config.hints {
            pages::hint(text)
        } else {
            String::new()
        }
    }

    fn signed_in(&self, headers: &HeaderMap) -> Option<String> {
        let token = cookie(headers, SESSION_COOKIE)?;
        lock(&self.0.sessions).get(&token).cloned()
    }
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/signin", get(password_page).post(password))
        .route("/code", get(code_page).post(code))
        .route("/account", get(account))
        .route("/signout", get(sign_out))
        .route("/style.css", get(pages::style))
        .route("/records", get(records))
        .merge(extras::router())
        .merge(hands::router())
        .with_state(shared)
}

/// How long a client may wait for more records, below the usual time-out of HTTP clients.
const RECORDS_WAIT: Duration = Duration::from_secs(20);

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    count: usize,
}

/// Answers once there are `count` records, or what there is after a while.
async fn records(State(shared): State<Shared>, Query(wanted): Query<Wanted>) -> Json<Vec<Record>> {
    let records = &shared.0.records;
    let reached = tokio::time::timeout(RECORDS_WAIT, records.reach(wanted.count)).await;
    Json(reached.unwrap_or_else(|_| records.all()))
}

async fn home(State(shared): State<Shared>, headers: HeaderMap) -> Redirect {
    Redirect::to(match shared.signed_in(&headers) {
        Some(_) => "/account",
        None => "/signin",
    })
}

async fn password_page(State(shared): State<Shared>) -> Html<String> {
    pages::password(&shared.password_hint(), "", None)
}

impl Shared {
    fn password_hint(&self) -> String {
        let SiteConfig { user, password, .. } = &self.0.config;
        self.hints(&format!("Demo: sign in as {user} with {password}"))
    }

    fn code_hint(&self) -> String {
        self.hints(&format!("Demo: the code is {}", self.0.config.code))
    }
}

#[derive(Deserialize)]
struct PasswordForm {
    user: String,
    password: String,
}

async fn password(State(shared): State<Shared>, Form(form): Form<PasswordForm>) -> Response {
    let config = &shared.0.config;
    let ok = form.user == config.user && form.password == config.password;
    shared.0.records.push(
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
    lock(&shared.0.attempts).push(attempt.clone());
    Redirect::to(&format!("/code?attempt={attempt}")).into_response()
}

#[derive(Deserialize)]
struct Attempt {
    #[serde(default)]
    attempt: String,
}

async fn code_page(State(shared): State<Shared>, Query(query): Query<Attempt>) -> Html<String> {
    pages::code(&shared.code_hint(), &query.attempt, None)
}

#[derive(Deserialize)]
struct CodeForm {
    attempt: String,
    code: String,
}

async fn code(State(shared): State<Shared>, Form(form): Form<CodeForm>) -> Response {
    let known = lock(&shared.0.attempts).contains(&form.attempt);
    let ok = known && form.code == shared.0.config.code;
    shared.0.records.push("code", ok, &[("code", &form.code)]);
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
    lock(&shared.0.attempts).retain(|attempt| *attempt != form.attempt);
    lock(&shared.0.sessions).insert(session, shared.0.config.user.clone());
    ([(header::SET_COOKIE, cookie)], Redirect::to("/account")).into_response()
}

async fn account(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    match shared.signed_in(&headers) {
        Some(user) => pages::account(&user).into_response(),
        None => Redirect::to("/signin").into_response(),
    }
}

async fn sign_out() -> Response {
    let gone = format!("{SESSION_COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    ([(header::SET_COOKIE, gone)], Redirect::to("/signin")).into_response()
}

/// A panic elsewhere leaves the data whole: every change is one call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get(header::COOKIE)?.to_str().ok()?;
    all.split("; ").find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name).then(|| value.to_owned())
    })
}

fn random_token() -> Option<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(hex::encode(bytes))
}
