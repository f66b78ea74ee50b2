//! JPEG to I420. Pure.
//!
//! JPEG is BT.601 at full range (JFIF); video is sent as BT.601 at limited range, which is signalled,
//! and which a decoder assumes that does not read the signalling.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use turbojpeg::{Colorspace, Decompressor, Subsamp, YuvImage};

use super::EncodeError;

/// A picture in I420 at limited range; both sides are even.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    /// Y, then U, then V, without padding.
    data: Vec<u8>,
}

impl Picture {
    /// A picture of one colour, given as limited-range Y, U and V.
    pub fn solid(width: usize, height: usize, [y, u, v]: [u8; 3]) -> Self {
        let (width, height) = (even(width), even(height));
        let mut data = vec![y; width * height];
        data.resize(width * height * 5 / 4, u);
        data.resize(width * height * 3 / 2, v);
        Self {
            width,
            height,
            data,
        }
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Luma, `width` bytes a row.
    pub fn y(&self) -> &[u8] {
        &self.data[..self.width * self.height]
    }

    /// Blue difference, `width / 2` bytes a row.
    pub fn u(&self) -> &[u8] {
        let luma = self.width * self.height;
        &self.data[luma..luma * 5 / 4]
    }

    /// Red difference, `width / 2` bytes a row.
    pub fn v(&self) -> &[u8] {
        let luma = self.width * self.height;
        &self.data[luma * 5 / 4..]
    }

    /// Makes room for another size; the samples are arbitrary afterwards.
    pub(super) fn resize(&mut self, width: usize, height: usize) {
        (self.width, self.height) = (even(width), even(height));
        self.data.resize(self.width * self.height * 3 / 2, 128);
    }

    /// Y, U and V, to write.
    pub(super) fn planes_mut(&mut self) -> [&mut [u8]; 3] {
        let luma = self.width * self.height;
        let (y, chroma) = self.data.split_at_mut(luma);
        let (u, v) = chroma.split_at_mut(luma / 4);
        [y, u, v]
    }

    /// All three planes, one after the other.
    pub fn planes(&self) -> &[u8] {
        &self.data
    }
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({}x{})", self.width, self.height)
    }
}

/// Decodes JPEGs; keeps its buffers between pictures.
pub struct PictureDecoder {
    jpeg: Decompressor,
    /// Planes of a subsampling other than 4:2:0.
    scratch: Vec<u8>,
}

impl std::fmt::Debug for PictureDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PictureDecoder").finish_non_exhaustive()
    }
}

impl PictureDecoder {
    /// A decoder.
    pub fn new() -> Result<Self, EncodeError> {
        let jpeg = Decompressor::new().map_err(unreadable)?;
        Ok(Self {
            jpeg,
            scratch: Vec::new(),
        })
    }

    /// Decodes a JPEG into `picture`.
    pub fn decode(&mut self, jpeg: &[u8], picture: &mut Picture) -> Result<(), EncodeError> {
        self.decode_planes(jpeg, picture)?;
        to_limited_range(picture);
        Ok(())
    }

    /// Decodes without converting the range.
    fn decode_planes(&mut self, jpeg: &[u8], picture: &mut Picture) -> Result<(), EncodeError> {
        let header = self.jpeg.read_header(jpeg).map_err(unreadable)?;
        if !matches!(header.colorspace, Colorspace::YCbCr | Colorspace::Gray) {
            return Err(EncodeError::Picture("not a YCbCr JPEG".to_owned()));
        }
        picture.resize(header.width, header.height);
        if header.subsamp == Subsamp::Sub2x2 {
            // TurboJPEG pads the planes of an odd picture to whole chroma samples, as we want.
            return decode_into(&mut self.jpeg, jpeg, &mut picture.data, &header);
        }
        let size = turbojpeg::yuv_pixels_len(header.width, 1, header.height, header.subsamp);
        self.scratch.resize(size.map_err(unreadable)?, 0);
        decode_into(&mut self.jpeg, jpeg, &mut self.scratch, &header)?;
        resample(&self.scratch, &header, picture);
        Ok(())
    }
}

fn decode_into(
    decoder: &mut Decompressor,
    jpeg: &[u8],
    pixels: &mut [u8],
    header: &turbojpeg::DecompressHeader,
) -> Result<(), EncodeError> {
    let image = YuvImage {
        pixels,
        width: header.width,
        align: 1,
        height: header.height,
        subsamp: header.subsamp,
    };
    decoder.decompress_to_yuv(jpeg, image).map_err(unreadable)
}

/// Converts any other subsampling to 4:2:0, by averaging the chroma samples under each pair of pixels.
fn resample(planes: &[u8], header: &turbojpeg::DecompressHeader, picture: &mut Picture) {
    // Luma pixels per chroma sample; TurboJPEG pads each plane to whole samples.
    let (across, down) = match header.subsamp {
        Subsamp::Sub2x1 => (2, 1),
        Subsamp::Sub1x2 => (1, 2),
        Subsamp::Sub4x1 => (4, 1),
        Subsamp::Sub1x4 => (1, 4),
        _ => (1, 1),
    };
    let luma = (
        header.width.next_multiple_of(across),
        header.height.next_multiple_of(down),
    );
    let (width, height) = (picture.width, picture.height);
    let (y, chroma) = picture.data.split_at_mut(width * height);
    for (row, out) in y.chunks_exact_mut(width).enumerate() {
        let from = row.min(header.height - 1) * luma.0;
        let row = &planes[from..from + luma.0];
        for (x, out) in out.iter_mut().enumerate() {
            *out = row[x.min(header.width - 1)];
        }
    }
    if header.subsamp == Subsamp::Gray {
        chroma.fill(128);
        return;
    }
    let size = (luma.0 / across, luma.1 / down);
    let (u, v) = chroma.split_at_mut(width * height / 4);
    for (plane, out) in [u, v].into_iter().enumerate() {
        let from = luma.0 * luma.1 + plane * size.0 * size.1;
        let samples = &planes[from..from + size.0 * size.1];
        for (y, row) in out.chunks_exact_mut(width / 2).enumerate() {
            let rows = [2 * y, 2 * y + 1].map(|y| (y / down).min(size.1 - 1) * size.0);
            for (x, out) in row.iter_mut().enumerate() {
                let columns = [2 * x, 2 * x + 1].map(|x| (x / across).min(size.0 - 1));
                let sum: u16 = rows
                    .iter()
                    .flat_map(|row| columns.iter().map(move |column| row + column))
                    .map(|at| u16::from(samples[at]))
                    .sum();
                *out = ((sum + 2) / 4) as u8;
            }
        }
    }
}

/// Converts full to limited range (BT.601): Y to 16..=235, U and V to 16..=240, in 8.8 fixed point, which
/// the compiler turns into vector code.
fn to_limited_range(picture: &mut Picture) {
    let (luma, chroma) = picture.data.split_at_mut(picture.width * picture.height);
    for sample in luma {
        *sample = ((u16::from(*sample) * 220 + 16 * 256 + 64) >> 8) as u8;
    }
    for sample in chroma {
        *sample = ((u16::from(*sample) * 225 + 16 * 256) >> 8) as u8;
    }
}

fn even(side: usize) -> usize {
    side.next_multiple_of(2).max(2)
}

fn unreadable(error: turbojpeg::Error) -> EncodeError {
    EncodeError::Picture(error.to_string())
}

#[cfg(test)]
mod tests {
    use turbojpeg::{Compressor, Image, PixelFormat};

    use super::*;

    fn jpeg(width: usize, height: usize, rgb: [u8; 3], subsamp: Subsamp) -> Vec<u8> {
        let pixels: Vec<u8> = rgb
            .iter()
            .copied()
            .cycle()
            .take(width * height * 3)
            .collect();
        let mut compressor = Compressor::new().unwrap();
        compressor.set_subsamp(subsamp).unwrap();
        compressor.set_quality(95).unwrap();
        let image = Image {
            pixels: pixels.as_slice(),
            width,
            pitch: width * 3,
            height,
            format: PixelFormat::RGB,
        };
        compressor.compress_to_vec(image).unwrap()
    }

    fn close(a: u8, b: u8) -> bool {
        a.abs_diff(b) <= 2
    }

    #[test]
    fn colours_are_right_at_any_subsampling_and_size() {
        let kinds = [
            Subsamp::None,
            Subsamp::Sub2x1,
            Subsamp::Sub2x2,
            Subsamp::Sub1x2,
            Subsamp::Sub4x1,
            Subsamp::Sub1x4,
        ];
        // RGB and its BT.601 limited-range form.
        let colours = [
            ([255, 255, 255], [235, 128, 128]),
            ([0, 0, 0], [16, 128, 128]),
            ([255, 0, 0], [81, 90, 240]),
            ([0, 0, 255], [41, 240, 110]),
        ];
        let mut decoder = PictureDecoder::new().unwrap();
        let mut picture = Picture::default();
        for subsamp in kinds {
            for size in [(64, 48), (63, 47), (1, 1), (17, 2)] {
                for (rgb, yuv) in colours {
                    let jpeg = jpeg(size.0, size.1, rgb, subsamp);

                    decoder.decode(&jpeg, &mut picture).unwrap();

                    assert_eq!(
                        (picture.width(), picture.height()),
                        (even(size.0), even(size.1))
                    );
                    let planes = [picture.y(), picture.u(), picture.v()];
                    for (plane, wanted) in planes.iter().zip(yuv) {
                        let wrong = plane.iter().find(|sample| !close(**sample, wanted));
                        assert_eq!(wrong, None, "{subsamp:?} {size:?} {rgb:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_grey_jpeg_has_no_colour() {
        let jpeg = jpeg(30, 20, [100, 100, 100], Subsamp::Gray);
        let mut picture = Picture::default();

        PictureDecoder::new()
            .unwrap()
            .decode(&jpeg, &mut picture)
            .unwrap();

        assert!(picture.u().iter().chain(picture.v()).all(|c| *c == 128));
    }

    #[test]
    fn the_range_conversion_is_exact_to_one_step() {
        let full: Vec<u8> = (0..=255).collect();
        let mut picture = Picture {
            width: 16,
            height: 16,
            data: [full.clone(), full[..128].to_vec()].concat(),
        };

        to_limited_range(&mut picture);

        for (full, limited) in full.iter().zip(picture.y()) {
            let exact = 16.0 + f64::from(*full) * 219.0 / 255.0;
            assert!((f64::from(*limited) - exact).abs() <= 1.0);
        }
        assert_eq!((picture.y()[0], picture.y()[255]), (16, 235));
    }

    #[test]
    fn damaged_pictures_are_refused() {
        let mut decoder = PictureDecoder::new().unwrap();
        let mut picture = Picture::default();
        for bytes in [&b""[..], b"\xFF\xD8", b"not a jpeg", &[0xFF; 300]] {
            assert!(decoder.decode(bytes, &mut picture).is_err());
        }
    }
}
