//! How sockets end, and what they are told.

use authloop_protocol::signal::{ServerMessage, SignalErrorCode};
use axum::extract::ws::{CloseFrame, Message};

use crate::outbox::Closing;

/// What was wrong: a code for programs, a sentence for people.
pub(crate) type Refusal = (SignalErrorCode, &'static str);

/// How a socket's conversation ended.
pub(super) enum End {
    /// The server closes it.
    Close(Closing),
    /// The client closed it, or has gone.
    Gone,
}

pub(super) fn text(message: &ServerMessage) -> Result<Message, End> {
    serde_json::to_string(message)
        .map(|text| Message::Text(text.into()))
        .map_err(|_| refuse(SignalErrorCode::Internal))
}

pub(super) fn close_frame(code: u16, reason: &'static str) -> CloseFrame {
    CloseFrame {
        code,
        reason: reason.into(),
    }
}

pub(super) fn library_error(error: axum::Error) -> End {
    use tungstenite::Error;
    match error.into_inner().downcast_ref::<Error>() {
        Some(Error::Capacity(_)) => refuse(SignalErrorCode::TooLarge),
        Some(Error::Protocol(_) | Error::Utf8(_)) => refuse(SignalErrorCode::Malformed),
        _ => End::Gone,
    }
}

pub(super) fn refuse(code: SignalErrorCode) -> End {
    refusal(explain(code))
}

pub(super) fn refusal((code, message): Refusal) -> End {
    End::Close(Closing::Error(code, message))
}

pub(crate) fn explain(code: SignalErrorCode) -> Refusal {
    let message = match code {
        SignalErrorCode::Malformed => "this is not a message that the server knows",
        SignalErrorCode::Unauthorized => "the token or the signature is wrong",
        SignalErrorCode::NotFound => "there is no such session",
        SignalErrorCode::AlreadyClaimed => "another device has claimed this session",
        SignalErrorCode::Ended => "the session is over",
        SignalErrorCode::TooLarge => "the message is larger than 16 KiB",
        SignalErrorCode::Timeout => "the client is too slow",
        SignalErrorCode::RateLimited => "too many messages or tries; wait a little",
        SignalErrorCode::HandedOver => "the session goes on on another device",
        SignalErrorCode::Replaced => "a newer connection of this side took over",
        SignalErrorCode::Internal => "the server failed; connect again",
    };
    (code, message)
}
