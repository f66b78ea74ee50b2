//! How a handoff has ended, as the gate needs to know it, also from another process.

/// What a holder says to a control socket: the user is done, or it ended otherwise.
pub(super) const OPEN_REQUEST: &str = "open";
pub(super) const OPEN_ANEW_REQUEST: &str = "open anew";

/// How a handoff has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The user says that they are done: pages keep their documents, and with them the sign-in of an
    /// application that keeps it in memory.
    ByUser,
    /// In any other way: secrets may be in pages still, and every page gets a new document.
    Otherwise,
}
