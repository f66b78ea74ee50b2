//! The encoding thread.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use authloop_protocol::quantity::{Bitrate, DataSize};
use tokio::sync::mpsc;

use super::{
    EncodeError, EncodedFrame, Picture, PictureDecoder, Purpose, VideoEncoder,
    counters::EncodeCounters, mailbox::Mailbox, resolution_control::ResolutionControl,
    send_budget::SendBudget,
};
use crate::capture::CapturedFrame;

/// Time from a change to its first refinement; the next ones follow at twice this interval.
const REFINEMENT_DELAY: Duration = Duration::from_millis(120);

pub(super) struct Worker {
    mailbox: Arc<Mailbox>,
    frames: mpsc::Sender<EncodedFrame>,
    encoder: Box<dyn VideoEncoder>,
    decoder: PictureDecoder,
    counters: Arc<EncodeCounters>,
    budget: SendBudget,
    resolution: ResolutionControl,
    /// How often a picture is refined after a change.
    max_refinements: u32,
    jpeg: Vec<u8>,
    current_picture: Picture,
    /// The current picture at half its size, while it is sent that way.
    half_resolution: Picture,
    /// The picture as it was sent last.
    last_sent: Picture,
    /// How many blocks of the current picture have changed since.
    changed_blocks: usize,
    /// Capture time and arrival of the current picture; `None` before the first one.
    current_frame: Option<(Duration, Instant)>,
    /// When the current picture arrived, until a frame of it is coded.
    pending_capture_at: Option<Instant>,
    /// Capture time of the frame that was sent last.
    last_sent_at: Duration,
    needs_keyframe: bool,
    /// When to refine next, and the number of that pass, from 1.
    next_refinement: Option<(Instant, u32)>,
}

impl Worker {
    pub(super) fn new(
        mailbox: Arc<Mailbox>,
        frames: mpsc::Sender<EncodedFrame>,
        encoder: Box<dyn VideoEncoder>,
        counters: Arc<EncodeCounters>,
        bitrate: Bitrate,
        max_refinements: u32,
    ) -> Result<Self, EncodeError> {
        Ok(Self {
            mailbox,
            frames,
            encoder,
            decoder: PictureDecoder::new()?,
            counters,
            budget: SendBudget::new(bitrate, Instant::now()),
            resolution: ResolutionControl::new(bitrate),
            max_refinements,
            jpeg: Vec::new(),
            current_picture: Picture::default(),
            half_resolution: Picture::default(),
            last_sent: Picture::default(),
            changed_blocks: 0,
            current_frame: None,
            pending_capture_at: None,
            last_sent_at: Duration::ZERO,
            needs_keyframe: true,
            next_refinement: None,
        })
    }

    /// Works until the mailbox is closed or nobody receives any more.
    pub(super) fn run(mut self) {
        loop {
            while let Some(at) = self.budget.ready_at(Instant::now()) {
                if let Some(bitrate) = self.mailbox.wait_for_room(at) {
                    self.set_bitrate(bitrate);
                }
                if self.mailbox.is_closed() {
                    return;
                }
            }
            let work = self.mailbox.take(self.next_refinement.map(|(at, _)| at));
            if work.closed {
                return;
            }
            if let Some(bitrate) = work.bitrate {
                self.set_bitrate(bitrate);
            }
            self.needs_keyframe |= work.keyframe;
            let sent = match work.frame {
                Some(frame) => self.on_picture(&frame),
                None => self.on_idle(),
            };
            if sent.is_err() {
                return;
            }
        }
    }

    fn set_bitrate(&mut self, bitrate: Bitrate) {
        self.encoder.set_bitrate(bitrate);
        self.budget.set_bitrate(bitrate, Instant::now());
        self.resolution.set_bitrate(bitrate);
    }

    fn on_picture(&mut self, frame: &CapturedFrame) -> Result<(), Closed> {
        let begun = Instant::now();
        if !frame.jpeg(&mut self.jpeg) {
            tracing::debug!("a frame that is not base64 was ignored");
            return Ok(());
        }
        if let Err(error) = self.decoder.decode(&self.jpeg, &mut self.current_picture) {
            // The picture may be half overwritten; the next one replaces it.
            tracing::debug!(%error, "a frame was ignored");
            return Ok(());
        }
        self.counters.add_decoded(begun.elapsed());
        self.current_frame = Some((frame.captured, frame.received));
        self.pending_capture_at = Some(frame.received);
        self.assess_change(Instant::now());
        self.send(Purpose::Change, frame.captured)
    }

    /// Finds how much of the picture the viewer does not have, and what follows from that.
    fn assess_change(&mut self, now: Instant) {
        let blocks = self.current_picture.blocks();
        self.changed_blocks = if self.needs_keyframe {
            blocks
        } else {
            self.current_picture.changed_blocks(&self.last_sent)
        };
        self.resolution.on_picture(self.changed_blocks, blocks, now);
        self.schedule_refinement(now);
    }

    /// Plans the refinement of a picture that is sent coarsely, or at half the size, at `now`.
    fn schedule_refinement(&mut self, now: Instant) {
        let first = (self.max_refinements > 0).then_some(now + REFINEMENT_DELAY);
        self.next_refinement = self.resolution.calm_at().or(first).map(|at| (at, 1));
    }

    /// Sends a keyframe that was asked for, or a refinement that is due; there is no new picture.
    fn on_idle(&mut self) -> Result<(), Closed> {
        let Some((captured, received)) = self.current_frame else {
            return Ok(());
        };
        let now = Instant::now();
        let at = captured + received.elapsed();
        if self.needs_keyframe {
            // It is coarse, even if the picture was refined before.
            self.assess_change(now);
            return self.send(Purpose::Keyframe, at);
        }
        let Some((_, pass)) = self.next_refinement.filter(|(at, _)| *at <= now) else {
            return Ok(());
        };
        if self.resolution.is_half() {
            self.resolution.restore_if_calm(now);
            self.changed_blocks = self.current_picture.blocks();
            self.schedule_refinement(now);
            // Of another size than the last, so that it stands alone anyway.
            return self.send(Purpose::Keyframe, at);
        }
        let more = pass < self.max_refinements;
        self.next_refinement = more.then(|| (now + 2 * REFINEMENT_DELAY, pass + 1));
        self.send(Purpose::Refinement(pass), at)
    }

    /// Whether the encoder would search in vain for parts of this picture in the last one. Most
    /// pictures change little, so the costly comparison is rare.
    fn is_another_scene(&self) -> bool {
        self.changed_blocks * 4 > self.current_picture.blocks() * 3
            && !self.resolution.is_half()
            && self.current_picture.is_another_scene(&self.last_sent)
    }

    fn send(&mut self, purpose: Purpose, at: Duration) -> Result<(), Closed> {
        // Capture times must rise, even if the clock of the frames does not.
        let at = at.max(self.last_sent_at + Duration::from_millis(1));
        let begun = Instant::now();
        let purpose = if self.needs_keyframe || self.is_another_scene() {
            Purpose::Keyframe
        } else {
            purpose
        };
        let half = self.resolution.is_half();
        if half {
            self.current_picture.halve(&mut self.half_resolution);
        }
        let picture = if half {
            &self.half_resolution
        } else {
            &self.current_picture
        };
        match self.encoder.encode(picture, purpose, at) {
            Ok(Some(mut frame)) => {
                let size = DataSize::from_bytes(frame.data.len());
                frame.received = self.pending_capture_at.take();
                self.counters.add_encoded(begun.elapsed(), frame.data.len());
                let coded_blocks = if frame.keyframe {
                    self.current_picture.blocks()
                } else {
                    self.changed_blocks
                };
                if !half && !matches!(purpose, Purpose::Refinement(_)) {
                    self.resolution.add_frame(coded_blocks, size);
                }
                // A refinement shows the picture that was sent already.
                if std::mem::take(&mut self.changed_blocks) > 0 {
                    self.last_sent.clone_from(&self.current_picture);
                }
                self.budget.add_frame(size, Instant::now());
                self.needs_keyframe = false;
                self.last_sent_at = at;
                // Waiting here is right: a coded frame must not be dropped, and meanwhile the
                // mailbox keeps only the newest picture.
                self.frames.blocking_send(frame).map_err(|_| Closed)
            }
            Ok(None) => Ok(()),
            Err(error) => {
                tracing::warn!(%error, "a picture was not encoded");
                self.needs_keyframe = true;
                Ok(())
            }
        }
    }
}

/// The receiver is gone.
struct Closed;
