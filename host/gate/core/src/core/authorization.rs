//! Takes passwords of HTTP authentication (RFC 9110 section 11.6.2) out of what agents are told of
//! requests: the user may have given one while the gate was closed, and the browser sends it with every
//! request from then on.

use serde_json::{Value, json, value::RawValue};

/// Schemes whose credentials are the session itself, which agents are meant to get: RFC 6750, RFC 9449.
const SESSION_SCHEMES: [&str; 2] = ["bearer", "dpop"];
const WITHHELD: &str = "withheld by authloop";

/// The parameters of an event without such passwords; `None` if there are none in it.
pub(super) fn withhold(method: &str, params: &str) -> Option<Box<RawValue>> {
    // Requests that an agent intercepts do not have the header yet.
    let may_have_any = method.starts_with("Network.")
        && params
            .as_bytes()
            .windows("authorization".len())
            .any(|text| text.eq_ignore_ascii_case(b"authorization"));
    if !may_have_any {
        return None;
    }
    let Ok(mut value) = serde_json::from_str(params) else {
        // What cannot be read is not told.
        return serde_json::value::to_raw_value(&json!({})).ok();
    };
    visit(&mut value);
    serde_json::value::to_raw_value(&value).ok()
}

fn visit(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(visit),
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if is_header(name) => withhold_value(text),
                    // The whole head as it was sent.
                    Value::String(text) if name.ends_with("HeadersText") => {
                        *text = text.split_inclusive('\n').map(withhold_line).collect();
                    }
                    _ => visit(member),
                }
            }
        }
        _ => {}
    }
}

fn is_header(name: &str) -> bool {
    let name = name.trim();
    name.eq_ignore_ascii_case("authorization") || name.eq_ignore_ascii_case("proxy-authorization")
}

fn withhold_value(text: &mut String) {
    let scheme = text.split_whitespace().next().unwrap_or_default();
    if !SESSION_SCHEMES
        .iter()
        .any(|s| s.eq_ignore_ascii_case(scheme))
    {
        *text = WITHHELD.to_owned();
    }
}

fn withhold_line(line: &str) -> String {
    match line.split_once(':') {
        Some((name, text)) if is_header(name) => {
            let mut credentials = text.trim().to_owned();
            withhold_value(&mut credentials);
            format!("{name}: {credentials}\r\n")
        }
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(method: &str, params: Value) -> Value {
        let text = params.to_string();
        withhold(method, &text).map_or(params, |raw| serde_json::from_str(raw.get()).unwrap())
    }

    #[test]
    fn passwords_are_withheld_wherever_headers_are() {
        let basic = "Basic dXNlcjpDQU5BUlk=";
        let headers =
            json!({ "Accept": "*/*", "Authorization": basic, "proxy-authorization": "NTLM x" });
        let text = format!("GET / HTTP/1.1\r\nAuthorization: {basic}\r\nAccept: */*\r\n\r\n");

        for (method, params) in [
            (
                "Network.requestWillBeSentExtraInfo",
                json!({ "headers": headers }),
            ),
            (
                "Network.requestWillBeSent",
                json!({ "request": { "headers": headers } }),
            ),
            (
                "Network.responseReceived",
                json!({ "response": { "requestHeaders": headers, "requestHeadersText": text } }),
            ),
        ] {
            let told = told(method, params).to_string();
            assert!(
                !told.contains("dXNlcjpDQU5BUlk") && !told.contains("NTLM"),
                "{told}"
            );
            assert!(told.contains("*/*"), "{told}");
        }
    }

    #[test]
    fn sessions_and_everything_else_are_told() {
        let bearer = json!({ "headers": { "authorization": "Bearer abc", "x": "Basic y" } });
        assert_eq!(told("Network.requestWillBeSent", bearer.clone()), bearer);

        let page = json!({ "args": [{ "value": "Authorization: Basic x" }] });
        assert_eq!(told("Runtime.consoleAPICalled", page.clone()), page);
    }
}
