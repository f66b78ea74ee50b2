//! Pictures and video from a real Chromium.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::time::Duration;

use authloop_browser_testkit::{TestBrowser, TestSite, within};
use authloop_media::{
    capture::{CaptureConfig, Viewport},
    encode::{EncodedFrame, VideoConfig, VideoPipeline},
};
use openh264::formats::YUVSource;
use tokio::sync::mpsc;

const PHONE: Viewport = Viewport {
    width: 390,
    height: 844,
    scale: 2.0,
    mobile: true,
};
const QUIET: Duration = Duration::from_millis(1500);

const FORM: &str = "<!doctype html><meta name=viewport content='width=device-width'>\
    <body style='margin:0;background:#fff'>\
    <div id=box style='width:195px;height:422px;background:#f00'></div><input id=field autofocus>";

fn phone() -> VideoConfig {
    VideoConfig {
        capture: CaptureConfig {
            viewport: Some(PHONE),
            ..CaptureConfig::default()
        },
        ..VideoConfig::default()
    }
}

/// Waits for a frame, then receives until nothing came for a while; the last frame.
async fn until_quiet(
    frames: &mut mpsc::Receiver<EncodedFrame>,
    screen: &mut Screen,
) -> EncodedFrame {
    let mut last = within("a frame", frames.recv()).await.unwrap();
    screen.show(&last);
    while let Ok(Some(frame)) = tokio::time::timeout(QUIET, frames.recv()).await {
        screen.show(&frame);
        last = frame;
    }
    last
}

/// What a viewer would see.
struct Screen {
    decoder: openh264::decoder::Decoder,
    strides: (usize, usize, usize),
    planes: [Vec<u8>; 3],
}

impl Screen {
    fn new() -> Self {
        Self {
            decoder: openh264::decoder::Decoder::new().unwrap(),
            strides: (0, 0, 0),
            planes: Default::default(),
        }
    }

    fn show(&mut self, frame: &EncodedFrame) {
        if let Some(yuv) = self.decoder.decode(&frame.data).unwrap() {
            let (width, height) = yuv.dimensions();
            assert_eq!(
                (width, height),
                (frame.width as usize, frame.height as usize)
            );
            self.strides = yuv.strides();
            self.planes = [yuv.y(), yuv.u(), yuv.v()].map(<[u8]>::to_vec);
        }
    }

    /// BT.601 limited range, as the stream signals.
    fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let [luma, u, v] = &self.planes;
        let l = 1.164 * (f64::from(luma[y * self.strides.0 + x]) - 16.0);
        let u = f64::from(u[y / 2 * self.strides.1 + x / 2]) - 128.0;
        let v = f64::from(v[y / 2 * self.strides.2 + x / 2]) - 128.0;
        [l + 1.596 * v, l - 0.392 * u - 0.813 * v, l + 2.017 * u].map(|c| c.clamp(0.0, 255.0) as u8)
    }

    fn looks_like(&self, x: usize, y: usize, wanted: [u8; 3]) -> bool {
        let seen = self.pixel(x, y);
        seen.iter().zip(wanted).all(|(a, b)| a.abs_diff(b) < 12)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_becomes_sharp_video_and_then_costs_nothing() {
    let site = TestSite::serve([("/", FORM)]).await;
    let stage = TestBrowser::open(&site.url("/")).await;
    let mut screen = Screen::new();

    let (pipeline, mut frames) = VideoPipeline::start(stage.follower.view(), phone()).unwrap();
    let first = within("the first frame", frames.recv()).await.unwrap();
    screen.show(&first);
    until_quiet(&mut frames, &mut screen).await;

    // Twice the CSS size, in the right colours: the red box ends in the middle.
    assert!(first.keyframe);
    assert_eq!((first.width, first.height), (780, 1688));
    assert!(
        screen.looks_like(200, 400, [254, 0, 0]),
        "{:?}",
        screen.pixel(200, 400)
    );
    assert!(screen.looks_like(380, 830, [254, 0, 0]));
    assert!(screen.looks_like(400, 830, [255, 255, 255]));

    // A focused field and a quiet page: no frame at all.
    assert_eq!(stage.eval("document.activeElement.id").await, "field");
    let before = pipeline.stats();
    assert!(tokio::time::timeout(QUIET, frames.recv()).await.is_err());
    let after = pipeline.stats();
    assert_eq!(after.frames, before.frames);
    assert_eq!(after.capture.received, before.capture.received);

    // A keyframe on request, although nothing moves.
    pipeline.request_keyframe();
    let again = within("the keyframe", frames.recv()).await.unwrap();
    assert!(again.keyframe);
    assert!(again.capture_time > first.capture_time);
    screen.show(&again);
    until_quiet(&mut frames, &mut screen).await;

    // A change arrives as a delta, is refined, and then it is quiet.
    let before = pipeline.stats();
    stage.eval("box.style.background = '#00f'").await;
    let delta = within("the change", frames.recv()).await.unwrap();
    assert!(!delta.keyframe);
    screen.show(&delta);
    until_quiet(&mut frames, &mut screen).await;
    assert!(
        screen.looks_like(200, 400, [0, 0, 254]),
        "{:?}",
        screen.pixel(200, 400)
    );
    let after = pipeline.stats();
    let changes = after.pictures - before.pictures;
    assert!(after.frames - before.frames > changes, "no refinement");
    assert!(
        after.frames - before.frames <= changes + 2,
        "too many refinements"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_capture_survives_navigation_popups_and_new_sizes() {
    let other = "<!doctype html><meta name=viewport content='width=device-width'>\
        <body style='margin:0;background:#0f0'>";
    let site = TestSite::serve([("/", FORM), ("/other", other)]).await;
    let mut stage = TestBrowser::open(&site.url("/")).await;
    let mut screen = Screen::new();
    let (pipeline, mut frames) = VideoPipeline::start(stage.follower.view(), phone()).unwrap();
    let first = within("the first frame", frames.recv()).await.unwrap();
    screen.show(&first);

    // Another origin, so another process.
    let elsewhere = site.url_at("localhost", "/other");
    stage
        .eval(&format!("location.href = '{elsewhere}'; 0"))
        .await;
    until_quiet(&mut frames, &mut screen).await;
    assert!(
        screen.looks_like(200, 400, [0, 255, 0]),
        "{:?}",
        screen.pixel(200, 400)
    );

    // A popup takes the screen, in the viewer's size, and gives it back.
    stage
        .until("the other origin", |v| {
            v.origin.origin.contains("localhost")
        })
        .await;
    let opener = stage.page();
    let popup = site.url("/");
    stage
        .eval(&format!("window.popup = window.open('{popup}'); 0"))
        .await;
    stage.until("the popup", |v| v.page != opener).await;
    let last = until_quiet(&mut frames, &mut screen).await;
    assert_eq!((last.width, last.height), (780, 1688));
    assert!(
        screen.looks_like(200, 400, [254, 0, 0]),
        "{:?}",
        screen.pixel(200, 400)
    );
    authloop_browser_testkit::eval(&opener, "window.popup.close()").await;
    stage.until("the opener", |v| v.page == opener).await;
    until_quiet(&mut frames, &mut screen).await;
    assert!(
        screen.looks_like(200, 400, [0, 255, 0]),
        "{:?}",
        screen.pixel(200, 400)
    );

    // The phone is turned.
    pipeline.resize(Viewport {
        width: 844,
        height: 390,
        ..PHONE
    });
    let turned = until_quiet(&mut frames, &mut screen).await;
    assert_eq!((turned.width, turned.height), (1688, 780));
    assert_eq!(
        stage.eval("screen.width + 'x' + screen.height").await,
        "844x390"
    );
    let surface = *pipeline.surface().borrow();
    assert_eq!((surface.width, surface.height), (1688.0, 780.0));
}
