//! The messages of an attached client, and what they do.

use authloop_protocol::{
    device::DeviceKey,
    id::Blob,
    signal::{
        HostMessage, MAX_SEALED_BYTES, Outcome, SignalErrorCode, ViewerMessage, is_ice_string,
    },
};
use serde::de::DeserializeOwned;

use super::attachment::Attachment;
use crate::{
    refusal::{Refusal, explain},
    relay::Side,
    session::TakeoverCommitment,
};

/// Does what one message asks.
pub(crate) async fn handle_message(
    side: Side,
    attachment: &Attachment,
    text: &str,
) -> Result<(), Refusal> {
    // A device that asks for the session, and one that gave it away, have no say in it.
    if !attachment.is_attached() {
        if side == Side::Viewer
            && let Ok(ViewerMessage::TakeoverOpen { opening }) = parse(text)
        {
            attachment.open_takeover(check_bytes(opening)?);
        }
        return Ok(());
    }
    match side {
        Side::Host => match parse(text)? {
            HostMessage::Sealed { data } => forward(attachment, data),
            HostMessage::IceLocal { ufrag, pwd } => set_remote(attachment, ufrag, pwd).await,
            HostMessage::Restart {} => {
                attachment.restart();
                Ok(())
            }
            HostMessage::HandOver { device } => {
                let device = DeviceKey::parse(&device.0)
                    .ok_or((SignalErrorCode::Malformed, "`device` is not a P-256 point"))?;
                attachment.take_over(device);
                Ok(())
            }
            HostMessage::End {
                outcome: Outcome::Expired,
            } => Err((SignalErrorCode::Malformed, "a host cannot say `expired`")),
            HostMessage::End { outcome } => {
                attachment.end(outcome);
                Ok(())
            }
            HostMessage::Attach { .. } => Err((
                SignalErrorCode::Malformed,
                "this socket is attached already",
            )),
        },
        Side::Viewer => match parse(text)? {
            ViewerMessage::Sealed { data } => forward(attachment, data),
            ViewerMessage::IceLocal { ufrag, pwd } => set_remote(attachment, ufrag, pwd).await,
            ViewerMessage::Restart {} => {
                attachment.restart();
                Ok(())
            }
            ViewerMessage::TakeoverNonce { commitment, nonce } => {
                attachment.answer_takeover(take_commitment(&commitment)?, check_bytes(nonce)?);
                Ok(())
            }
            ViewerMessage::TakeoverRefuse { commitment } => {
                attachment.refuse_takeover(take_commitment(&commitment)?);
                Ok(())
            }
            // It was said before the consent, and the session has moved meanwhile.
            ViewerMessage::TakeoverOpen { .. } => Ok(()),
            ViewerMessage::FirstFrame {} => {
                attachment.first_frame();
                Ok(())
            }
            ViewerMessage::Claim { .. }
            | ViewerMessage::Takeover { .. }
            | ViewerMessage::Resume { .. } => Err((
                SignalErrorCode::Malformed,
                "this socket is attached already",
            )),
        },
    }
}

/// A commitment to a takeover, as a message has it.
pub(crate) fn take_commitment(commitment: &Blob) -> Result<TakeoverCommitment, Refusal> {
    let bytes = commitment.array().ok_or((
        SignalErrorCode::Malformed,
        "`commitment` must have 32 bytes",
    ))?;
    Ok(TakeoverCommitment(bytes))
}

/// A nonce or an opening of a takeover.
fn check_bytes(blob: Blob) -> Result<Blob, Refusal> {
    if blob.0.len() == 32 {
        Ok(blob)
    } else {
        Err((
            SignalErrorCode::Malformed,
            "`nonce` and `opening` must have 32 bytes",
        ))
    }
}

fn forward(attachment: &Attachment, data: Blob) -> Result<(), Refusal> {
    if data.0.len() > MAX_SEALED_BYTES {
        return Err((SignalErrorCode::TooLarge, "the sealed blob is too large"));
    }
    attachment.forward(data);
    Ok(())
}

async fn set_remote(attachment: &Attachment, ufrag: String, pwd: String) -> Result<(), Refusal> {
    if !is_ice_string(&ufrag, 4) || !is_ice_string(&pwd, 22) {
        return Err((
            SignalErrorCode::Malformed,
            "these are not ICE credentials (RFC 8839 section 5.4)",
        ));
    }
    attachment.set_remote(ufrag, pwd).await;
    Ok(())
}

/// What is wrong with a message stays unsaid: the library's words may quote it, tokens and all.
pub(crate) fn parse<M: DeserializeOwned>(text: &str) -> Result<M, Refusal> {
    serde_json::from_str(text).map_err(|_| explain(SignalErrorCode::Malformed))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_malformed<M: DeserializeOwned>(text: &str) -> bool {
        matches!(parse::<M>(text), Err((SignalErrorCode::Malformed, _)))
    }

    #[test]
    fn keys_that_a_message_does_not_have_are_refused() {
        assert!(parse::<HostMessage>(r#"{"type":"restart"}"#).is_ok());
        assert!(is_malformed::<HostMessage>(r#"{"type":"restart","x":1}"#));
        assert!(is_malformed::<ViewerMessage>(r#"{"type":"restart","x":1}"#));
        assert!(is_malformed::<ViewerMessage>(
            r#"{"type":"sealed","data":"AA","x":1}"#
        ));
        assert!(is_malformed::<ViewerMessage>(
            r#"{"type":"sealed","data":"AA","data":"AB"}"#
        ));
        assert!(is_malformed::<ViewerMessage>(
            r#"{"type":"end","outcome":"resolved"}"#
        ));
    }

    #[test]
    fn a_refusal_never_quotes_the_message() {
        let secret = r#"{"type":"attach","host_token":"secret!"}"#;
        let Err((_, sentence)) = parse::<HostMessage>(secret) else {
            panic!("parsed");
        };
        assert!(!sentence.contains("secret"));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "[ -~]{0,200}", tag in "[a-z_]{0,12}", data in "[^\"]{0,40}") {
            let _ = parse::<HostMessage>(&text);
            let _ = parse::<ViewerMessage>(&text);
            let shaped = format!(r#"{{"type":"{tag}","data":"{data}"}}"#);
            let _ = parse::<HostMessage>(&shaped);
            let _ = parse::<ViewerMessage>(&shaped);
        }
    }
}
