//! How HTTP is protected: off, by files, or by certificates that an ACME server issues (RFC 8555).

use std::{
    net::IpAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use authloop_signaling::origin::Origin;
use axum::http::Uri;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use super::{
    ConfigError,
    parse::{EXPECT_BOOL, invalid, parse_or},
};

const LETS_ENCRYPT_DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// Permissions of group and others, who may have none to the cache.
const GROUP_AND_OTHERS_MODE: u32 = 0o077;

/// How HTTP is protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// It is not; a proxy does it, or it is loopback.
    Off,
    /// By a certificate made at the start, for a local network.
    SelfSigned,
    /// By these PEM files.
    Files {
        /// The certificate chain.
        cert: PathBuf,
        /// The private key.
        key: PathBuf,
    },
    /// By certificates that an ACME server issues.
    Acme(AcmeSettings),
}

/// What is told to an ACME server, and where its answers are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeSettings {
    /// The name that the certificate is for: the public origin's.
    pub domain: String,
    /// The directory's URL (RFC 8555 §7.1.1).
    pub directory: String,
    /// The account's contacts, as in `mailto:ops@example.com` (§7.3).
    pub contact: Vec<String>,
    /// A folder for the account's key and the certificates.
    pub cache: PathBuf,
    /// The root that the directory's own certificate stems from, instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// The options of TLS as text.
pub(super) struct RawTlsOptions {
    pub(super) mode: Option<String>,
    pub(super) cert: Option<String>,
    pub(super) key: Option<String>,
    pub(super) directory: Option<String>,
    pub(super) contact: Option<Vec<String>>,
    pub(super) cache: Option<String>,
    pub(super) ca_file: Option<String>,
    pub(super) agree_tos: Option<String>,
}

pub(super) fn parse(
    raw: RawTlsOptions,
    public_origin: Option<&Origin>,
) -> Result<TlsMode, ConfigError> {
    if raw.mode.as_deref() == Some("acme") {
        if raw.cert.is_some() || raw.key.is_some() {
            return Err(invalid(
                "tls",
                "must be `files` when `tls_cert` or `tls_key` is given",
            ));
        }
        return acme(raw, public_origin).map(TlsMode::Acme);
    }
    for (key, given) in [
        ("acme_directory", raw.directory.is_some()),
        ("acme_contact", raw.contact.is_some()),
        ("acme_cache", raw.cache.is_some()),
        ("acme_ca_file", raw.ca_file.is_some()),
        ("acme_agree_tos", raw.agree_tos.is_some()),
    ] {
        if given {
            return Err(invalid(key, "makes no sense without `tls` = `acme`"));
        }
    }
    match (raw.mode.as_deref(), raw.cert, raw.key) {
        (None | Some("off"), None, None) => Ok(TlsMode::Off),
        (Some("self-signed"), None, None) => Ok(TlsMode::SelfSigned),
        (None | Some("files"), Some(cert), Some(key)) => Ok(TlsMode::Files {
            cert: readable("tls_cert", cert)?,
            key: readable("tls_key", key)?,
        }),
        (None | Some("files"), _, _) => Err(invalid(
            "tls",
            "by files needs both `tls_cert` and `tls_key`",
        )),
        (Some("off" | "self-signed"), _, _) => Err(invalid(
            "tls",
            "must be `files` when `tls_cert` or `tls_key` is given",
        )),
        (Some(_), _, _) => Err(invalid(
            "tls",
            "must be `off`, `self-signed`, `files` or `acme`",
        )),
    }
}

fn acme(raw: RawTlsOptions, public_origin: Option<&Origin>) -> Result<AcmeSettings, ConfigError> {
    const AGREE: &str = "acme_agree_tos";
    if !parse_or(AGREE, raw.agree_tos, false, EXPECT_BOOL)? {
        return Err(invalid(
            AGREE,
            "must be true: read the terms of service of the authority, then say \
             `--acme-agree-tos`",
        ));
    }
    Ok(AcmeSettings {
        domain: domain(public_origin)?,
        directory: directory(raw.directory)?,
        contact: raw
            .contact
            .unwrap_or_default()
            .iter()
            .map(|text| contact(text))
            .collect::<Result<_, _>>()?,
        cache: cache(raw.cache)?,
        ca_file: raw.ca_file.map(root).transpose()?,
    })
}

/// An authority has to find it in the public DNS.
fn domain(public_origin: Option<&Origin>) -> Result<String, ConfigError> {
    const KEY: &str = "public_origin";
    let Some(origin) = public_origin else {
        return Err(invalid(
            KEY,
            "is needed for `tls` = `acme`: the certificate is for its host",
        ));
    };
    let host = origin.host();
    let is_name = host.contains('.') && host.parse::<IpAddr>().is_err();
    if !origin.is_secure() || !is_name {
        return Err(invalid(
            KEY,
            format!("must be https:// with a domain name for `tls` = `acme`, not `{origin}`"),
        ));
    }
    Ok(host.to_owned())
}

fn directory(given: Option<String>) -> Result<String, ConfigError> {
    let url = given.unwrap_or_else(|| LETS_ENCRYPT_DIRECTORY.to_owned());
    let parsed = url.parse::<Uri>().ok();
    let secure = parsed.is_some_and(|url| {
        // RFC 8555 §6.1.
        url.scheme_str() == Some("https") && url.authority().is_some()
    });
    if !secure {
        return Err(invalid(
            "acme_directory",
            format!("must be a URL as in {LETS_ENCRYPT_DIRECTORY}, not `{url}`"),
        ));
    }
    Ok(url)
}

fn contact(text: &str) -> Result<String, ConfigError> {
    let address = text.strip_prefix("mailto:").unwrap_or(text);
    let halves = address.split_once('@');
    let plain =
        address.bytes().all(|byte| byte.is_ascii_graphic()) && !address.contains(['?', ',']);
    if !plain || halves.is_none_or(|(user, host)| user.is_empty() || host.is_empty()) {
        return Err(invalid(
            "acme_contact",
            format!("must be mail addresses; `{text}` is none"),
        ));
    }
    Ok(format!("mailto:{address}"))
}

/// It may be missing, since the server makes it; its parent may not.
fn cache(given: Option<String>) -> Result<PathBuf, ConfigError> {
    const KEY: &str = "acme_cache";
    let Some(path) = given.map(PathBuf::from) else {
        return Err(invalid(
            KEY,
            "is needed for `tls` = `acme`: a folder that outlives the server, or each start \
             would ask for a new certificate",
        ));
    };
    let shown = path.display();
    match std::fs::metadata(&path) {
        Ok(found) if !found.is_dir() => Err(invalid(KEY, format!("is no folder: {shown}"))),
        Ok(found) if found.permissions().mode() & GROUP_AND_OTHERS_MODE != 0 => Err(invalid(
            KEY,
            format!("is open to others, and private keys lie there: chmod 700 {shown}"),
        )),
        Ok(_) => Ok(path),
        Err(_) if has_parent(&path) => Ok(path),
        Err(error) => Err(invalid(KEY, format!("{shown}: {error}"))),
    }
}

fn has_parent(path: &Path) -> bool {
    path.parent()
        .is_some_and(|parent| parent.as_os_str().is_empty() || parent.is_dir())
}

fn root(path: String) -> Result<PathBuf, ConfigError> {
    CertificateDer::from_pem_file(&path)
        .map_err(|error| invalid("acme_ca_file", format!("{path}: {error}")))?;
    Ok(path.into())
}

fn readable(key: &'static str, path: String) -> Result<PathBuf, ConfigError> {
    std::fs::File::open(&path).map_err(|error| invalid(key, format!("{path}: {error}")))?;
    Ok(path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw() -> RawTlsOptions {
        RawTlsOptions {
            mode: Some("acme".to_owned()),
            cert: None,
            key: None,
            directory: None,
            contact: None,
            cache: Some("cache".to_owned()),
            ca_file: None,
            agree_tos: Some("true".to_owned()),
        }
    }

    fn refusal(raw: RawTlsOptions, origin: &str) -> String {
        let origin = origin.parse().unwrap();
        parse(raw, Some(&origin)).unwrap_err().to_string()
    }

    const ORIGIN: &str = "https://relay.example";

    #[test]
    fn the_domain_is_the_public_origins_and_the_authority_lets_encrypt() {
        let origin = ORIGIN.parse().unwrap();
        let TlsMode::Acme(acme) = parse(raw(), Some(&origin)).unwrap() else {
            panic!("not acme");
        };
        assert_eq!(acme.domain, "relay.example");
        assert_eq!(acme.directory, LETS_ENCRYPT_DIRECTORY);
    }

    #[test]
    fn mail_addresses_become_urls() {
        assert_eq!(contact("a@b.example").unwrap(), "mailto:a@b.example");
        assert_eq!(contact("mailto:a@b.example").unwrap(), "mailto:a@b.example");
        for bad in ["a", "@b", "a@", "a b@c", "a@b,c@d", "a@b?subject=x"] {
            assert!(contact(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_no_authority_can_certify_is_refused() {
        for origin in [
            "http://relay.example",
            "https://127.0.0.1",
            "https://[2001:db8::1]",
            "https://localhost",
        ] {
            assert!(
                refusal(raw(), origin).starts_with("`public_origin` "),
                "{origin}"
            );
        }
        assert!(parse(raw(), None).is_err());
    }

    #[test]
    fn each_refusal_names_its_key() {
        let text = |value: &str| Some(value.to_owned());
        for (key, raw) in [
            (
                "acme_agree_tos",
                RawTlsOptions {
                    agree_tos: None,
                    ..raw()
                },
            ),
            (
                "acme_agree_tos",
                RawTlsOptions {
                    agree_tos: text("false"),
                    ..raw()
                },
            ),
            (
                "acme_cache",
                RawTlsOptions {
                    cache: None,
                    ..raw()
                },
            ),
            (
                "acme_cache",
                RawTlsOptions {
                    cache: text("/dev/null"),
                    ..raw()
                },
            ),
            (
                "acme_cache",
                RawTlsOptions {
                    cache: text("/nonexistent/cache"),
                    ..raw()
                },
            ),
            (
                "acme_directory",
                RawTlsOptions {
                    directory: text("http://ca.example"),
                    ..raw()
                },
            ),
            (
                "acme_directory",
                RawTlsOptions {
                    directory: text("ca.example"),
                    ..raw()
                },
            ),
            (
                "acme_ca_file",
                RawTlsOptions {
                    ca_file: text("/dev/null"),
                    ..raw()
                },
            ),
            (
                "acme_contact",
                RawTlsOptions {
                    contact: Some(vec!["ops".to_owned()]),
                    ..raw()
                },
            ),
            (
                "acme_cache",
                RawTlsOptions {
                    mode: None,
                    agree_tos: None,
                    ..raw()
                },
            ),
            (
                "tls",
                RawTlsOptions {
                    cert: text("a"),
                    ..raw()
                },
            ),
        ] {
            let error = refusal(raw, ORIGIN);
            assert!(error.starts_with(&format!("`{key}` ")), "{key}: {error}");
        }
    }

    #[test]
    fn a_cache_that_others_may_enter_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let set = |mode| {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(folder.path(), mode).unwrap();
        };
        let with = || RawTlsOptions {
            cache: Some(folder.path().to_str().unwrap().to_owned()),
            ..raw()
        };
        set(0o750);
        assert!(refusal(with(), ORIGIN).contains("chmod 700"));
        set(0o700);
        assert!(parse(with(), Some(&ORIGIN.parse().unwrap())).is_ok());
    }
}
