//! Colours as hue, saturation and value. All settings are those of CIFAR-10-C, by severity.

use rand_chacha::ChaCha8Rng;

use super::picture::Picture;

/// Scales and shifts the saturation of each pixel. Images of other than three channels stay what
/// they are.
pub(crate) fn saturate(image: &Picture, level: usize, _rng: &mut ChaCha8Rng) -> Picture {
    let (scale, shift) = [(0.3, 0.0), (0.1, 0.0), (1.5, 0.0), (2.0, 0.1), (2.5, 0.2)][level];
    each_pixel(image, |[hue, saturation, value]| {
        [hue, (saturation * scale + shift).clamp(0.0, 1.0), value]
    })
}

/// Adds to the value of each pixel; to each channel on its own, if there are not three.
pub(crate) fn brighter(image: &Picture, light: f32) -> Picture {
    if image.shape()[0] != 3 {
        return image.map(|value| value + light);
    }
    each_pixel(image, |[hue, saturation, value]| {
        [hue, saturation, (value + light).min(1.0)]
    })
}

fn each_pixel(image: &Picture, change: impl Fn([f32; 3]) -> [f32; 3]) -> Picture {
    let mut planes: Vec<_> = image.planes().collect();
    if let [red, green, blue] = planes.as_mut_slice() {
        let pixels = red.values.iter_mut().zip(&mut green.values);
        for ((red, green), blue) in pixels.zip(&mut blue.values) {
            [*red, *green, *blue] = to_rgb(change(to_hsv([*red, *green, *blue])));
        }
    }
    image.of_planes(planes)
}

/// Hue in `[0, 6)`, saturation and value in `[0, 1]` (Smith 1978).
fn to_hsv([red, green, blue]: [f32; 3]) -> [f32; 3] {
    let value = red.max(green).max(blue);
    let range = value - red.min(green).min(blue);
    if range == 0.0 {
        return [0.0, 0.0, value];
    }
    let hue = if value == red {
        ((green - blue) / range).rem_euclid(6.0)
    } else if value == green {
        2.0 + (blue - red) / range
    } else {
        4.0 + (red - green) / range
    };
    [hue, range / value, value]
}

fn to_rgb([hue, saturation, value]: [f32; 3]) -> [f32; 3] {
    // How far each channel falls below the value, by its distance around the colour circle.
    let channel = |offset: f32| {
        let at = (hue + offset).rem_euclid(6.0);
        value - value * saturation * at.min(4.0 - at).clamp(0.0, 1.0)
    };
    [channel(5.0), channel(3.0), channel(1.0)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_colours() {
        assert_eq!(to_hsv([1.0, 0.0, 0.0]), [0.0, 1.0, 1.0]);
        assert_eq!(to_hsv([0.0, 0.5, 0.0]), [2.0, 1.0, 0.5]);
        assert_eq!(to_hsv([0.5, 0.5, 1.0]), [4.0, 0.5, 1.0]);
        assert_eq!(to_hsv([0.25; 3]), [0.0, 0.0, 0.25]);
        assert_eq!(to_rgb([1.0, 1.0, 1.0]), [1.0, 1.0, 0.0]);
    }

    proptest! {
        #[test]
        fn there_and_back(colour in prop::array::uniform3(0.0f32..=1.0)) {
            let back = to_rgb(to_hsv(colour));
            for (a, b) in back.iter().zip(colour) {
                prop_assert!((a - b).abs() < 1e-5, "{colour:?} {back:?}");
            }
        }
    }
}
