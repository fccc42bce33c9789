//! What is found without the model's gradients.

use std::sync::Arc;

use super::bench::{Bench, count, missed};
use super::points::Points;
use super::{Item, Verdict};
use crate::attack::{Attack, Pgd, Square, Transfer};
use crate::error::AttackError;
use crate::threat::Norm;

/// Share of examples that may be found without gradients and missed with them. A gradient is more
/// than a value, so an attack that follows one finds what others find, up to the few examples on the
/// brink that any search may miss.
const MISSED: [f64; 2] = [0.02, 0.05];

/// Random points of the ball.
pub(super) fn points(bench: &mut Bench<'_>, item: Item) -> Result<Item, AttackError> {
    let (samples, passes) = (bench.config.samples, bench.config.eot);
    compare(
        bench,
        item,
        &Points { samples, passes },
        &format!("{samples} random points"),
    )
}

/// Square, whose schedule is made for more queries and therefore pressed.
pub(super) fn search(bench: &mut Bench<'_>, item: Item) -> Result<Item, AttackError> {
    if bench.examined.threat.norm == Norm::L0 {
        return Ok(item.judged(Verdict::NotApplicable, "Square does not know the norm L0"));
    }
    let queries = bench.config.queries;
    let square = Square {
        queries,
        rescale_schedule: true,
        eot: bench.config.eot,
        ..Square::default()
    };
    compare(
        bench,
        item,
        &square,
        &format!("Square with {queries} queries"),
    )
}

/// Projected gradient descent on another model.
pub(super) fn transfer(bench: &mut Bench<'_>, item: Item) -> Result<Item, AttackError> {
    let Some(source) = bench.examined.source else {
        return Ok(item.judged(
            Verdict::NotApplicable,
            "no other model was given to transfer from",
        ));
    };
    let attack = Transfer {
        source: Arc::clone(source),
        attack: Arc::new(Pgd {
            // The farther beyond the other model's boundary, the better it transfers.
            stop_early: false,
            ..bench.pgd()
        }),
    };
    compare(bench, item, &attack, "transfer from the other model")
}

fn compare(
    bench: &mut Bench<'_>,
    item: Item,
    attack: &dyn Attack,
    what: &str,
) -> Result<Item, AttackError> {
    attack.fits(bench.examined.model.spec(), bench.examined.threat)?;
    let by_gradient = bench.plain()?;
    let without = bench.broken(bench.examined.threat, attack)?;
    let (total, alone) = (by_gradient.len(), missed(&without, &by_gradient));
    let item = item
        .count("broken_by_gradient", count(&by_gradient))
        .count("broken_without", count(&without))
        .count("broken_without_alone", alone);
    let sentence = format!(
        "of {total} examples gradients break {}, {what} {}, of which {alone} alone",
        count(&by_gradient),
        count(&without)
    );
    Ok(item.judged(Verdict::of_share(alone, total, MISSED), sentence))
}
