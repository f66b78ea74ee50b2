//! Empties the fields of one page, found through the DOM domain: closed shadow roots are open to it,
//! and the page's scripts have no part in it.

use std::collections::HashMap;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::browser::{BrowserError, Page};

const CLEAR: &str = include_str!("fields.js");
const WORLD: &str = "authloop-clear";
/// Fields of one page; more are a page's attack on us, which then gets a new document.
const MAX_FIELDS: usize = 5000;

/// Clears every field of the page's own frames whose text the document did not bring along.
pub(super) async fn clear(page: &Page) -> Result<(), BrowserError> {
    // A snapshot is flat, however deep the page is.
    let params = json!({ "computedStyles": [] });
    let snapshot = page.call("DOMSnapshot.captureSnapshot", params).await?;
    let fields = fields_of(&snapshot);
    if fields.len() > MAX_FIELDS {
        return Err(BrowserError::Unexpected(
            "DOMSnapshot.captureSnapshot".to_owned(),
        ));
    }
    let mut worlds: HashMap<&str, Value> = HashMap::new();
    for (frame, _) in &fields {
        if !worlds.contains_key(frame) {
            let params = json!({ "frameId": frame, "worldName": WORLD });
            let world = page.call("Page.createIsolatedWorld", params).await?;
            worlds.insert(frame, world["executionContextId"].clone());
        }
    }
    let cleared = join_all(
        fields
            .iter()
            .map(|(frame, node)| clear_field(page, &worlds[frame], *node)),
    );
    let cleared: Result<Vec<()>, _> = cleared.await.into_iter().collect();
    cleared.map(drop)
}

async fn clear_field(page: &Page, world: &Value, node: i64) -> Result<(), BrowserError> {
    let params = json!({ "backendNodeId": node, "executionContextId": world });
    let resolved = page.call("DOM.resolveNode", params).await;
    let object = match resolved {
        Ok(answer) => answer["object"]["objectId"].clone(),
        // The page took it away meanwhile.
        Err(BrowserError::Cdp { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    let params = json!({ "objectId": object, "functionDeclaration": CLEAR, "silent": true });
    page.call("Runtime.callFunctionOn", params).await.map(drop)
}

/// Inputs and text areas with the frames they are in, through frames and shadow roots.
fn fields_of(snapshot: &Value) -> Vec<(&str, i64)> {
    let string = |index: &Value| {
        let index = usize::try_from(index.as_i64().unwrap_or(-1)).ok();
        index
            .and_then(|index| snapshot["strings"][index].as_str())
            .unwrap_or_default()
    };
    let mut found = Vec::new();
    for document in snapshot["documents"].as_array().into_iter().flatten() {
        let (frame, nodes) = (string(&document["frameId"]), &document["nodes"]);
        let names = nodes["nodeName"].as_array().into_iter().flatten();
        let ids = nodes["backendNodeId"].as_array().into_iter().flatten();
        found.extend(names.zip(ids).filter_map(|(name, id)| {
            let field = ["input", "textarea"]
                .iter()
                .any(|f| string(name).eq_ignore_ascii_case(f));
            id.as_i64().filter(|_| field).map(|id| (frame, id))
        }));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_named_with_their_frames() {
        let snapshot = json!({
            "strings": ["T", "F", "INPUT", "DIV", "textarea"],
            "documents": [
                { "frameId": 0, "nodes": { "nodeName": [3, 2, -1], "backendNodeId": [1, 2, 3] } },
                { "frameId": 1, "nodes": { "nodeName": [4], "backendNodeId": [9] } },
            ],
        });

        assert_eq!(fields_of(&snapshot), [("T", 2), ("F", 9)]);
    }
}
