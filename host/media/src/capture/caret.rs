//! Stops the caret from blinking: otherwise a focused field would redraw the page twice a second.

use authloop_cdp::{BrowserError, FrameId, Page};
use serde_json::json;

/// One rule, which is inherited, so that it reaches every field, in shadow trees too.
const STYLE_SHEET: &str = ":root { caret-animation: manual !important; }";

/// Adds the rule to a frame through an inspector style sheet, which the page's own scripts cannot
/// see. It outlives `CSS.disable`, which is sent at once because CSS events cost the page time.
pub(super) async fn stop_blinking(page: &Page, frame: &FrameId) -> Result<(), BrowserError> {
    page.post("DOM.enable", json!({})).await?;
    // Only its answer says that style sheets can be made.
    page.call("CSS.enable", json!({})).await?;
    let params = json!({ "frameId": frame.as_str() });
    let sheet = page.call("CSS.createStyleSheet", params).await;
    if let Ok(sheet) = &sheet {
        let params = json!({ "styleSheetId": sheet["styleSheetId"], "text": STYLE_SHEET });
        page.post("CSS.setStyleSheetText", params).await?;
    }
    page.post("CSS.disable", json!({})).await?;
    page.post("DOM.disable", json!({})).await?;
    sheet.map(drop)
}
