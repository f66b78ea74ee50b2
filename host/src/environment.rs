//! Whether the environment sets only what there is.

use anyhow::bail;
use clap::CommandFactory as _;

use crate::cli::Cli;

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
    let known: Vec<String> = command
        .get_subcommands()
        .flat_map(clap::Command::get_arguments)
        .filter_map(|argument| Some(argument.get_env()?.to_str()?.to_owned()))
        .chain(["AUTHLOOP_HOST_LOG".to_owned()])
        .collect();
    for name in names.filter(|name| name.starts_with("AUTHLOOP_HOST_")) {
        if !known.contains(&name) {
            bail!("{name} is not a setting");
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
        assert!(check("PATH").is_ok());
        assert!(check("AUTHLOOP_HOST_LISTNE").is_err());
    }
}
