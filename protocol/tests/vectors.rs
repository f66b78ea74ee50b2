//! The test vectors that Rust and JavaScript share. `AUTHLOOP_BLESS=1` writes them anew; without
//! it the files must be what this build makes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;

use authloop_protocol::{
    device::{DeviceKey, claim_message, resume_message},
    frame::{Frame, FrameOpener, FrameSealer, OutputOpener, OutputSealer},
    id::{Blob, SessionId, to_b64u},
    invitation::{Fingerprint, Invitation, PrivateRoom, RoomStart, invitation_hash},
    link::{LinkFragment, LinkKeys, LinkSecret},
    output::{OutputMessage, Page, SiteConnection, Verdict},
    plain_text::plain,
    seal::{Hello, HostKeyPair, SealContext, SealedSignal, Transcript, open_hello, seal_hello},
};
use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

const ORIGIN: &str = "https://relay.example:8443";

struct Fixture {
    id: SessionId,
    secret: [u8; 32],
    host: HostKeyPair,
    device: SigningKey,
    host_fingerprint: Fingerprint,
    viewer_fingerprint: Fingerprint,
}

fn fixture() -> Fixture {
    Fixture {
        id: SessionId(std::array::from_fn(|i| i as u8 + 1)),
        secret: std::array::from_fn(|i| 0xA0 ^ i as u8),
        host: HostKeyPair::from_seed(&[7; 32]),
        device: SigningKey::from_slice(&[9; 32]).unwrap(),
        host_fingerprint: Fingerprint::of_certificate(b"host certificate"),
        viewer_fingerprint: Fingerprint::of_certificate(b"viewer certificate"),
    }
}

impl Fixture {
    fn device_public(&self) -> [u8; 65] {
        self.device
            .verifying_key()
            .to_sec1_point(false)
            .as_bytes()
            .try_into()
            .unwrap()
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature: Signature = self.device.sign(message);
        signature.to_vec()
    }

    fn invitation(&self) -> Vec<u8> {
        self.invitation_to(None)
    }

    fn invitation_to(&self, room: Option<PrivateRoom>) -> Vec<u8> {
        Invitation {
            v: 1,
            id: self.id,
            hpke: Blob::from(self.host.public()),
            fingerprint: self.host_fingerprint.clone(),
            requester: "Research agent".to_owned(),
            reason: "To read your März invoices “now” 🙂".to_owned(),
            origins: vec!["https://login.example".to_owned()],
            expires: 1_800_000_000,
            room,
        }
        .to_bytes()
        .unwrap()
    }

    fn keys(&self) -> LinkKeys {
        LinkKeys::derive(&LinkSecret::new(self.secret), ORIGIN, self.id)
    }

    fn context(&self) -> SealContext {
        SealContext::new(self.id, invitation_hash(&self.invitation()), &self.keys())
    }
}

fn link() -> Value {
    let f = fixture();
    let invitation = f.invitation();
    let fragment = LinkFragment {
        id: f.id,
        secret: LinkSecret::new(f.secret),
        invitation: invitation_hash(&invitation),
    };
    let private = f.invitation_to(Some(PrivateRoom {
        start: RoomStart::AsIs,
        sites: vec!["login.example".to_owned(), "[2001:db8::1]".to_owned()],
    }));
    let keys = f.keys();
    json!({
        "origin": ORIGIN,
        "id": f.id,
        "secret": to_b64u(&f.secret),
        "invitation": to_b64u(&invitation),
        "invitation_hash": to_b64u(&fragment.invitation.0),
        "private_invitation": to_b64u(&private),
        "private_invitation_hash": to_b64u(&invitation_hash(&private).0),
        "fragment": fragment.encode().as_str(),
        "claim_token": to_b64u(&*keys.claim_token),
        "psk": to_b64u(&*keys.psk),
        "claim_hash": to_b64u(&keys.claim_hash()),
    })
}

fn device() -> Value {
    let f = fixture();
    let challenge = [0x55; 32];
    let token = f.keys().claim_token;
    let claim = claim_message(f.id, &challenge, &*token);
    let resume = resume_message(f.id, &challenge);
    let (claim_signature, resume_signature) = (f.sign(&claim), f.sign(&resume));
    let key = DeviceKey::parse(&f.device_public()).unwrap();
    assert!(key.verify_claim(f.id, &challenge, &*token, &claim_signature));
    assert!(key.verify_resume(f.id, &challenge, &resume_signature));
    json!({
        "device": to_b64u(&f.device_public()),
        "challenge": to_b64u(&challenge),
        "claim_message": to_b64u(&claim),
        "claim_signature": to_b64u(&claim_signature),
        "resume_message": to_b64u(&resume),
        "resume_signature": to_b64u(&resume_signature),
    })
}

fn hello() -> Value {
    let f = fixture();
    let context = f.context();
    let mut rng = StdRng::seed_from_u64(1);
    let nonce = [0x33; 32];
    let (blob, keys) = seal_hello(&context, f.host.public(), &mut rng, |message| Hello {
        fingerprint: f.viewer_fingerprint.clone(),
        device: Blob::from(f.device_public()),
        nonce: Blob::from(nonce),
        stream: Blob::from([0x44; 16]),
        signature: Blob(f.sign(&message(&nonce, &f.viewer_fingerprint))),
    })
    .unwrap();
    let (opened, host_keys) = open_hello(&context, &f.host, &blob).unwrap();
    assert_eq!(opened.fingerprint, f.viewer_fingerprint);
    assert_eq!(host_keys.hello_hash, keys.hello_hash);
    let (mut host_seal, mut host_open) = host_keys.host_records();
    let (mut viewer_seal, mut viewer_open) = keys.viewer_records();
    let offer = SealedSignal::Offer {
        sdp: "v=0\r\no=offer\r\n".to_owned(),
    };
    let answer = SealedSignal::Answer {
        sdp: "v=0\r\no=answer\r\n".to_owned(),
    };
    let offers: Vec<Vec<u8>> = (0..2).map(|_| host_seal.seal(&offer).unwrap()).collect();
    let answers: Vec<Vec<u8>> = (0..2).map(|_| viewer_seal.seal(&answer).unwrap()).collect();
    for blob in &offers {
        viewer_open.open(blob).unwrap();
    }
    for blob in &answers {
        host_open.open(blob).unwrap();
    }
    let transcript = Transcript {
        id: f.id,
        hello_hash: &keys.hello_hash,
        offer: "v=0\r\no=offer\r\n",
        answer: "v=0\r\no=answer\r\n",
        host: &f.host_fingerprint,
        viewer: &f.viewer_fingerprint,
    };
    json!({
        "host_private": to_b64u(&f.host.private_bytes()),
        "host_public": to_b64u(f.host.public()),
        "host_fingerprint": f.host_fingerprint,
        "viewer_fingerprint": f.viewer_fingerprint,
        "device": to_b64u(&f.device_public()),
        "nonce": to_b64u(&nonce),
        "stream": to_b64u(&[0x44; 16]),
        "blob": to_b64u(&blob),
        "hello_hash": to_b64u(&keys.hello_hash),
        "data_h2v": to_b64u(&*keys.data_h2v),
        "data_v2h": to_b64u(&*keys.data_v2h),
        "offer": offer_sdp(&offer),
        "answer": offer_sdp(&answer),
        "offer_records": offers.iter().map(|b| to_b64u(b)).collect::<Vec<_>>(),
        "answer_records": answers.iter().map(|b| to_b64u(b)).collect::<Vec<_>>(),
        "transcript": to_b64u(&transcript.hash()),
    })
}

fn offer_sdp(signal: &SealedSignal) -> &str {
    match signal {
        SealedSignal::Offer { sdp } | SealedSignal::Answer { sdp } => sdp,
        _ => unreachable!(),
    }
}

fn frames() -> Value {
    let (key_v2h, key_h2v) = ([0x11; 32], [0x22; 32]);
    let input = |sequence, more, body: &[u8]| Frame::Input {
        sequence,
        epoch: 3,
        more,
        body: body.to_vec().into(),
    };
    let frames = [
        Frame::Control {
            body: br#"{"t":"ping","n":1}"#.to_vec(),
        },
        input(1, false, br#"{"t":"text","text":"h\u00e4"}"#),
        Frame::Filler,
        input(2, true, &[b'x'; 217]),
        input(3, false, b"yz"),
        input(4, false, br#"{"t":"start_over"}"#),
        input(5, false, br#"{"t":"in_place"}"#),
    ];
    let mut sealer = FrameSealer::new(&key_v2h);
    let mut opener = FrameOpener::new(&key_v2h);
    let sealed: Vec<Value> = frames
        .iter()
        .map(|frame| {
            let bytes = sealer.seal(frame).unwrap();
            assert_eq!(&opener.open(&bytes).unwrap(), frame);
            let (sequence, epoch, flags, body) = match frame {
                Frame::Input {
                    sequence,
                    epoch,
                    more,
                    body,
                } => (*sequence, *epoch, u8::from(*more), body.to_vec()),
                Frame::Filler => (0, 0, 2, vec![]),
                Frame::Control { body } => (0, 0, 4, body.clone()),
            };
            json!({ "sequence": sequence, "epoch": epoch, "flags": flags,
                "body": to_b64u(&body), "sealed": to_b64u(&bytes) })
        })
        .collect();
    let messages = [
        OutputMessage::Confirm {
            transcript: Blob::from([5; 32]),
            applied: 0,
        },
        OutputMessage::Page(Page {
            origin: "https://login.example".to_owned(),
            title: "Sign in – Bücher".to_owned(),
            secure: true,
            connection: SiteConnection::Secure,
            certificate: None,
            expected: true,
            epoch: 1,
            loading: false,
            can_go_back: false,
        }),
        OutputMessage::Field { field: None },
        OutputMessage::Checked {
            verdict: Verdict::NotSignedIn,
            message: "Not yet.".to_owned(),
        },
        OutputMessage::Moving {},
        OutputMessage::NotMoved {
            in_place: true,
            message: "Not there.".to_owned(),
        },
        OutputMessage::InPlace {},
    ];
    let mut sealer = OutputSealer::new(&key_h2v);
    let mut opener = OutputOpener::new(&key_h2v);
    let records: Vec<Value> = messages
        .iter()
        .map(|message| {
            let bytes = sealer.seal(message).unwrap();
            assert_eq!(&opener.open(&bytes).unwrap(), message);
            json!({ "message": message, "sealed": to_b64u(&bytes) })
        })
        .collect();
    json!({
        "data_v2h": to_b64u(&key_v2h),
        "data_h2v": to_b64u(&key_h2v),
        "frames": sealed,
        "records": records,
    })
}

/// Text of others, and what is shown of it.
fn plain_texts() -> Value {
    let marks = format!("z{}y", "\u{301}".repeat(140));
    [
        "",
        "Invoice assistant",
        "日本語の名前",
        "هذا الوكيل",
        "हिन्दी क्षत्रिय",
        "ภาษาไทย น้ำ",
        "👩\u{200d}👩\u{200d}👧 ❤\u{fe0f}\u{200d}🔥",
        "ok\n\n\n\r\n\u{85}\u{2028}more \t\u{a0}",
        "\u{202e}\u{2066}your bank\u{61c}\u{200f}",
        "a\u{200b}\u{ad}\u{feff}b\0c\u{9f}",
        &marks,
        "\u{301}a \u{302}b",
        "a\u{301}\u{200d}\u{302}\u{200d}\u{303}",
        "\u{3164}\u{2800}\u{200d} \u{115f}",
    ]
    .into_iter()
    .map(|text| json!({ "text": text, "plain": plain(text) }))
    .collect()
}

fn check(name: &str, made: &Value) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("vectors")
        .join(name);
    let made = format!("{}\n", serde_json::to_string_pretty(made).unwrap());
    if std::env::var_os("AUTHLOOP_BLESS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert_eq!(kept, made, "{name} differs; AUTHLOOP_BLESS=1 rewrites it");
}

#[test]
fn link_vectors_hold() {
    check("link.json", &link());
}

#[test]
fn device_vectors_hold() {
    check("device.json", &device());
}

#[test]
fn hello_vectors_hold() {
    check("hello.json", &hello());
}

#[test]
fn frame_vectors_hold() {
    check("frames.json", &frames());
}

#[test]
fn plain_text_vectors_hold() {
    check("plain.json", &plain_texts());
}
