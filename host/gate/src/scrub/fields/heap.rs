//! Finds every input and text area that scripts hold, in a document or not. No code of the page's runs.

use authloop_cdp::{BrowserError, Page};
use serde_json::{Value, json};

/// What is found is held until the group is released.
const OBJECT_GROUP: &str = "authloop-clear";

/// A field and how to reach it.
pub(super) struct HeapField {
    pub(super) node: i64,
    /// Our world in its frame.
    pub(super) world: Value,
    /// The page's own object for it, if there is one.
    pub(super) object: Option<Value>,
}

/// The fields of the frame that `world` is in.
pub(super) async fn fields(page: &Page, world: &Value) -> Result<Vec<HeapField>, BrowserError> {
    let mut found = Vec::new();
    for kind in ["input", "textarea"] {
        for object in objects_like(page, world, kind).await? {
            let described = page.call("DOM.describeNode", json!({ "objectId": object }));
            // The prototype of a prototype is found with the elements, and is no node.
            if let Ok(answer) = described.await
                && let Some(node) = answer["node"]["backendNodeId"].as_i64()
            {
                let object = Some(object);
                let world = world.clone();
                found.push(HeapField {
                    node,
                    world,
                    object,
                });
            }
        }
    }
    Ok(found)
}

/// Every object of the page's own world that has the prototype of the elements of that name.
async fn objects_like(page: &Page, world: &Value, kind: &str) -> Result<Vec<Value>, BrowserError> {
    // The page may have put something in the place of its constructors: ours lead to the same element.
    let script = format!("document.createElement({kind:?})");
    let params = json!({ "expression": script, "contextId": world });
    let element = page.call("Runtime.evaluate", params).await?["result"]["objectId"].clone();
    if !element.is_string() {
        // A document without such elements, as of XML.
        return Ok(Vec::new());
    }
    let described = page.call("DOM.describeNode", json!({ "objectId": element }));
    let node = described.await?["node"]["backendNodeId"].clone();
    let params = json!({ "backendNodeId": node, "objectGroup": OBJECT_GROUP });
    let element = page.call("DOM.resolveNode", params).await?["object"]["objectId"].clone();
    let prototype = properties(page, &element).await?["internalProperties"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|property| property["name"] == "[[Prototype]]")
        .map(|property| property["value"]["objectId"].clone());
    let Some(prototype) = prototype else {
        return Ok(Vec::new());
    };
    let params = json!({ "prototypeObjectId": prototype, "objectGroup": OBJECT_GROUP });
    let all = page.call("Runtime.queryObjects", params).await?["objects"]["objectId"].clone();
    let items = properties(page, &all).await?;
    let items = items["result"].as_array().into_iter().flatten();
    let objects = items.map(|item| item["value"]["objectId"].clone());
    Ok(objects.filter(Value::is_string).collect())
}

async fn properties(page: &Page, object: &Value) -> Result<Value, BrowserError> {
    let params = json!({ "objectId": object, "ownProperties": true });
    page.call("Runtime.getProperties", params).await
}
