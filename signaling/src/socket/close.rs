//! How sockets end, and what they are told.

use authloop_protocol::signal::{ServerMessage, SignalErrorCode};
use axum::extract::ws::{CloseFrame, Message};

use crate::{
    outbox::Closing,
    refusal::{Refusal, explain},
};

/// How a socket's conversation ended.
pub(super) enum SocketEnd {
    /// The server closes it.
    Close(Closing),
    /// The client closed it, or has gone.
    Gone,
}

pub(super) fn text(message: &ServerMessage) -> Result<Message, SocketEnd> {
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

pub(super) fn library_error(error: axum::Error) -> SocketEnd {
    use tungstenite::Error;
    match error.into_inner().downcast_ref::<Error>() {
        Some(Error::Capacity(_)) => refuse(SignalErrorCode::TooLarge),
        Some(Error::Protocol(_) | Error::Utf8(_)) => refuse(SignalErrorCode::Malformed),
        _ => SocketEnd::Gone,
    }
}

pub(super) fn refuse(code: SignalErrorCode) -> SocketEnd {
    refuse_with(explain(code))
}

pub(super) fn refuse_with((code, message): Refusal) -> SocketEnd {
    SocketEnd::Close(Closing::Error(code, message))
}
