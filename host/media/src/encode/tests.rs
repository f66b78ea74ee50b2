use openh264::{decoder::Decoder, formats::YUVSource};

use super::*;

const SIZE: (usize, usize) = (320, 240);

/// Stripes as fine as text, different for each seed.
fn text(seed: u8) -> Picture {
    let (width, height) = SIZE;
    let pixels: Vec<u8> = (0..height)
        .flat_map(|y| (0..width).map(move |x| (x, y)))
        .flat_map(|(x, y)| {
            let mixed = (x / 2).wrapping_mul(7) ^ (y / 3).wrapping_mul(13) ^ usize::from(seed);
            [if mixed % 5 < 2 { 20 } else { 240 }; 3]
        })
        .collect();
    let image = turbojpeg::Image {
        pixels: pixels.as_slice(),
        width,
        pitch: width * 3,
        height,
        format: turbojpeg::PixelFormat::RGB,
    };
    let jpeg = turbojpeg::compress(image, 95, turbojpeg::Subsamp::Sub2x2).unwrap();
    let mut picture = Picture::default();
    let mut decoder = PictureDecoder::new().unwrap();
    decoder.decode(&jpeg, &mut picture).unwrap();
    picture
}

/// Mean squared error of the luma.
fn error(decoder: &mut Decoder, frame: &EncodedFrame, picture: &Picture) -> f64 {
    let decoded = decoder.decode(&frame.data).unwrap().unwrap();
    let stride = decoded.strides().0;
    let rows = picture
        .y()
        .chunks_exact(picture.width())
        .zip(decoded.y().chunks(stride));
    let squares: u64 = rows
        .flat_map(|(a, b)| a.iter().zip(b))
        .map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2))
        .sum();
    squares as f64 / picture.y().len() as f64
}

fn at(step: u64) -> Duration {
    Duration::from_millis(1000 + 100 * step)
}

#[test]
fn keyframes_come_first_on_request_and_with_a_new_size() {
    for codec in [Codec::H264, Codec::Vp8] {
        let mut encoder = encoder(codec, Bitrate::from_mbps(1)).unwrap();
        let small = Picture::solid(64, 64, [100, 128, 128]);
        let pictures = [
            (text(0), false, true),
            (text(0), false, false),
            (text(0), true, true),
            (small.clone(), false, true),
            (small, false, false),
        ];
        for (step, (picture, asked, expected)) in pictures.into_iter().enumerate() {
            let purpose = if asked {
                Purpose::Keyframe
            } else {
                Purpose::Change
            };
            let frame = encoder
                .encode(&picture, purpose, at(step as u64))
                .unwrap()
                .unwrap();
            assert_eq!(frame.keyframe, expected, "{codec:?} {step}");
            assert_eq!(frame.width as usize, picture.width());
        }
    }
}

#[test]
fn h264_starts_with_parameter_sets_for_constrained_baseline() {
    let mut encoder = H264Encoder::new(Bitrate::from_mbps(1)).unwrap();

    let frame = encoder
        .encode(&text(0), Purpose::Keyframe, at(0))
        .unwrap()
        .unwrap();

    // An SPS (type 7), profile 66 with constraint_set1 (constrained baseline).
    assert_eq!(frame.data[..5], [0, 0, 0, 1, 0x67]);
    assert_eq!(frame.data[5], 66);
    assert_eq!(frame.data[6] & 0x40, 0x40);
}

#[test]
fn the_same_picture_again_is_sharper() {
    let mut encoder = H264Encoder::new(Bitrate::from_kbps(300)).unwrap();
    let mut decoder = Decoder::new().unwrap();
    let first = text(1);
    encoder
        .encode(&first, Purpose::Change, at(0))
        .unwrap()
        .unwrap();
    let keyframe = encoder
        .encode(&first, Purpose::Keyframe, at(1))
        .unwrap()
        .unwrap();
    error(&mut decoder, &keyframe, &first);

    let picture = text(0);
    let purposes = [
        Purpose::Change,
        Purpose::Refinement(1),
        Purpose::Refinement(2),
    ];
    let errors: Vec<f64> = (2..)
        .zip(purposes)
        .map(|(step, purpose)| {
            let frame = encoder
                .encode(&picture, purpose, at(step))
                .unwrap()
                .unwrap();
            error(&mut decoder, &frame, &picture)
        })
        .collect();

    assert!(errors[1] < errors[0] * 0.5, "{errors:?}");
    assert!(errors[2] < errors[1] * 0.8, "{errors:?}");
}

#[test]
fn less_bitrate_is_fewer_bytes() {
    for codec in [Codec::H264, Codec::Vp8] {
        let mut encoder = encoder(codec, Bitrate::from_mbps(4)).unwrap();
        let bytes = |encoder: &mut Box<dyn VideoEncoder>, from: u64| -> usize {
            let sizes = (from..from + 20).map(|step| {
                let frame = encoder
                    .encode(&text(step as u8), Purpose::Change, at(step))
                    .unwrap();
                frame.map_or(0, |frame| frame.data.len())
            });
            sizes.skip(5).sum()
        };

        let many = bytes(&mut encoder, 0);
        encoder.set_bitrate(Bitrate::from_kbps(100));
        let few = bytes(&mut encoder, 20);

        assert!(few < many, "{codec:?}: {few} {many}");
    }
}
