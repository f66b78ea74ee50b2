//! `--tls files` while its files change.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{
    CertificateFolder, Server, TestCertificate, get, roots, shown, tls, wait_for,
};

const LONG_INTERVAL: Duration = Duration::from_secs(3600);

async fn serve(files: &CertificateFolder, poll_interval: Duration) -> Server {
    let mut config = files.config();
    config.timeouts.certificate_poll_interval = poll_interval;
    Server::start(config).await
}

const SHOWN_METRIC: &str =
    r#"authloop_tls_certificate_updates_total{result="shown",source="files"}"#;
const FAILED_METRIC: &str =
    r#"authloop_tls_certificate_updates_total{result="failed",source="files"}"#;

#[tokio::test]
async fn a_new_certificate_is_taken_up_without_touching_a_connection() {
    let (old, new) = (TestCertificate::new(), TestCertificate::new());
    let roots = roots(&[&old.certificate, &new.certificate]);
    let files = CertificateFolder::holding(&old);
    let server = serve(&files, Duration::from_millis(20)).await;
    let mut open = tls(&server, &roots, &[]).await.unwrap();
    assert_eq!(shown(&open), old.der());

    files.write(&new.certificate, &new.key);

    wait_for(async || {
        let stream = tls(&server, &roots, &[]).await.unwrap();
        (shown(&stream) == new.der()).then_some(())
    })
    .await;
    let request = b"GET /livez HTTP/1.1\r\nhost: relay.example\r\n\r\n";
    open.write_all(request).await.unwrap();
    let mut answer = [0; 12];
    open.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200", "the old connection goes on");
    assert_eq!(server.metric(&roots, SHOWN_METRIC).await, Some(2));
    assert_eq!(server.metric(&roots, FAILED_METRIC).await, Some(0));
    server.end().await;
}

#[tokio::test]
async fn a_broken_pair_is_counted_and_the_old_one_stays() {
    let (old, other) = (TestCertificate::new(), TestCertificate::new());
    let roots = roots(&[&old.certificate]);
    let files = CertificateFolder::holding(&old);
    let server = serve(&files, Duration::from_millis(20)).await;

    files.write(&old.certificate, &other.key);

    wait_for(async || (server.metric(&roots, FAILED_METRIC).await == Some(1)).then_some(())).await;
    let stream = tls(&server, &roots, &[]).await.unwrap();
    assert_eq!(shown(&stream), old.der());
    assert!(get(stream, "/livez").await.starts_with("HTTP/1.1 200"));
    server.end().await;
}

#[tokio::test]
async fn a_hangup_has_the_files_read_at_once() {
    let (old, new) = (TestCertificate::new(), TestCertificate::new());
    let roots = roots(&[&old.certificate, &new.certificate]);
    let files = CertificateFolder::holding(&old);
    let server = serve(&files, LONG_INTERVAL).await;

    files.write(&new.certificate, &new.key);
    server.hangup.notify_one();

    wait_for(async || {
        let stream = tls(&server, &roots, &[]).await.unwrap();
        (shown(&stream) == new.der()).then_some(())
    })
    .await;
    server.end().await;
}
