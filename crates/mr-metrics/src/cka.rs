//! Similarity of two representations of the same examples.

use burn::tensor::Tensor;

use crate::error::{MetricError, same_length};
use crate::host::values;

/// Linear centred kernel alignment of two representations of the same examples `[example, feature]`, which
/// may differ in width: `||Y^T X||^2 / (||X^T X|| ||Y^T Y||)` in Frobenius norms, of centred columns
/// (Kornblith et al. 2019, eq. 3 and section 5). 1 where one is a rotation and a scaling of the other, 0
/// where nothing linear is shared; None where one of the two does not vary.
///
/// It is biased upwards where there are few examples for the number of features: compare with the same of
/// shuffled examples. Computed from the Gram matrices of examples, so that wide maps cost little.
///
/// # Errors
/// If the two are not of the same examples, are empty, or hold NaN or infinities.
pub fn linear_cka(x: &Tensor<2>, y: &Tensor<2>) -> Result<Option<f64>, MetricError> {
    let [examples, _] = x.dims();
    same_length(
        "two representations of the same examples",
        examples,
        y.dims()[0],
    )?;
    if examples == 0 {
        return Err(MetricError::Empty {
            what: "the representations".into(),
        });
    }
    let (k, l) = (gram("the first", x)?, gram("the second", y)?);
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let scale = (dot(&k, &k) * dot(&l, &l)).sqrt();
    Ok((scale > 0.0).then(|| dot(&k, &l) / scale))
}

/// Inner products of centred rows, `[example, example]` row-major.
fn gram(which: &str, x: &Tensor<2>) -> Result<Vec<f64>, MetricError> {
    let centred = x.clone() - x.clone().mean_dim(0);
    let products = centred.clone().matmul(centred.transpose());
    let what = format!("the inner products of {which} representation");
    values(&what, crate::host::rows(products))
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    fn matrix<const N: usize>(rows: &[[f32; N]]) -> Tensor<2> {
        let data = TensorData::new(rows.concat(), [rows.len(), N]);
        Tensor::from_data(data, &Device::flex())
    }

    fn cka<const N: usize, const M: usize>(x: &[[f32; N]], y: &[[f32; M]]) -> f64 {
        linear_cka(&matrix(x), &matrix(y)).unwrap().unwrap()
    }

    const X: [[f32; 2]; 4] = [[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]];

    #[test]
    fn rotations_scales_and_shifts_are_the_same_representation() {
        let turned = X.map(|[a, b]| [3.0 * (0.6 * a - 0.8 * b) + 7.0, 3.0 * (0.8 * a + 0.6 * b)]);
        assert!((cka(&X, &turned) - 1.0).abs() < 1e-6);
        assert!((cka(&X, &X) - 1.0).abs() < 1e-12);
    }

    /// X^T X is diag(2, 8); of its first column alone, Y^T X is (2, 0).
    #[test]
    fn one_column_of_two() {
        let y = X.map(|[a, _]| [a]);
        let expected = 4.0 / (f64::from(4.0 + 64.0_f32).sqrt() * 2.0);
        assert!((cka(&X, &y) - expected).abs() < 1e-6);
    }

    #[test]
    fn what_shares_nothing_has_none() {
        let x = [[1.0], [-1.0], [1.0], [-1.0]];
        let y = [[1.0], [1.0], [-1.0], [-1.0]];
        assert!(cka(&x, &y).abs() < 1e-12);
        let same = matrix(&[[1.0], [1.0]]);
        assert_eq!(linear_cka(&same, &same).unwrap(), None);
    }

    #[test]
    fn bad_representations_are_told() {
        let error = linear_cka(&matrix(&X), &matrix(&[[1.0]])).unwrap_err();
        assert!(error.to_string().contains("4 and 1"), "{error}");
        let nan = matrix(&[[f32::NAN], [1.0]]);
        assert!(linear_cka(&nan, &nan).is_err());
    }
}
