//! What kind of wall a session is about, for the server's statistics.

use serde::{Deserialize, Serialize};

/// What stands between an agent and a site. The server counts it and tells it to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WallType {
    /// A password, with or without a user name.
    Password,
    /// A code that was sent, by SMS or e-mail.
    Otp,
    /// A code from an authenticator (RFC 6238).
    Totp,
    /// A test that tells people from programs.
    Captcha,
    /// An approval on another device.
    Push,
    /// A QR code to be scanned.
    Qr,
    /// A passkey or a security key (WebAuthn).
    Passkey,
    /// Another site's sign-in (OAuth, OpenID Connect, SAML).
    Oauth,
    /// A question of consent.
    Consent,
    /// Any other; what a server does not know is this.
    #[serde(other)]
    Other,
}

impl WallType {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Password,
        Self::Otp,
        Self::Totp,
        Self::Captcha,
        Self::Push,
        Self::Qr,
        Self::Passkey,
        Self::Oauth,
        Self::Consent,
        Self::Other,
    ];

    /// The kind's name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Otp => "otp",
            Self::Totp => "totp",
            Self::Captcha => "captcha",
            Self::Push => "push",
            Self::Qr => "qr",
            Self::Passkey => "passkey",
            Self::Oauth => "oauth",
            Self::Consent => "consent",
            Self::Other => "other",
        }
    }

    /// The kind that an agent's own word for it names best.
    #[must_use]
    pub fn of(word: &str) -> Self {
        let word = word.trim().to_ascii_lowercase().replace(['-', ' '], "_");
        if let Some(kind) = Self::ALL.into_iter().find(|kind| kind.as_str() == word) {
            return kind;
        }
        match word.as_str() {
            "login" | "credentials" | "username_password" => Self::Password,
            "sms_otp" | "email_otp" | "sms" | "sms_code" | "email_code" | "2fa" | "mfa" => {
                Self::Otp
            }
            "authenticator" | "authenticator_app" => Self::Totp,
            "turnstile" => Self::Captcha,
            "push_approval" | "push_notification" => Self::Push,
            "qr_code" => Self::Qr,
            "webauthn" | "security_key" => Self::Passkey,
            "oauth_popup" | "oauth_consent" | "sso" | "saml" | "oidc" => Self::Oauth,
            "cookie_consent" | "terms" => Self::Consent,
            // recaptcha, hcaptcha, behavioral_captcha, …
            word if word.ends_with("captcha") => Self::Captcha,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_one_name_and_other_names_are_other() {
        for kind in WallType::ALL {
            let name = serde_json::to_value(kind).unwrap();
            assert_eq!(name, kind.as_str());
            assert_eq!(serde_json::from_value::<WallType>(name).unwrap(), kind);
            assert_eq!(WallType::of(kind.as_str()), kind);
        }
        let later: WallType = serde_json::from_str("\"retina_scan\"").unwrap();
        assert_eq!(later, WallType::Other);
    }

    #[test]
    fn an_agents_word_is_understood_or_other() {
        for (word, kind) in [
            ("SMS-OTP", WallType::Otp),
            (" push approval ", WallType::Push),
            ("hcaptcha", WallType::Captcha),
            ("behavioral_captcha", WallType::Captcha),
            ("", WallType::Other),
            ("https://secret.example/?token=1", WallType::Other),
        ] {
            assert_eq!(WallType::of(word), kind, "{word}");
        }
    }
}
