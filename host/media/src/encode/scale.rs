//! A picture at half its size. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::Picture;

impl Picture {
    /// Writes the picture to `half` at half its sides, each pixel the mean of four.
    pub fn halve(&self, half: &mut Self) {
        half.resize(self.width().div_ceil(2), self.height().div_ceil(2));
        let sides = (half.width(), half.height());
        let [y, u, v] = half.planes_mut();
        let chroma = (sides.0 / 2, sides.1 / 2);
        halve_plane(self.y(), self.width(), y, sides.0);
        halve_plane(self.u(), self.width() / 2, u, chroma.0);
        halve_plane(self.v(), self.width() / 2, v, chroma.0);
    }
}

/// Writes one plane at half its sides. Where the source ends before the last pixel, its edge goes on.
fn halve_plane(from: &[u8], from_width: usize, to: &mut [u8], to_width: usize) {
    let last = from.len() / from_width - 1;
    for (y, out) in to.chunks_exact_mut(to_width).enumerate() {
        let row = |y: usize| &from[y.min(last) * from_width..][..from_width];
        let (above, below) = (row(2 * y), row(2 * y + 1));
        for (x, out) in out.iter_mut().enumerate() {
            let (left, right) = ((2 * x).min(from_width - 1), (2 * x + 1).min(from_width - 1));
            let sum = [above[left], above[right], below[left], below[right]];
            let sum: u16 = sum.into_iter().map(u16::from).sum();
            *out = ((sum + 2) / 4) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_picture_has_its_colours_and_even_sides() {
        for (width, height) in [(780, 1466), (2, 2), (6, 4), (4, 6)] {
            let whole = Picture::solid(width, height, [70, 90, 200]);
            let mut half = Picture::default();

            whole.halve(&mut half);

            assert_eq!(half.width(), (width / 2).next_multiple_of(2));
            assert_eq!(half.height(), (height / 2).next_multiple_of(2));
            let wanted = Picture::solid(half.width(), half.height(), [70, 90, 200]);
            assert!(half == wanted, "{width} x {height}");
        }
    }

    #[test]
    fn four_pixels_become_their_mean() {
        let mut whole = Picture::solid(4, 4, [0, 128, 128]);
        let rows = [
            [0, 4, 100, 100],
            [8, 12, 100, 104],
            [1, 1, 9, 9],
            [2, 2, 9, 9],
        ];
        whole.planes_mut()[0].copy_from_slice(rows.as_flattened());
        let mut half = Picture::default();

        whole.halve(&mut half);

        assert_eq!(half.y(), [6, 101, 2, 9]);
    }
}
