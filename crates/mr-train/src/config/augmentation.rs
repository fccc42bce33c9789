//! What is done to images before they are learned from.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;

/// Random changes that keep an image's class. Off by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augmentation {
    /// Black pixels that are put around an image before a window of its own size is cut out at
    /// random: it moves by up to so many pixels each way. 0 for none.
    pub crop: usize,
    /// Whether every second image, at random, is seen in a mirror. Not for digits and letters.
    pub flip: bool,
}

impl Augmentation {
    pub(crate) fn is_off(self) -> bool {
        self == Self::default()
    }

    /// Checks that the examples are images that can be moved so far.
    pub(crate) fn fits(self, shape: [usize; 3]) -> Result<(), TrainError> {
        let [_, height, width] = shape;
        let side = height.min(width);
        if !self.is_off() && side < 2 {
            return Err(TrainError::setting(
                "augmentation",
                format!("{self:?}"),
                format!("left out: examples of {shape:?} are no images"),
            ));
        }
        if self.crop >= side && self.crop > 0 {
            return Err(TrainError::setting(
                "augmentation.crop",
                self.crop,
                format!("below {side}, the smaller side of an image"),
            ));
        }
        Ok(())
    }

    /// Appends the changed image to `out`; `image` is `[channel, height, width]`.
    pub(crate) fn append(
        self,
        image: &[f32],
        [_, height, width]: [usize; 3],
        rng: &mut ChaCha8Rng,
        out: &mut Vec<f32>,
    ) {
        let crop = self.crop as u32;
        let mut shift = || rng.random_range(0..=2 * crop) as usize;
        let (down, right) = (shift(), shift());
        let mirrored = self.flip && rng.random_bool(0.5);
        // Row r of the window is row r + down of the padded image, row r + down - crop of the image.
        let source = |at: usize, moved: usize, side: usize| {
            (at + moved).checked_sub(self.crop).filter(|&at| at < side)
        };
        for plane in image.chunks_exact(height * width) {
            for row in 0..height {
                let row = source(row, down, height);
                out.extend((0..width).map(|column| {
                    let column = if mirrored { width - 1 - column } else { column };
                    match (row, source(column, right, width)) {
                        (Some(row), Some(column)) => plane[row * width + column],
                        _ => 0.0,
                    }
                }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    const IMAGE: [f32; 6] = [1., 2., 3., 4., 5., 6.];

    fn seen(augmentation: Augmentation) -> Vec<Vec<f32>> {
        let mut all: Vec<Vec<f32>> = (0..300)
            .map(|seed| {
                let mut out = Vec::new();
                let rng = &mut ChaCha8Rng::seed_from_u64(seed);
                augmentation.append(&IMAGE, [1, 2, 3], rng, &mut out);
                out
            })
            .collect();
        all.sort_by(|a, b| a.partial_cmp(b).unwrap());
        all.dedup();
        all
    }

    #[test]
    fn a_flip_mirrors_columns_of_about_every_second_image() {
        let all = seen(Augmentation {
            crop: 0,
            flip: true,
        });
        assert_eq!(
            all,
            [vec![1., 2., 3., 4., 5., 6.], vec![3., 2., 1., 6., 5., 4.]]
        );
    }

    #[test]
    fn a_crop_moves_by_up_to_its_pixels_each_way_and_fills_with_black() {
        let all = seen(Augmentation {
            crop: 1,
            flip: false,
        });
        assert_eq!(all.len(), 9);
        assert!(all.contains(&IMAGE.to_vec()), "it may stay");
        assert!(all.contains(&vec![5., 6., 0., 0., 0., 0.]), "up and left");
        assert!(
            all.contains(&vec![0., 0., 0., 0., 1., 2.]),
            "down and right"
        );
    }

    #[test]
    fn nothing_is_changed_by_default() {
        assert_eq!(seen(Augmentation::default()), [IMAGE]);
    }

    #[test]
    fn only_images_are_moved_and_not_out_of_sight() {
        let crop = |crop| Augmentation { crop, flip: false };
        assert!(crop(1).fits([1, 2, 3]).is_ok());
        assert_eq!(
            crop(2).fits([1, 2, 3]).unwrap_err().to_string(),
            "augmentation.crop is 2, must be below 2, the smaller side of an image"
        );
        assert!(crop(1).fits([50, 1, 1]).is_err());
        assert!(crop(0).fits([50, 1, 1]).is_ok());
    }
}
