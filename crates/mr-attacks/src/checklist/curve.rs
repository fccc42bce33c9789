//! Larger and larger balls.

use super::bench::{Bench, count};
use super::{Item, Verdict, whole};
use crate::attack::Pgd;
use crate::error::AttackError;
use crate::threat::ThreatModel;

/// Multiples of epsilon.
const MULTIPLES: [f32; 5] = [0.25, 0.5, 1.0, 2.0, 4.0];
/// Share of examples that an attack without a bound may leave standing. It may put any image in place
/// of another, so that nothing but its own failure can stop it.
const STANDING: [f64; 2] = [0.01, 0.05];
/// By how much robust accuracy may rise from a ball to a larger one, which holds all points of the
/// smaller: an attack with fixed steps loses a little where its steps get too long.
const RISE: [f64; 2] = [0.02, 0.05];

/// Projected gradient descent from the clean points: from random ones, large balls break examples by
/// noise alone, whatever the gradients.
fn attack(bench: &Bench<'_>) -> Pgd {
    Pgd {
        random_start: false,
        ..bench.pgd()
    }
}

fn width(bench: &Bench<'_>) -> Result<usize, AttackError> {
    let widths = bench.each("width", |victim| {
        Ok(vec![victim.origin().dims()[1]; victim.examples().len()])
    })?;
    Ok(widths.first().copied().unwrap_or(1))
}

fn standing(bench: &Bench<'_>, threat: &ThreatModel) -> Result<usize, AttackError> {
    Ok(bench.count() - count(&bench.broken(threat, &attack(bench))?))
}

/// An attack whose ball is the whole box.
pub(super) fn unbounded(bench: &mut Bench<'_>, item: Item) -> Result<Item, AttackError> {
    let threat = whole(bench.examined.threat, width(bench)?);
    let (total, left) = (bench.count(), standing(bench, &threat)?);
    let sentence = format!(
        "with {} {} the attack breaks {} of {total} examples",
        threat.norm,
        threat.epsilon,
        total - left
    );
    Ok(item
        .with("epsilon", threat.epsilon)
        .count("examples", total)
        .count("left_standing", left)
        .judged(Verdict::of_share(left, total, STANDING), sentence))
}

/// Robust accuracy over epsilon. What is left at four times epsilon says nothing of masking, but what
/// is left in the whole box does where it is more than guessing. How steeply the curve falls is not
/// judged: a plain network loses everything within a factor of two.
pub(super) fn check(bench: &mut Bench<'_>, item: Item) -> Result<Item, AttackError> {
    let threat = bench.examined.threat;
    let whole = whole(threat, width(bench)?);
    let total = bench.count();
    let mut epsilons: Vec<f32> = MULTIPLES.iter().map(|m| m * threat.epsilon).collect();
    epsilons.retain(|&epsilon| epsilon < whole.epsilon);
    epsilons.push(whole.epsilon);
    let mut left = vec![total];
    let mut item = item;
    for &epsilon in &epsilons {
        let standing = standing(bench, &threat.with_epsilon(epsilon))?;
        let share = standing as f64 / total as f64;
        item = item.with(&format!("robust_at_{epsilon}"), share);
        left.push(standing);
    }
    let rise = left
        .windows(2)
        .map(|pair| pair[1].saturating_sub(pair[0]))
        .max();
    let rise = rise.unwrap_or(0);
    let last = left[left.len() - 1];
    let chance = 1.0 / bench.examined.model.spec().classes as f64;
    let end = last as f64 / total as f64;
    let at_chance = if end <= chance {
        Verdict::Pass
    } else {
        Verdict::of_share(last, total, [chance, 2.0 * chance])
    };
    let verdict = Verdict::of_share(rise, total, RISE).max(at_chance);
    let shares: Vec<String> = epsilons
        .iter()
        .zip(&left[1..])
        .map(|(epsilon, &left)| format!("{:.0} % at {epsilon}", 100.0 * left as f64 / total as f64))
        .collect();
    let sentence = format!(
        "robust on {}; chance is {:.0} %",
        shares.join(", "),
        100.0 * chance
    );
    Ok(item
        .count("largest_rise", rise)
        .with("chance", chance)
        .judged(verdict, sentence))
}
