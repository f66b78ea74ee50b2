//! Whether the environment sets only what there is.

use anyhow::bail;
use authloop_net::nearest_key;
use clap::CommandFactory as _;

use crate::cli::Cli;

const PREFIX: &str = "AUTHLOOP_HOST_";

/// Checks the names of this process's environment.
///
/// # Errors
/// One sentence on what is wrong.
pub(crate) fn check() -> anyhow::Result<()> {
    refuse_unknown(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))
}

/// A setting that is misspelt must not be passed over.
fn refuse_unknown(names: impl Iterator<Item = String>) -> anyhow::Result<()> {
    let command = Cli::command();
    let known: Vec<&str> = command
        .get_subcommands()
        .flat_map(clap::Command::get_arguments)
        .filter_map(|argument| argument.get_env()?.to_str()?.strip_prefix(PREFIX))
        .chain(["LOG"])
        .collect();
    for name in names {
        let Some(key) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if !known.contains(&key) {
            match nearest_key(key, known.iter().copied()) {
                Some(nearest) => bail!("{name} is not a setting; did you mean {PREFIX}{nearest}?"),
                None => bail!("{name} is not a setting"),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_settings_are_refused() {
        let check = |name: &str| refuse_unknown([name.to_owned()].into_iter());
        assert!(check("AUTHLOOP_HOST_LISTEN").is_ok());
        assert!(check("AUTHLOOP_HOST_SERVER").is_ok());
        assert!(check("AUTHLOOP_HOST_LOG").is_ok());
        assert!(check("PATH").is_ok());
        let error = check("AUTHLOOP_HOST_LISTNE").unwrap_err().to_string();
        assert_eq!(
            error,
            "AUTHLOOP_HOST_LISTNE is not a setting; did you mean AUTHLOOP_HOST_LISTEN?"
        );
        let error = check("AUTHLOOP_HOST_QQQQ").unwrap_err().to_string();
        assert_eq!(error, "AUTHLOOP_HOST_QQQQ is not a setting");
    }
}
