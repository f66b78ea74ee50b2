//! Storage state of a real browser.

use authloop_browser_testkit::{TestBrowser, TestSite, within};
use authloop_rooms::Bundle;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

fn json(state: &Bundle) -> Value {
    serde_json::from_str(state.to_json().expose_secret()).unwrap()
}

/// One database with what JSON can say, what Playwright encodes, and what neither can.
const DATABASE: &str = "new Promise(done => {
    const open = indexedDB.open('d', 2);
    open.onupgradeneeded = () => open.result.createObjectStore('s');
    open.onsuccess = () => {
        const change = open.result.transaction('s', 'readwrite');
        const store = change.objectStore('s');
        store.put({ a: [1, 'x', null] }, 1);
        store.put(new Date(0), 2);
        store.put(new Blob(['b']), 3);
        change.oncomplete = () => { open.result.close(); done(0); };
    };
})";

#[tokio::test]
async fn the_signed_in_state_is_read_for_the_chosen_origins() {
    let site = TestSite::serve([("/", "hello")]).await;
    let mut stage = TestBrowser::open(&site.url("/")).await;
    stage
        .eval(
            "document.cookie = 'sid=s3cret; path=/; max-age=3600; SameSite=Strict'; \
               localStorage.setItem('token', 't0ken \"quoted\"'); 0",
        )
        .await;
    stage.eval(DATABASE).await;
    let elsewhere = site.url_at("localhost", "/");
    stage
        .eval(&format!("location.href = '{elsewhere}'; 0"))
        .await;
    stage
        .until("the other origin", |v| {
            v.origin.origin.contains("localhost")
        })
        .await;
    stage.until_true("document.readyState === 'complete'").await;
    stage.eval("localStorage.setItem('other', '1'); 0").await;
    let page = stage.page();

    // The first origin only, although another one is shown.
    let origins = [site.origin()];
    let state = Bundle::collect(&stage.browser, &page, Some(&origins))
        .await
        .unwrap();
    let read = json(&state);
    let cookies = read["cookies"].as_array().unwrap();
    assert_eq!(state.cookie_count(), cookies.len());
    assert!(
        cookies.iter().all(|c| c["domain"] == "127.0.0.1"),
        "{cookies:?}"
    );
    let sid = cookies.iter().find(|c| c["name"] == "sid").unwrap();
    assert_eq!(
        (&sid["value"], &sid["sameSite"]),
        (&"s3cret".into(), &"Strict".into())
    );
    assert!(sid["expires"].as_f64().unwrap() > 1.0e9);
    let session = cookies.iter().find(|c| c["name"] == "seen").unwrap();
    assert_eq!(
        (session["expires"].as_f64(), &session["sameSite"]),
        (Some(-1.0), &"Lax".into())
    );
    assert_eq!(read["origins"].as_array().unwrap().len(), 1);
    assert_eq!(read["origins"][0]["origin"], site.origin().as_str());
    assert_eq!(
        read["origins"][0]["localStorage"][0]["value"],
        "t0ken \"quoted\""
    );
    assert_eq!(
        read["origins"][0]["indexedDB"],
        json!([{
            "name": "d", "version": 2, "stores": [{
                "name": "s", "autoIncrement": false, "indexes": [],
                "records": [
                    { "key": 1, "value": { "a": [1, "x", null] } },
                    { "key": 2, "valueEncoded": { "d": "1970-01-01T00:00:00.000Z" } },
                ],
            }],
        }])
    );

    // Everything: all cookies, and the shown origin's storage.
    let state = Bundle::collect(&stage.browser, &page, None).await.unwrap();
    let read = json(&state);
    let domains = |domain: &str| {
        let cookies = read["cookies"].as_array().unwrap();
        cookies.iter().any(|cookie| cookie["domain"] == domain)
    };
    assert!(domains("127.0.0.1") && domains("localhost"));
    assert_eq!(read["origins"][0]["localStorage"][0]["name"], "other");

    // The reading page is gone, and the shown page was never left.
    within("the reading page to close", async {
        while stage.browser.pages().await.unwrap().len() > 1 {}
    })
    .await;
    assert_eq!(stage.page(), page);
    assert!(!format!("{state:?}").contains("s3cret"));
}
