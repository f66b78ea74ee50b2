//! Sealed signaling: the HPKE hello and the records under its exported keys
//! (`docs/PROTOCOL.md` section 6; RFC 9180 mode_psk).

mod blob;
mod error;
mod hello;
mod record;
mod transcript;

pub use blob::{BlobKind, blob_kind};
pub use error::SealError;
pub use hello::{Hello, HelloKeys, HostKeyPair, SealContext, open_hello, seal_hello};
pub(crate) use record::nonce;
pub use record::{RecordOpener, RecordSealer, SealedSignal};
pub use transcript::Transcript;
