//! Flags over environment over file.

use authloop_net::nearest_key;
use figment::{
    Error, Figment, Metadata, Profile, Provider,
    error::Kind,
    providers::{Format as _, Serialized, Toml},
    value::{Dict, Map, Value},
};

use super::{ConfigError, RawConfig, ServeArgs};

const ENV_PREFIX: &str = "AUTHLOOP_";

/// Variables of authloop's other programs, which may share an environment with the server.
const FOREIGN_PREFIXES: [&str; 5] = ["HOST_", "DEMO_", "TEST_", "SDK_", "LOADTEST_"];

pub(super) fn merge(
    args: &ServeArgs,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<RawConfig, ConfigError> {
    let mut figment = Figment::new();
    if let Some(path) = &args.config {
        if !path.is_file() {
            return Err(ConfigError::Invalid {
                key: "config",
                reason: format!("names no readable file: {}", path.display()),
            });
        }
        figment = figment.merge(Toml::file_exact(path));
    }
    let mut options = args.options.clone();
    if args.no_streams {
        options.streams = Some("false".to_owned());
    }
    figment
        .merge(EnvironmentProvider::new(environment))
        .merge(Serialized::defaults(&options))
        .extract()
        .map_err(|error| explain(&error))
}

struct EnvironmentProvider(Dict);

impl EnvironmentProvider {
    fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let dict = variables.into_iter().filter_map(|(name, value)| {
            let key = name.strip_prefix(ENV_PREFIX)?;
            let foreign = FOREIGN_PREFIXES
                .iter()
                .any(|prefix| key.starts_with(prefix))
                || key == "CONFIG";
            (!foreign && !value.is_empty()).then(|| (key.to_lowercase(), Value::from(value)))
        });
        Self(dict.collect())
    }
}

impl Provider for EnvironmentProvider {
    fn metadata(&self) -> Metadata {
        Metadata::named("the environment")
            .interpolater(|_, keys| format!("{ENV_PREFIX}{}", keys.join("_").to_uppercase()))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Profile::Default.collect(self.0.clone()))
    }
}

fn explain(error: &Error) -> ConfigError {
    let origin = error.metadata.as_ref().map_or_else(
        || "the configuration".to_owned(),
        |metadata| match &metadata.source {
            Some(source) => source.to_string(),
            None => metadata.name.to_string(),
        },
    );
    match &error.kind {
        Kind::UnknownField(key, known) => ConfigError::UnknownKey {
            nearest: nearest_key(&key.replace('-', "_"), known.iter().copied()).map(str::to_owned),
            key: key.clone(),
            origin,
        },
        kind => {
            let key = match error.path.as_slice() {
                [] => String::new(),
                path => format!(" at `{}`", path.join(".")),
            };
            ConfigError::Source(format!("{origin}{key}: {kind}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn args(file: &tempfile::NamedTempFile) -> ServeArgs {
        ServeArgs {
            config: Some(file.path().to_owned()),
            ..ServeArgs::default()
        }
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn env(name: &str, value: &str) -> Vec<(String, String)> {
        vec![(name.to_owned(), value.to_owned())]
    }

    #[test]
    fn flags_win_over_environment_over_file() {
        let file = file("listen = '127.0.0.1:1'\nmax_sessions = 7\nlog = 'warn'\n");
        let mut args = args(&file);
        args.options.listen = Some("127.0.0.1:3".to_owned());
        let environment = [
            env("AUTHLOOP_LISTEN", "127.0.0.1:2"),
            env("AUTHLOOP_LOG", "debug"),
        ];
        let raw = merge(&args, environment.concat()).unwrap();
        assert_eq!(raw.listen.as_deref(), Some("127.0.0.1:3"));
        assert_eq!(raw.log.as_deref(), Some("debug"));
        assert_eq!(raw.max_sessions.as_deref(), Some("7"));
    }

    #[test]
    fn a_flag_without_a_value_wins_as_one_with_a_value_does() {
        let args = ServeArgs {
            no_streams: true,
            ..ServeArgs::default()
        };
        let raw = merge(&args, env("AUTHLOOP_STREAMS", "true")).unwrap();
        assert_eq!(raw.streams.as_deref(), Some("false"));
    }

    #[test]
    fn lists_come_as_lists_or_with_commas() {
        let file = file("relay_advertise = ['10.0.0.1', '10.0.0.2']\n");
        let environment = env("AUTHLOOP_TRUSTED_PROXIES", "10.0.0.3, 10.0.0.4");
        let raw = merge(&args(&file), environment).unwrap();
        assert_eq!(raw.relay_advertise.unwrap(), ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(raw.trusted_proxies.unwrap(), ["10.0.0.3", "10.0.0.4"]);
    }

    #[test]
    fn an_unknown_key_is_named_with_the_nearest_one() {
        let file = file("relay-advertize = '10.0.0.1'\n");
        let error = merge(&args(&file), Vec::new()).unwrap_err().to_string();
        assert!(error.contains("unknown key `relay-advertize`"), "{error}");
        assert!(error.contains("did you mean `relay_advertise`?"), "{error}");
        let error = merge(&ServeArgs::default(), env("AUTHLOOP_LISTN", "x"))
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "unknown key `listn` in the environment; did you mean `listen`?"
        );
        let error = merge(&ServeArgs::default(), env("AUTHLOOP_QQQQ", "x"))
            .unwrap_err()
            .to_string();
        assert_eq!(error, "unknown key `qqqq` in the environment");
    }

    #[test]
    fn the_other_programs_variables_are_left_alone() {
        assert!(merge(&ServeArgs::default(), env("AUTHLOOP_HOST_API_KEY", "x")).is_ok());
    }

    #[test]
    fn broken_or_missing_files_say_so() {
        let broken = file("listen = \n");
        assert!(merge(&args(&broken), Vec::new()).is_err());
        let missing = ServeArgs {
            config: Some("/nonexistent/authloop.toml".into()),
            ..ServeArgs::default()
        };
        let error = merge(&missing, Vec::new()).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/authloop.toml"), "{error}");
    }
}
