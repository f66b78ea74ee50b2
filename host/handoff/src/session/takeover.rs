//! The user goes on on another of their devices.

use authloop_protocol::{device::DeviceKey, id::Blob, signal::HostMessage};

use super::HandoffSession;
use crate::{HandoffEvent, HandoffState};

impl<R: FnMut(HandoffEvent) + Send> HandoffSession<R> {
    /// The device that has the session gives it to `device`, whose hello is awaited from now on.
    /// `false` if that is no device.
    ///
    /// The old connection stands until then, so that its user sees a picture that stands still and
    /// not an error; but nothing that it says acts on the page any more.
    pub(super) async fn take_over(&mut self, device: &Blob) -> bool {
        let Some(device) = DeviceKey::parse(&device.0).map(|key| *key.as_bytes()) else {
            return false;
        };
        if self.device == Some(device) {
            return true;
        }
        self.device = Some(device);
        self.stage.pause().await;
        self.tell(HostMessage::HandOver {
            device: Blob::from(device),
        });
        (self.report)(HandoffEvent::HandedOver);
        self.enter(HandoffState::Reconnecting);
        true
    }

    /// The server may have missed that the session has another device now.
    pub(super) fn tell_holder(&self, theirs: &Blob) {
        if let Some(ours) = self.device.map(Blob::from)
            && ours != *theirs
        {
            self.tell(HostMessage::HandOver { device: ours });
        }
    }
}
