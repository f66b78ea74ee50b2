//! The words that authloop's parts share on the wire, and the sealing that keeps them private.
//!
//! A *host*, which has the browser, asks a person to sign in: it makes a session, whose *link* the
//! person opens in a *viewer*. A server, which is trusted with nothing, carries messages between the
//! two until they have a connection of their own. `docs/PROTOCOL.md` is the same in prose, and
//! `vectors/` holds bytes that every implementation must make alike.
//!
//! # Layers
//!
//! From the first contact to the last keystroke:
//!
//! 1. [`id`]: session ids, and the text form of bytes.
//! 2. [`link`] and [`invitation`]: what the person is sent, the keys that grow from it, and what the
//!    host asks for.
//! 3. [`signal`] and [`device`]: the messages with the server, and the viewer's signatures in them.
//! 4. [`seal`]: the viewer's hello (HPKE) and the records under its keys, through the server.
//! 5. [`frame`] and [`sequence`]: the data channel's frames, sealed once more, each applied exactly
//!    once.
//! 6. [`input`], [`output`] and [`browser_ui`]: what the frames say, of keys, pages and prompts.
//!
//! Beside them stand [`plain_text`], for words that somebody else chose, and [`quantity`]: data rates
//! and sizes for the code that sends pictures.
//!
//! # Contract
//!
//! There are no sockets, no clock and no randomness here. Where randomness is needed it is an
//! argument, `&mut impl CryptoRng`, and has to be the operating system's. Whatever is parsed is
//! within its bounds or refused; a sealed message is refused without a word on which check failed.
//! Sealers and openers count: feed an opener every message, in order, once. `Debug` shows no secret.
//!
//! # Example
//!
//! A link, from the host's side to the viewer's:
//!
//! ```
//! use authloop_protocol::id::SessionId;
//! use authloop_protocol::link::{InvitationHash, LinkFragment, LinkKeys, LinkSecret};
//!
//! // In earnest, id and secret are random, and the hash is the invitation's.
//! let fragment = LinkFragment {
//!     id: SessionId([1; 16]),
//!     secret: LinkSecret::new([2; 32]),
//!     invitation: InvitationHash([3; 32]),
//! };
//! let link = format!("https://relay.example/s#{}", *fragment.encode());
//!
//! let (_, text) = link.split_once('#').unwrap();
//! let opened = LinkFragment::parse(text)?;
//! let keys = LinkKeys::derive(&opened.secret, "https://relay.example", opened.id);
//! // The token claims the session at the server, which knows only its hash.
//! assert_ne!(keys.claim_hash(), *keys.claim_token);
//! # Ok::<(), authloop_protocol::link::LinkError>(())
//! ```

#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod browser_ui;
pub mod device;
pub mod frame;
pub mod id;
pub mod input;
pub mod invitation;
pub mod link;
pub mod origin;
pub mod output;
pub mod plain_text;
pub mod quantity;
pub mod seal;
pub mod sequence;
pub mod signal;
