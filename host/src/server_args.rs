//! Options that say which authloop server, and how users reach it.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use authloop_handoff::signal::SignalingServer;
use secrecy::SecretString;
use url::Url;

/// Which authloop server, and how users reach it.
#[derive(Debug, clap::Args)]
pub(crate) struct ServerArgs {
    /// The authloop server.
    #[arg(long, env = "AUTHLOOP_HOST_SERVER")]
    server: String,
    /// The server's origin as the user's device reaches it; the server's own if not given.
    #[arg(long, env = "AUTHLOOP_HOST_PUBLIC_ORIGIN")]
    public_origin: Option<String>,
    /// Where the viewer page is served, if not at the public origin.
    #[arg(long, env = "AUTHLOOP_HOST_VIEWER_ORIGIN")]
    viewer_origin: Option<String>,
    /// A file holding the server's API key.
    #[arg(long, env = "AUTHLOOP_HOST_API_KEY_FILE")]
    api_key_file: Option<PathBuf>,
    /// A PEM file of certificates to trust besides the system's, for a self-signed server.
    #[arg(long, env = "AUTHLOOP_HOST_SERVER_CA")]
    server_ca: Option<PathBuf>,
}

impl ServerArgs {
    /// The server; nothing has been connected yet.
    ///
    /// # Errors
    /// One sentence on what is wrong.
    pub(crate) fn server(&self) -> anyhow::Result<SignalingServer> {
        let api_key = match &self.api_key_file {
            Some(path) => Some(SecretString::from(
                std::fs::read_to_string(path)
                    .with_context(|| format!("the API key file {} is unreadable", path.display()))?
                    .trim(),
            )),
            None => None,
        };
        let ca = match &self.server_ca {
            Some(path) => Some(
                std::fs::read(path)
                    .with_context(|| format!("the CA file {} is unreadable", path.display()))?,
            ),
            None => None,
        };
        Ok(SignalingServer::new(&self.server, api_key, ca.as_deref())?)
    }

    /// The public origin and the viewer's.
    ///
    /// # Errors
    /// One sentence on what is wrong.
    pub(crate) fn origins(&self, server: &SignalingServer) -> anyhow::Result<(String, String)> {
        let public = match &self.public_origin {
            Some(text) => origin(text, "--public-origin")?,
            None => server.origin(),
        };
        let viewer = match &self.viewer_origin {
            Some(text) => origin(text, "--viewer-origin")?,
            None => public.clone(),
        };
        Ok((public, viewer))
    }
}

/// Takes a web address down to its origin, so that a trailing slash is no error.
pub(crate) fn origin(text: &str, flag: &str) -> anyhow::Result<String> {
    let url = Url::parse(text).with_context(|| format!("{flag}: {text:?} is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        bail!("{flag}: {text:?} is not an http:// or https:// origin");
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() {
        bail!("{flag}: {text:?} has a path; an origin is scheme, host and port only");
    }
    Ok(url.origin().ascii_serialization())
}
