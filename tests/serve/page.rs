//! `verify`: whether a server serves the published page.

use crate::support::{Server, authloop, output};

/// What `verify` says of this server.
async fn verified(server: &Server, more: &[&str]) -> (i32, String) {
    let output = output(&mut authloop(&[&["verify", &server.url], more].concat())).await;
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(said).unwrap(),
    )
}

#[tokio::test]
async fn the_published_page_is_known_from_any_other() {
    let own = [
        "--brand-accent",
        "#1a6453",
        "--embed-origins",
        "https://app.example",
    ];
    let (code, said) = verified(&Server::start(&own).await, &[]).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("files are as published"), "{said}");
    assert!(said.contains("may frame it: https://app.example"), "{said}");

    let folder = tempfile::tempdir().unwrap();
    let copied = std::process::Command::new("cp")
        .args([
            "-r",
            "viewer/index.html",
            "viewer/js",
            "viewer/css",
            "viewer/vendor",
        ])
        .args(["viewer/locales", "viewer/img", "viewer/brand"])
        .arg(folder.path())
        .status();
    assert!(copied.unwrap().success());
    let changed = Server::start(&["--viewer-dir", folder.path().to_str().unwrap()]).await;
    assert_eq!(
        verified(&changed, &[]).await.0,
        0,
        "the same files from elsewhere"
    );
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        let old = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, old + text).unwrap();
    };
    write("js/keys.js", "\nfetch('/stolen');\n");
    let (code, said) = verified(&changed, &[]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("FAIL  js/keys.js is another file"), "{said}");
    assert_eq!(said.matches("FAIL").count(), 1, "{said}");
    // A list of its own makes it right; a style that hides something is none of a server's.
    let list = folder.path().join("list");
    let sums = format!(
        "cd {} && sha256sum index.html js/*.js > list",
        folder.path().display()
    );
    assert!(
        std::process::Command::new("sh")
            .args(["-c", &sums])
            .status()
            .unwrap()
            .success()
    );
    let (code, said) = verified(&changed, &["--page", list.to_str().unwrap()]).await;
    assert_eq!(code, 0, "{said}");
    write("brand/brand.css", "#origin { display: none }");
    let (code, said) = verified(&changed, &["--page", list.to_str().unwrap()]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("FAIL  brand/brand.css"), "{said}");
}

#[tokio::test]
async fn a_server_that_cannot_be_judged_is_not_said_to_be_good() {
    for (arguments, why) in [
        (["verify", "http://127.0.0.1:9"], "cannot fetch"),
        (["verify", "relay.example"], "is not a URL"),
    ] {
        let output = output(&mut authloop(&arguments)).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(why), "{said}");
    }
}
