//! Records what a client has set up in one session, so that it can be set up again in another.
//!
//! Only settings are kept, never actions. Whatever is not listed here is lost when the gate closes,
//! and a client that relied on it gets the browser's own error.

use serde_json::{Value, value::RawValue};

use super::message::{raw, text_of, value};

/// Settings that one session may have; a client that makes more loses the oldest.
const MAX_SETTINGS: usize = 512;

/// Methods that set something, besides `*.enable` and the `Emulation.set*`, `Network.set*` families.
const SETTING_METHODS: [&str; 34] = [
    "Browser.grantPermissions",
    "Browser.setDownloadBehavior",
    "Browser.setPermission",
    "Debugger.setAsyncCallStackDepth",
    "Debugger.setBlackboxPatterns",
    "Debugger.setPauseOnExceptions",
    "Debugger.setSkipAllPauses",
    "Input.setIgnoreInputEvents",
    "Input.setInterceptDrags",
    "Log.startViolationsReport",
    "Network.emulateNetworkConditions",
    "Network.emulateNetworkConditionsByRule",
    "Network.overrideNetworkState",
    "Overlay.setShowViewportSizeOnResize",
    "Page.setAdBlockingEnabled",
    "Page.setBypassCSP",
    "Page.setDownloadBehavior",
    "Page.setFontFamilies",
    "Page.setFontSizes",
    "Page.setInterceptFileChooserDialog",
    "Page.setLifecycleEventsEnabled",
    "Page.setPrerenderingAllowed",
    "Page.setRPHRegistrationMode",
    "Page.setSPCTransactionMode",
    "Page.startScreencast",
    "Performance.setTimeDomain",
    "Runtime.addBinding",
    "Runtime.setAsyncCallStackDepth",
    "Runtime.setCustomObjectFormatterEnabled",
    "Runtime.setMaxCallStackSizeToCapture",
    "Security.setIgnoreCertificateErrors",
    "Security.setOverrideCertificateErrors",
    "Target.setAutoAttach",
    "Target.setDiscoverTargets",
];

/// Methods of those families that act instead of setting.
const ACTION_METHODS: [&str; 5] = [
    "Emulation.setVirtualTimePolicy",
    "Network.setAttachDebugStack",
    "Network.setCookie",
    "Network.setCookies",
    "Network.setCookieControls",
];

/// Settings that a site may have judged the sign-in by: they stay while the gate is closed.
const PRESERVED_METHODS: [&str; 5] = [
    "Emulation.setGeolocationOverride",
    "Emulation.setLocaleOverride",
    "Emulation.setTimezoneOverride",
    "Emulation.setUserAgentOverride",
    "Network.setUserAgentOverride",
];

/// One command to send again.
#[derive(Debug, Clone)]
pub(super) struct JournalEntry {
    key: String,
    pub(super) method: String,
    pub(super) params: Box<RawValue>,
    /// For a script: the name the client knows it by.
    pub(super) script: Option<String>,
}

/// The settings of one session, oldest first.
#[derive(Debug, Default, Clone)]
pub(super) struct SettingsJournal {
    entries: Vec<JournalEntry>,
    /// Isolated worlds the client made, by name, with their parameters but for the frame.
    worlds: Vec<(String, Value)>,
}

impl SettingsJournal {
    /// Records a command that the browser has carried out.
    pub(super) fn record(&mut self, method: &str, params: Option<&RawValue>) {
        let value = value(params);
        match method {
            "Page.createIsolatedWorld" => self.record_world(value),
            "Page.stopScreencast" => self.forget("Page.startScreencast"),
            "Runtime.removeBinding" => {
                self.forget(&format!("Runtime.addBinding {}", text_of(&value, "name")));
            }
            "Network.clearAcceptedEncodingsOverride" => {
                self.forget("Network.setAcceptedEncodings");
            }
            "Emulation.clearDeviceMetricsOverride" => {
                self.forget("Emulation.setDeviceMetricsOverride");
            }
            "Emulation.clearGeolocationOverride" => {
                self.forget("Emulation.setGeolocationOverride");
            }
            "Emulation.clearIdleOverride" => self.forget("Emulation.setIdleOverride"),
            "Browser.resetPermissions" => self.entries.retain(|entry| {
                !entry.key.starts_with("Browser.grantPermissions")
                    && !entry.key.starts_with("Browser.setPermission")
            }),
            _ => {
                if let Some(domain) = method.strip_suffix(".disable") {
                    let prefix = format!("{domain}.");
                    self.entries.retain(|e| !e.method.starts_with(&prefix));
                } else if let Some(key) = key_of(method, &value) {
                    let params = params.map_or_else(
                        || raw(&Value::Object(Default::default())),
                        ToOwned::to_owned,
                    );
                    self.insert(key, method, params, None);
                }
            }
        }
    }

    /// Records a script for new documents, under the client's name for it.
    pub(super) fn record_script(&mut self, name: &str, params: Option<&RawValue>) {
        let mut value = value(params);
        // Documents that came while the gate was closed have not run it.
        value["runImmediately"] = true.into();
        let method = "Page.addScriptToEvaluateOnNewDocument";
        self.insert(
            format!("script {name}"),
            method,
            raw(&value),
            Some(name.to_owned()),
        );
    }

    pub(super) fn forget_script(&mut self, name: &str) {
        self.forget(&format!("script {name}"));
    }

    pub(super) fn has(&self, method: &str) -> bool {
        self.entries.iter().any(|entry| entry.method == method)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &JournalEntry> {
        self.entries.iter()
    }

    /// Isolated worlds to make again in each frame.
    pub(super) fn worlds(&self) -> &[(String, Value)] {
        &self.worlds
    }

    /// What stays in force while the gate is closed.
    pub(super) fn preserved(&self) -> impl Iterator<Item = &JournalEntry> {
        let preserved = |entry: &&JournalEntry| PRESERVED_METHODS.contains(&entry.method.as_str());
        self.entries.iter().filter(preserved)
    }

    fn insert(&mut self, key: String, method: &str, params: Box<RawValue>, script: Option<String>) {
        self.forget(&key);
        if self.entries.len() >= MAX_SETTINGS {
            self.entries.remove(0);
        }
        self.entries.push(JournalEntry {
            key,
            method: method.to_owned(),
            params,
            script,
        });
    }

    fn forget(&mut self, key: &str) {
        self.entries.retain(|entry| entry.key != key);
    }

    fn record_world(&mut self, mut params: Value) {
        let name = text_of(&params, "worldName").to_owned();
        if let Some(params) = params.as_object_mut() {
            params.remove("frameId");
        }
        if !name.is_empty()
            && self.worlds.len() < MAX_SETTINGS
            && !self.worlds.iter().any(|w| w.0 == name)
        {
            self.worlds.push((name, params));
        }
    }
}

/// What a later command must name to replace this one; `None` for what is no setting.
fn key_of(method: &str, params: &Value) -> Option<String> {
    let family = method.ends_with(".enable")
        || method.starts_with("Emulation.set")
        || method.starts_with("Network.set");
    if ACTION_METHODS.contains(&method) || !(family || SETTING_METHODS.contains(&method)) {
        return None;
    }
    let part = |name: &str| text_of(params, name).to_owned();
    Some(match method {
        // Contexts are numbered anew in every document; only names come again.
        "Runtime.addBinding" if params["executionContextId"].is_u64() => return None,
        "Runtime.addBinding" => format!("{method} {}", part("name")),
        "Browser.setDownloadBehavior" => format!("{method} {}", part("browserContextId")),
        "Browser.grantPermissions" | "Browser.setPermission" => format!(
            "{method} {} {} {}",
            part("browserContextId"),
            part("origin"),
            params["permission"]
        ),
        _ => method.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(journal: &mut SettingsJournal, method: &str, params: Value) {
        journal.record(method, Some(&raw(&params)));
    }

    fn methods(journal: &SettingsJournal) -> Vec<&str> {
        journal.entries().map(|e| e.method.as_str()).collect()
    }

    #[test]
    fn the_last_setting_counts_and_actions_do_not() {
        let mut journal = SettingsJournal::default();

        record(&mut journal, "Page.enable", json!({}));
        record(&mut journal, "Network.enable", json!({}));
        record(
            &mut journal,
            "Network.setExtraHTTPHeaders",
            json!({ "headers": { "a": "1" } }),
        );
        record(
            &mut journal,
            "Network.setExtraHTTPHeaders",
            json!({ "headers": { "a": "2" } }),
        );
        record(
            &mut journal,
            "Network.setCookie",
            json!({ "name": "n", "value": "v" }),
        );
        record(&mut journal, "Page.navigate", json!({ "url": "http://h/" }));
        record(
            &mut journal,
            "Runtime.evaluate",
            json!({ "expression": "1" }),
        );

        assert_eq!(
            methods(&journal),
            [
                "Page.enable",
                "Network.enable",
                "Network.setExtraHTTPHeaders"
            ]
        );
        let last = journal.entries().last().map(|e| e.params.get().to_owned());
        assert_eq!(last.as_deref(), Some(r#"{"headers":{"a":"2"}}"#));
    }

    #[test]
    fn disabling_a_domain_forgets_its_settings() {
        let mut journal = SettingsJournal::default();
        record(&mut journal, "Network.enable", json!({}));
        record(
            &mut journal,
            "Network.setCacheDisabled",
            json!({ "cacheDisabled": true }),
        );
        record(&mut journal, "Fetch.enable", json!({}));

        record(&mut journal, "Network.disable", json!({}));

        assert_eq!(methods(&journal), ["Fetch.enable"]);
    }

    #[test]
    fn bindings_and_scripts_are_known_by_name() {
        let mut journal = SettingsJournal::default();
        record(&mut journal, "Runtime.addBinding", json!({ "name": "a" }));
        record(&mut journal, "Runtime.addBinding", json!({ "name": "b" }));
        record(
            &mut journal,
            "Runtime.addBinding",
            json!({ "name": "c", "executionContextId": 3 }),
        );
        journal.record_script("1", Some(&raw(&json!({ "source": "x" }))));
        journal.record_script("2", Some(&raw(&json!({ "source": "y" }))));

        record(
            &mut journal,
            "Runtime.removeBinding",
            json!({ "name": "a" }),
        );
        journal.forget_script("1");

        let left: Vec<_> = journal
            .entries()
            .map(|e| (e.method.as_str(), e.script.as_deref()))
            .collect();
        assert_eq!(
            left,
            [
                ("Runtime.addBinding", None),
                ("Page.addScriptToEvaluateOnNewDocument", Some("2"))
            ]
        );
    }

    #[test]
    fn a_journal_is_bounded() {
        let mut journal = SettingsJournal::default();

        for n in 0..2 * MAX_SETTINGS {
            record(
                &mut journal,
                "Runtime.addBinding",
                json!({ "name": n.to_string() }),
            );
        }

        assert_eq!(journal.entries().count(), MAX_SETTINGS);
    }
}
