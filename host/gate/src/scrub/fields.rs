//! Empties the fields of one page, found through the DOM domain: closed shadow roots are open to it,
//! and the page's scripts have no part in it. What could be undone or redone goes first.

use std::collections::HashMap;

use authloop_cdp::{BrowserError, Page};
use futures_util::future::join_all;
use serde_json::{Value, json};

const CLEAR_FIELD_SCRIPT: &str = include_str!("fields.js");
const CLEAR_EDIT_HISTORY_SCRIPT: &str = include_str!("history.js");
const WORLD_NAME: &str = "authloop-clear";
/// Most fields of one page; more are a page's attack on us, which then gets a new document.
const MAX_FIELDS: usize = 5000;
/// Most frames of one page, likewise.
const MAX_FRAMES: usize = 500;

/// Takes back all edits in the page's own frames, and clears every field whose text the document did
/// not bring along.
pub(super) async fn clear(page: &Page) -> Result<(), BrowserError> {
    // A snapshot is flat, however deep the page is.
    let params = json!({ "computedStyles": [] });
    let snapshot = page.call("DOMSnapshot.captureSnapshot", params).await?;
    let fields = fields_of(&snapshot);
    let frames = frames_of(&snapshot);
    if fields.len() > MAX_FIELDS || frames.len() > MAX_FRAMES {
        return Err(BrowserError::Unexpected(
            "DOMSnapshot.captureSnapshot".to_owned(),
        ));
    }
    let worlds = join_all(frames.iter().map(|frame| forget_edits(page, frame))).await;
    let worlds: Result<Vec<Value>, _> = worlds.into_iter().collect();
    let worlds: HashMap<&str, Value> = std::iter::zip(frames, worlds?).collect();
    let cleared = join_all(
        fields
            .iter()
            .map(|(frame, node)| clear_field(page, &worlds[frame], *node)),
    );
    let cleared: Result<Vec<()>, _> = cleared.await.into_iter().collect();
    cleared.map(drop)
}

/// Leaves a frame nothing to undo or redo; returns a world of our own in it.
async fn forget_edits(page: &Page, frame: &str) -> Result<Value, BrowserError> {
    let params = json!({ "frameId": frame, "worldName": WORLD_NAME });
    let world = page.call("Page.createIsolatedWorld", params).await?["executionContextId"].clone();
    let params = json!({ "expression": CLEAR_EDIT_HISTORY_SCRIPT, "contextId": world, "returnByValue": true });
    let answer = page.call("Runtime.evaluate", params).await?;
    match answer["result"]["value"] {
        Value::Bool(true) => Ok(world),
        _ => Err(BrowserError::Unexpected("Runtime.evaluate".to_owned())),
    }
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
    let params =
        json!({ "objectId": object, "functionDeclaration": CLEAR_FIELD_SCRIPT, "silent": true });
    page.call("Runtime.callFunctionOn", params).await.map(drop)
}

/// The string that a snapshot's index stands for.
fn string<'a>(snapshot: &'a Value, index: &Value) -> &'a str {
    let index = usize::try_from(index.as_i64().unwrap_or(-1)).ok();
    index
        .and_then(|index| snapshot["strings"][index].as_str())
        .unwrap_or_default()
}

/// Every frame of a snapshot.
fn frames_of(snapshot: &Value) -> Vec<&str> {
    let documents = snapshot["documents"].as_array().into_iter().flatten();
    documents
        .map(|document| string(snapshot, &document["frameId"]))
        .collect()
}

/// Inputs and text areas with the frames they are in, through frames and shadow roots.
fn fields_of(snapshot: &Value) -> Vec<(&str, i64)> {
    let mut found = Vec::new();
    for document in snapshot["documents"].as_array().into_iter().flatten() {
        let (frame, nodes) = (string(snapshot, &document["frameId"]), &document["nodes"]);
        let names = nodes["nodeName"].as_array().into_iter().flatten();
        let ids = nodes["backendNodeId"].as_array().into_iter().flatten();
        found.extend(names.zip(ids).filter_map(|(name, id)| {
            let field = ["input", "textarea"]
                .iter()
                .any(|f| string(snapshot, name).eq_ignore_ascii_case(f));
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
        assert_eq!(frames_of(&snapshot), ["T", "F"]);
    }
}
