//! Logits or probabilities.

use mr_models::floats;

use super::bench::{Bench, count};
use super::{Item, Verdict};
use crate::error::AttackError;
use crate::flags::is_distribution;

/// Losses of logits take a softmax: of probabilities, which lie in `[0, 1]`, they are nearly flat, and
/// where the probabilities are saturated no objective of the outputs has a gradient. Suspicious only,
/// since a model may give probabilities with no ill will; whether gradients suffer, other items tell.
pub(super) fn check(bench: &mut Bench<'_>, item: Item) -> Result<Item, AttackError> {
    let alike = bench.each("outputs", |victim| {
        let logits = victim.logits(victim.origin());
        let [_, positions, classes] = logits.dims();
        let values = floats(logits);
        let rows = values.chunks(positions * classes);
        Ok(rows
            .map(|row| row.chunks(classes).all(is_distribution))
            .collect())
    })?;
    let count = count(&alike);
    let item = item
        .count("distributions", count)
        .count("examples", alike.len());
    Ok(if count == alike.len() {
        item.judged(
            Verdict::Suspicious,
            "every output is a distribution: attack the logits before the softmax",
        )
    } else {
        item.judged(Verdict::Pass, "the outputs are no distributions")
    })
}
