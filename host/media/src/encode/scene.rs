//! Whether a picture has nothing to do with the one before. Pure.
//!
//! An encoder for screens looks for each block elsewhere in the picture before, because pages scroll.
//! Where nothing can be found, that is time lost, at the very moment at which everything changed.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::HashSet;

use super::Picture;

/// Luma samples along a block's side.
const BLOCK_SIDE: usize = 8;
/// Largest sum of luma differences at which a block counts as the same. This and
/// [`MIN_CHANGED_PERCENT`] are OpenH264's, which makes a keyframe of such a picture, too, once it has
/// searched.
const MAX_BLOCK_DIFFERENCE: u32 = 320;
/// Share of blocks that must have changed in another scene.
const MIN_CHANGED_PERCENT: usize = 80;
/// Share of rows that a page which was scrolled shows again.
const MIN_REPEATED_ROWS_PERCENT: usize = 20;

impl Picture {
    /// Whether nothing in `before` helps to code this picture. False where one of them was scrolled
    /// into the other, and where their sizes differ.
    pub(super) fn is_another_scene(&self, before: &Self) -> bool {
        let same_size = (self.width(), self.height()) == (before.width(), before.height());
        let is_empty = self.y().is_empty();
        same_size && !is_empty && self.most_blocks_differ(before) && !self.shows_rows_of(before)
    }

    fn most_blocks_differ(&self, before: &Self) -> bool {
        let width = self.width();
        let band = BLOCK_SIDE * width;
        let bands = self
            .y()
            .chunks_exact(band)
            .zip(before.y().chunks_exact(band));
        // By columns first, which the compiler turns into vector code; eight rows fit 16 bits.
        let mut columns = vec![0_u16; width];
        let (mut blocks, mut changed) = (0, 0);
        for (now, before) in bands {
            columns.fill(0);
            for (now, before) in now.chunks_exact(width).zip(before.chunks_exact(width)) {
                for ((now, before), sum) in now.iter().zip(before).zip(&mut columns) {
                    *sum += u16::from(now.abs_diff(*before));
                }
            }
            for block in columns.chunks_exact(BLOCK_SIDE) {
                let sum: u32 = block.iter().copied().map(u32::from).sum();
                blocks += 1;
                changed += usize::from(sum > MAX_BLOCK_DIFFERENCE);
            }
        }
        blocks > 0 && changed * 100 >= blocks * MIN_CHANGED_PERCENT
    }

    /// Compares rows alone, because pages scroll up and down. Rows of one colour are everywhere and say
    /// nothing.
    fn shows_rows_of(&self, before: &Self) -> bool {
        let known: HashSet<&[u8]> = before.distinctive_rows().collect();
        let (mut rows, mut repeated) = (0, 0);
        for row in self.distinctive_rows() {
            rows += 1;
            repeated += usize::from(known.contains(row));
        }
        rows > 0 && repeated * 100 >= rows * MIN_REPEATED_ROWS_PERCENT
    }

    /// The middle of each row whose samples differ; what is beside the middle may stand still.
    fn distinctive_rows(&self) -> impl Iterator<Item = &[u8]> {
        let width = self.width();
        self.y()
            .chunks_exact(width)
            .map(move |row| &row[width / 4..width - width / 4])
            .filter(|row| row[1..] != row[..row.len() - 1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: (usize, usize) = (160, 128);

    /// Noise of which no two rows are alike.
    fn noise(seed: u32) -> Picture {
        let mut picture = Picture::solid(SIZE.0, SIZE.1, [0, 128, 128]);
        let mut state = seed;
        for sample in picture.planes_mut()[0].iter_mut() {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *sample = (state >> 24) as u8;
        }
        picture
    }

    fn grey(luma: u8) -> Picture {
        Picture::solid(SIZE.0, SIZE.1, [luma, 128, 128])
    }

    fn scrolled(picture: &Picture, rows: usize) -> Picture {
        let mut moved = picture.clone();
        moved.planes_mut()[0].rotate_left(rows * SIZE.0);
        moved
    }

    #[test]
    fn another_page_is_another_scene() {
        assert!(noise(1).is_another_scene(&noise(2)));
        assert!(grey(235).is_another_scene(&grey(16)));
        assert!(noise(1).is_another_scene(&grey(16)));
    }

    #[test]
    fn the_same_page_is_not() {
        assert!(!noise(1).is_another_scene(&noise(1)));
        assert!(!grey(235).is_another_scene(&grey(231)), "a slight shade");
        assert!(!scrolled(&noise(1), 24).is_another_scene(&noise(1)));
    }

    #[test]
    fn a_part_is_not_the_whole() {
        let before = noise(1);
        let mut now = before.clone();
        let part = SIZE.0 * SIZE.1 * 3 / 4;
        now.planes_mut()[0][..part].copy_from_slice(&noise(2).y()[..part]);
        assert!(!now.is_another_scene(&before));
    }

    #[test]
    fn pictures_of_two_sizes_are_left_to_the_encoder() {
        let small = Picture::solid(64, 64, [16, 128, 128]);
        assert!(!grey(235).is_another_scene(&small));
        assert!(!Picture::default().is_another_scene(&Picture::default()));
    }
}
