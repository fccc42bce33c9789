//! More restarts.

use super::bench::{Bench, count, missed};
use super::{Item, Verdict};
use crate::attack::Pgd;
use crate::error::AttackError;

/// Share of examples that further restarts may break. Where gradients lead somewhere, all starts lead
/// to about the same loss (Madry et al. 2018, figure 3), and what they break more are the few examples
/// on the brink: up to 4 % on the plain networks that were looked at. Where gradients lead nowhere,
/// each start is another random point.
const GAIN: [f64; 2] = [0.05, 0.15];

/// The first start is that of the attack without more.
pub(super) fn check(bench: &mut Bench<'_>, item: Item) -> Result<Item, AttackError> {
    let more = bench.config.restarts;
    let one = bench.plain()?;
    let attack = Pgd {
        restarts: more + 1,
        ..bench.pgd()
    };
    let all = bench.broken(bench.examined.threat, &attack)?;
    let (total, gain) = (one.len(), missed(&all, &one));
    let item = item
        .count("broken_from_one_start", count(&one))
        .count("broken_by_more_starts", gain);
    let sentence = format!(
        "of {total} examples one start breaks {}, {more} more break {gain} more",
        count(&one)
    );
    Ok(item.judged(Verdict::of_share(gain, total, GAIN), sentence))
}
