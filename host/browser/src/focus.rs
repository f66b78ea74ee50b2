//! The focused field: what keyboard the viewer should offer, and where.
//!
//! A script in an isolated world of each frame reports the field, in the frame's own coordinates;
//! for frames inside the page this module adds up the offsets of the frames around it.

use authloop_cdp::{BrowserError, CdpSessionId, Connection, FrameId};
use serde::Deserialize;
use serde_json::{Value, json};

/// The isolated world's name.
pub(super) const WORLD_NAME: &str = "authloop";
/// The script.
const FOCUS_SCRIPT: &str = include_str!("focus.js");
/// Frames nested deeper than this are not searched.
const MAX_FRAME_DEPTH: usize = 16;

/// A rectangle in fractions of the visible page: 0.0 left or top, 1.0 right or bottom. It may reach
/// beyond the page.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rect {
    /// Left edge.
    pub x: f32,
    /// Top edge.
    pub y: f32,
    /// Width.
    pub width: f32,
    /// Height.
    pub height: f32,
}

/// The editable element that has the focus. Its value is never read.
///
/// The strings are the page's own (at most 64 characters, lower case): treat them as hints.
#[derive(Debug, Clone, PartialEq)]
pub struct FocusedField {
    /// Differs from every other field focused in this session.
    pub id: u64,
    /// `input` type (`text`, `password`, `email`, …), `textarea` or `contenteditable`.
    pub kind: String,
    /// The `inputmode` attribute, or empty.
    pub inputmode: String,
    /// The `autocomplete` attribute, or empty.
    pub autocomplete: String,
    /// The `enterkeyhint` attribute, or empty.
    pub enterkeyhint: String,
    /// A password, a one-time code, card data or a masked field.
    pub is_secret: bool,
    /// Whether Enter makes a new line.
    pub multiline: bool,
    /// Length of the value in UTF-16 code units.
    pub length: u32,
    /// Where it is.
    pub rect: Rect,
    /// How many UTF-16 code units it takes at most; 0 if there is no limit.
    pub max_length: u32,
    /// The origin of the frame that holds it (RFC 6454); `null` if it is opaque.
    pub frame_origin: String,
}

/// A script's report.
#[derive(Debug, Deserialize)]
pub(super) struct FocusReport {
    pub(super) number: u64,
    #[serde(rename = "type")]
    kind: String,
    inputmode: String,
    autocomplete: String,
    enterkeyhint: String,
    secret: bool,
    multiline: bool,
    length: u32,
    maxlength: u32,
    rect: [f64; 4],
    /// Left, top, width and height of the visible part; from the top frame only.
    viewport: Option<[f64; 4]>,
    origin: String,
}

impl FocusReport {
    /// The field at its place, given the frame's offset and the page's visible part.
    fn into_field(self, id: u64, offset: (f64, f64), viewport: [f64; 4]) -> FocusedField {
        let [left, top, width, height] = viewport;
        let across = |v: f64| (v / width.max(1.0)) as f32;
        let down = |v: f64| (v / height.max(1.0)) as f32;
        FocusedField {
            id,
            kind: self.kind,
            inputmode: self.inputmode,
            autocomplete: self.autocomplete,
            enterkeyhint: self.enterkeyhint,
            is_secret: self.secret,
            multiline: self.multiline,
            length: self.length,
            max_length: self.maxlength,
            rect: Rect {
                x: across(self.rect[0] + offset.0 - left),
                y: down(self.rect[1] + offset.1 - top),
                width: across(self.rect[2]),
                height: down(self.rect[3]),
            },
            frame_origin: self.origin,
        }
    }
}

/// Where a report came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FrameSource {
    pub(super) session: Option<CdpSessionId>,
    pub(super) frame: FrameId,
}

/// The sessions around a frame, from its own outwards to the page's; each but the last with the
/// frame it stands for in the next.
#[derive(Debug, Clone)]
pub(super) struct Ancestry {
    pub(super) inner: Vec<(Option<CdpSessionId>, FrameId)>,
    pub(super) page: Option<CdpSessionId>,
    pub(super) top_frame: FrameId,
}

/// Watches the document that a frame shows now; `report` gets each change of its focused field.
/// Ends with the document. `Runtime.enable` is never sent: a page can notice it.
pub(super) async fn watch<F>(
    connection: &Connection,
    source: &FrameSource,
    mut report: impl FnMut(Option<FocusReport>) -> F,
) -> Result<(), BrowserError>
where
    F: Future<Output = ()>,
{
    let session = source.session.as_ref();
    let context = isolated_world(connection, session, &source.frame).await?;
    let install = json!({ "contextId": context, "expression": FOCUS_SCRIPT });
    connection
        .call(session, "Runtime.evaluate", install)
        .await?;
    loop {
        let next = json!({
            "contextId": context, "expression": "authloopNext()",
            "awaitPromise": true, "returnByValue": true,
        });
        // It may be long until the focus changes: this call has no time limit.
        let answer = connection
            .begin(session, "Runtime.evaluate", next)
            .await?
            .await?;
        let text = answer["result"]["value"].as_str();
        let next = text.and_then(|text| serde_json::from_str(text).ok());
        let next = next.ok_or_else(|| BrowserError::Unexpected("Runtime.evaluate".to_owned()))?;
        report(next).await;
    }
}

pub(super) async fn isolated_world(
    connection: &Connection,
    session: Option<&CdpSessionId>,
    frame: &FrameId,
) -> Result<Value, BrowserError> {
    let params = json!({ "frameId": frame.as_str(), "worldName": WORLD_NAME });
    let mut world = connection
        .call(session, "Page.createIsolatedWorld", params)
        .await?;
    Ok(world["executionContextId"].take())
}

/// The origin of the document that a frame shows.
pub(super) async fn origin_of(
    connection: &Connection,
    source: &FrameSource,
) -> Result<String, BrowserError> {
    let session = source.session.as_ref();
    let context = isolated_world(connection, session, &source.frame).await?;
    let params = json!({
        "contextId": context, "expression": "location.origin", "returnByValue": true,
    });
    let answer = connection.call(session, "Runtime.evaluate", params).await?;
    let origin = answer["result"]["value"].as_str();
    origin
        .map(str::to_owned)
        .ok_or_else(|| BrowserError::Unexpected("Runtime.evaluate".to_owned()))
}

/// Finds where in the page the reported field is.
pub(super) async fn locate_field(
    connection: &Connection,
    source: &FrameSource,
    ancestry: &Ancestry,
    id: u64,
    report: FocusReport,
) -> Result<FocusedField, BrowserError> {
    if let Some(viewport) = report.viewport {
        return Ok(report.into_field(id, (0.0, 0.0), viewport));
    }
    let frame = &source.frame;
    let mut offset = (0.0, 0.0);
    // A frame that is not its process's root: its owner is in the same session.
    let local_root = ancestry
        .inner
        .first()
        .map_or(&ancestry.top_frame, |(_, frame)| frame);
    if frame != local_root {
        add(
            &mut offset,
            owner_corner(connection, source.session.as_ref(), frame).await?,
        );
    }
    for (depth, (_, frame)) in ancestry.inner.iter().enumerate().take(MAX_FRAME_DEPTH) {
        let outer = ancestry
            .inner
            .get(depth + 1)
            .map_or(&ancestry.page, |(session, _)| session);
        add(
            &mut offset,
            owner_corner(connection, outer.as_ref(), frame).await?,
        );
    }
    let viewport = viewport_of(connection, ancestry).await?;
    Ok(report.into_field(id, offset, viewport))
}

fn add(offset: &mut (f64, f64), corner: (f64, f64)) {
    offset.0 += corner.0;
    offset.1 += corner.1;
}

/// Top left of a frame's content, in the coordinates of its parent's process.
async fn owner_corner(
    connection: &Connection,
    session: Option<&CdpSessionId>,
    frame: &FrameId,
) -> Result<(f64, f64), BrowserError> {
    let params = json!({ "frameId": frame.as_str() });
    let owner = connection
        .call(session, "DOM.getFrameOwner", params)
        .await?;
    let params = json!({ "backendNodeId": owner["backendNodeId"] });
    let answer = connection.call(session, "DOM.getBoxModel", params).await?;
    let content = &answer["model"]["content"];
    match (content[0].as_f64(), content[1].as_f64()) {
        (Some(x), Some(y)) => Ok((x, y)),
        _ => Err(BrowserError::Unexpected("DOM.getBoxModel".to_owned())),
    }
}

/// The page's visible part, asked from the top frame's isolated world.
async fn viewport_of(
    connection: &Connection,
    ancestry: &Ancestry,
) -> Result<[f64; 4], BrowserError> {
    let session = ancestry.page.as_ref();
    let context = isolated_world(connection, session, &ancestry.top_frame).await?;
    let expression = "(v => !v || v.scale === 1 ? [0, 0, innerWidth, innerHeight] \
                      : [v.offsetLeft, v.offsetTop, v.width, v.height])(visualViewport)";
    let params = json!({
        "contextId": context,
        "expression": expression,
        "returnByValue": true,
    });
    let answer = connection.call(session, "Runtime.evaluate", params).await?;
    numbers(&answer["result"]["value"])
        .ok_or_else(|| BrowserError::Unexpected("Runtime.evaluate".to_owned()))
}

fn numbers(value: &Value) -> Option<[f64; 4]> {
    <[f64; 4]>::deserialize(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_placed_in_fractions_of_the_visible_page() {
        let report: FocusReport = serde_json::from_value(json!({
            "number": 1, "type": "password", "inputmode": "", "autocomplete": "current-password",
            "enterkeyhint": "go", "secret": true, "multiline": false, "length": 3, "maxlength": 0,
            "rect": [10.0, 20.0, 100.0, 30.0], "viewport": null, "origin": "https://a.example",
        }))
        .unwrap();

        let field = report.into_field(7, (90.0, 80.0), [0.0, 0.0, 400.0, 1000.0]);

        let Rect {
            x,
            y,
            width,
            height,
        } = field.rect;
        assert_eq!((x, y, width, height), (0.25, 0.1, 0.25, 0.03));
        assert!(field.is_secret);
    }
}
