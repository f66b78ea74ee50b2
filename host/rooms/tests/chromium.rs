//! Bundles between contexts of a real Chromium.

#![expect(clippy::unwrap_used, reason = "tests stop at the first failure")]

use authloop_browser_testkit::{TestBrowser, TestSite, eval};
use authloop_cdp::{Page, TargetId};
use authloop_rooms::{Bundle, Grant, Site};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

/// All that a page may keep, in the forms that are hard to carry.
const FILL: &str = "(async () => {
    document.cookie = 'plain=1; path=/';
    document.cookie = 'lax=2; path=/; max-age=3600; SameSite=Lax';
    document.cookie = 'strict=3; path=/account; SameSite=Strict';
    localStorage.setItem('token', 't0ken \"quoted\"');
    sessionStorage.setItem('state', 'st4te');
    const open = indexedDB.open('d', 2);
    open.onupgradeneeded = () => {
        open.result.createObjectStore('out').createIndex('i', 'a', { unique: true });
        open.result.createObjectStore('in', { keyPath: 'id' });
    };
    await new Promise(done => { open.onsuccess = done; });
    const change = open.result.transaction(['out', 'in'], 'readwrite');
    change.objectStore('out').put({ a: [1, 'x', null] }, 1);
    change.objectStore('out').put(new Map([[new Date(0), new Uint8Array([1, 2])]]), 'two');
    change.objectStore('in').put({ id: 7, nan: NaN });
    await new Promise(done => { change.oncomplete = done; });
    open.result.close();
})()";
/// What a page keeps, as text.
const LOOK: &str = "(async () => {
    const open = indexedDB.open('d');
    await new Promise(done => { open.onsuccess = done; });
    const get = (store, key) => new Promise(done => {
        const got = open.result.transaction(store).objectStore(store).get(key);
        got.onsuccess = () => done(got.result);
    });
    const [one, two, seven] = [await get('out', 1), await get('out', 'two'), await get('in', 7)];
    const indexes = [...open.result.transaction('out').objectStore('out').indexNames];
    open.result.close();
    const [[date, bytes]] = two;
    return JSON.stringify([document.cookie.split('; ').sort(), localStorage.token,
        sessionStorage.state, one, date.getTime(), [...bytes], seven.id, Number.isNaN(seven.nan), indexes]);
})()";
const KEPT: &str = r#"[["lax=2","plain=1","strict=3"],"t0ken \"quoted\"","st4te",{"a":[1,"x",null]},0,[1,2],7,true,["i"]]"#;

async fn page_in_new_context(browser: &TestBrowser) -> Page {
    let made = browser
        .browser
        .call("Target.createBrowserContext", json!({}))
        .await
        .unwrap();
    let params = json!({ "url": "about:blank", "browserContextId": made["browserContextId"] });
    let created = browser.browser.call("Target.createTarget", params).await;
    let target = TargetId::from(created.unwrap()["targetId"].as_str().unwrap());
    browser.browser.attach(&target).await.unwrap()
}

async fn go(page: &Page, url: &str) {
    let mut loaded = page.subscribe(&["Page.loadEventFired"], 4);
    page.call("Page.navigate", json!({ "url": url }))
        .await
        .unwrap();
    loaded.recv().await.unwrap();
}

fn grant(site: &TestSite) -> Grant {
    Grant::new(vec![Site::of_origin(&site.origin()).unwrap()]).unwrap()
}

async fn cookies(page: &Page) -> Value {
    let mut answer = page.call("Network.getAllCookies", json!({})).await.unwrap();
    let mut cookies = answer["cookies"].take();
    // A cookie that is planted does not know of which port it was.
    for cookie in cookies.as_array_mut().unwrap() {
        cookie.as_object_mut().unwrap().remove("sourcePort");
    }
    cookies
        .as_array_mut()
        .unwrap()
        .sort_by_key(|cookie| cookie["name"].as_str().unwrap().to_owned());
    cookies
}

#[tokio::test]
async fn all_that_a_site_keeps_moves_and_replaces_what_was_there() {
    let site = TestSite::serve([("/", "hello"), ("/account", "account")]).await;
    let browser = TestBrowser::open("about:blank").await;
    let (room, agent) = (
        page_in_new_context(&browser).await,
        page_in_new_context(&browser).await,
    );
    go(&room, &site.url("/account")).await;
    eval(&room, FILL).await;
    go(&agent, &site.url("/account")).await;
    eval(
        &agent,
        "document.cookie = 'old=1; path=/'; localStorage.old = 1; sessionStorage.old = 1",
    )
    .await;
    let before = cookies(&room).await;

    let grant = grant(&site);
    let bundle = Bundle::take_from_room(&browser.browser, &room, &[], &[], &grant)
        .await
        .unwrap();
    bundle
        .plant(&browser.browser, &agent, &grant)
        .await
        .unwrap();
    go(&agent, &site.url("/account")).await;

    assert_eq!(cookies(&agent).await, before);
    assert_eq!(
        eval(&agent, LOOK).await,
        KEPT.replace("\"strict", "\"seen=yes\",\"strict")
    );
    assert_eq!(
        eval(&agent, "localStorage.old ?? sessionStorage.old ?? 0").await,
        0
    );
}

#[tokio::test]
async fn a_bundle_that_is_refused_leaves_the_old_state() {
    let site = TestSite::serve([("/", "hello")]).await;
    let browser = TestBrowser::open("about:blank").await;
    let (room, agent) = (
        page_in_new_context(&browser).await,
        page_in_new_context(&browser).await,
    );
    go(&room, &site.url("/")).await;
    eval(&room, FILL).await;
    go(&agent, &site.url("/")).await;
    let old = "document.cookie = 'old=1; path=/'; localStorage.old = 1; sessionStorage.old = 2";
    eval(&agent, old).await;
    let before = cookies(&agent).await;

    let grant = grant(&site);
    let bundle = Bundle::take_from_room(&browser.browser, &room, &[], &[], &grant)
        .await
        .unwrap();
    // No room for databases.
    let quota = json!({ "origin": site.origin(), "quotaSize": 1 });
    let overridden = agent.call("Storage.overrideQuotaForOrigin", quota).await;
    overridden.unwrap();
    let error = bundle.plant(&browser.browser, &agent, &grant).await;

    assert!(error.unwrap_err().to_string().contains(&site.origin()));
    go(&agent, &site.url("/")).await;
    assert_eq!(cookies(&agent).await, before);
    let kept = eval(
        &agent,
        "localStorage.old + sessionStorage.old + localStorage.length",
    )
    .await;
    assert_eq!(kept, "121");
}

#[tokio::test]
async fn a_state_reads_as_playwright_writes_it() {
    let site = TestSite::serve([("/", "hello")]).await;
    let browser = TestBrowser::open(&site.url("/")).await;
    eval(&browser.page(), "sessionStorage.state = 1").await;
    let read = Bundle::read_beside(&browser.browser, &browser.page(), &grant(&site)).await;
    let text = read.unwrap().to_json();
    let state: Value = serde_json::from_str(text.expose_secret()).unwrap();
    assert_eq!(state["cookies"][0]["name"], "seen");
    assert_eq!(
        state["origins"][0]["sessionStorage"],
        json!([{ "name": "state", "value": "1" }])
    );
    // The page was left alone.
    assert_eq!(
        eval(&browser.page(), "document.body.textContent").await,
        "hello"
    );
}
