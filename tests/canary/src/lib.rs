//! Looks for a secret where it must not be: in a process's memory, in files, in any usual encoding.
//!
//! A search that finds nothing proves something only if the same search finds what was planted;
//! callers plant first.

#![forbid(unsafe_code)]

mod encodings;
mod memory;
mod scanner;

pub use encodings::{Needle, needles};
pub use memory::{MemoryError, scan_memory};
pub use scanner::{Findings, Hit, SecretScanner};
