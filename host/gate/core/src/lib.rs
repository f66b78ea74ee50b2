//! Decides what passes the gate before a browser. Pure: no sockets, clock or randomness.
//!
//! A CDP multiplexer that can suspend its clients: many of them share one connection to a browser, and
//! those that are *gated* can be shut out while a user has the browser, and go on afterwards with the
//! sessions and the settings that they had.
//!
//! # How it works
//!
//! Each client gets a browser session of its own (`Target.attachToBrowserTarget`), so that what it
//! enables is its own and dies with it.
//!
//! *Closing* detaches every session of every gated client: no domain stays enabled, no buffer
//! filled, no request intercepted, no binding or script installed, and there is no session that an
//! event could come from. *Opening* attaches them again, sets up again what each had set up, and
//! tells each what became of its pages. Clients keep their names for sessions throughout.
//!
//! # Layers
//!
//! From the bottom up, each knowing only those before it:
//!
//! 1. *Messages*: JSON-RPC as CDP writes it, with parameters left as they came.
//! 2. *Rules*: what agents may ask, which targets they may see, and what they are not told.
//! 3. *Settings*: what each session has set up and would lose with the session.
//! 4. *Clients*: their sessions, by their own names and by the browser's.
//! 5. *The core*: [`Core`], and its four ways in: from a client, from the browser, closing, opening.
//!
//! # Contract
//!
//! - Call one of [`Core::join`], [`Core::leave`], [`Core::client_text`], [`Core::browser_text`],
//!   [`Core::close`], [`Core::open`] and [`Core::finish_opening`], then drain [`Core::poll_output`] before the
//!   next, and carry out each [`Output`] in order.
//! - Until [`Output::Closed`] has come, gated clients may still have sessions in the browser.
//! - [`Output::Opened`] comes once every gated client is back. A page that does not answer could hold
//!   it up forever: the caller has the clock, and calls [`Core::finish_opening`] when it has waited enough.
//! - The same calls give the same outputs: nothing depends on the order of a hash map.
//!
//! # Example
//!
//! ```
//! use authloop_gate_core::{Core, ClosedMode, Output, ClientRole};
//!
//! let mut core = Core::new(ClosedMode::Hold);
//! let agent = core.join(ClientRole { gated: true, page: None });
//! let attach = r#"{"id":1,"method":"Target.attachToBrowserTarget","params":{}}"#;
//! assert_eq!(core.poll_output(), Some(Output::Browser(attach.to_owned())));
//! core.browser_text(r#"{"id":1,"result":{"sessionId":"A"}}"#);
//! assert_eq!(core.poll_output(), None);
//!
//! // The user takes the browser: the agent's session ends, and with it all that it set up.
//! core.close("handoff");
//! let detach = r#"{"id":2,"method":"Target.detachFromTarget","params":{"sessionId":"A"}}"#;
//! assert_eq!(core.poll_output(), Some(Output::Browser(detach.to_owned())));
//! core.browser_text(r#"{"id":2,"result":{}}"#);
//! assert_eq!(core.poll_output(), Some(Output::Closed));
//!
//! // What the agent sends now waits for the opening.
//! core.client_text(agent, r#"{"id":7,"method":"Target.getTargets"}"#);
//! assert_eq!(core.poll_output(), None);
//! ```

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![forbid(unsafe_code)]

mod core;

pub use self::core::{
    ClientId, ClientRole, ClosedMode, Core, Output, PreservedSetting, is_web_address, is_web_target,
};
