//! What the tools are asked.

use rmcp::schemars::{self, JsonSchema};
use serde::Deserialize;
use serde_json::Value;

/// Arguments of `request_human_login`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestLogin {
    /// What the user signs in to, as people call it, for example "Example Bank".
    pub service: String,
    /// Why, in one sentence for the user, for example "Read this month's invoices".
    pub reason: String,
    /// The browser's CDP address, for example http://127.0.0.1:9222; left out if the server knows it.
    #[serde(default)]
    pub cdp_url: Option<String>,
    /// The address of the page that wants a sign-in.
    #[serde(default)]
    pub url: Option<String>,
    /// What kind of wall: password, sms_otp, totp, behavioral_captcha, ...
    #[serde(default)]
    pub wall_type: Option<String>,
    /// Origins where the user is expected to sign in, for example `["https://bank.example"]`.
    #[serde(default)]
    pub expected_origins: Option<Vec<String>>,
    /// How to tell that the user is signed in: {"any": [...]} or {"all": [...]} of {"url": pattern},
    /// {"cookie": {"name": ...}}, {"selector": css} and {"network": {"url": pattern, "status": 200}}.
    #[serde(default)]
    #[schemars(with = "Option<serde_json::Map<String, Value>>")]
    pub done_when: Option<Value>,
}

/// Arguments of `get_handoff_status`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetStatus {
    /// The id that `request_human_login` gave.
    pub session_id: String,
}
