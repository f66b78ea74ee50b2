//! The viewer's size, and the coordinate space that follows from it. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use serde_json::{Value, json};

/// The viewer's place for the page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Viewport {
    /// Width in CSS pixels.
    pub width: u32,
    /// Height in CSS pixels.
    pub height: u32,
    /// Device pixels per CSS pixel that the viewer can show.
    pub scale: f64,
    /// Whether to ask the page for its mobile layout and touch events.
    pub mobile: bool,
}

/// The space in which input is dispatched and pictures are made: `0..width`, `0..height`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Surface {
    /// Width; zero while unknown.
    pub width: f64,
    /// Height; zero while unknown.
    pub height: f64,
}

/// Shortest and longest side of a page, in CSS pixels; the longest is that of a picture, too.
const MIN_SIDE: u32 = 64;
const MAX_SIDE: u32 = 3840;
/// Most device pixels per CSS pixel.
const MAX_SCALE: f64 = 3.0;

impl Viewport {
    /// Limits the size to what a browser and an encoder can do: sides of 64..=3840 CSS pixels, and a
    /// scale that keeps the picture within `max_pixels`.
    pub fn fitted(self, max_pixels: u32) -> Self {
        let width = self.width.clamp(MIN_SIDE, MAX_SIDE);
        let height = self.height.clamp(MIN_SIDE, MAX_SIDE);
        let area = f64::from(width) * f64::from(height);
        let wanted = if self.scale.is_finite() {
            self.scale
        } else {
            1.0
        };
        let scale = wanted.clamp(1.0, MAX_SCALE);
        let scale = scale.min((f64::from(max_pixels) / area).sqrt());
        // No side may exceed what H.264 level 5.2 encoders take.
        let scale = scale.min(f64::from(MAX_SIDE) / f64::from(width.max(height)));
        Self {
            width,
            height,
            scale: (scale * 100.0).floor() / 100.0,
            mobile: self.mobile,
        }
    }

    /// The picture's size in pixels; both sides even, as 4:2:0 video needs.
    pub fn pixels(&self) -> (u32, u32) {
        let side = |css: u32| (((f64::from(css) * self.scale) / 2.0).round() as u32).max(1) * 2;
        (side(self.width), side(self.height))
    }

    /// The parameters of `Emulation.setDeviceMetricsOverride`: the page sees its own size at `scale`
    /// device pixels, and the *surface* is larger by that factor, so that the screencast has those
    /// pixels.
    pub(super) fn metrics(&self) -> Value {
        json!({
            "width": self.width, "height": self.height,
            "screenWidth": self.width, "screenHeight": self.height,
            "deviceScaleFactor": self.scale, "scale": self.scale,
            "mobile": self.mobile, "dontSetVisibleSize": true,
        })
    }

    pub(super) fn surface(&self) -> Surface {
        let (width, height) = self.pixels();
        Surface {
            width: width.into(),
            height: height.into(),
        }
    }

    /// The parameters of `Emulation.setVisibleSize`.
    pub(super) fn visible_size(&self) -> Value {
        let (width, height) = self.pixels();
        json!({ "width": width, "height": height })
    }
}

impl Surface {
    pub(super) fn of(viewport: Option<Viewport>, max_pixels: u32) -> Self {
        viewport.map_or_else(Self::default, |viewport| {
            viewport.fitted(max_pixels).surface()
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_phone_gets_its_own_pixels() {
        let phone = Viewport {
            width: 390,
            height: 844,
            scale: 2.0,
            mobile: true,
        };

        assert_eq!(phone.fitted(1920 * 1088).pixels(), (780, 1688));
    }

    proptest! {
        #[test]
        fn any_viewer_gets_an_encodable_picture(
            width: u32, height: u32, scale in prop::num::f64::ANY, mobile: bool,
        ) {
            let fitted = Viewport { width, height, scale, mobile }.fitted(1920 * 1088);
            let (w, h) = fitted.pixels();
            prop_assert!(w % 2 == 0 && h % 2 == 0 && w >= 2 && h >= 2);
            prop_assert!(w.max(h) <= 3840);
            // Rounding to even sides may add a row and a column.
            prop_assert!((w - 1) * (h - 1) <= 1920 * 1088 + 3840 * 2);
        }
    }
}
