//! The pages' HTML: plain, no script, readable on a phone.

use axum::{
    http::header,
    response::{Html, IntoResponse},
};

const STYLE_SHEET: &str = include_str!("style.css");

/// The style sheet that every page shares.
pub(super) async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css")], STYLE_SHEET)
}

/// One page around its body, which must be escaped already.
pub(super) fn frame(title: &str, body: &str) -> Html<String> {
    Html(format!(
        r##"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Northwind Bank</title>
<link rel="stylesheet" href="/style.css">
<link rel="icon" href="data:,">
</head>
<body>
<header><svg viewBox="0 0 32 32" aria-hidden="true"><path d="M16 2 4 9v3h24V9zM7 14v10H5v3h22v-3h-2V14h-3v10h-4V14h-4v10h-4V14z"/></svg> Northwind Bank</header>
<main>
{body}
</main>
<footer>A demonstration site of authloop's. It is no bank and keeps nothing.</footer>
</body>
</html>
"##
    ))
}

/// What to type, for a demo.
pub(super) fn hint(text: &str) -> String {
    format!(r#"<p class="hint">{}</p>"#, escape(text))
}

fn problem(text: Option<&str>) -> String {
    text.map_or_else(String::new, |text| {
        format!(
            r#"<p class="problem" role="alert" id="problem">{}</p>"#,
            escape(text)
        )
    })
}

/// The first step.
pub(super) fn password(hint: &str, user: &str, error: Option<&str>) -> Html<String> {
    let (user, error) = (escape(user), problem(error));
    frame(
        "Sign in",
        &format!(
            r#"<h1>Sign in</h1>
{hint}{error}
<form method="post" action="/signin">
<label for="user">E-mail</label>
<input id="user" name="user" type="email" autocomplete="username" value="{user}" required autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button id="next">Continue</button>
</form>"#
        ),
    )
}

/// The second step.
pub(super) fn code(hint: &str, attempt: &str, error: Option<&str>) -> Html<String> {
    let (attempt, error) = (escape(attempt), problem(error));
    frame(
        "Check it is you",
        &format!(
            r#"<h1>Check it is you</h1>
<p>Enter the six digits that we sent to your phone.</p>
{hint}{error}
<form method="post" action="/code">
<input type="hidden" name="attempt" value="{attempt}">
<label for="code">One-time code</label>
<input id="code" name="code" class="code" inputmode="numeric" autocomplete="one-time-code" pattern="[0-9]*" maxlength="6" required autofocus>
<button id="verify">Verify</button>
</form>"#
        ),
    )
}

/// Behind the wall.
pub(super) fn account(user: &str) -> Html<String> {
    frame(
        "Signed in",
        &format!(
            r#"<h1 id="signed-in">Signed in</h1>
<p>Welcome back, <strong>{}</strong>. You may press Done.</p>
<dl><dt>Current account</dt><dd>€ 2,718.28</dd><dt>Savings</dt><dd>€ 31,415.92</dd></dl>
<p><a href="/signout">Sign out</a></p>"#,
            escape(user)
        ),
    )
}

/// Text made safe for HTML content and double-quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_typed_cannot_become_markup() {
        let Html(page) = password("", r#""><script>alert(1)</script>"#, None);

        assert!(!page.contains("<script>"));
        assert!(page.contains("&quot;&gt;&lt;script&gt;"));
    }
}
