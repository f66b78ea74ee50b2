//! A certificate chain with its private key, and what the chain says of itself.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, bail};
use rustls::{
    client::verify_server_name,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    server::ParsedCertificate,
    sign::CertifiedKey,
};
use x509_parser::parse_x509_certificate;

/// A chain and the key that its first certificate is for.
#[derive(Clone, Debug)]
pub(crate) struct CertificateAndKey {
    /// As rustls signs with it.
    pub(crate) certified: Arc<CertifiedKey>,
    /// When the certificate begins to be valid, in seconds since 1970 (RFC 5280 §4.1.2.5).
    pub(crate) not_before: i64,
    /// When it ends to be valid, likewise.
    pub(crate) not_after: i64,
}

impl CertificateAndKey {
    /// # Errors
    /// When the text holds no chain or no key, or the two do not belong together.
    pub(crate) fn from_pem(chain: &[u8], key: &[u8]) -> anyhow::Result<Self> {
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .context("the certificate chain is no PEM")?;
        let key = PrivateKeyDer::from_pem_slice(key).context("there is no private key in PEM")?;
        Self::from_der(chain, key)
    }

    /// # Errors
    /// When the chain is empty, or the key is another certificate's.
    pub(crate) fn from_der(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> anyhow::Result<Self> {
        let Some(leaf) = chain.first() else {
            bail!("there is no certificate in PEM");
        };
        let (_, parsed) = parse_x509_certificate(leaf).context("the certificate is damaged")?;
        let validity = parsed.validity();
        let (not_before, not_after) = (validity.not_before, validity.not_after);
        let (not_before, not_after) = (not_before.timestamp(), not_after.timestamp());
        let certified = CertifiedKey::from_der(chain, key, &ring::default_provider())
            .context("the certificate and the private key do not work together")?;
        Ok(Self {
            certified: Arc::new(certified),
            not_before,
            not_after,
        })
    }

    /// Whether clients that asked for this host (an IPv6 address in brackets or not) are content
    /// with the certificate's names (RFC 6125).
    pub(crate) fn covers(&self, host: &str) -> bool {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let Ok(name) = ServerName::try_from(bare) else {
            return false;
        };
        let Ok(leaf) = self.certified.end_entity_cert() else {
            return false;
        };
        ParsedCertificate::try_from(leaf)
            .is_ok_and(|certificate| verify_server_name(&certificate, &name).is_ok())
    }

    /// Whether it was valid no more at `now`, in seconds since 1970.
    pub(crate) fn has_expired(&self, now: i64) -> bool {
        self.not_after <= now
    }
}

/// Seconds since 1970.
pub(crate) fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use time::{Duration, OffsetDateTime};

    use super::*;

    /// A self-signed chain and its key in PEM, valid for so many days from yesterday on.
    pub(crate) fn pem(names: &[&str], days: i64) -> (String, String) {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = OffsetDateTime::now_utc() - Duration::days(1);
        params.not_after = params.not_before + Duration::days(days);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn pair(names: &[&str], days: i64) -> CertificateAndKey {
        let (chain, key) = pem(names, days);
        CertificateAndKey::from_pem(chain.as_bytes(), key.as_bytes()).unwrap()
    }

    #[test]
    fn it_knows_its_names_and_its_end() {
        let pair = pair(&["relay.example", "*.sub.example", "2001:db8::1"], 90);

        for host in [
            "relay.example",
            "a.sub.example",
            "[2001:db8::1]",
            "2001:db8::1",
        ] {
            assert!(pair.covers(host), "{host}");
        }
        for host in [
            "other.example",
            "a.relay.example",
            "sub.example",
            "127.0.0.1",
            "",
        ] {
            assert!(!pair.covers(host), "{host}");
        }
        assert_eq!(pair.not_after - pair.not_before, 90 * 86400);
        assert!(!pair.has_expired(unix_now()));
        assert!(pair.has_expired(unix_now() + 90 * 86400));
    }

    #[test]
    fn what_does_not_belong_together_is_no_pair() {
        let (chain, key) = pem(&["relay.example"], 90);
        let (_, other) = pem(&["relay.example"], 90);
        let of = |chain: &str, key: &str| {
            let pair = CertificateAndKey::from_pem(chain.as_bytes(), key.as_bytes());
            format!("{:#}", pair.unwrap_err())
        };

        assert!(of(&chain, &other).contains("do not work together"));
        assert!(of(&key, &key).contains("no certificate"));
        assert!(of(&chain, &chain).contains("no private key"));
        assert!(of(&chain[..chain.len() / 2], &key).contains("PEM"));
    }
}
