//! Alignment of saliency maps with images (Etmann et al. 2019, "On the Connection Between
//! Adversarial Robustness and Saliency Map Interpretability", eq. 1).

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::error::{MetricError, same_length};
use crate::host::{rows, values};
use crate::stats::median;

/// How far the gradient of the margin of one image points along the image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alignment {
    /// `alpha = |<x, g>| / ||g||`: for a linear model without bias the distance to its decision
    /// boundary, in units of the image.
    pub alpha: f64,
    /// `alpha / ||x||`, in `[0, 1]`: free of the image's brightness.
    pub cosine: f64,
}

/// The alignment of each image `[batch, ...]` with its gradient (same shape, of the top-logit
/// margin). None where the gradient or the image is zero and no direction exists, as under
/// saturation: count those, do not average over them.
///
/// # Errors
/// If the two differ in shape, are empty, or hold NaN or infinities.
pub fn alignments<const D: usize>(
    images: &Tensor<D>,
    gradients: &Tensor<D>,
) -> Result<Vec<Option<Alignment>>, MetricError> {
    let shapes = (images.dims(), gradients.dims());
    if shapes.0 != shapes.1 {
        return Err(MetricError::Setting {
            what: "the shape of the gradients".into(),
            value: format!("{:?}", shapes.1),
            valid: format!("the shape of the images, {:?}", shapes.0),
        });
    }
    let batch = shapes.0.first().copied().unwrap_or(1);
    let images = values("the images", rows(images.clone()))?;
    let gradients = values("the gradients", rows(gradients.clone()))?;
    alignments_of(&images, &gradients, images.len() / batch)
}

/// [`alignments`] of images and gradients on the host, each `[batch * width]`, row-major.
///
/// # Errors
/// If the two differ in length or do not hold whole rows.
pub fn alignments_of(
    images: &[f64],
    gradients: &[f64],
    width: usize,
) -> Result<Vec<Option<Alignment>>, MetricError> {
    same_length(
        "the images and their gradients",
        images.len(),
        gradients.len(),
    )?;
    if width == 0 || !images.len().is_multiple_of(width) {
        return Err(MetricError::Setting {
            what: "the width of an image".into(),
            value: width.to_string(),
            valid: format!("a divisor of the {} values", images.len()),
        });
    }
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let pairs = images.chunks(width).zip(gradients.chunks(width));
    Ok(pairs
        .map(|(x, g)| {
            let (image, gradient) = (dot(x, x).sqrt(), dot(g, g).sqrt());
            (image > 0.0 && gradient > 0.0).then(|| {
                let alpha = dot(x, g).abs() / gradient;
                Alignment {
                    alpha,
                    cosine: (alpha / image).min(1.0),
                }
            })
        })
        .collect())
}

/// Medians over a batch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlignmentSummary {
    /// Median alpha.
    pub alpha: f64,
    /// Median cosine.
    pub cosine: f64,
    /// Images with an alignment.
    pub n: usize,
    /// Images without one.
    pub undefined: usize,
}

impl AlignmentSummary {
    /// Medians of the alignments that exist.
    ///
    /// # Errors
    /// If none exists.
    pub fn of(alignments: &[Option<Alignment>]) -> Result<Self, MetricError> {
        let (alpha, cosine): (Vec<f64>, Vec<f64>) = alignments
            .iter()
            .flatten()
            .map(|alignment| (alignment.alpha, alignment.cosine))
            .unzip();
        Ok(Self {
            alpha: median(&alpha)?,
            cosine: median(&cosine)?,
            n: alpha.len(),
            undefined: alignments.len() - alpha.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};
    use proptest::prelude::{prop, prop_assert, proptest};

    use super::{AlignmentSummary, alignments, alignments_of};

    #[test]
    fn known_alignments() {
        // Parallel of opposite sign, at 45 degrees, orthogonal, and without a direction.
        let images = [3.0, 4.0, 1.0, 0.0, 0.0, 2.0, 1.0, 1.0];
        let gradients = [-6.0, -8.0, 2.0, 2.0, 5.0, 0.0, 0.0, 0.0];
        let all = alignments_of(&images, &gradients, 2).unwrap();
        let close = |index: usize, alpha: f64, cosine: f64| {
            let alignment = all[index].unwrap();
            assert!((alignment.alpha - alpha).abs() < 1e-12, "{alignment:?}");
            assert!((alignment.cosine - cosine).abs() < 1e-12, "{alignment:?}");
        };
        close(0, 5.0, 1.0);
        close(1, 0.5_f64.sqrt(), 0.5_f64.sqrt());
        close(2, 0.0, 0.0);
        assert_eq!(all[3], None);
        let summary = AlignmentSummary::of(&all).unwrap();
        assert_eq!((summary.n, summary.undefined), (3, 1));
        assert!((summary.cosine - 0.5_f64.sqrt()).abs() < 1e-12);
        assert!(AlignmentSummary::of(&all[3..]).is_err());
    }

    #[test]
    fn tensors_of_images_are_flattened() {
        let device = Device::flex();
        let images = Tensor::<4>::ones([2, 1, 2, 2], &device);
        let all = alignments(&images, &(images.clone() * -0.5)).unwrap();
        assert_eq!(all.len(), 2);
        assert!((all[1].unwrap().alpha - 2.0).abs() < 1e-6);
        let other = Tensor::<4>::ones([2, 1, 4, 1], &device);
        assert!(alignments(&images, &other).is_err());
        assert!(alignments(&images, &(images.clone() * f32::NAN)).is_err());
        assert!(alignments_of(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0], 2).is_err());
    }

    proptest! {
        #[test]
        fn the_cosine_ignores_scale_and_stays_in_range(
            pairs in prop::collection::vec((-1.0..1.0_f64, -1.0..1.0_f64), 1..10)
        ) {
            let (x, g): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let brighter: Vec<f64> = x.iter().map(|x| 7.0 * x).collect();
            let once = alignments_of(&x, &g, x.len()).unwrap()[0];
            let again = alignments_of(&brighter, &g, x.len()).unwrap()[0];
            if let (Some(once), Some(again)) = (once, again) {
                prop_assert!((0.0..=1.0).contains(&once.cosine));
                prop_assert!((once.cosine - again.cosine).abs() < 1e-9);
            }
        }
    }
}
