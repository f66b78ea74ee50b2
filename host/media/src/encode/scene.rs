//! Whether a picture has nothing to do with the one before: pure.
//!
//! An encoder for screens looks for each block elsewhere in the picture before, because pages scroll.
//! Where there is nothing to find that is time lost, in the very moment in which everything changed.

use std::collections::HashSet;

use super::Picture;

/// Luma samples along a block's side.
const BLOCK: usize = 8;
/// A block whose luma differs by more in sum is another one. This and the next are OpenH264's, which
/// makes a keyframe of such a picture, too, once it has searched.
const OTHER: u32 = 320;
/// Percent of blocks that are others in another scene.
const SCENE: usize = 80;
/// A page that was scrolled shows at least this part of its rows again, in percent.
const AGAIN: usize = 20;

impl Picture {
    /// Whether nothing in `before` helps to code it. False where one of them was scrolled into the
    /// other, and where their sizes differ.
    pub(super) fn is_another_scene(&self, before: &Self) -> bool {
        let same_size = (self.width(), self.height()) == (before.width(), before.height());
        let is_empty = self.y().is_empty();
        same_size && !is_empty && self.other_blocks(before) && !self.shows_rows_of(before)
    }

    fn other_blocks(&self, before: &Self) -> bool {
        let width = self.width();
        let band = BLOCK * width;
        let bands = self
            .y()
            .chunks_exact(band)
            .zip(before.y().chunks_exact(band));
        // By columns first, which the compiler turns into vector code; eight rows fit 16 bits.
        let mut columns = vec![0_u16; width];
        let (mut blocks, mut others) = (0, 0);
        for (now, before) in bands {
            columns.fill(0);
            for (now, before) in now.chunks_exact(width).zip(before.chunks_exact(width)) {
                for ((now, before), sum) in now.iter().zip(before).zip(&mut columns) {
                    *sum += u16::from(now.abs_diff(*before));
                }
            }
            for block in columns.chunks_exact(BLOCK) {
                let sum: u32 = block.iter().copied().map(u32::from).sum();
                blocks += 1;
                others += usize::from(sum > OTHER);
            }
        }
        blocks > 0 && others * 100 >= blocks * SCENE
    }

    /// Rows alone: pages scroll up and down. Those of one colour are everywhere and say nothing.
    fn shows_rows_of(&self, before: &Self) -> bool {
        let known: HashSet<&[u8]> = before.telling_rows().collect();
        let (mut rows, mut again) = (0, 0);
        for row in self.telling_rows() {
            rows += 1;
            again += usize::from(known.contains(row));
        }
        rows > 0 && again * 100 >= rows * AGAIN
    }

    /// The middle of each row that has any change in it; what is beside it may stand still.
    fn telling_rows(&self) -> impl Iterator<Item = &[u8]> {
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
