//! Connecting, following, origins, focus, dialogs, crashes.

use authloop_browser::{DialogKind, Health, SecurityState};
use authloop_browser_testkit::{STEP_TIMEOUT, TestBrowser, TestSite, eval, within};
use authloop_cdp::{Browser, BrowserError, Launch};
use serde_json::json;
use tokio::net::TcpListener;

#[tokio::test]
async fn wrong_addresses_get_clear_errors() {
    let site = TestSite::serve([("/", "hello")]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);

    let error = Browser::connect("not an address").await.unwrap_err();
    assert!(matches!(error, BrowserError::BadUrl(_)), "{error}");
    let error = Browser::connect("ftp://127.0.0.1/").await.unwrap_err();
    assert!(matches!(error, BrowserError::BadUrl(_)), "{error}");
    for scheme in ["http", "ws"] {
        let error = Browser::connect(&format!("{scheme}://{closed}"))
            .await
            .unwrap_err();
        assert!(matches!(error, BrowserError::Unreachable { .. }), "{error}");
    }
    let error = Browser::connect(&site.url("/")).await.unwrap_err();
    assert!(matches!(error, BrowserError::NotABrowser { .. }), "{error}");
    let socket = site.url("/devtools/page/x").replace("http:", "ws:");
    let error = Browser::connect(&socket).await.unwrap_err();
    assert!(matches!(error, BrowserError::NotABrowser { .. }), "{error}");
}

#[tokio::test]
async fn every_form_of_address_reaches_the_same_page() {
    let site = TestSite::serve([("/", "<title>one</title>")]).await;
    let stage = TestBrowser::open(&site.url("/")).await;
    let page = stage.page().target().clone();
    let port = stage.launched.http_url();
    let socket = format!("{}/devtools/page/{page}", port.replace("http:", "ws:"));

    for address in [port.as_str(), stage.launched.cdp_url(), &socket] {
        let browser = Browser::connect(address).await.unwrap();
        assert_eq!(browser.default_page().await.unwrap().id, page);
    }
    let missing = format!("{}/devtools/page/NONE", port.replace("http:", "ws:"));
    let browser = Browser::connect(&missing).await.unwrap();
    let error = browser.default_page().await.unwrap_err();
    assert!(matches!(error, BrowserError::NoSuchPage(_)), "{error}");
    let error = stage.browser.attach(&"NONE".into()).await.unwrap_err();
    assert!(matches!(error, BrowserError::NoSuchPage(_)), "{error}");
    let error = stage.page().call("No.such", json!({})).await.unwrap_err();
    assert!(error.to_string().contains("No.such"), "{error}");
}

#[tokio::test]
async fn a_dying_browser_is_an_error_at_once() {
    let mut stage = TestBrowser::open("about:blank").await;
    let page = stage.page();
    let forever = json!({ "expression": "new Promise(() => {})", "awaitPromise": true });
    let waiting = tokio::spawn(async move { page.call("Runtime.evaluate", forever).await });

    stage.launched.kill().await;

    let error = within("the error", waiting).await.unwrap().unwrap_err();
    assert!(error.is_fatal(), "{error}");
    stage
        .until(
            "the end",
            |v| matches!(&v.health, Health::Gone(e) if e.is_fatal()),
        )
        .await;
    let error = stage
        .page()
        .call("Page.enable", json!({}))
        .await
        .unwrap_err();
    assert!(error.is_fatal(), "{error}");
}

#[tokio::test]
async fn a_browser_that_cannot_start_says_why() {
    let error = Launch::builder()
        .binary("/bin/false")
        .start()
        .await
        .unwrap_err();
    assert!(matches!(error, BrowserError::Launch(_)), "{error}");
    let error = Launch::builder()
        .binary("/nonexistent")
        .start()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("/nonexistent"), "{error}");
}

#[tokio::test]
async fn the_epoch_follows_the_true_origin() {
    let site = TestSite::serve([("/", "<title>A</title>"), ("/next", "<title>B</title>")]).await;
    let mut stage = TestBrowser::open(&site.url("/")).await;
    let first = stage.view.borrow().origin.clone();
    assert_eq!(first.origin, site.origin());

    stage
        .eval(&format!("location.href = '{}'; 0", site.url("/next")))
        .await;
    let same = stage
        .until("the next page", |v| v.origin.title == "B")
        .await
        .origin;
    assert_eq!(same.epoch, first.epoch);

    let elsewhere = site.url_at("localhost", "/");
    stage
        .eval(&format!("location.href = '{elsewhere}'; 0"))
        .await;
    let other = stage
        .until("the other origin", |v| {
            v.origin.origin.contains("localhost")
        })
        .await;
    assert_eq!(other.origin.epoch, first.epoch + 1);
    stage
        .until("its security", |v| {
            v.origin.security != SecurityState::Unknown
        })
        .await;

    // A blank popup is nobody's, and coming back is another change.
    let opener = stage.page();
    stage
        .eval("window.popup = window.open('about:blank'); 0")
        .await;
    let popup = stage
        .until("the popup", |v| {
            v.page != opener && v.origin.origin == "null"
        })
        .await;
    assert!(popup.origin.epoch > other.origin.epoch);
    eval(&opener, "window.popup.close()").await;
    let back = stage.until("the opener", |v| {
        v.page == opener && v.origin.origin.contains("localhost")
    });
    assert!(back.await.origin.epoch > popup.origin.epoch);
}

#[tokio::test]
async fn pages_of_others_are_never_followed_nor_touched() {
    let site = TestSite::serve([("/", "mine"), ("/theirs", "theirs")]).await;
    let mut stage = TestBrowser::open(&site.url("/")).await;
    let mine = stage.page();

    let params = json!({ "url": site.url("/theirs") });
    let other = stage
        .browser
        .call("Target.createTarget", params)
        .await
        .unwrap();
    // A popup opened afterwards is seen after the other page was: the order is the browser's.
    stage.eval("window.open('about:blank'); 0").await;
    let view = stage.until("the popup", |v| v.page != mine).await;

    assert_ne!(
        view.page.target().as_str(),
        other["targetId"].as_str().unwrap()
    );
    let targets = stage
        .browser
        .call("Target.getTargets", json!({}))
        .await
        .unwrap();
    let theirs = targets["targetInfos"].as_array().unwrap().iter();
    let theirs = theirs
        .clone()
        .find(|t| t["targetId"] == other["targetId"])
        .unwrap();
    assert_eq!(theirs["attached"], false);
}

#[tokio::test]
async fn a_noopener_tab_is_followed_too() {
    let html = "<a id=link href=/next target=_blank rel=noopener>go</a>";
    let site = TestSite::serve([("/", html), ("/next", "<title>next</title>")]).await;
    let mut stage = TestBrowser::open(&site.url("/")).await;
    let opener = stage.page();

    stage.eval("link.click()").await;

    stage
        .until("the tab", |v| v.page != opener && v.origin.title == "next")
        .await;
}

#[tokio::test]
async fn the_focused_field_is_described_but_not_its_value() {
    let html = "<!doctype html><body style='margin:0'>\
        <input id=user type=email autocomplete=username inputmode=email enterkeyhint=next \
          style='position:absolute;left:100px;top:50px;width:200px;height:30px;\
          box-sizing:border-box' value=abc>\
        <input id=pass type=password><input id=otp autocomplete='one-time-code'>\
        <textarea id=area></textarea><button id=button>x</button><div id=host></div>\
        <script>host.attachShadow({mode:'open'}).innerHTML='<input type=tel>'</script>";
    let site = TestSite::serve([("/", html)]).await;
    let mut stage = TestBrowser::open(&site.url("/")).await;
    let size = stage.eval("[innerWidth, innerHeight]").await;

    stage.eval("user.focus()").await;
    let view = stage.until("the field", |v| v.focus.is_some()).await;
    let user = view.focus.unwrap();
    assert_eq!(
        (user.kind.as_str(), user.inputmode.as_str()),
        ("email", "email")
    );
    assert_eq!(
        (user.autocomplete.as_str(), user.enterkeyhint.as_str()),
        ("username", "next")
    );
    assert_eq!(
        (user.length, user.is_secret, user.multiline),
        (3, false, false)
    );
    let (width, height) = (size[0].as_f64().unwrap(), size[1].as_f64().unwrap());
    assert!((f64::from(user.rect.x) * width - 100.0).abs() < 0.5);
    assert!((f64::from(user.rect.y) * height - 50.0).abs() < 0.5);
    assert!((f64::from(user.rect.width) * width - 200.0).abs() < 0.5);

    stage.eval("pass.focus()").await;
    let pass = stage
        .until("the password", |v| is_kind(v, "password"))
        .await
        .focus
        .unwrap();
    assert!(pass.is_secret && pass.id != user.id);
    stage.eval("pass.type = 'text'").await;
    stage
        .until("the shown password", |v| is_kind(v, "text"))
        .await;
    stage.eval("otp.focus()").await;
    stage
        .until("the code", |v| {
            v.focus
                .as_ref()
                .is_some_and(|f| f.autocomplete == "one-time-code" && f.is_secret)
        })
        .await;
    stage.eval("area.focus()").await;
    stage
        .until("the area", |v| {
            v.focus.as_ref().is_some_and(|f| f.multiline)
        })
        .await;
    stage.eval("host.shadowRoot.firstChild.focus()").await;
    stage.until("the shadow field", |v| is_kind(v, "tel")).await;
    stage.eval("button.focus()").await;
    stage.until("no field", |v| v.focus.is_none()).await;
    assert_eq!(stage.eval("typeof authloopFocus").await, "undefined");
}

fn is_kind(view: &authloop_browser::View, kind: &str) -> bool {
    view.focus.as_ref().is_some_and(|field| field.kind == kind)
}

#[tokio::test]
async fn fields_in_frames_are_placed_in_the_page() {
    let field = "<!doctype html><body style='margin:0'><input id=field type=password \
        style='position:absolute;left:10px;top:20px;width:50px;height:20px'>";
    let nested = "<!doctype html><body style='margin:0'><iframe src=/field \
        style='position:absolute;left:30px;top:40px;border:5px solid;width:200px;height:100px'>\
        </iframe>";
    let site = TestSite::serve([("/field", field), ("/nested", nested)]).await;
    // Three levels: the page, a frame of another site (another process), a frame inside it.
    let other = site.url_at("localhost", "/nested");
    let page = format!(
        "<!doctype html><body style='margin:0'><iframe src='{other}' \
         style='position:absolute;left:100px;top:200px;border:0;width:400px;height:300px'></iframe>"
    );
    let outer = TestSite::serve([("/", &page)]).await;
    let args = ["--site-per-process"];
    let mut stage = TestBrowser::open_with(&outer.url("/"), &args).await;
    let size = stage.eval("[innerWidth, innerHeight]").await;

    let click = |kind: &str| {
        json!({ "type": kind, "x": 100 + 30 + 5 + 10 + 5, "y": 200 + 40 + 5 + 20 + 5,
                "button": "left", "clickCount": 1 })
    };
    let view = {
        let page = stage.page();
        let clicking = async {
            // The innermost frame may not be there yet: click until the field has the focus.
            loop {
                page.call("Input.dispatchMouseEvent", click("mousePressed"))
                    .await
                    .unwrap();
                page.call("Input.dispatchMouseEvent", click("mouseReleased"))
                    .await
                    .unwrap();
            }
        };
        tokio::select! {
            view = stage.until("the field", |v| v.focus.is_some()) => view,
            () = clicking => unreachable!(),
        }
    };

    let field = view.focus.unwrap();
    assert!(field.is_secret);
    assert!(field.frame_origin.contains("localhost"));
    let (width, height) = (size[0].as_f64().unwrap(), size[1].as_f64().unwrap());
    let left = f64::from(field.rect.x) * width;
    let top = f64::from(field.rect.y) * height;
    assert!(
        (left - 145.0).abs() < 1.0 && (top - 265.0).abs() < 1.0,
        "{left} {top}"
    );
}

#[tokio::test]
async fn a_dialog_is_shown_and_answered() {
    let site = TestSite::serve([("/", "dialogs")]).await;
    let mut stage = TestBrowser::open(&site.url("/")).await;
    let page = stage.page();
    let asking = tokio::spawn(async move { eval(&page, "prompt('who?', 'me')").await });

    let dialog = stage
        .until("the dialog", |v| v.dialog.is_some())
        .await
        .dialog
        .unwrap();
    assert_eq!(dialog.kind, DialogKind::Prompt);
    assert_eq!(
        (dialog.message.as_str(), dialog.default_text.as_str()),
        ("who?", "me")
    );
    dialog.page.handle_dialog(true, Some("you")).await.unwrap();

    assert_eq!(within("the answer", asking).await.unwrap(), "you");
    stage.until("no dialog", |v| v.dialog.is_none()).await;
    let error = stage.page().handle_dialog(true, None).await.unwrap_err();
    assert!(matches!(error, BrowserError::Cdp { .. }), "{error}");
}

#[tokio::test]
async fn a_crashed_page_is_reported_and_comes_back() {
    let site = TestSite::serve([("/", "<title>alive</title>")]).await;
    let mut stage = TestBrowser::open(&site.url("/")).await;
    let page = stage.page();

    page.notify("Page.navigate", json!({ "url": "chrome://crash" }))
        .unwrap();
    stage
        .until("the crash", |v| v.health == Health::Crashed)
        .await;
    page.notify("Page.navigate", json!({ "url": site.url("/") }))
        .unwrap();

    stage
        .until("the page", |v| {
            v.health == Health::Alive && v.origin.title == "alive"
        })
        .await;
}

#[tokio::test]
async fn a_killed_browser_leaves_no_profile() {
    let launched = Launch::builder().start().await.unwrap();
    let profile = launched.profile().unwrap().to_owned();
    assert!(profile.exists());

    tokio::task::spawn_blocking(move || drop(launched))
        .await
        .unwrap();

    assert!(!profile.exists());
    assert!(STEP_TIMEOUT.as_secs() > 0);
}
