//! `authloop verify`: whether a server serves the page that was published, byte for byte.
//!
//! Asked from outside, like any browser: so it also finds a proxy that changes what passes it. It
//! cannot know what the server gives to somebody else, or a moment later.

mod headers;

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use authloop_signaling::{
    brand::{BrandDocument, BrandName, Logo, is_brand_style},
    origin::Origin,
    page::{Manifest, content_type},
};
use clap::Args;
use reqwest::{
    Client, StatusCode,
    header::{CONTENT_TYPE, HeaderMap},
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
    let mut server = RemoteServer {
        http: client(args)?,
        origin,
        served: Vec::new(),
    };
    let mut findings = files(&mut server, &manifest).await?;
    let (told, embed) = brand(&mut server).await?;
    findings.extend(told);
    findings.extend(headers::judge(
        &server.origin,
        embed.as_deref(),
        &server.served,
    ));
    Ok(findings)
}

struct RemoteServer {
    http: Client,
    origin: Origin,
    /// The headers of all that it served, by path.
    served: Vec<(String, HeaderMap)>,
}

struct ServedFile {
    status: StatusCode,
    content_type: String,
    bytes: Vec<u8>,
}

impl RemoteServer {
    async fn get(&mut self, path: &str) -> anyhow::Result<ServedFile> {
        let in_url = if path == INDEX_PATH { "" } else { path };
        let url = format!("{}/{in_url}", self.origin.as_str());
        let unreachable = || format!("cannot fetch {url}");
        let mut response = self.http.get(&url).send().await.with_context(unreachable)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.with_context(unreachable)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MAX_FILE_BYTES {
                break;
            }
        }
        let headers = response.headers();
        self.served.push((path.to_owned(), headers.clone()));
        let kind = headers.get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        Ok(ServedFile {
            status: response.status(),
            content_type: kind.to_owned(),
            bytes,
        })
    }
}

/// What is to be said of the files.
async fn files(server: &mut RemoteServer, manifest: &Manifest) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut count = 0;
    for (path, wanted) in manifest.files() {
        count += 1;
        let served = server.get(path).await?;
        findings.extend(file(path, wanted, &served));
    }
    if findings.is_empty() {
        let hash = hex::encode(manifest.hash());
        let text = format!("all {count} files are as published: page sha256:{hash}");
        findings.push(Finding::good(text));
    }
    Ok(findings)
}

/// What is wrong with one file.
fn file(path: &str, wanted: &[u8; 32], served: &ServedFile) -> Option<Finding> {
    if let Some(flaw) = not_served(path, served) {
        return Some(flaw);
    }
    let found: [u8; 32] = Sha256::digest(&served.bytes).into();
    if found != *wanted {
        let [found, wanted] = [&found, wanted].map(hex::encode);
        let text = format!("{path} is another file: sha256 {found}, published is {wanted}");
        return Some(Finding::bad(text));
    }
    other_type(path, served)
}

fn not_served(path: &str, served: &ServedFile) -> Option<Finding> {
    (served.status != StatusCode::OK).then(|| {
        let text = format!("{path} is not served: HTTP {}", served.status.as_u16());
        Finding::bad(text)
    })
}

fn other_type(path: &str, served: &ServedFile) -> Option<Finding> {
    let kind = &served.content_type;
    (Some(kind.as_str()) != content_type(path)).then(|| {
        let text = format!("{path} is served as `{kind}`, which browsers may read otherwise");
        Finding::bad(text)
    })
}

/// The files that a brand replaces: anyone may have their own, but only such as change nothing else.
/// Also the page's parents, unless the server does not say which.
async fn brand(server: &mut RemoteServer) -> anyhow::Result<(Vec<Finding>, Option<Vec<Origin>>)> {
    const STYLE: &str = "brand/brand.css";
    const DOCUMENT: &str = "brand/brand.json";
    let mut findings = Vec::new();
    let style = server.get(STYLE).await?;
    findings.extend(not_served(STYLE, &style).or_else(|| other_type(STYLE, &style)));
    if !std::str::from_utf8(&style.bytes).is_ok_and(is_brand_style) {
        let text = "brand/brand.css is not what a server makes of --brand-accent: it may hide what \
                    the page says";
        findings.push(Finding::bad(text));
    }
    let document = server.get(DOCUMENT).await?;
    findings.extend(not_served(DOCUMENT, &document).or_else(|| other_type(DOCUMENT, &document)));
    let told = serde_json::from_slice::<BrandDocument>(&document.bytes);
    let told = told.ok().and_then(|told| {
        let name = told.name.parse::<BrandName>().ok()?;
        let embed = told.embed.iter().map(|origin| origin.parse());
        let embed = embed.collect::<Result<Vec<Origin>, _>>().ok()?;
        (name.as_str() == told.name).then_some((told, embed))
    });
    let Some((told, embed)) = told else {
        let text = "brand/brand.json is not what a server makes";
        findings.push(Finding::bad(text));
        return Ok((findings, None));
    };
    if let Some(path) = &told.logo {
        findings.extend(logo(server, path).await?);
    }
    let parents = match told.embed.as_slice() {
        [] => "nobody may frame it".to_owned(),
        parents => format!("these may frame it: {}", parents.join(", ")),
    };
    let text = format!("it calls itself {:?}; {parents}", told.name);
    findings.push(Finding::good(text));
    Ok((findings, Some(embed)))
}

/// What is wrong with the logo. It may be any picture that a server takes.
async fn logo(server: &mut RemoteServer, path: &str) -> anyhow::Result<Option<Finding>> {
    let at_home = path.starts_with("brand/") && content_type(path).is_some();
    if !at_home {
        let text = format!("brand/brand.json has its logo at {path:?}, where no server has it");
        return Ok(Some(Finding::bad(text)));
    }
    let served = server.get(path).await?;
    let flaw = not_served(path, &served).or_else(|| other_type(path, &served));
    Ok(flaw.or_else(|| match Logo::parse(served.bytes) {
        Ok(logo) if logo.path() == path => None,
        Ok(_) => Some(Finding::bad(format!("{path} is another kind of picture"))),
        Err(error) => Some(Finding::bad(format!("{path} {error}"))),
    }))
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
