//! Pages that report what fingers, a mouse and a soft keyboard do, as the page sees it.

use axum::{Router, extract::State, response::Html, routing::get};

use super::{pages, report::REPORT_SCRIPT, state::SharedState};

/// Routes beside the sign-in pages.
pub(super) fn router() -> Router<SharedState> {
    Router::new()
        .route("/extra/hands", get(touch_targets))
        .route("/extra/fields", get(fields))
}

/// Things to touch, at places that a test knows: left, top, width and height in CSS pixels.
async fn touch_targets(State(shared): State<SharedState>) -> Html<String> {
    let other = &shared.0.other_origin;
    pages::frame(
        "Hands",
        &format!(
            r#"{REPORT_SCRIPT}<style>
body {{ height: 9000px; margin: 0; }} header, footer {{ visibility: hidden; }}
main > * {{ position: absolute; margin: 0; box-sizing: border-box; }}
#tap {{ left: 20px; top: 60px; width: 120px; height: 48px; }}
#drag {{ left: 20px; top: 130px; width: 90px; height: 60px; background: #cde; }}
#drop {{ left: 200px; top: 130px; width: 120px; height: 60px; background: #dec; }}
#slider {{ left: 20px; top: 210px; width: 300px; height: 40px; background: #eee; touch-action: none; }}
#frame {{ left: 20px; top: 270px; width: 320px; height: 180px; border: 1px solid #999; }}
</style>
<button id="tap">Tap</button>
<div id="drag" draggable="true">Drag</div><div id="drop">Drop</div>
<div id="slider">Slide</div>
<iframe id="frame" src="{other}/extra/bare"></iframe>
<script>
const tap = document.getElementById("tap");
for (const name of ["click", "dblclick"]) tap.addEventListener(name, (e) => report(name, [e.pointerType ?? "", e.shiftKey ? "shift" : ""].join(" ").trim()));
tap.addEventListener("contextmenu", (e) => {{ e.preventDefault(); report("contextmenu", e.pointerType ?? ""); }});
let moves = 0;
addEventListener("mousemove", () => moves++);
tap.addEventListener("click", () => report("moves", moves));
const drag = document.getElementById("drag"), drop = document.getElementById("drop");
drag.addEventListener("dragstart", (e) => {{ e.dataTransfer.setData("text/plain", "parcel"); report("dragstart", ""); }});
drop.addEventListener("dragover", (e) => e.preventDefault());
drop.addEventListener("drop", (e) => {{ e.preventDefault(); report("drop", e.dataTransfer.getData("text/plain")); }});
const slider = document.getElementById("slider");
let at = null;
slider.addEventListener("pointerdown", (e) => {{ at = e.clientX; slider.setPointerCapture(e.pointerId); }});
slider.addEventListener("pointerup", (e) => {{ if (at !== null) report("slide", e.pointerType + " " + Math.round(e.clientX - at)); at = null; }});
slider.addEventListener("pointercancel", () => {{ at = null; report("slide", "cancelled"); }});
addEventListener("touchend", () => {{ if (scrollY > 0) report("lifted", Math.round(scrollY)); }}, {{ passive: true }});
addEventListener("scrollend", () => report("scrolled", Math.round(scrollY)));
addEventListener("wheel", (e) => report("wheel", e.deltaY), {{ passive: true, once: true }});
addEventListener("keydown", (e) => report("keydown", e.key));
addEventListener("keyup", (e) => report("keyup", e.key));
</script>"#
        ),
    )
}

/// Fields to write into; each tells its whole value after every change.
async fn fields() -> Html<String> {
    let boxes: String = (0..6)
        .map(|n| format!(r#"<input class="box" inputmode="numeric" autocomplete="one-time-code" maxlength="1" aria-label="Digit {n}">"#))
        .collect();
    pages::frame(
        "Fields",
        &format!(
            r##"{REPORT_SCRIPT}<style>.box {{ width: 2.4em; display: inline-block; }} #rich {{ border: 1px solid #999; min-height: 2em; }}</style>
<h1>Fields</h1>
<label for="text">Message</label><input id="text" enterkeyhint="next">
<label for="secret">Password</label><input id="secret" type="password" autocomplete="current-password">
<p id="rich" contenteditable="true" aria-label="Rich text" role="textbox"></p>
<p id="code">{boxes}</p>
<script>
const value = (e) => e.isContentEditable ? e.textContent : e.value;
for (const e of document.querySelectorAll("#text, #secret, #rich")) {{
  e.addEventListener("input", () => report(e.id, value(e)));
  for (const name of ["compositionstart", "compositionend"]) e.addEventListener(name, (c) => report(name, c.data));
}}
const boxes = [...document.querySelectorAll(".box")];
boxes.forEach((box, n) => {{
  box.addEventListener("input", () => {{
    report("code", boxes.map((b) => b.value || "_").join(""));
    if (box.value) boxes[n + 1]?.focus();
  }});
  box.addEventListener("keydown", (e) => {{ if (e.key === "Backspace" && !box.value) boxes[n - 1]?.focus(); }});
}});
</script>"##
        ),
    )
}
