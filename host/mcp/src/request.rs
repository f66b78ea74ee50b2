//! What the tools are asked.

use authloop_agent_api_types::{RoomKind, RoomStart};
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
    /// In which browser the user signs in. "private": one that you neither see nor reach; your browser then gets the
    /// session. Right for passwords, codes and passkeys. "in_place": your own browser, for what lives in your page,
    /// such as a CAPTCHA inside a half-filled form or an upload. Left out, the wall type decides.
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("enum" = ["private", "in_place", null]))]
    pub room: Option<RoomKind>,
    /// With what a private browser begins. "fresh": the site's address, nothing else. "as_is": your page's address,
    /// cookies and storage, for a sign-in that is half done, such as a code after a password. Left out, the wall type
    /// decides.
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("enum" = ["fresh", "as_is", null]))]
    pub start: Option<RoomStart>,
    /// The sites whose session your browser gets from a private browser, for example `["bank.example"]`: registrable
    /// domains, without scheme or path. Left out, those of `expected_origins`, or of `url`.
    #[serde(default)]
    #[schemars(length(min = 1, max = 8))]
    pub grants: Option<Vec<String>>,
}

/// Arguments of `get_handoff_status`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetStatus {
    /// The id that `request_human_login` gave.
    pub session_id: String,
}

#[cfg(test)]
mod tests {
    use rmcp::handler::server::tool::schema_for_type;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_model_is_told_which_rooms_there_are() {
        let schema = Value::Object(schema_for_type::<RequestLogin>().as_ref().clone());
        let property = |name: &str| schema["properties"][name].clone();

        assert_eq!(
            property("room")["enum"],
            json!(["private", "in_place", null])
        );
        assert_eq!(property("start")["enum"], json!(["fresh", "as_is", null]));
        assert_eq!(property("grants")["maxItems"], 8);
        for name in ["room", "start", "grants"] {
            assert!(property(name)["description"].is_string(), "{schema}");
        }
    }

    #[test]
    fn a_call_asks_for_a_room_by_its_name() {
        let call = json!({
            "service": "Bank", "reason": "r", "room": "private", "start": "as_is", "grants": ["bank.example"],
        });

        let wanted: RequestLogin = serde_json::from_value(call).unwrap();

        assert_eq!(
            (wanted.room, wanted.start),
            (Some(RoomKind::Private), Some(RoomStart::AsIs))
        );
        assert_eq!(wanted.grants.unwrap(), ["bank.example"]);
        let unknown = json!({ "service": "Bank", "reason": "r", "room": "in-place" });
        assert!(serde_json::from_value::<RequestLogin>(unknown).is_err());
    }
}
