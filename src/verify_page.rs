//! `authloop verify`: whether a server serves the page that was published, byte for byte.
//!
//! Asked from outside, like any browser: so it also finds a proxy that changes what passes it. It
//! cannot know what the server gives to somebody else, or a moment later.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use authloop_signaling::{
    brand::{BrandDocument, is_brand_style},
    origin::Origin,
    page::{Manifest, content_type, policy},
};
use clap::Args;
use reqwest::{
    Client, StatusCode,
    header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap},
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use sha2::{Digest as _, Sha256};

use crate::finding::Finding;

/// Time for one file.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// More than any of the page's files has.
const MAX_FILE_BYTES: usize = 4 * 1024 * 1024;
/// The path of what is served at `/`; every manifest has it.
const INDEX_PATH: &str = "index.html";

/// Flags of `verify`.
#[derive(Debug, Args)]
pub struct VerifyPageArgs {
    /// The server's origin, as in `https://relay.example`.
    #[arg(value_name = "URL")]
    pub url: String,
    /// Compare with this list, as `authloop page` or a release's `PAGE.sha256` has it
    /// [default: this program's own page].
    #[arg(long, value_name = "FILE")]
    pub page: Option<PathBuf>,
    /// Trust these certificates, in PEM, beside the machine's own.
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

/// Fetches the whole page and judges it.
///
/// # Errors
/// When there is nothing to judge: a URL or file that cannot be read, a server that cannot be
/// reached.
pub async fn verify_page(args: &VerifyPageArgs) -> anyhow::Result<Vec<Finding>> {
    let parsed = args.url.parse();
    let origin: Origin = parsed.with_context(|| format!("{:?}", args.url))?;
    let manifest = match &args.page {
        None => Manifest::embedded(),
        Some(file) => {
            let read = std::fs::read_to_string(file);
            let text = read.with_context(|| format!("cannot read {}", file.display()))?;
            text.parse().with_context(|| file.display().to_string())?
        }
    };
    let server = RemoteServer {
        http: client(args)?,
        origin,
    };
    let (mut findings, index) = files(&server, &manifest).await?;
    let told = brand(&server, &mut findings).await?;
    findings.push(headers(&server.origin, &index, &told));
    Ok(findings)
}

struct RemoteServer {
    http: Client,
    origin: Origin,
}

struct ServedFile {
    status: StatusCode,
    headers: HeaderMap,
    bytes: Vec<u8>,
}

impl RemoteServer {
    async fn get(&self, path: &str) -> anyhow::Result<ServedFile> {
        let path = if path == INDEX_PATH { "" } else { path };
        let url = format!("{}/{path}", self.origin.as_str());
        let unreachable = || format!("cannot fetch {url}");
        let mut response = self.http.get(&url).send().await.with_context(unreachable)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.with_context(unreachable)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MAX_FILE_BYTES {
                break;
            }
        }
        Ok(ServedFile {
            status: response.status(),
            headers: response.headers().clone(),
            bytes,
        })
    }
}

/// What is to be said of the files, and the headers of the first that a browser loads.
async fn files(
    server: &RemoteServer,
    manifest: &Manifest,
) -> anyhow::Result<(Vec<Finding>, HeaderMap)> {
    let mut findings = Vec::new();
    let mut index = HeaderMap::new();
    let mut count = 0;
    for (path, wanted) in manifest.files() {
        count += 1;
        let served = server.get(path).await?;
        findings.extend(file(path, wanted, &served));
        if path == INDEX_PATH {
            index = served.headers;
        }
    }
    if findings.is_empty() {
        let hash = hex::encode(manifest.hash());
        let text = format!("all {count} files are as published: page sha256:{hash}");
        findings.push(Finding::good(text));
    }
    Ok((findings, index))
}

/// What is wrong with one file.
fn file(path: &str, wanted: &[u8; 32], served: &ServedFile) -> Option<Finding> {
    if served.status != StatusCode::OK {
        let text = format!("{path} is not served: HTTP {}", served.status.as_u16());
        return Some(Finding::bad(text));
    }
    let found: [u8; 32] = Sha256::digest(&served.bytes).into();
    if found != *wanted {
        let [found, wanted] = [&found, wanted].map(hex::encode);
        let text = format!("{path} is another file: sha256 {found}, published is {wanted}");
        return Some(Finding::bad(text));
    }
    let kind = served.headers.get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    (Some(kind) != content_type(path)).then(|| {
        let text = format!("{path} is served as `{kind}`, which browsers may read otherwise");
        Finding::bad(text)
    })
}

/// The files that a brand replaces: anyone may have their own, but only such as change nothing else.
async fn brand(
    server: &RemoteServer,
    findings: &mut Vec<Finding>,
) -> anyhow::Result<BrandDocument> {
    let style = server.get("brand/brand.css").await?;
    if !std::str::from_utf8(&style.bytes).is_ok_and(is_brand_style) {
        let text = "brand/brand.css is not what a server makes of --brand-accent: it may hide what \
                    the page says";
        findings.push(Finding::bad(text));
    }
    let told = server.get("brand/brand.json").await?;
    let Ok(told) = serde_json::from_slice::<BrandDocument>(&told.bytes) else {
        let text = "brand/brand.json is not what a server makes".to_owned();
        findings.push(Finding::bad(text));
        return Ok(BrandDocument {
            name: String::new(),
            logo: None,
            embed: Vec::new(),
        });
    };
    let parents = match told.embed.as_slice() {
        [] => "nobody may frame it".to_owned(),
        parents => format!("these may frame it: {}", parents.join(", ")),
    };
    let text = format!("it calls itself {:?}; {parents}", told.name);
    findings.push(Finding::good(text));
    Ok(told)
}

fn headers(origin: &Origin, index: &HeaderMap, told: &BrandDocument) -> Finding {
    let parents: Result<Vec<Origin>, _> = told.embed.iter().map(|origin| origin.parse()).collect();
    let wanted = parents.map(|parents| policy(origin, &parents));
    let found = index.get(CONTENT_SECURITY_POLICY);
    let found = found.and_then(|policy| policy.to_str().ok());
    if wanted.is_ok() && found == wanted.as_deref().ok() {
        return Finding::good("the page's policy lets no other code in");
    }
    let found = found.unwrap_or("none");
    let text = format!(
        "Content-Security-Policy is {found:?}, not a server's own at {}; fix: let proxies leave it \
         alone, and verify --public-origin itself",
        origin
    );
    Finding::bad(text)
}

fn client(args: &VerifyPageArgs) -> anyhow::Result<Client> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = &args.ca_file {
        let unreadable = || format!("cannot read certificates from {}", file.display());
        for certificate in CertificateDer::pem_file_iter(file).with_context(unreadable)? {
            roots.add(certificate.with_context(unreadable)?)?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = Client::builder()
        .tls_backend_preconfigured(tls)
        .timeout(REQUEST_TIMEOUT)
        // Elsewhere is another page.
        .redirect(reqwest::redirect::Policy::none());
    Ok(client.build()?)
}
