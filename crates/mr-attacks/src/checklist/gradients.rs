//! Zero, exploding or underflowing gradients.

use burn::tensor::activation::softmax;
use mr_models::objective::{CrossEntropy, Margin};
use mr_models::{Objective, floats};

use super::bench::{Bench, length, quantile};
use super::{Item, Verdict};
use crate::error::AttackError;

/// Shares of examples without a gradient. A trained network of floats has none: even a loss of 1e-30
/// has a gradient. A few dead examples are suspicious, a tenth is what an attack would miss.
const ZERO: [f64; 2] = [0.01, 0.1];
/// The margin's gradient at the 95th percentile over that at the 5th. It is a sum of products of
/// weights, so it varies with what is active: on plain networks up to about 10. A thousandfold means
/// that gradients vanish or explode on some examples.
const SPREAD: [f64; 2] = [1e3, 1e6];

struct Gradients {
    loss: f64,
    margin: f64,
    saturated: bool,
}

/// Looks at the gradient of the loss that attacks climb, and at that of the margin, which does not
/// saturate: where only the first is zero, the softmax has underflowed, and attacks on the margin or on
/// the difference of logits ratio still see something.
pub(super) fn check(bench: &mut Bench<'_>, item: Item) -> Result<Item, AttackError> {
    let eot = bench.config.eot;
    let found = bench.each("gradients", |victim| {
        let logits = victim.logits(victim.origin());
        let classes = logits.dims()[2];
        let probabilities = floats(softmax(logits, 2));
        let saturated = probabilities.chunks(classes).map(|row| row.contains(&1.0));
        let mean = |objective: &dyn Objective| {
            let climb = victim.climb_mean(objective, victim.origin(), eot)?;
            Ok::<_, AttackError>(floats(climb.gradient))
        };
        let (loss, margin) = (mean(&CrossEntropy)?, mean(&Margin)?);
        let width = victim.origin().dims()[1];
        let rows = loss.chunks(width).zip(margin.chunks(width)).zip(saturated);
        Ok(rows
            .map(|((loss, margin), saturated)| Gradients {
                loss: length(loss),
                margin: length(margin),
                saturated,
            })
            .collect())
    })?;
    let total = found.len();
    let none = |of: fn(&Gradients) -> f64| {
        // Neither is a gradient that is no number.
        found
            .iter()
            .filter(|&one| of(one) == 0.0 || !of(one).is_finite())
            .count()
    };
    let (loss, margin) = (none(|one| one.loss), none(|one| one.margin));
    let saturated = found.iter().filter(|one| one.saturated).count();
    let margins: Vec<f64> = found
        .iter()
        .map(|one| one.margin)
        .filter(|&m| m > 0.0)
        .collect();
    let (low, high) = (quantile(&margins, 0.05), quantile(&margins, 0.95));
    let spread = if margins.is_empty() { 1.0 } else { high / low };
    let item = item
        .count("without_gradient_of_the_loss", loss)
        .count("without_gradient_of_the_margin", margin)
        .count("saturated_softmax", saturated)
        .with(
            "median_norm_of_the_margins_gradient",
            quantile(&margins, 0.5),
        )
        .with("spread_of_norms", spread);
    let verdict = Verdict::of_share(loss.max(margin), total, ZERO).max(Verdict::of(spread, SPREAD));
    let what = if loss > margin && saturated > 0 {
        ": the softmax saturates, so attack the margin or the difference of logits ratio"
    } else if margin > 0 {
        ": replace the backward pass of the step that has none (BPDA)"
    } else {
        ""
    };
    let spreads = if margins.is_empty() {
        String::new()
    } else {
        format!(", whose lengths spread {spread:.1}-fold")
    };
    let sentence = format!(
        "{loss} of {total} examples have no gradient of the cross-entropy, {margin} none of the \
         margin{spreads}; {saturated} have a probability of 1{what}"
    );
    Ok(item.judged(verdict, sentence))
}
