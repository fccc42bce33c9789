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

/// Finite values, row-major, as samples of so many each.
///
/// # Errors
/// If they are not whole samples, or one is NaN or infinite.
pub(crate) fn samples<'a>(
    what: &str,
    values: &'a [f32],
    width: usize,
) -> Result<std::slice::ChunksExact<'a, f32>, MetricError> {
    if width == 0 {
        return Err(MetricError::Empty { what: what.into() });
    }
    if !values.len().is_multiple_of(width) {
        return Err(MetricError::Setting {
            what: format!("the number of values of {what}"),
            value: values.len().to_string(),
            valid: format!("a multiple of {width}, what a sample has"),
        });
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(position) => Err(MetricError::NotFinite {
            what: what.into(),
            value: f64::from(values[position]),
            position,
        }),
        None => Ok(values.chunks_exact(width)),
    }
}
