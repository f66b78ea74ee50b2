//! Input into real fields, at twice the pixels.

use std::time::Instant;

use authloop_browser_testkit::{TestBrowser, TestSite, within};
use authloop_handoff::input::Injector;
use authloop_host_metrics::Metrics;
use authloop_media::{
    capture::{CaptureConfig, Viewport},
    encode::{VideoConfig, VideoPipeline},
};
use authloop_protocol::input::{
    Button, InputEvent, Modifiers, PointerPhase, TouchPhase, TouchPoint,
};

const VIEWPORT: Viewport = Viewport {
    width: 400,
    height: 600,
    scale: 2.0,
    mobile: true,
};

const FORM: &str = "<!doctype html><meta name=viewport content='width=device-width'>\
    <body style='margin:0;height:3000px'>\
    <input id=one style='position:absolute;left:20px;top:40px;width:200px;height:30px'>\
    <textarea id=two style='position:absolute;left:20px;top:100px;width:200px;height:60px'>\
    </textarea><button id=button style='position:absolute;left:300px;top:500px;width:60px;\
    height:60px'>x</button><script>window.log = [];\
    for (const type of ['keydown', 'keyup', 'mousedown', 'mouseup', 'click', 'dblclick', \
      'touchstart', 'touchend', 'touchcancel', 'compositionend', 'mousemove']) \
      addEventListener(type, e => { if (e.isTrusted || type === 'compositionend') \
        log.push([type, e.code || e.target.id || '', e.key || ''].join(' ').trim()); \
        window.last = [e.clientX, e.clientY]; }, true);</script>";

/// The same for a desktop: the browser lays it out 980 pixels wide and shows it smaller.
const WIDE: &str = "<!doctype html><body style='margin:0;height:3000px'>\
    <button id=button style='position:absolute;left:700px;top:1000px;width:60px;height:60px'>x\
    </button><input id=one style='position:absolute;left:100px;top:300px;width:200px'>\
    <script>window.log = []; addEventListener('click', e => log.push(e.target.id), true)</script>";

struct Hands {
    stage: TestBrowser,
    injector: Injector,
    video: VideoPipeline,
}

impl Hands {
    async fn on(html: &str) -> Self {
        let site = TestSite::serve([("/", html), ("/popup", FORM)]).await;
        let stage = TestBrowser::open(&site.url("/")).await;
        let config = VideoConfig {
            capture: CaptureConfig {
                viewport: Some(VIEWPORT),
                ..CaptureConfig::default()
            },
            ..VideoConfig::default()
        };
        let (video, mut frames) = VideoPipeline::start(stage.follower.view(), config).unwrap();
        tokio::spawn(async move { while frames.recv().await.is_some() {} });
        stage
            .until_true("screen.width === 400 && devicePixelRatio === 2")
            .await;
        let injector = Injector::start(stage.follower.view(), video.surface(), Metrics::default());
        Self {
            stage,
            injector,
            video,
        }
    }

    async fn send(&self, event: InputEvent) {
        self.injector.send(event, Instant::now()).await.unwrap();
    }

    async fn key(&self, code: &str, key: &str) {
        for down in [true, false] {
            self.send(key_event(down, code, key)).await;
        }
    }

    async fn click(&self, x: f64, y: f64, clicks: u8) {
        for (phase, buttons) in [
            (PointerPhase::Move, 0),
            (PointerPhase::Down, 1),
            (PointerPhase::Up, 0),
        ] {
            self.send(pointer(phase, x, y, buttons, clicks)).await;
        }
    }
}

fn key_event(down: bool, code: &str, key: &str) -> InputEvent {
    InputEvent::Key {
        down,
        code: code.to_owned(),
        key: key.to_owned(),
        mods: Modifiers(0),
        repeat: false,
    }
}

fn fraction(css: f64, side: u32) -> u16 {
    (css / f64::from(side) * 65_535.0).round() as u16
}

fn pointer(phase: PointerPhase, x: f64, y: f64, buttons: u8, clicks: u8) -> InputEvent {
    InputEvent::Pointer {
        phase,
        x: fraction(x, VIEWPORT.width),
        y: fraction(y, VIEWPORT.height),
        button: (phase != PointerPhase::Move).then_some(Button::Left),
        buttons,
        clicks,
        mods: Modifiers(0),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_typed_arrives_once_and_in_order() {
    let hands = Hands::on(FORM).await;
    let text = |text: &str| InputEvent::Text {
        text: text.to_owned(),
    };

    // The click must not be overtaken by the first key.
    hands.click(100.0, 55.0, 1).await;
    for c in ["a", "b", "c"] {
        hands.key(&format!("Key{}", c.to_uppercase()), c).await;
    }
    hands.send(text("1")).await;
    hands.send(text("é😀")).await;
    hands
        .send(InputEvent::Paste {
            text: "pasted".into(),
        })
        .await;
    hands
        .stage
        .until_true("one.value === 'abc1é😀pasted'")
        .await;
    hands
        .send(InputEvent::Delete {
            before: 6,
            after: 0,
        })
        .await;
    hands.key("Backspace", "Backspace").await;
    hands.stage.until_true("one.value === 'abc1é'").await;
    hands
        .send(InputEvent::Replace {
            text: "other".into(),
        })
        .await;
    hands.stage.until_true("one.value === 'other'").await;

    // A composition, revised and committed; then Enter makes a line in a text area.
    hands.click(100.0, 130.0, 1).await;
    for part in ["に", "にほ", "日本"] {
        let end = part.encode_utf16().count() as u32;
        let event = InputEvent::Composition {
            text: part.to_owned(),
            start: end,
            end,
        };
        hands.send(event).await;
    }
    hands.send(text("日本")).await;
    hands.key("Enter", "Enter").await;
    hands.send(text("語")).await;
    hands.stage.until_true("two.value === '日本\\n語'").await;
    let log = hands.stage.eval("log").await;
    let ends = log.as_array().unwrap().iter();
    let ends = ends.filter(|entry| **entry == "compositionend two").count();
    assert_eq!(ends, 1, "{log}");
    hands.key("Tab", "Tab").await;
    hands
        .stage
        .until_true("document.activeElement === button")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pointers_hit_where_they_point() {
    let hands = Hands::on(FORM).await;

    hands.click(330.0, 530.0, 1).await;
    hands.click(330.0, 530.0, 2).await;
    hands
        .stage
        .until_true("log.includes('dblclick button')")
        .await;
    let last = hands.stage.eval("last").await;
    let near = |got: &serde_json::Value, want: f64| (got.as_f64().unwrap() - want).abs() <= 1.0;
    assert!(near(&last[0], 330.0) && near(&last[1], 530.0), "{last}");

    // A flood of moves does not hold up the click behind it.
    hands.stage.eval("log.length = 0").await;
    for i in 0..500 {
        let x = 10.0 + f64::from(i) / 2.0;
        hands
            .send(pointer(PointerPhase::Move, x, 300.0, 0, 0))
            .await;
    }
    hands.click(330.0, 530.0, 1).await;
    hands.stage.until_true("log.includes('click button')").await;
    let moves = hands
        .stage
        .eval("log.filter(l => l.startsWith('mousemove')).length")
        .await;
    assert!(moves.as_u64().unwrap() < 500, "{moves}");

    hands
        .send(InputEvent::Wheel {
            x: 30_000,
            y: 30_000,
            dx: 0,
            dy: 250,
            mods: Modifiers(0),
        })
        .await;
    hands.stage.until_true("scrollY === 250").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tap_is_a_touch_and_a_click() {
    let hands = Hands::on(FORM).await;
    let touch = |phase, points: &[u8]| InputEvent::Touch {
        phase,
        points: points
            .iter()
            .map(|id| TouchPoint {
                id: *id,
                x: fraction(330.0, VIEWPORT.width),
                y: fraction(530.0, VIEWPORT.height),
            })
            .collect(),
        at: 0,
    };

    hands.send(touch(TouchPhase::Start, &[1])).await;
    hands.send(touch(TouchPhase::End, &[])).await;
    hands.stage.until_true("log.includes('click button')").await;
    let log = hands.stage.eval("log").await;
    assert!(
        log.as_array()
            .unwrap()
            .contains(&"touchstart button".into()),
        "{log}"
    );

    // A finger left on the glass is taken away when the viewer leaves.
    hands.send(touch(TouchPhase::Start, &[1])).await;
    hands.injector.release_all().await.unwrap();
    hands
        .stage
        .until_true("log.includes('touchcancel button')")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stays_held_when_the_viewer_leaves_or_the_page_changes() {
    let Hands {
        mut stage,
        injector,
        video: _video,
    } = Hands::on(FORM).await;
    let opener = stage.page();

    injector
        .send(
            pointer(PointerPhase::Down, 330.0, 530.0, 1, 1),
            Instant::now(),
        )
        .await
        .unwrap();
    injector
        .send(key_event(true, "ShiftLeft", "Shift"), Instant::now())
        .await
        .unwrap();
    stage
        .until_true("log.includes('keydown ShiftLeft Shift')")
        .await;
    injector.release_all().await.unwrap();
    stage
        .until_true("log.includes('keyup ShiftLeft Shift')")
        .await;
    stage.until_true("log.includes('mouseup button')").await;

    // A key held while a popup takes the screen is released on the page it was pressed on.
    injector
        .send(key_event(true, "KeyA", "a"), Instant::now())
        .await
        .unwrap();
    stage.until_true("log.includes('keydown KeyA a')").await;
    stage.eval("window.open('/popup'); 0").await;
    stage.until("the popup", |v| v.page != opener).await;
    let released = "new Promise(d => { const f = () => log.includes('keyup KeyA a') \
        ? d(true) : setTimeout(f, 10); f() })";
    assert_eq!(
        within(
            "the key-up",
            authloop_browser_testkit::eval(&opener, released)
        )
        .await,
        true
    );

    // And what is typed next goes to the popup.
    stage
        .until_true("document.readyState === 'complete' && window.one")
        .await;
    stage.eval("one.focus()").await;
    injector
        .send(InputEvent::Text { text: "x".into() }, Instant::now())
        .await
        .unwrap();
    stage.until_true("one.value === 'x'").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_without_a_mobile_layout_is_hit_where_it_is_seen() {
    let mut hands = Hands::on(WIDE).await;
    let mut surface = hands.video.surface();
    within("the page's zoom", surface.wait_for(|s| s.width > 1900.0))
        .await
        .unwrap();
    let seen = hands
        .stage
        .eval("[visualViewport.width, visualViewport.height]")
        .await;
    let (width, height) = (seen[0].as_f64().unwrap(), seen[1].as_f64().unwrap());
    let shown = |x: f64, y: f64| {
        let side = |v: f64, whole: f64, side: u32| v / whole * f64::from(side);
        (
            side(x, width, VIEWPORT.width),
            side(y, height, VIEWPORT.height),
        )
    };

    let (x, y) = shown(730.0, 1030.0);
    hands.click(x, y, 1).await;
    hands.stage.until_true("log.includes('button')").await;
    let (x, y) = shown(150.0, 310.0);
    hands.click(x, y, 1).await;
    let view = hands.stage.until("the field", |v| v.focus.is_some()).await;

    let rect = view.focus.unwrap().rect;
    assert!((f64::from(rect.x) - 100.0 / width).abs() < 0.01, "{rect:?}");
    assert!(
        (f64::from(rect.y) - 300.0 / height).abs() < 0.01,
        "{rect:?}"
    );
}
