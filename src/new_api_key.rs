//! `authloop keys new`: makes an API key.

use std::io::Write as _;

use anyhow::Context as _;
use authloop_signaling::NewKey;

use crate::cli::NewKeyArgs;

/// Prints a new key, and on the next line what the keys file needs of it.
///
/// # Errors
/// When an option is not valid, or standard output is closed.
pub fn print(args: &NewKeyArgs) -> anyhow::Result<()> {
    let new = NewKey {
        name: args.name.clone(),
        scopes: args.scope.clone(),
        expires: args.expires.clone(),
        rate: args.rate,
    };
    let (key, line) = new.make().map_err(anyhow::Error::msg)?;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}\n{line}", key.as_str()).context("cannot write to standard output")
}
