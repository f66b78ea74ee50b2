//! Looks for secrets in processes and files: one JSON request on stdin, one JSON answer on stdout.
//!
//! `{"secrets":[{"name":"password","text":"…"}|{"name":"S","hex":"…"}],"pids":[n],"files":["…"]}`
//! -> `{"hits":[{"needle":"password/utf-8","place":"…","offset":n}],"bytes":n}`. The secrets come by
//! stdin because a command line is for all to see.

use std::path::PathBuf;

use anyhow::Context as _;
use authloop_canary::{Findings, SecretScanner, needles, scan_memory};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScanRequest {
    secrets: Vec<Secret>,
    #[serde(default)]
    pids: Vec<u32>,
    #[serde(default)]
    files: Vec<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Secret {
    name: String,
    #[serde(flatten)]
    value: SecretValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum SecretValue {
    Text(String),
    Hex(String),
}

fn main() -> anyhow::Result<()> {
    let request: ScanRequest =
        serde_json::from_reader(std::io::stdin().lock()).context("request")?;
    let mut wanted = Vec::new();
    for Secret { name, value } in &request.secrets {
        let bytes = match value {
            SecretValue::Text(text) => text.clone().into_bytes(),
            SecretValue::Hex(text) => {
                hex::decode(text).with_context(|| format!("hex of {name}"))?
            }
        };
        // Shorter ones turn up by chance.
        anyhow::ensure!(bytes.len() >= 8, "{name} is too short to search for");
        wanted.extend(needles(name, &bytes));
    }
    let scanner = SecretScanner::new(&wanted);
    let mut all = Vec::new();
    for &pid in &request.pids {
        all.push(scan_memory(&scanner, pid)?);
    }
    for path in &request.files {
        let found = scanner.scan_file(path);
        all.push(found.with_context(|| format!("cannot read {}", path.display()))?);
    }
    let findings = Findings {
        bytes: all.iter().map(|found| found.bytes).sum(),
        hits: all.into_iter().flat_map(|found| found.hits).collect(),
    };
    println!("{}", serde_json::to_string(&findings)?);
    Ok(())
}
