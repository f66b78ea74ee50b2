//! The methods that agents may use, with their parameters.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

const LIST: &str = include_str!("allowed_methods.txt");

static METHODS: LazyLock<BTreeMap<String, BTreeSet<&'static str>>> =
    LazyLock::new(|| read_list(LIST));

/// The parameters that agents may give `method`; `None` if they may not use it.
pub(super) fn parameters_of(method: &str) -> Option<&'static BTreeSet<&'static str>> {
    METHODS.get(method)
}

/// Reads a domain on a line of its own, then its methods, indented and divided by semicolons.
fn read_list(list: &'static str) -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut methods = BTreeMap::new();
    for paragraph in list.split("\n\n").skip(1) {
        let (domain, text) = paragraph.split_once('\n').unwrap_or((paragraph, ""));
        for method in text.split(';') {
            let (name, parameters) = method.split_once('(').unwrap_or((method, ""));
            let parameters = parameters.trim_end().trim_end_matches(')');
            let name = format!("{domain}.{}", name.trim());
            methods.insert(name, parameters.split_whitespace().collect());
        }
    }
    methods
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read_as_it_is_written() {
        let navigate = parameters_of("Page.navigate").unwrap();

        assert!(navigate.contains("url") && navigate.contains("frameId"));
        assert!(parameters_of("Page.enable").is_some());
        assert!(parameters_of("Schema.getDomains").unwrap().is_empty());
        assert_eq!(METHODS.len(), 556);
    }

    #[test]
    fn what_clients_need_to_connect_is_listed_and_ways_around_the_gate_are_not() {
        for method in [
            "Browser.getVersion",
            "Browser.setDownloadBehavior",
            "Emulation.setFocusEmulationEnabled",
            "Fetch.enable",
            "Network.enable",
            "Page.createIsolatedWorld",
            "Runtime.runIfWaitingForDebugger",
            "Storage.getCookies",
            "Target.setAutoAttach",
        ] {
            assert!(parameters_of(method).is_some(), "{method}");
        }
        for method in [
            "Browser.executeBrowserCommand",
            "Cast.startTabMirroring",
            "Extensions.loadUnpacked",
            "PWA.install",
            "Page.addCompilationCache",
            "Target.exposeDevToolsProtocol",
            "Target.openDevTools",
            "Target.sendMessageToTarget",
            "Target.setRemoteLocations",
            "Tethering.bind",
            "Page.enable ",
            "",
        ] {
            assert!(parameters_of(method).is_none(), "{method}");
        }
    }
}
