//! Session descriptions: only the relay's path may be put in, only the sealed certificate may
//! stand there (`docs/PROTOCOL.md` section 7). Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fmt::Write as _;

use authloop_protocol::{invitation::Fingerprint, signal::LegIce};

/// Priority of a host candidate: type preference 126, the highest local preference, component 1
/// (RFC 8445 section 5.1.2.1).
const HOST_CANDIDATE_PRIORITY: usize = 2_130_706_431;

/// Beginnings of the lines that the relay's own replace.
const REPLACED_LINE_PREFIXES: [&str; 6] = [
    "a=candidate:",
    "a=end-of-candidates",
    "a=ice-options:",
    "a=ice-ufrag:",
    "a=ice-pwd:",
    "a=ice-lite",
];

/// A description that must not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// There is no m-line.
    #[error("the description has no media")]
    NoMedia,
    /// The relay's credentials or candidates could inject a line.
    #[error("the relay's ICE parameters are malformed")]
    Ice,
    /// Not exactly one sha-256 fingerprint for every m-line.
    #[error("the description needs exactly one fingerprint")]
    Fingerprint,
    /// The description has no ICE credentials.
    #[error("the description has no ICE credentials")]
    Credentials,
}

/// Returns the peer's description with the relay's leg as the only path: by UDP, since an operator of
/// a host can let UDP out.
///
/// # Errors
/// [`SdpError::Ice`] for parameters that are not ice-chars, [`SdpError::NoMedia`].
pub fn munge(sdp: &str, ice: &LegIce) -> Result<String, SdpError> {
    if !ice.is_well_formed() {
        return Err(SdpError::Ice);
    }
    let mut out = String::with_capacity(sdp.len() + 256);
    let mut media = 0;
    let mut pending = false;
    for line in lines(sdp) {
        if REPLACED_LINE_PREFIXES
            .iter()
            .any(|prefix| line.starts_with(prefix))
        {
            continue;
        }
        // Attributes follow i=, c= and b= (RFC 8866 section 5), so the leg's wait for the first.
        if pending && (line.starts_with("m=") || line.starts_with("a=")) {
            pending = false;
            push_leg(&mut out, ice, media == 1);
        }
        if line.starts_with("m=") {
            if media == 0 {
                out.push_str("a=ice-lite\r\n");
            }
            media += 1;
            pending = true;
        }
        out.push_str(line);
        out.push_str("\r\n");
    }
    if pending {
        push_leg(&mut out, ice, media == 1);
    }
    if media == 0 {
        return Err(SdpError::NoMedia);
    }
    Ok(out)
}

fn push_leg(out: &mut String, ice: &LegIce, first: bool) {
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n",
        ice.ufrag, ice.pwd
    );
    if !first {
        return;
    }
    for (index, address) in ice.candidates.iter().enumerate() {
        let _ = write!(
            out,
            "a=candidate:{} 1 udp {} {} {} typ host\r\n",
            index + 1,
            HOST_CANDIDATE_PRIORITY - index,
            address.ip(),
            address.port()
        );
    }
}

/// Returns the fingerprint of the one certificate that every m-line names.
///
/// # Errors
/// [`SdpError::Fingerprint`] unless there is exactly one for all of them.
pub fn fingerprint(sdp: &str) -> Result<Fingerprint, SdpError> {
    let mut session: Option<Fingerprint> = None;
    let mut media: Vec<Option<Fingerprint>> = Vec::new();
    for line in lines(sdp) {
        if line.starts_with("m=") {
            media.push(None);
        }
        let Some(text) = line.strip_prefix("a=fingerprint:") else {
            continue;
        };
        let value = Fingerprint::parse(text).ok_or(SdpError::Fingerprint)?;
        let place = media.last_mut().unwrap_or(&mut session);
        if place.replace(value).is_some() {
            return Err(SdpError::Fingerprint);
        }
    }
    let mut all = media
        .into_iter()
        .map(|own| own.or_else(|| session.clone()))
        .chain(session.clone().map(Some));
    let first = all.next().flatten().ok_or(SdpError::Fingerprint)?;
    if all.any(|other| other.as_ref() != Some(&first)) {
        return Err(SdpError::Fingerprint);
    }
    Ok(first)
}

/// This side's own ICE credentials: username fragment, password.
///
/// # Errors
/// [`SdpError::Credentials`] when either is missing.
pub fn local_credentials(sdp: &str) -> Result<(String, String), SdpError> {
    let find = |prefix| {
        lines(sdp)
            .find_map(|line| line.strip_prefix(prefix))
            .map(str::to_owned)
            .ok_or(SdpError::Credentials)
    };
    Ok((find("a=ice-ufrag:")?, find("a=ice-pwd:")?))
}

/// The payload types of the first video m-line, in the order of preference.
pub fn video_payload_types(sdp: &str) -> Vec<u8> {
    lines(sdp)
        .find_map(|line| line.strip_prefix("m=video "))
        .map(|rest| {
            rest.split(' ')
                .skip(2)
                .filter_map(|format| format.parse().ok())
                .collect()
        })
        .unwrap_or_default()
}

fn lines(sdp: &str) -> impl Iterator<Item = &str> {
    sdp.lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINGERPRINT: &str = "sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F";

    fn ice() -> LegIce {
        LegIce {
            generation: 1,
            ufrag: "relayufrag".to_owned(),
            pwd: "relaypasswordrelaypassword".to_owned(),
            candidates: vec!["192.0.2.9:3478".parse().unwrap()],
            tcp: vec!["192.0.2.9:443".parse().unwrap()],
            turn: None,
        }
    }

    fn answer() -> String {
        format!(
            "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
             m=video 9 UDP/TLS/RTP/SAVPF 102 96\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:own\r\na=ice-pwd:ownpwd\r\n\
             a=ice-options:trickle\r\na=candidate:1 1 udp 1 10.0.0.1 5 typ host\r\na=fingerprint:{FINGERPRINT}\r\na=setup:active\r\n\
             m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:own\r\na=ice-pwd:ownpwd\r\n\
             a=fingerprint:{FINGERPRINT}\r\na=setup:active\r\n"
        )
    }

    #[test]
    fn only_the_relays_path_remains() {
        let munged = munge(&answer(), &ice()).unwrap();
        assert_eq!(munged.matches("a=ice-lite").count(), 1);
        assert!(munged.find("a=ice-lite") < munged.find("m=video"));
        assert_eq!(munged.matches("a=ice-ufrag:relayufrag").count(), 2);
        assert_eq!(munged.matches("a=candidate:").count(), 1);
        assert!(!munged.contains("10.0.0.1"));
        assert!(!munged.contains("trickle"));
        assert_eq!(munged.matches("a=setup:active").count(), 2);
        assert_eq!(fingerprint(&munged).unwrap().to_string(), FINGERPRINT);
        assert!(munged.find("c=IN").unwrap() < munged.find("a=ice-ufrag").unwrap());
    }

    #[test]
    fn nothing_can_inject_a_line() {
        let mut bad = ice();
        bad.pwd = "passwordpasswordpassword\r\na=fingerprint:sha-256 00".to_owned();
        assert_eq!(munge(&answer(), &bad), Err(SdpError::Ice));
        let mut none = ice();
        none.candidates.clear();
        assert_eq!(munge(&answer(), &none), Err(SdpError::Ice));
    }

    #[test]
    fn a_second_or_missing_fingerprint_is_refused() {
        let other = FINGERPRINT.replace("1F", "FF");
        let two = answer().replacen(FINGERPRINT, &other, 1);
        assert_eq!(fingerprint(&two), Err(SdpError::Fingerprint));
        let none = answer().replacen(&format!("a=fingerprint:{FINGERPRINT}\r\n"), "", 1);
        assert_eq!(fingerprint(&none), Err(SdpError::Fingerprint));
        let session = none.replace(
            "t=0 0\r\n",
            &format!("t=0 0\r\na=fingerprint:{FINGERPRINT}\r\n"),
        );
        assert!(fingerprint(&session).is_ok());
        let doubled = answer().replacen(
            &format!("a=fingerprint:{FINGERPRINT}\r\n"),
            &format!("a=fingerprint:{FINGERPRINT}\r\na=fingerprint:{other}\r\n"),
            1,
        );
        assert_eq!(fingerprint(&doubled), Err(SdpError::Fingerprint));
    }

    #[test]
    fn what_stands_in_it_is_found() {
        assert_eq!(
            local_credentials(&answer()).unwrap(),
            ("own".to_owned(), "ownpwd".to_owned())
        );
        assert_eq!(video_payload_types(&answer()), [102, 96]);
        assert!(video_payload_types("v=0").is_empty());
    }
}
