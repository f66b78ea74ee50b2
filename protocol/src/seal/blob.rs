//! The two kinds of sealed blob, told apart by their header.

/// First byte of a hello blob.
pub(super) const HELLO_KIND: u8 = 1;
/// First byte of a record blob.
pub(super) const RECORD_KIND: u8 = 2;
/// An uncompressed P-256 point, RFC 9180 section 7.1.
pub(super) const ENC_BYTES: usize = 65;
/// The kind, the hello's name and the counter.
pub(super) const RECORD_HEADER_BYTES: usize = 1 + 8 + 8;

/// Which kind of blob a side received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobKind {
    /// A hello blob.
    Hello,
    /// A record under the hello of this name.
    Record([u8; 8]),
}

/// Tells the kind by the header alone; `None` for neither.
#[must_use]
pub fn blob_kind(blob: &[u8]) -> Option<BlobKind> {
    match *blob.first()? {
        HELLO_KIND if blob.len() > 1 + ENC_BYTES => Some(BlobKind::Hello),
        RECORD_KIND if blob.len() > RECORD_HEADER_BYTES => {
            Some(BlobKind::Record(blob.get(1..9)?.try_into().ok()?))
        }
        _ => None,
    }
}
