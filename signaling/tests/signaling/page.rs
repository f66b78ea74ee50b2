//! The viewer page and its policy.

use authloop_signaling::{Brand, PageSource, brand::Logo};
use reqwest::Response;

use crate::support::{TestServer, http};

async fn get(server: &TestServer, path: &str) -> Response {
    http().get(server.url(path)).send().await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers()[name].to_str().unwrap()
}

async fn with_folder() -> (TestServer, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("js")).unwrap();
    std::fs::write(folder.path().join("index.html"), "<!doctype html>").unwrap();
    std::fs::write(folder.path().join("js/main.js"), "export {};").unwrap();
    std::fs::write(folder.path().join("js/main.test.js"), "test").unwrap();
    std::fs::write(folder.path().join("package.json"), "{}").unwrap();
    let viewer = PageSource::Directory(folder.path().to_owned());
    (TestServer::with_viewer(|_| {}, viewer).await, folder)
}

#[tokio::test]
async fn the_page_comes_under_a_strict_policy() {
    let (server, _folder) = with_folder().await;

    let page = get(&server, "/").await;

    assert_eq!(page.status(), 200);
    assert_eq!(header(&page, "content-type"), "text/html; charset=utf-8");
    let expected = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
         media-src 'self' blob: mediastream:; connect-src 'self' ws://{}; font-src 'self'; \
         manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'",
        server.address
    );
    assert_eq!(header(&page, "content-security-policy"), expected);
    assert_eq!(header(&page, "referrer-policy"), "no-referrer");
    assert_eq!(header(&page, "x-content-type-options"), "nosniff");
    assert_eq!(header(&page, "cross-origin-opener-policy"), "same-origin");
    assert_eq!(header(&page, "cross-origin-resource-policy"), "same-origin");
    assert!(header(&page, "permissions-policy").contains("camera=()"));
    assert!(!page.headers().contains_key("strict-transport-security"));
    assert_eq!(page.text().await.unwrap(), "<!doctype html>");
}

#[tokio::test]
async fn a_secure_origin_has_hsts_and_secure_sockets() {
    let server = TestServer::with(|settings| {
        settings.public_origin = "https://relay.example".parse().unwrap();
    })
    .await;
    for path in [
        "/v1/sessions/nobody",
        "/v1/sessions",
        "/nowhere",
        "/js/nothing.js",
    ] {
        let answer = get(&server, path).await;
        assert_eq!(
            header(&answer, "strict-transport-security"),
            "max-age=63072000",
            "{path}"
        );
    }
    let page = get(&server, "/").await;
    assert!(header(&page, "strict-transport-security").starts_with("max-age="));
    assert!(
        header(&page, "content-security-policy")
            .contains("connect-src 'self' wss://relay.example;")
    );
}

#[tokio::test]
async fn only_the_pages_own_files_are_served() {
    let (server, _folder) = with_folder().await;
    let script = get(&server, "/js/main.js").await;
    assert_eq!(
        header(&script, "content-type"),
        "text/javascript; charset=utf-8"
    );
    for path in [
        "/package.json",
        "/js/main.test.js",
        "/js",
        "/js/",
        "/js/..%2fpackage.json",
        "/%2e%2e/Cargo.toml",
        "/js/%00.js",
        "/other.html",
    ] {
        let missing = get(&server, path).await;
        assert_eq!(missing.status(), 404, "{path}");
        assert!(
            missing.headers().contains_key("content-security-policy"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_unchanged_file_is_not_sent_again() {
    let (server, _folder) = with_folder().await;
    let first = get(&server, "/js/main.js").await;
    assert_eq!(header(&first, "cache-control"), "no-cache");
    let etag = header(&first, "etag").to_owned();
    let again = |tag: String| {
        http()
            .get(server.url("/js/main.js"))
            .header("if-none-match", tag)
    };

    let same = again(format!("W/{etag}")).send().await.unwrap();
    let other = again("\"other\"".to_owned()).send().await.unwrap();

    assert_eq!(same.status(), 304);
    assert_eq!(header(&same, "etag"), etag);
    assert_eq!(other.status(), 200);
}

#[tokio::test]
async fn the_binary_holds_the_page_and_only_the_page() {
    let server = TestServer::start().await;
    let mut paths: Vec<_> = PageSource::embedded_paths().collect();
    paths.sort();
    assert!(paths.iter().any(|path| path == "index.html"));
    for path in &paths {
        let kind = path.rsplit('.').next().unwrap();
        let known = ["html", "js", "css", "json", "svg", "png", "webmanifest"];
        assert!(known.contains(&kind), "{path}");
        assert!(
            !path.contains("node_modules") && !path.contains("test"),
            "{path}"
        );
        let served = get(&server, &format!("/{path}")).await;
        assert_eq!(served.status(), 200, "{path}");
    }
}

#[tokio::test]
async fn only_listed_pages_may_frame_it() {
    let server = TestServer::with(|settings| {
        settings.embed_origins = vec![
            "https://app.example".parse().unwrap(),
            "https://b.example:8443".parse().unwrap(),
        ];
    })
    .await;

    let page = get(&server, "/").await;
    let told: serde_json::Value = get(&server, "/brand/brand.json")
        .await
        .json()
        .await
        .unwrap();

    let policy = header(&page, "content-security-policy");
    assert!(
        policy.contains("frame-ancestors https://app.example https://b.example:8443;"),
        "{policy}"
    );
    assert_eq!(told["embed"][1], "https://b.example:8443");
    assert_eq!(told["name"], "authloop");
}

#[tokio::test]
async fn a_brand_replaces_its_files_and_nothing_else() {
    let svg = br#"<svg xmlns="http://www.w3.org/2000/svg"/>"#.to_vec();
    let logo = Logo::parse(svg.clone()).unwrap();
    let plain = TestServer::start().await;
    let server = TestServer::with(|settings| {
        settings.brand = Brand {
            name: Some("Contoso".parse().unwrap()),
            logo: Some(logo),
            accent: Some("#003366".parse().unwrap()),
        };
    })
    .await;

    let told: serde_json::Value = get(&server, "/brand/brand.json")
        .await
        .json()
        .await
        .unwrap();
    let style = get(&server, "/brand/brand.css").await;
    let picture = get(&server, "/brand/logo.svg").await;

    assert_eq!(told["name"], "Contoso");
    assert_eq!(told["logo"], "brand/logo.svg");
    assert_eq!(header(&style, "content-type"), "text/css; charset=utf-8");
    let etag = header(&style, "etag").to_owned();
    let again = http()
        .get(server.url("/brand/brand.css"))
        .header("if-none-match", etag);
    assert_eq!(again.send().await.unwrap().status(), 304);
    assert!(style.text().await.unwrap().contains("--accent: #003366;"));
    assert_eq!(header(&picture, "content-type"), "image/svg+xml");
    assert_eq!(picture.bytes().await.unwrap(), svg);
    for path in ["/", "/js/main.js", "/css/base.css"] {
        let (here, there) = (get(&server, path).await, get(&plain, path).await);
        assert_eq!(here.bytes().await.unwrap(), there.bytes().await.unwrap());
    }
    assert_eq!(get(&plain, "/brand/logo.svg").await.status(), 404);
}
