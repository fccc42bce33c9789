//! From a device to finite numbers on the host.

use burn::tensor::Tensor;

use crate::error::{MetricError, finite};

/// A float tensor's values in double precision, row-major.
///
/// # Errors
/// If there is none, or one is NaN or infinite.
///
/// # Panics
/// If the device cannot be read any more.
pub(crate) fn values<const D: usize>(
    what: &str,
    tensor: Tensor<D>,
) -> Result<Vec<f64>, MetricError> {
    let values: Vec<f64> = tensor
        .into_data()
        .try_into_vec_as::<f32>()
        .expect("a float tensor converts to f32")
        .into_iter()
        .map(f64::from)
        .collect();
    finite(what, &values)?;
    Ok(values)
}

/// A tensor whose last axis holds units, as rows of units: every other axis is a sample.
pub(crate) fn rows<const D: usize>(tensor: Tensor<D>) -> Tensor<2> {
    let units = tensor.dims().last().copied().unwrap_or(1);
    let samples = tensor.dims().iter().product::<usize>() / units.max(1);
    tensor.reshape([samples, units])
}
