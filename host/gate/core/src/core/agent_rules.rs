//! What agents may ask of a browser, and which of its targets they may see: web pages and what runs in
//! them, and nothing of the browser's own.

use serde_json::{Map, Value, value::RawValue};

use super::{
    allowed_methods,
    message::{raw, text_of, value},
};

/// Target types of web pages and of what runs in them.
const TARGET_TYPES: [&str; 8] = [
    "browser",
    "iframe",
    "page",
    "service_worker",
    "shared_worker",
    // What stands around a page; Puppeteer attaches to it first.
    "tab",
    "worker",
    "worklet",
];

/// Parameters that name an address which the browser then loads.
const ADDRESS_PARAMETERS: [(&str, &str); 4] = [
    ("Fetch.continueRequest", "url"),
    ("Network.loadNetworkResource", "url"),
    ("Page.navigate", "url"),
    ("Target.createTarget", "url"),
];

/// Whether agents may have the browser load an address: `http`, `https`, `data`, `blob` of those, and
/// the two empty documents. Anything else is the browser's own page or a file of the host's.
pub fn is_web_address(address: &str) -> bool {
    // As URL parsers do (WHATWG URL section 4.4): these are not seen wherever they stand.
    let mut text: String = address
        .trim_matches(|c: char| c <= ' ')
        .chars()
        .filter(|c| !matches!(c, '\t' | '\n' | '\r'))
        .collect();
    text.make_ascii_lowercase();
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    match scheme {
        "http" | "https" | "data" => true,
        "blob" => {
            let inner = rest.split(':').next().unwrap_or_default();
            matches!(inner, "http" | "https") || rest.starts_with("null/")
        }
        "about" => {
            let page = rest.split(['?', '#']).next().unwrap_or_default();
            matches!(page, "blank" | "srcdoc")
        }
        _ => false,
    }
}

/// Whether agents may see a target, by CDP's `TargetInfo`.
pub fn is_web_target(info: &Value) -> bool {
    let (kind, url) = (text_of(info, "type"), text_of(info, "url"));
    let kind_known = TARGET_TYPES.contains(&kind) || kind.ends_with("_worklet");
    // A window that has just opened has no address yet, and a worklet never has one.
    kind_known && (kind == "browser" || url.is_empty() || is_web_address(url))
}

/// Gives an agent's parameters as the browser is to have them, still with the client's names.
///
/// # Errors
/// The text of the refusal.
pub(super) fn admit(
    method: &str,
    params: Option<&RawValue>,
    files_folder: Option<&str>,
) -> Result<Box<RawValue>, String> {
    let Some(allowed) = allowed_methods::parameters_of(method) else {
        return Err(format!(
            "authloop: {method} is not among the methods that agents may use through the gate"
        ));
    };
    let universal = "originsWithUniversalNetworkAccess";
    let Value::Object(mut given) = value(params) else {
        return match params.map(RawValue::get) {
            None | Some("null") => Ok(raw(&Value::Object(Map::new()))),
            Some(_) => Err(format!(
                "authloop: the parameters of {method} cannot be read"
            )),
        };
    };
    if given.contains_key(universal) {
        return Err(format!("authloop: agents may not use {universal}"));
    }
    // Written anew, so that the browser reads nothing that was not looked at, such as a second
    // parameter of the same name.
    given.retain(|name, _| allowed.contains(name.as_str()));
    for (of, name) in ADDRESS_PARAMETERS {
        if of == method
            && let Some(address) = given.get(name)
            && !address.as_str().is_some_and(is_web_address)
        {
            return Err(format!(
                "authloop: {method} takes http, https, data and blob addresses and about:blank, not {address}"
            ));
        }
    }
    let mut given = Value::Object(given);
    match method {
        "Target.attachToTarget" if given["flatten"] != true => return Err(only_flat()),
        "Target.setAutoAttach" if given["autoAttach"] == true && given["flatten"] != true => {
            return Err(only_flat());
        }
        "Browser.setDownloadBehavior" | "Page.setDownloadBehavior" => {
            confine_downloads(&mut given, files_folder);
        }
        "DOM.setFileInputFiles" => check_files(&given["files"], files_folder)?,
        "Input.dispatchDragEvent" => check_files(&given["data"]["files"], files_folder)?,
        _ => {}
    }
    Ok(raw(&given))
}

fn only_flat() -> String {
    "authloop: only flat sessions go through the gate; set flatten to true".to_owned()
}

/// Has downloads go into the folder for agents' files. A path elsewhere is replaced and not refused:
/// Playwright names one of its own with every connection.
fn confine_downloads(params: &mut Value, files_folder: Option<&str>) {
    let named = text_of(params, "downloadPath");
    match files_folder {
        Some(folder) if is_inside(named, folder) => {}
        Some(folder) => params["downloadPath"] = folder.into(),
        None => params["behavior"] = "deny".into(),
    }
}

fn check_files(files: &Value, files_folder: Option<&str>) -> Result<(), String> {
    let files = match files {
        Value::Null => return Ok(()),
        Value::Array(files) => files,
        _ => return Err("authloop: the list of files cannot be read".to_owned()),
    };
    let inside = |file: &Value| {
        let folder = files_folder.unwrap_or_default();
        file.as_str().is_some_and(|file| is_inside(file, folder))
    };
    if files.iter().all(inside) {
        return Ok(());
    }
    Err(match files_folder {
        Some(folder) => format!("authloop: agents may give a page files of {folder} only"),
        None => "authloop: agents may give a page no files".to_owned(),
    })
}

/// Whether a path is the folder or within it, by its text alone.
fn is_inside(path: &str, folder: &str) -> bool {
    let within = path.strip_prefix(folder).is_some_and(|rest| {
        let mut parts = rest.split(['/', '\\']);
        rest.is_empty() || (parts.next() == Some("") && parts.all(|part| part != ".."))
    });
    !folder.is_empty() && within && !path.contains('\0')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FOLDER: Option<&str> = Some("/gate/files");

    fn admitted(method: &str, params: Value) -> Result<Value, String> {
        let params = admit(method, Some(&raw(&params)), FOLDER)?;
        Ok(serde_json::from_str(params.get()).unwrap())
    }

    #[test]
    fn web_addresses_are_told_from_the_browsers_own_and_from_files() {
        for address in [
            "http://h/",
            "HTTPS://h/",
            " https://h/",
            "about:blank",
            "about:blank#x",
            "about:srcdoc",
            "data:text/html,x",
            "blob:https://h/1",
            "blob:null/1",
        ] {
            assert!(is_web_address(address), "{address}");
        }
        for address in [
            "",
            "h",
            "//h/",
            "about:settings",
            "chrome://inspect",
            "\tchro\nme://inspect",
            "devtools://devtools/bundled/inspector.html",
            "chrome-extension://x/",
            "chrome-untrusted://print",
            "file:///etc/passwd",
            "FILE:/etc/passwd",
            "fi\tle:///x",
            "view-source:http://h/",
            "view-source:file:///x",
            "filesystem:http://h/x",
            "blob:file:///x",
            "blob:chrome://x/1",
            "javascript:1",
            "about:",
            "isolated-app://x",
        ] {
            assert!(!is_web_address(address), "{address}");
        }
    }

    #[test]
    fn agents_see_pages_and_what_runs_in_them() {
        for (kind, url) in [
            ("page", "http://h/"),
            ("page", ""),
            ("tab", "about:blank"),
            ("iframe", "https://h/"),
            ("service_worker", "https://h/sw.js"),
            ("audio_worklet", ""),
            ("browser", ""),
        ] {
            assert!(
                is_web_target(&json!({ "type": kind, "url": url })),
                "{kind} {url}"
            );
        }
        for (kind, url) in [
            ("browser_ui", "chrome://omnibox-popup.top-chrome/"),
            ("browser_ui", "http://h/"),
            ("webview", "http://h/"),
            ("other", ""),
            ("background_page", "http://h/"),
            ("page", "chrome://policy/test"),
            ("page", "devtools://devtools/x"),
            ("page", "file:///etc/passwd"),
            ("iframe", "chrome-extension://pdf/"),
            ("", ""),
        ] {
            assert!(
                !is_web_target(&json!({ "type": kind, "url": url })),
                "{kind} {url}"
            );
        }
    }

    #[test]
    fn addresses_are_looked_at_wherever_the_browser_loads_one() {
        for (method, name) in ADDRESS_PARAMETERS {
            let web = admitted(method, json!({ name: "https://h/" }));
            let own = admitted(method, json!({ name: "chrome://inspect" }));
            let file = admitted(method, json!({ name: "file:///etc/passwd" }));
            let none = admitted(method, json!({ name: 1 }));

            assert_eq!(web, Ok(json!({ name: "https://h/" })), "{method}");
            assert!(own.is_err() && file.is_err() && none.is_err(), "{method}");
        }
        assert!(admitted("Fetch.continueRequest", json!({ "requestId": "1" })).is_ok());
    }

    #[test]
    fn a_second_parameter_of_the_same_name_does_not_reach_the_browser() {
        let twice =
            RawValue::from_string(r#"{"url":"file:///etc/passwd","url":"http://h/"}"#.to_owned());

        let sent = admit("Page.navigate", Some(&twice.unwrap()), FOLDER).unwrap();

        assert_eq!(sent.get(), r#"{"url":"http://h/"}"#);
    }

    #[test]
    fn methods_and_parameters_that_are_not_listed_do_not_reach_the_browser() {
        let unknown = admitted("Browser.newThing", json!({})).unwrap_err();
        let hidden = json!({ "url": "about:blank", "hidden": true, "newWindow": true });

        assert!(
            unknown.contains("Browser.newThing is not among the methods"),
            "{unknown}"
        );
        assert_eq!(
            admitted("Target.createTarget", hidden),
            Ok(json!({ "url": "about:blank", "newWindow": true }))
        );
        assert!(admitted("Page.enable", json!([1])).is_err());
        assert_eq!(admitted("Page.enable", Value::Null), Ok(json!({})));
    }

    #[test]
    fn no_context_gets_universal_network_access() {
        let params = json!({ "originsWithUniversalNetworkAccess": ["http://h"] });

        assert!(admitted("Target.createBrowserContext", params).is_err());
        assert!(
            admitted(
                "Target.createBrowserContext",
                json!({ "proxyServer": "h:1" })
            )
            .is_ok()
        );
    }

    #[test]
    fn downloads_go_into_the_folder_for_agents_files() {
        for method in ["Browser.setDownloadBehavior", "Page.setDownloadBehavior"] {
            for (named, wanted) in [
                ("/gate/files/mine", "/gate/files/mine"),
                ("/gate/files", "/gate/files"),
                ("/gate/files/../../root/.ssh", "/gate/files"),
                ("/gate/files-of-another", "/gate/files"),
                ("/root/.ssh", "/gate/files"),
                ("", "/gate/files"),
            ] {
                let params = json!({ "behavior": "allow", "downloadPath": named });
                let sent = admitted(method, params).unwrap();
                assert_eq!(sent["downloadPath"], wanted, "{named}");
            }
        }
        let params = raw(&json!({ "behavior": "allow", "downloadPath": "/x" }));
        let nowhere = admit("Browser.setDownloadBehavior", Some(&params), None).unwrap();
        assert!(nowhere.get().contains(r#""behavior":"deny""#));
    }

    #[test]
    fn pages_get_files_of_the_folder_only() {
        for (file, fine) in [
            ("/gate/files/a", true),
            ("/gate/files/a/../../../etc/passwd", false),
            ("/etc/passwd", false),
            ("a", false),
        ] {
            let input = admitted("DOM.setFileInputFiles", json!({ "files": [file] }));
            let drag = json!({ "type": "drop", "data": { "items": [], "files": [file] } });
            let drag = admitted("Input.dispatchDragEvent", drag);
            assert_eq!((input.is_ok(), drag.is_ok()), (fine, fine), "{file}");
        }
        assert!(admitted("DOM.setFileInputFiles", json!({ "files": [] })).is_ok());
        assert!(admitted("DOM.setFileInputFiles", json!({ "files": "/etc/passwd" })).is_err());
        assert!(
            admitted(
                "Input.dispatchDragEvent",
                json!({ "data": { "items": [] } })
            )
            .is_ok()
        );
    }

    #[test]
    fn only_flat_sessions_are_made() {
        for (method, params) in [
            ("Target.attachToTarget", json!({ "targetId": "P" })),
            ("Target.setAutoAttach", json!({ "autoAttach": true })),
        ] {
            assert!(admitted(method, params.clone()).is_err(), "{method}");
            let mut flat = params;
            flat["flatten"] = true.into();
            assert!(admitted(method, flat).is_ok(), "{method}");
        }
    }
}
