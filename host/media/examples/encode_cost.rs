//! Measures what a frame costs: `cargo run --release -p authloop-media --example encode_cost`.
//!
//! Real pages are captured from a real Chromium at 1280x720 and 780x1688 (390x844 at 2x), then
//! decoded, converted and encoded again and again.

use std::time::{Duration, Instant};

use authloop_browser::Follower;
use authloop_cdp::{Browser, Launch};
use authloop_media::{
    capture::{Capture, CaptureConfig, CapturedFrame, Viewport},
    encode::{Codec, Picture, PictureDecoder, Purpose, encoder},
};
use authloop_protocol::quantity::Bitrate;
use tokio::sync::mpsc;

const PAGE: &str = "data:text/html,<meta name=viewport content='width=device-width'>\
    <body style='font:14px sans-serif'><h1>Sign in</h1><input autofocus><p id=p></p><script>\
    let n=0;p.textContent=('The quick brown fox jumps over the lazy dog. ').repeat(60);\
    addEventListener('click',()=>{p.textContent=(++n)+p.textContent})</script>";
const ROUNDS: u32 = 60;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Result<()> {
    println!(
        "size       codec  base64+jpeg+convert  encode(change)  encode(refine)  key bytes  change bytes"
    );
    let desktop = Viewport {
        width: 1280,
        height: 720,
        scale: 1.0,
        mobile: false,
    };
    let phone = Viewport {
        width: 390,
        height: 844,
        scale: 2.0,
        mobile: true,
    };
    for viewport in [desktop, phone] {
        let frames = capture(viewport).await?;
        for codec in [Codec::H264, Codec::Vp8] {
            measure(viewport, codec, &frames)?;
        }
    }
    Ok(())
}

/// Two pictures of the page, before and after a line of text was added.
async fn capture(viewport: Viewport) -> Result<Vec<CapturedFrame>> {
    let launched = Launch::builder().url(PAGE).start().await?;
    let browser = Browser::connect(launched.cdp_url()).await?;
    let follower = Follower::start(&browser, None).await?;
    let (sender, mut frames) = mpsc::unbounded_channel();
    let config = CaptureConfig {
        viewport: Some(viewport),
        ..CaptureConfig::default()
    };
    let _capture = Capture::start(follower.view(), config, move |frame| {
        let _measured_enough = sender.send(frame);
    });
    let first = last_of(&mut frames).await.ok_or("no picture")?;
    let click = serde_json::json!({ "expression": "document.body.click()" });
    follower.page().call("Runtime.evaluate", click).await?;
    let second = last_of(&mut frames).await.ok_or("no second picture")?;
    Ok(vec![first, second])
}

async fn last_of(frames: &mut mpsc::UnboundedReceiver<CapturedFrame>) -> Option<CapturedFrame> {
    let mut last = None;
    while let Ok(Some(frame)) = tokio::time::timeout(Duration::from_secs(1), frames.recv()).await {
        last = Some(frame);
    }
    last
}

fn measure(viewport: Viewport, codec: Codec, frames: &[CapturedFrame]) -> Result<()> {
    let mut decoder = PictureDecoder::new()?;
    let mut encoder = encoder(codec, Bitrate::from_kbps(2_500))?;
    let mut jpeg = Vec::new();
    let mut pictures = [Picture::default(), Picture::default()];
    let (mut decoding, mut changes, mut repeats) = (Vec::new(), Vec::new(), Vec::new());
    let (mut key_bytes, mut change_bytes) = (0, Vec::new());
    let mut at = Duration::from_secs(1);
    for round in 0..ROUNDS {
        let which = (round % 2) as usize;
        let begun = Instant::now();
        frames[which].jpeg(&mut jpeg);
        decoder.decode(&jpeg, &mut pictures[which])?;
        decoding.push(begun.elapsed());
        for (purpose, times) in [
            (Purpose::Change, &mut changes),
            (Purpose::Refinement(1), &mut repeats),
        ] {
            at += Duration::from_millis(33);
            let begun = Instant::now();
            let frame = encoder.encode(&pictures[which], purpose, at)?;
            let spent = begun.elapsed();
            let bytes = frame.as_ref().map_or(0, |frame| frame.data.len());
            if frame.is_some_and(|frame| frame.keyframe) {
                key_bytes = bytes;
                println!(
                    "  keyframe: {:.1} ms, {bytes} bytes",
                    spent.as_secs_f64() * 1e3
                );
            } else {
                times.push(spent);
                if purpose == Purpose::Change {
                    change_bytes.push(bytes);
                }
            }
        }
    }
    let (width, height) = (pictures[0].width(), pictures[0].height());
    assert_eq!((width as u32, height as u32), viewport.pixels());
    change_bytes.sort_unstable();
    println!(
        "{width}x{height}  {codec:?}  {:.1} ms  {:.1} ms  {:.1} ms  {key_bytes}  {}",
        median(&mut decoding),
        median(&mut changes),
        median(&mut repeats),
        change_bytes[change_bytes.len() / 2],
    );
    Ok(())
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}
