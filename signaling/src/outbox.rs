//! What waits to be written to one WebSocket: bounded, so that a slow reader never holds up the
//! one who writes to it.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};

use authloop_protocol::signal::{ServerMessage, SignalErrorCode};
use axum::extract::ws::Utf8Bytes;
use tokio::sync::{Notify, mpsc};

use crate::byte_budget::{BudgetShare, ByteBudget};

/// How a socket ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// The session ended: 1000 after what is queued.
    Normal,
    /// The server stops: 1012 (IANA's WebSocket close codes, "service restart").
    Restart,
    /// The client did something wrong, or was replaced.
    Error(SignalErrorCode, &'static str),
}

/// What the socket's task takes from its queue.
#[derive(Debug)]
pub(crate) enum OutgoingFrame {
    Text(Utf8Bytes),
    Close(Closing),
}

/// A frame that waits, and the bytes that it takes from those of all sockets.
struct QueuedFrame {
    frame: OutgoingFrame,
    _share: Option<BudgetShare>,
}

/// The writing end; clones write to the same socket.
#[derive(Clone)]
pub(crate) struct Outbox {
    id: u64,
    queue: mpsc::Sender<QueuedFrame>,
    budget: ByteBudget,
    cut: Arc<CutSignal>,
}

/// The socket's end.
pub(crate) struct OutboxReceiver {
    queue: mpsc::Receiver<QueuedFrame>,
    cut: Arc<CutSignal>,
}

/// Ends a socket at once, over the head of its queue.
#[derive(Default)]
struct CutSignal {
    closing: OnceLock<Closing>,
    notify: Notify,
}

/// The queue was full, or those of all sockets: the client reads too slowly, and its socket is being cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueFull;

/// A queue of so many frames, whose bytes are taken from `budget`, which all sockets share.
pub(crate) fn channel(capacity: usize, budget: &ByteBudget) -> (Outbox, OutboxReceiver) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let (sender, receiver) = mpsc::channel(capacity);
    let cut = Arc::new(CutSignal::default());
    let outbox = Outbox {
        id: NEXT.fetch_add(1, Ordering::Relaxed),
        queue: sender,
        budget: budget.clone(),
        cut: cut.clone(),
    };
    let outbox_rx = OutboxReceiver {
        queue: receiver,
        cut,
    };
    (outbox, outbox_rx)
}

impl Outbox {
    /// Tells this socket's outbox from any other.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Queues a message; never waits. A socket that has gone takes it silently.
    pub(crate) fn send(&self, message: &ServerMessage) -> Result<(), QueueFull> {
        match serde_json::to_string(message) {
            Ok(text) => self.push(text),
            Err(_) => {
                self.cut(Closing::Error(
                    SignalErrorCode::Internal,
                    "a message could not be written",
                ));
                Ok(())
            }
        }
    }

    /// Queues a message that another node wrote; a reader too slow for it is cut.
    pub(crate) fn send_text(&self, text: String) {
        let _ = self.push(text);
    }

    /// Ends the socket after what is queued, or at once if the queue is full.
    pub(crate) fn close(&self, closing: Closing) {
        let frame = QueuedFrame {
            frame: OutgoingFrame::Close(closing),
            _share: None,
        };
        if self.queue.try_send(frame).is_err() {
            self.cut(closing);
        }
    }

    fn push(&self, text: String) -> Result<(), QueueFull> {
        let share = self.budget.try_take(text.len());
        // A client that reads has an empty queue: others that do not read must not cut it.
        let is_empty = self.queue.capacity() == self.queue.max_capacity();
        let fits = share.is_some() || is_empty;
        let queued = fits.then(|| {
            self.queue.try_send(QueuedFrame {
                frame: OutgoingFrame::Text(text.into()),
                _share: share,
            })
        });
        match queued {
            Some(Ok(()) | Err(mpsc::error::TrySendError::Closed(_))) => Ok(()),
            Some(Err(mpsc::error::TrySendError::Full(_))) | None => {
                self.cut(Closing::Error(
                    SignalErrorCode::Timeout,
                    "the client reads too slowly",
                ));
                Err(QueueFull)
            }
        }
    }

    fn cut(&self, closing: Closing) {
        let _ = self.cut.closing.set(closing);
        self.cut.notify.notify_one();
    }
}

impl OutboxReceiver {
    /// The next thing to write. Cancel safe.
    pub(crate) async fn next(&mut self) -> OutgoingFrame {
        tokio::select! {
            biased;
            closing = self.cut.wait() => OutgoingFrame::Close(closing),
            outgoing = self.queue.recv() => {
                outgoing.map_or(OutgoingFrame::Close(Closing::Normal), |queued| queued.frame)
            }
        }
    }

    /// Resolves only when the socket must be cut at once. Cancel safe.
    pub(crate) async fn cut(&self) -> Closing {
        self.cut.wait().await
    }
}

impl CutSignal {
    async fn wait(&self) -> Closing {
        loop {
            if let Some(closing) = self.closing.get() {
                return *closing;
            }
            self.notify.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keeps_order_and_closes_after_the_queue() {
        let (outbox, mut outbox_rx) = channel(4, &ByteBudget::default());
        outbox.send(&ServerMessage::Peer { present: true }).unwrap();
        outbox.close(Closing::Normal);
        assert!(matches!(outbox_rx.next().await, OutgoingFrame::Text(_)));
        assert!(matches!(
            outbox_rx.next().await,
            OutgoingFrame::Close(Closing::Normal)
        ));
    }

    #[tokio::test]
    async fn a_full_queue_cuts_the_reader_and_returns_at_once() {
        let (outbox, mut outbox_rx) = channel(1, &ByteBudget::default());
        outbox.send(&ServerMessage::SecondClaim {}).unwrap();
        assert_eq!(outbox.send(&ServerMessage::SecondClaim {}), Err(QueueFull));
        assert!(matches!(
            outbox_rx.next().await,
            OutgoingFrame::Close(Closing::Error(SignalErrorCode::Timeout, _))
        ));
    }

    #[tokio::test]
    async fn past_the_budget_of_all_a_socket_has_room_for_one_message_only() {
        let message = ServerMessage::SecondClaim {};
        let bytes = serde_json::to_string(&message).unwrap().len();
        let budget = ByteBudget::new(2 * bytes);
        let (hoarding, mut unread) = channel(4, &budget);
        let (reading, mut read) = channel(4, &budget);
        hoarding.send(&message).unwrap();
        hoarding.send(&message).unwrap();

        assert_eq!(reading.send(&message), Ok(()));
        assert!(matches!(read.next().await, OutgoingFrame::Text(_)));
        assert_eq!(reading.send(&message), Ok(()));
        assert_eq!(hoarding.send(&message), Err(QueueFull));

        // What was written is no longer counted.
        drop(hoarding);
        assert!(matches!(unread.next().await, OutgoingFrame::Close(_)));
        drop(unread);
        assert_eq!(reading.send(&message), Ok(()));
    }

    #[tokio::test]
    async fn a_closed_socket_takes_messages_silently() {
        let (outbox, outbox_rx) = channel(1, &ByteBudget::default());
        drop(outbox_rx);
        assert_eq!(outbox.send(&ServerMessage::SecondClaim {}), Ok(()));
    }
}
