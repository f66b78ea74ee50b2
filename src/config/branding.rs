//! How the viewer page looks, and whose pages may frame it.

use std::io::Read as _;

use authloop_signaling::{
    Brand,
    brand::{Logo, MAX_LOGO_BYTES},
    origin::Origin,
};

use super::{
    ConfigError,
    parse::{invalid, origin},
};

/// Origins whose pages may frame the viewer page. A page that came by plain HTTP could be anyone's.
pub(super) fn embed_origins(given: Option<Vec<String>>) -> Result<Vec<Origin>, ConfigError> {
    const KEY: &str = "embed_origins";
    let given = given.unwrap_or_default();
    let parents: Vec<Origin> = given
        .iter()
        .map(|text| origin(KEY, text))
        .collect::<Result<_, _>>()?;
    let here = ["localhost", "127.0.0.1", "[::1]"];
    match parents
        .iter()
        .find(|parent| !parent.is_secure() && !here.contains(&parent.host()))
    {
        Some(plain) => Err(invalid(
            KEY,
            format!("must be https, but for this machine's own; {plain} is not"),
        )),
        None => Ok(parents),
    }
}

pub(super) fn brand(
    name: Option<String>,
    logo: Option<String>,
    accent: Option<String>,
) -> Result<Brand, ConfigError> {
    Ok(Brand {
        name: name
            .map(|text| text.parse().map_err(|error| invalid("brand_name", error)))
            .transpose()?,
        logo: logo.map(|path| read(&path)).transpose()?,
        accent: accent
            .map(|text| text.parse().map_err(|error| invalid("brand_accent", error)))
            .transpose()?,
    })
}

fn read(path: &str) -> Result<Logo, ConfigError> {
    const KEY: &str = "brand_logo";
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        // One byte more than allowed tells a file that is too large, whatever it is.
        .and_then(|file| file.take(MAX_LOGO_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| invalid(KEY, format!("{path}: {error}")))?;
    Logo::parse(bytes).map_err(|error| invalid(KEY, format!("{error}: {path}")))
}
