//! One step against many.

use super::bench::{Bench, count, missed};
use super::{Item, Verdict};
use crate::attack::Pgd;
use crate::error::AttackError;

/// Share of examples that a single step may break alone: many steps from a random start can miss one
/// that a step from the clean point hits by chance.
const MISSED: [f64; 2] = [0.02, 0.05];

/// A single step that beats many is the sign of a loss that is rugged near the examples, such as after
/// catastrophic overfitting (Wong et al. 2020).
pub(super) fn check(bench: &mut Bench<'_>, item: Item) -> Result<Item, AttackError> {
    let many = bench.plain()?;
    // The fast gradient sign method, but along the mean gradient of a random model.
    let step = Pgd {
        steps: 1,
        step_size: Some(bench.examined.threat.epsilon),
        random_start: false,
        ..bench.pgd()
    };
    let single = bench.broken(bench.examined.threat, &step)?;
    let (total, alone) = (many.len(), missed(&single, &many));
    let (many, single) = (count(&many), count(&single));
    let item = item
        .count("broken_by_many_steps", many)
        .count("broken_by_a_single_step", single)
        .count("broken_by_a_single_step_alone", alone);
    let sentence = format!(
        "of {total} examples many steps break {many}, a single step {single}, of which {alone} alone"
    );
    Ok(item.judged(Verdict::of_share(alone, total, MISSED), sentence))
}
