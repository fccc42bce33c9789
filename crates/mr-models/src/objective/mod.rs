//! One scalar per example, computed from logits and activations: what attacks climb, circuits
//! attribute and training descends.

mod activation;
mod cross_entropy;
mod dlr;
mod kl;
mod margin;
mod squared_error;

use burn::tensor::Tensor;

pub use activation::{ActivationLevel, SiteShift};
pub use cross_entropy::{CrossEntropy, cross_entropy};
pub use dlr::Dlr;
pub use kl::{KlDivergence, kl_divergence};
pub use margin::{LogitDifference, Margin};
pub use squared_error::SquaredError;

use crate::error::ModelError;
use crate::hook::Cache;
use crate::input::Labels;
use crate::site::ModelSpec;

/// A scalar per example that is larger the closer an attack is to its goal.
pub trait Objective: Send + Sync {
    /// Its name in records, such as `cross-entropy`.
    fn name(&self) -> String;

    /// The sites whose activations [`value`](Self::value) reads.
    fn sites(&self) -> Vec<String> {
        Vec::new()
    }

    /// The sites whose clean activations [`value`](Self::value) compares with, from
    /// [`Labels::activations`].
    fn references(&self) -> Vec<String> {
        Vec::new()
    }

    /// Checks that the model has what the objective needs: the sites, enough classes.
    ///
    /// # Errors
    /// [`ModelError::UnknownSite`] or [`ModelError::Unfit`].
    fn fits(&self, spec: &ModelSpec) -> Result<(), ModelError> {
        for site in self.sites() {
            spec.site(&site)?;
        }
        Ok(())
    }

    /// The value of each example `[batch]`, from logits `[batch, position, class]`, the cache of
    /// [`sites`](Self::sites) and the labels.
    fn value(&self, logits: &Tensor<3>, cache: &Cache, labels: &Labels) -> Tensor<1>;
}

/// Objectives of the logits alone, by the name that a command line gives them.
///
/// # Errors
/// [`ModelError::UnknownName`] with near matches.
pub fn by_name(name: &str) -> Result<Box<dyn Objective>, ModelError> {
    Ok(match name {
        "cross-entropy" => Box::new(CrossEntropy),
        "margin" => Box::new(Margin),
        "dlr" => Box::new(Dlr),
        "kl" => Box::new(KlDivergence),
        "squared-error" => Box::new(SquaredError::default()),
        _ => return Err(ModelError::unknown("objective", name, NAMES)),
    })
}

/// The names that [`by_name`] knows.
pub const NAMES: [&str; 5] = ["cross-entropy", "margin", "dlr", "kl", "squared-error"];

/// Sums `[batch, position]` over positions.
fn per_example(values: Tensor<2>) -> Tensor<1> {
    values.sum_dim(1).squeeze_dim(1)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::host::floats;

    fn close(objective: &dyn Objective, labels: &Labels, expected: &[f32]) {
        let device = Device::flex();
        let rows = expected.len();
        let logits = Tensor::<1>::from_floats([2.0, 1.0, 0.5, -1.0], &device)
            .reshape([1, 1, 4])
            .repeat_dim(0, rows);
        let values = floats(objective.value(&logits, &Cache::default(), labels));
        for (value, expected) in values.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-5, "{values:?}");
        }
    }

    #[test]
    fn golden_values_of_logits_2_1_half_minus_1() {
        let device = Device::flex();
        let truth = Labels::of_classes(&[0, 1, 2, 3], &device);
        close(&Dlr, &truth, &[-2.0 / 3.0, 2.0 / 3.0, 1.0, 2.0]);
        close(&Margin, &truth, &[-1.0, 1.0, 1.5, 3.0]);
        // ln(e^2 + e + e^.5 + e^-1) = 2.494_582
        let sum: f32 = [2.0f32, 1.0, 0.5, -1.0].iter().map(|z| z.exp()).sum();
        let lse = sum.ln();
        close(
            &CrossEntropy,
            &truth,
            &[lse - 2.0, lse - 1.0, lse - 0.5, lse + 1.0],
        );
        let targeted = Labels::of_classes(&[0, 0, 0], &device)
            .with_target(crate::input::class_tensor(&[1, 2, 3], &device));
        close(&Dlr, &targeted, &[-4.0 / 9.0, -2.0 / 3.0, -4.0 / 3.0]);
        close(&Margin, &targeted, &[-1.0, -1.5, -3.0]);
        close(
            &CrossEntropy,
            &targeted,
            &[1.0 - lse, 0.5 - lse, -1.0 - lse],
        );
    }

    #[test]
    fn an_unknown_objective_lists_near_names() {
        let error = by_name("marginn").err().map(|error| error.to_string());
        assert_eq!(
            error.as_deref(),
            Some("unknown objective `marginn`; did you mean margin?")
        );
    }
}
