//! The viewer page and its policy.

use authloop_signaling::Viewer;
use reqwest::Response;

use crate::support::{Server, http};

async fn get(server: &Server, path: &str) -> Response {
    http().get(server.url(path)).send().await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers()[name].to_str().unwrap()
}

async fn with_folder() -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("js")).unwrap();
    std::fs::write(folder.path().join("index.html"), "<!doctype html>").unwrap();
    std::fs::write(folder.path().join("js/main.js"), "export {};").unwrap();
    std::fs::write(folder.path().join("js/main.test.js"), "test").unwrap();
    std::fs::write(folder.path().join("package.json"), "{}").unwrap();
    let viewer = Viewer::Directory(folder.path().to_owned());
    (Server::with_viewer(|_| {}, viewer).await, folder)
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
    let server = Server::with(|settings| {
        settings.public_origin = "https://relay.example".parse().unwrap();
    })
    .await;
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
    let server = Server::start().await;
    let mut paths: Vec<_> = Viewer::embedded_paths().collect();
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
