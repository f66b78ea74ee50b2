//! How much of a picture is new, which is what it costs to send. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::Picture;

/// Pixels along a block's side, as encoders divide pictures (H.264's macroblocks).
const BLOCK_SIDE: usize = 16;

impl Picture {
    /// The number of blocks of 16 x 16 pixels; those at the edges count whole.
    pub fn blocks(&self) -> usize {
        self.width().div_ceil(BLOCK_SIDE) * self.height().div_ceil(BLOCK_SIDE)
    }

    /// The number of blocks that differ from `other`'s; all of them if that has another size.
    pub fn changed_blocks(&self, other: &Self) -> usize {
        if (self.width(), self.height()) != (other.width(), other.height()) {
            return self.blocks();
        }
        let across = self.width().div_ceil(BLOCK_SIDE);
        let mut changed = vec![false; self.blocks()];
        let width = self.width();
        mark_changed(
            &mut changed,
            across,
            (self.y(), other.y()),
            width,
            BLOCK_SIDE,
        );
        let colours = [(self.u(), other.u()), (self.v(), other.v())];
        for planes in colours {
            mark_changed(&mut changed, across, planes, width / 2, BLOCK_SIDE / 2);
        }
        changed.into_iter().filter(|changed| *changed).count()
    }
}

/// Marks the blocks in which the two planes differ.
fn mark_changed(
    changed: &mut [bool],
    across: usize,
    planes: (&[u8], &[u8]),
    width: usize,
    block: usize,
) {
    let rows = planes
        .0
        .chunks_exact(width)
        .zip(planes.1.chunks_exact(width));
    for (y, (row, other)) in rows.enumerate() {
        if row == other {
            continue;
        }
        let runs = row.chunks(block).zip(other.chunks(block));
        for (x, (run, other)) in runs.enumerate() {
            changed[y / block * across + x] |= run != other;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_changed_pixel_is_one_block_in_any_plane() {
        let still = Picture::solid(50, 34, [100, 128, 128]);
        assert_eq!((still.blocks(), still.changed_blocks(&still)), (4 * 3, 0));
        for plane in 0..3 {
            let mut other = still.clone();
            *other.planes_mut()[plane].last_mut().unwrap() ^= 1;
            assert_eq!(still.changed_blocks(&other), 1, "plane {plane}");
        }
        let larger = Picture::solid(52, 34, [100, 128, 128]);
        assert_eq!(larger.changed_blocks(&still), larger.blocks());
    }
}
