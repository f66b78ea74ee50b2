//! HTTP authentication: who may have the user asked for a password.

use authloop_browser::PromptAnswer;
use authloop_browser_testkit::{TestBrowser, TestSite, within};
use serde_json::json;

#[tokio::test]
async fn only_the_shown_pages_own_document_asks_for_a_password() {
    let site = TestSite::serve([("/", "<iframe id=frame></iframe>")]).await;
    let mut stage = TestBrowser::open(&site.url("/")).await;
    stage.follower.begin_user_control().await;

    let page = stage.page();
    let locked = json!({ "url": site.url("/locked") });
    let navigating = async {
        // Until the browser is the user's, nobody is asked, and the navigation ends at once.
        loop {
            page.call("Page.navigate", locked.clone()).await.unwrap();
        }
    };
    let asked = tokio::select! {
        view = stage.until("the challenge", |v| v.challenge.is_some()) => view.challenge.unwrap(),
        () = navigating => unreachable!(),
    };
    assert_eq!(
        (asked.realm.as_str(), asked.origin),
        ("staff", site.origin())
    );
    stage
        .follower
        .answer(PromptAnswer::Auth {
            id: asked.id,
            credentials: None,
        })
        .await;
    stage.until("no challenge", |v| v.challenge.is_none()).await;

    let home = json!({ "url": site.url("/") });
    let opened = stage.page();
    within("the page", opened.call("Page.navigate", home))
        .await
        .unwrap();
    stage
        .until_true("document.querySelector('#frame') !== null")
        .await;
    stage
        .eval(
            "globalThis.loaded = false; frame.onload = () => globalThis.loaded = true; \
             frame.src = '/locked'; 0",
        )
        .await;
    // A request that waits for the user would not end.
    stage.until_true("globalThis.loaded").await;
    assert!(stage.view.borrow().challenge.is_none());
}
