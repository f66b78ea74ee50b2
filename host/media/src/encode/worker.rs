//! The encoding thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::counters::Counters;
use super::mailbox::Mailbox;
use super::resolution_control::Detail;
use super::send_budget::Flow;
use super::{EncodeError, EncodedFrame, Picture, PictureDecoder, Purpose, VideoEncoder};
use crate::capture::CapturedFrame;

/// After a change, the picture is sent again so that text sharpens: soon, then once more.
const REFINE_AFTER: Duration = Duration::from_millis(120);

pub(super) struct Worker {
    mailbox: Arc<Mailbox>,
    frames: mpsc::Sender<EncodedFrame>,
    encoder: Box<dyn VideoEncoder>,
    decoder: PictureDecoder,
    counters: Arc<Counters>,
    flow: Flow,
    detail: Detail,
    refinements: u32,
    jpeg: Vec<u8>,
    picture: Picture,
    /// Half of it, while it is sent so.
    half: Picture,
    /// The picture as it was sent last, and how many blocks of it are new since.
    sent: Picture,
    changed: usize,
    /// The capture time of the picture and when it came; none before the first picture.
    shown: Option<(Duration, Instant)>,
    /// When the picture came, until a frame of it is coded.
    unseen: Option<Instant>,
    last_sent: Duration,
    keyframe: bool,
    /// When to refine, and for the how-manieth time.
    refine: Option<(Instant, u32)>,
}

impl Worker {
    pub(super) fn new(
        mailbox: Arc<Mailbox>,
        frames: mpsc::Sender<EncodedFrame>,
        encoder: Box<dyn VideoEncoder>,
        counters: Arc<Counters>,
        bitrate: u32,
        refinements: u32,
    ) -> Result<Self, EncodeError> {
        Ok(Self {
            mailbox,
            frames,
            encoder,
            decoder: PictureDecoder::new()?,
            counters,
            flow: Flow::new(bitrate, Instant::now()),
            detail: Detail::new(bitrate),
            refinements,
            jpeg: Vec::new(),
            picture: Picture::default(),
            half: Picture::default(),
            sent: Picture::default(),
            changed: 0,
            shown: None,
            unseen: None,
            last_sent: Duration::ZERO,
            keyframe: true,
            refine: None,
        })
    }

    /// Works until the mailbox is closed or nobody receives any more.
    pub(super) fn run(mut self) {
        loop {
            while let Some(at) = self.flow.ready_at(Instant::now()) {
                if let Some(bps) = self.mailbox.hold(at) {
                    self.set_bitrate(bps);
                }
                if self.mailbox.is_closed() {
                    return;
                }
            }
            let work = self.mailbox.take(self.refine.map(|(at, _)| at));
            if work.closed {
                return;
            }
            if let Some(bps) = work.bitrate {
                self.set_bitrate(bps);
            }
            self.keyframe |= work.keyframe;
            let sent = match work.frame {
                Some(frame) => self.on_picture(&frame),
                None => self.on_idle(),
            };
            if sent.is_err() {
                return;
            }
        }
    }

    fn set_bitrate(&mut self, bps: u32) {
        self.encoder.set_bitrate(bps);
        self.flow.set_bitrate(bps, Instant::now());
        self.detail.set_bitrate(bps);
    }

    fn on_picture(&mut self, frame: &CapturedFrame) -> Result<(), Closed> {
        let begun = Instant::now();
        if !frame.jpeg(&mut self.jpeg) {
            tracing::debug!("a frame that is not base64 was ignored");
            return Ok(());
        }
        if let Err(error) = self.decoder.decode(&self.jpeg, &mut self.picture) {
            // The picture may be half overwritten; the next one replaces it.
            tracing::debug!(%error, "a frame was ignored");
            return Ok(());
        }
        self.counters.decoded(begun.elapsed());
        self.shown = Some((frame.captured, frame.received));
        self.unseen = Some(frame.received);
        self.weigh(Instant::now());
        self.send(Purpose::Change, frame.captured)
    }

    /// How much of the picture the viewer has not got, and what follows from that.
    fn weigh(&mut self, now: Instant) {
        let blocks = self.picture.blocks();
        self.changed = if self.keyframe {
            blocks
        } else {
            self.picture.changed_blocks(&self.sent)
        };
        self.detail.changed(self.changed, blocks, now);
        self.refine_from(now);
    }

    /// A picture was sent coarsely, or at half the size: when to mend that.
    fn refine_from(&mut self, now: Instant) {
        let first = (self.refinements > 0).then_some(now + REFINE_AFTER);
        self.refine = self.detail.calm_at().or(first).map(|at| (at, 1));
    }

    /// Nothing new: a keyframe was asked for, or the picture may be refined.
    fn on_idle(&mut self) -> Result<(), Closed> {
        let Some((captured, received)) = self.shown else {
            return Ok(());
        };
        let now = Instant::now();
        let at = captured + received.elapsed();
        if self.keyframe {
            // It is coarse, whatever was refined before.
            self.weigh(now);
            return self.send(Purpose::Keyframe, at);
        }
        let Some((_, time)) = self.refine.filter(|(at, _)| *at <= now) else {
            return Ok(());
        };
        if self.detail.is_half() {
            self.detail.calm(now);
            self.changed = self.picture.blocks();
            self.refine_from(now);
            // Of another size than the last, so that it stands alone anyway.
            return self.send(Purpose::Keyframe, at);
        }
        let more = time < self.refinements;
        self.refine = more.then(|| (now + 2 * REFINE_AFTER, time + 1));
        self.send(Purpose::Refinement(time), at)
    }

    /// Whether the encoder would search what was sent in vain. Most pictures change little, so that
    /// this is rarely looked into.
    fn is_another_scene(&self) -> bool {
        self.changed * 4 > self.picture.blocks() * 3
            && !self.detail.is_half()
            && self.picture.is_another_scene(&self.sent)
    }

    fn send(&mut self, purpose: Purpose, at: Duration) -> Result<(), Closed> {
        // Never backwards, whatever clock the frames came with.
        let at = at.max(self.last_sent + Duration::from_millis(1));
        let begun = Instant::now();
        let purpose = if self.keyframe || self.is_another_scene() {
            Purpose::Keyframe
        } else {
            purpose
        };
        let half = self.detail.is_half();
        if half {
            self.picture.halve(&mut self.half);
        }
        let picture = if half { &self.half } else { &self.picture };
        match self.encoder.encode(picture, purpose, at) {
            Ok(Some(mut frame)) => {
                frame.received = self.unseen.take();
                self.counters.encoded(begun.elapsed(), frame.data.len());
                let new = if frame.keyframe {
                    self.picture.blocks()
                } else {
                    self.changed
                };
                if !half && !matches!(purpose, Purpose::Refinement(_)) {
                    self.detail.coded(new, frame.data.len());
                }
                // A refinement is of the picture that was sent already.
                if std::mem::take(&mut self.changed) > 0 {
                    self.sent.clone_from(&self.picture);
                }
                self.flow.coded(frame.data.len(), Instant::now());
                self.keyframe = false;
                self.last_sent = at;
                // Waiting here is right: a coded frame must not be dropped, and meanwhile the
                // mailbox keeps only the newest picture.
                self.frames.blocking_send(frame).map_err(|_| Closed)
            }
            Ok(None) => Ok(()),
            Err(error) => {
                tracing::warn!(%error, "a picture was not encoded");
                self.keyframe = true;
                Ok(())
            }
        }
    }
}

/// Nobody receives any more.
struct Closed;
