//! What one server did under one load in one round.

use serde::Serialize;

use crate::{
    drive::{LoadOutcome, LoadProfile},
    subject::SubjectKind,
};

/// One server under one load profile in one round.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Measurement {
    /// Counted from zero.
    pub round: u32,
    /// Which server.
    pub kind: SubjectKind,
    /// Which load.
    #[serde(rename = "dose")]
    pub profile: LoadProfile,
    /// What came of it.
    pub outcome: LoadOutcome,
}
