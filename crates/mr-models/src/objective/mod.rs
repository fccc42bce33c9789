//! One scalar per example, computed from logits and activations: what attacks climb, circuits
//! attribute and training descends.

mod activation;
mod answers;
mod cross_entropy;
mod dlr;
mod expression;
mod kl;
mod last;
mod margin;
mod squared_error;
mod sum;

use std::sync::Arc;

use burn::tensor::Tensor;

pub use activation::{ActivationLevel, Direction, Sense, SiteShift};
pub use answers::{AnswerDifference, AnswerProbability};
pub use cross_entropy::{CrossEntropy, cross_entropy};
pub use dlr::Dlr;
pub use kl::{KlDivergence, kl_divergence};
pub use last::Last;
pub use margin::{LogitDifference, Margin};
pub use squared_error::SquaredError;
pub use sum::Sum;

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

    /// Whether [`value`](Self::value) depends on no logits but those of the last position, and is the
    /// same where it is given these alone. Then nobody needs to compute the others.
    fn reads_last(&self) -> bool {
        false
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

    /// Checks that the labels hold what the objective compares logits of this shape with.
    ///
    /// # Errors
    /// [`ModelError::Unfit`].
    fn judges(&self, labels: &Labels, logits: [usize; 3]) -> Result<(), ModelError> {
        let _ = (labels, logits);
        Ok(())
    }

    /// The value of each example `[batch]`, from logits `[batch, position, class]`, the cache of
    /// [`sites`](Self::sites) and the labels.
    ///
    /// # Panics
    /// May panic on labels that it does not [judge](Self::judges) logits by.
    fn value(&self, logits: &Tensor<3>, cache: &Cache, labels: &Labels) -> Tensor<1>;
}

impl std::fmt::Debug for dyn Objective {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

impl<O: Objective + ?Sized> Objective for Arc<O> {
    fn name(&self) -> String {
        (**self).name()
    }

    fn sites(&self) -> Vec<String> {
        (**self).sites()
    }

    fn references(&self) -> Vec<String> {
        (**self).references()
    }

    fn reads_last(&self) -> bool {
        (**self).reads_last()
    }

    fn fits(&self, spec: &ModelSpec) -> Result<(), ModelError> {
        (**self).fits(spec)
    }

    fn judges(&self, labels: &Labels, logits: [usize; 3]) -> Result<(), ModelError> {
        (**self).judges(labels, logits)
    }

    fn value(&self, logits: &Tensor<3>, cache: &Cache, labels: &Labels) -> Tensor<1> {
        (**self).value(logits, cache, labels)
    }
}

/// An objective by its name, which is an expression:
///
/// - of the logits: `cross-entropy`, `margin`, `dlr`, `logit-difference(3, 5)`; `kl` and
///   `squared-error`, from the reference logits, which under attack are the clean ones;
///   `answer-difference` and `answer-probability`, of right and wrong answers by example, which only
///   prompts have; of the logits of the last position alone, `last(margin)`;
/// - of internals: `raise(SITE)`, `lower(SITE)` the mean activation; `shift(SITE)`, `stay(SITE)` the
///   squared distance from the clean activation; `along(SITE, 0.6, 0.8)`, `against(...)` the reach
///   along a direction. A site may be followed by positions and channels: `conv2.hook_out[:, 5]` is
///   channel 5, `[3]` position 3, `[0:9, 2:4]` a part;
/// - weighted sums: `shift(conv2.hook_out) - 10 kl`, `margin - 0.1 shift(conv1.hook_out)`.
///
/// [`Objective::name`] gives an expression that reads as the same objective. Whether a model has the
/// sites is checked by [`Objective::fits`].
///
/// # Errors
/// [`ModelError::UnknownName`] with near matches, or [`ModelError::Expression`] with the place of the
/// mistake.
pub fn by_name(name: &str) -> Result<Box<dyn Objective>, ModelError> {
    by_name_with(name, &|_, _| None)
}

/// Terms that are known elsewhere: of a name and the text in the parentheses behind it, the objective or
/// what is wrong with the text; `None` where the name is unknown there too.
pub type MoreTerms<'a> = dyn Fn(&str, &str) -> Option<Result<Arc<dyn Objective>, String>> + 'a;

/// As [`by_name`], with further terms, such as the latents of a dictionary.
///
/// # Errors
/// Those of [`by_name`].
pub fn by_name_with(name: &str, more: &MoreTerms<'_>) -> Result<Box<dyn Objective>, ModelError> {
    expression::read(name, more)
}

/// The names that terms of [`by_name`] may have.
pub const NAMES: [&str; 15] = [
    "cross-entropy",
    "margin",
    "dlr",
    "kl",
    "squared-error",
    "logit-difference",
    "answer-difference",
    "answer-probability",
    "last",
    "raise",
    "lower",
    "shift",
    "stay",
    "along",
    "against",
];

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

    /// What labels lack is told before it is missed.
    #[test]
    fn labels_that_do_not_fit_are_told() {
        let device = Device::flex();
        let logits = Tensor::<3>::ones([2, 3, 4], &device);
        let one = Labels::of_classes(&[0, 1], &device);
        let each = Labels {
            truth: Tensor::zeros([2, 3], &device),
            ..one.clone()
        };
        let short = logits.clone().narrow(1, 0, 2);
        let full = (each.clone().with_reference(logits.clone())).with_answers(logits.clone());
        let half = each
            .clone()
            .with_reference(short.clone())
            .with_answers(short);
        let judges = |name: &str, labels: &Labels| {
            let judged = by_name(name).unwrap().judges(labels, logits.dims());
            judged.err().map(|error| error.to_string())
        };
        let at_each = ["cross-entropy", "margin", "dlr", "answer-difference"];
        for name in at_each {
            let told = judges(name, &one).unwrap();
            let parts = [name, "at 1 positions", "of 3 positions", "last("];
            assert!(parts.iter().all(|part| told.contains(part)), "{told}");
            assert_eq!(judges(name, &each), None);
            assert_eq!(judges(&format!("last({name})"), &one), None);
        }
        for name in ["kl", "squared-error"] {
            assert!(judges(name, &each).unwrap().contains("are none"));
            assert!(judges(&format!("margin - 2 {name}"), &each).is_some());
        }
        let shift = judges("margin - shift(conv1.hook_out)", &each).unwrap();
        assert!(
            shift.contains("no clean activation of `conv1.hook_out`"),
            "{shift}"
        );
        for name in ["kl", "squared-error", "answer-probability"] {
            let told = judges(name, &half).unwrap();
            assert!(
                told.contains("[2, 2, 4]") && told.contains("[2, 3, 4]"),
                "{told}"
            );
            assert_eq!(judges(name, &full), None);
            assert_eq!(judges(&format!("last({name})"), &half), None);
        }
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
