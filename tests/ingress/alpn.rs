//! What clients may say by ALPN (RFC 7301) that they want.

use crate::support::{CertificateFolder, Server, TestCertificate, roots, tls};

#[tokio::test]
async fn browsers_and_turn_clients_are_let_in_by_name_and_others_are_not() {
    let made = TestCertificate::new();
    let files = CertificateFolder::holding(&made);
    let server = Server::start(files.config()).await;
    let roots = roots(&[&made.certificate]);
    for (offered, chosen) in [
        (&["h2", "http/1.1"][..], Some("h2")),
        (&["stun.turn"], Some("stun.turn")),
        (&[], None),
    ] {
        let stream = tls(&server, &roots, offered).await.unwrap();
        let got = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        assert_eq!(got, chosen.map(|name| name.as_bytes().to_vec()));
    }
    assert!(tls(&server, &roots, &["smtp"]).await.is_err());
}
