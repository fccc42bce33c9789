//! Cosines of directions.

use burn::tensor::Tensor;

use crate::error::{MetricError, same_length};
use crate::host::values;

/// Directions that are compared at a time: the cosines of a wide dictionary's latents would fill the memory.
const BLOCK: usize = 1024;

/// Rows of norm 1; rows of zeros stay.
fn unit(what: &str, rows: &Tensor<2>) -> Result<Tensor<2>, MetricError> {
    if rows.dims().contains(&0) {
        return Err(MetricError::Empty { what: what.into() });
    }
    let largest = rows.clone().abs().max_dim(1);
    values(what, largest.clone())?;
    // Scaled first: the square of a large number is not finite, that of a small one 0.
    let rows = rows.clone() / largest.clone().mask_fill(largest.equal_elem(0.0), 1.0);
    let norms = rows.clone().square().sum_dim(1).sqrt();
    let norms = norms.clone().mask_fill(norms.equal_elem(0.0), 1.0);
    Ok(rows / norms)
}

/// Cosines of each direction `[a, width]` with each of others `[b, width]`, row-major `[a, b]`; 0 for a
/// direction of zeros.
///
/// # Errors
/// If there are none, widths differ, or one holds NaN or infinities.
pub(crate) fn cosines(a: &Tensor<2>, b: &Tensor<2>) -> Result<Vec<f64>, MetricError> {
    same_length("widths of two sets of directions", a.dims()[1], b.dims()[1])?;
    let (a, b) = (unit("directions", a)?, unit("directions", b)?);
    values("cosines", a.matmul(b.transpose()))
}

/// The largest cosine of each direction `[latent, width]` with another (decoder cosine): near 1 where
/// latents are split or doubled. -1 for an only latent.
///
/// # Errors
/// If there are none, or one holds NaN or infinities.
pub fn nearest_cosines(directions: &Tensor<2>) -> Result<Vec<f64>, MetricError> {
    let rows = unit("directions", directions)?;
    let [latents, _] = rows.dims();
    let mut nearest = Vec::with_capacity(latents);
    for start in (0..latents).step_by(BLOCK) {
        let block = rows.clone().narrow(0, start, BLOCK.min(latents - start));
        let cosines = values("cosines", block.matmul(rows.clone().transpose()))?;
        for (at, row) in cosines.chunks_exact(latents).enumerate() {
            let others = row.iter().enumerate().filter(|(j, _)| *j != start + at);
            nearest.push(others.map(|(_, cosine)| *cosine).fold(-1.0, f64::max));
        }
    }
    Ok(nearest)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn the_nearest_other_direction_counts() {
        let rows = Tensor::<2>::from_data(
            [[2.0, 0.0], [0.6, 0.8], [-1.0, 0.0], [0.0, 0.0]],
            &Device::flex(),
        );
        let nearest = nearest_cosines(&rows).unwrap();
        for (found, expected) in nearest.iter().zip([0.6, 0.6, 0.0, 0.0]) {
            assert!((found - expected).abs() < 1e-6, "{nearest:?}");
        }
        let all = cosines(&rows, &rows).unwrap();
        assert!((all[2] + 1.0).abs() < 1e-6, "opposite");
        let only = rows.narrow(0, 0, 1);
        assert_eq!(nearest_cosines(&only).unwrap(), [-1.0]);
    }

    #[test]
    fn any_scale_has_a_cosine_and_nan_none() {
        let device = Device::flex();
        let rows = Tensor::<2>::from_data([[1e-30, 1e-30], [1e30, 0.0]], &device);
        let all = cosines(&rows, &rows).unwrap();
        assert!((all[1] - 0.5_f64.sqrt()).abs() < 1e-6, "{all:?}");
        let nan = Tensor::<2>::from_data([[f32::NAN, 1.0]], &device);
        assert!(nearest_cosines(&nan).is_err());
        let wide = Tensor::<2>::ones([1, 3], &device);
        assert!(cosines(&wide, &rows).is_err());
    }
}
