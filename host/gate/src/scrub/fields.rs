//! Empties the fields of one page, whether they are in a document or only held by a script. What could
//! be undone or redone goes first.
//!
//! Those in documents are found through the DOM domain: closed shadow roots are open to it, and the
//! page's scripts have no part in it. The others are found on the heap.

mod heap;

use std::collections::{BTreeSet, HashMap};

use authloop_cdp::{BrowserError, Page};
use futures_util::future::{join_all, try_join_all};
use serde_json::{Value, json};

use crate::page_guard::WORLD_NAME;
use heap::HeapField;

const CLEAR_FIELD_SCRIPT: &str = include_str!("fields.js");
const CLEAR_COPY_SCRIPT: &str = include_str!("copies.js");
const CLEAR_EDIT_HISTORY_SCRIPT: &str = include_str!("history.js");
const CLEAR_ENTRY_SCRIPT: &str = include_str!("entry.js");
/// Most fields of one page; more are a page's attack on us, which then gets a new document.
const MAX_FIELDS: usize = 5000;
/// Most frames of one page, likewise.
const MAX_FRAMES: usize = 500;
/// The shortest text that is looked for in other fields; shorter ones are in many by chance.
const MIN_COPIED_CHARS: usize = 4;

/// Takes back all edits in the page's own frames, and clears every field that was typed into or whose
/// text the document did not bring along.
pub(super) async fn clear(page: &Page) -> Result<(), BrowserError> {
    // A snapshot is flat, however deep the page is.
    let params = json!({ "computedStyles": [] });
    let snapshot = page.call("DOMSnapshot.captureSnapshot", params).await?;
    let found = fields_of(&snapshot);
    let frames = frames_of(&snapshot);
    if found.len() > MAX_FIELDS || frames.len() > MAX_FRAMES {
        return Err(too_many());
    }
    let worlds = try_join_all(frames.iter().map(|frame| forget_edits(page, frame))).await?;
    let worlds: HashMap<&str, Value> = std::iter::zip(frames, worlds).collect();
    let mut fields: Vec<HeapField> = Vec::new();
    for world in worlds.values() {
        fields.extend(heap::fields(page, world).await?);
        if fields.len() > MAX_FIELDS {
            return Err(too_many());
        }
    }
    let on_heap: BTreeSet<i64> = fields.iter().map(|field| field.node).collect();
    // Fields that no script has touched are in the document alone.
    let untouched = found.iter().filter(|(_, node)| !on_heap.contains(node));
    fields.extend(untouched.map(|(frame, node)| HeapField {
        node: *node,
        world: worlds[frame].clone(),
        object: None,
    }));
    let call = |script, values: Value| {
        join_all(
            fields
                .iter()
                .map(move |field| call_on(page, field, script, values.clone())),
        )
    };
    let mut taken: BTreeSet<String> = BTreeSet::new();
    for answer in call(CLEAR_FIELD_SCRIPT, Value::Null).await {
        let texts = answer?;
        let texts = texts.as_array().into_iter().flatten();
        let texts = texts.filter_map(Value::as_str).map(ToOwned::to_owned);
        taken.extend(texts.filter(|text| text.chars().count() >= MIN_COPIED_CHARS));
    }
    if !taken.is_empty() {
        for answer in call(CLEAR_COPY_SCRIPT, json!(taken)).await {
            answer?;
        }
    }
    Ok(())
}

fn too_many() -> BrowserError {
    BrowserError::Unexpected("DOMSnapshot.captureSnapshot".to_owned())
}

/// Leaves a frame nothing to undo or redo, and no form to send again; returns a world of our own in it.
async fn forget_edits(page: &Page, frame: &str) -> Result<Value, BrowserError> {
    let params = json!({ "frameId": frame, "worldName": WORLD_NAME });
    let world = page.call("Page.createIsolatedWorld", params).await?["executionContextId"].clone();
    for script in [CLEAR_EDIT_HISTORY_SCRIPT, CLEAR_ENTRY_SCRIPT] {
        let params = json!({ "expression": script, "contextId": world, "returnByValue": true });
        let answer = page.call("Runtime.evaluate", params).await?;
        if answer["result"]["value"] != true {
            return Err(BrowserError::Unexpected("Runtime.evaluate".to_owned()));
        }
    }
    Ok(world)
}

/// Calls a function on a field: in our world, or where a field belongs to no frame any more, in the
/// page's.
async fn call_on(
    page: &Page,
    field: &HeapField,
    script: &str,
    values: Value,
) -> Result<Value, BrowserError> {
    let params = json!({ "backendNodeId": field.node, "executionContextId": field.world });
    let resolved = page.call("DOM.resolveNode", params).await;
    let object = match (resolved, &field.object) {
        (Ok(answer), _) => answer["object"]["objectId"].clone(),
        (Err(BrowserError::Cdp { .. }), Some(object)) => object.clone(),
        // The page took it away meanwhile.
        (Err(BrowserError::Cdp { .. }), None) => return Ok(Value::Null),
        (Err(error), _) => return Err(error),
    };
    // Values are arguments and not part of the source: sources of scripts can be read afterwards.
    let params = json!({
        "objectId": object,
        "functionDeclaration": script,
        "arguments": [{ "value": values }],
        "returnByValue": true,
        "silent": true,
    });
    let mut answer = page.call("Runtime.callFunctionOn", params).await?;
    Ok(answer["result"]["value"].take())
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
