//! STUN there and back, and beside another implementation.

#![cfg(test)]

use std::net::{IpAddr, SocketAddr};

use authloop_relay::{
    PathAddr,
    stun::{
        BindingMessage, BindingRequest, MAX_BINDING_BYTES, StunClass, TransactionId,
        write_binding_success,
    },
};
use hmac::{Hmac, KeyInit, Mac};
use is::stun::StunMessage;
use proptest::prelude::*;
use sha1::Sha1;

fn sha1_hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

prop_compose! {
    fn address()(ip: IpAddr, port: u16) -> SocketAddr {
        SocketAddr::new(ip.to_canonical(), port)
    }
}

proptest! {
    #[test]
    fn a_check_survives_the_round_trip(
        id: [u8; 12],
        to in "[a-zA-Z0-9+/]{4,256}",
        from in "[a-zA-Z0-9+/]{4,256}",
        pwd in "[a-zA-Z0-9+/]{22,256}",
        priority: u32,
        controlling: Option<u64>,
        use_candidate: bool,
    ) {
        let check = BindingRequest {
            transaction_id: TransactionId(id),
            to_ufrag: to.as_bytes(),
            from_ufrag: from.as_bytes(),
            pwd: pwd.as_bytes(),
            priority,
            controlling,
            use_candidate,
        };
        let mut out = Vec::new();
        let length = check.write(&mut out);

        let ours = BindingMessage::parse(&out).unwrap();
        let username = format!("{to}:{from}");
        prop_assert_eq!((length, check.len()), (out.len(), out.len()));
        prop_assert!(length <= MAX_BINDING_BYTES);
        prop_assert_eq!(ours.class(), StunClass::Request);
        prop_assert_eq!(ours.transaction_id(), TransactionId(id));
        prop_assert_eq!(ours.username(), Some(username.as_bytes()));
        prop_assert_eq!(ours.use_candidate(), use_candidate);
        prop_assert!(ours.fingerprint_holds() && ours.integrity_holds(pwd.as_bytes()));
        prop_assert!(!ours.integrity_holds(b"another password"));

        let theirs = StunMessage::parse(&out).unwrap();
        prop_assert!(theirs.is_binding_request() && theirs.verify(pwd.as_bytes(), sha1_hmac));
        prop_assert_eq!(theirs.split_username(), Some((to.as_str(), from.as_str())));
        prop_assert_eq!(theirs.prio(), Some(priority));
        prop_assert_eq!(theirs.use_candidate(), use_candidate);
        prop_assert_eq!(theirs.ice_controlling(), controlling);
    }

    #[test]
    fn an_answer_names_the_address_that_asked(
        id: [u8; 12],
        addr in address(),
        pwd in "[a-zA-Z0-9+/]{22,256}",
        fingerprint: bool,
    ) {
        let mut out = Vec::new();
        write_binding_success(
            &mut out, TransactionId(id), PathAddr::from(addr), pwd.as_bytes(), fingerprint,
        );

        let ours = BindingMessage::parse(&out).unwrap();
        prop_assert_eq!(ours.class(), StunClass::Success);
        prop_assert_eq!(ours.has_fingerprint(), fingerprint);
        prop_assert!(ours.fingerprint_holds() && ours.integrity_holds(pwd.as_bytes()));
        if fingerprint {
            let theirs = StunMessage::parse(&out).unwrap();
            prop_assert!(theirs.is_successful_binding_response());
            prop_assert!(theirs.verify(pwd.as_bytes(), sha1_hmac));
            prop_assert_eq!(theirs.mapped_address(), Some(addr));
        }
    }

    #[test]
    fn no_bytes_make_the_parser_panic(noise: Vec<u8>, header: bool) {
        let mut bytes = noise;
        if header {
            let length = (bytes.len() as u16).to_be_bytes();
            bytes.splice(..0, [&[0, 1], &length[..], &[0x21, 0x12, 0xa4, 0x42], &[0; 12]].concat());
        }
        if let Ok(message) = BindingMessage::parse(&bytes) {
            prop_assert!(!message.integrity_holds(b"0123456789012345678901"));
        }
    }

    #[test]
    fn one_flipped_bit_before_the_fingerprint_is_never_authentic(bit in 0usize..(96 * 8)) {
        let pwd = b"0123456789012345678901";
        let mut out = Vec::new();
        let length = BindingRequest {
            transaction_id: TransactionId([7; 12]),
            to_ufrag: b"0123456789abcdef",
            from_ufrag: b"abcd",
            pwd,
            priority: 1,
            controlling: Some(1),
            use_candidate: true,
        }
        .write(&mut out);
        prop_assert_eq!(length - 8, 96);

        out[bit / 8] ^= 1 << (bit % 8);

        let authentic = BindingMessage::parse(&out).is_ok_and(|message| message.integrity_holds(pwd));
        prop_assert!(!authentic);
    }
}
