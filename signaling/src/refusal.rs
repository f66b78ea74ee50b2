//! Why a client is refused or sent away.

use authloop_protocol::signal::SignalErrorCode;

/// What was wrong: a code for programs, a sentence for people.
pub(crate) type Refusal = (SignalErrorCode, &'static str);

/// The code with the sentence that goes with it where nothing more exact is known.
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
