//! The loss over the steps of an attack.

use mr_models::floats;
use mr_models::objective::CrossEntropy;

use super::bench::Bench;
use super::{Item, Verdict};
use crate::error::AttackError;
use crate::victim::Victim;

/// Sum of the falls of the mean loss over the sum of its rises. Steps of a fixed length overshoot where
/// they cannot rise any more: by up to .08 on the plain networks that were looked at. Noise gives .46,
/// and a walk that goes nowhere 1.
const FALLS: [f64; 2] = [0.2, 0.4];

/// Climbs the cross-entropy from the clean points as projected gradient descent does, and looks at its
/// mean over all examples after each step: it has to rise.
pub(super) fn check(bench: &mut Bench<'_>, item: Item) -> Result<Item, AttackError> {
    let steps = bench.config.steps;
    let eot = bench.config.eot;
    let losses = bench.each("ascent", |victim| losses(victim, steps, eot))?;
    // An empty sum is -0.
    let sum = |terms: &mut dyn Iterator<Item = f64>| terms.fold(0.0, |sum, term| sum + term);
    let mean =
        |step: usize| sum(&mut losses.iter().map(|one| f64::from(one[step]))) / losses.len() as f64;
    let curve: Vec<f64> = (0..=steps).map(mean).collect();
    let changes = || curve.windows(2).map(|pair| pair[1] - pair[0]);
    let rises = sum(&mut changes().filter(|&change| change > 0.0));
    let falls = sum(&mut changes().filter(|&change| change < 0.0).map(f64::abs));
    let (first, last) = (curve[0], curve[steps]);
    let item = item
        .with("first_loss", first)
        .with("last_loss", last)
        .with("sum_of_rises", rises)
        .with("sum_of_falls", falls);
    // No rise beyond rounding is no climb at all.
    let verdict = if last - first <= 1e-6 * first.abs().max(1e-6) {
        Verdict::Fail
    } else {
        Verdict::of(falls / rises, FALLS)
    };
    let sentence = format!(
        "over {steps} steps the mean loss goes from {first:.3} to {last:.3}, up {rises:.3} and down \
         {falls:.3} on the way"
    );
    Ok(item.judged(verdict, sentence))
}

/// The loss of each example before the first step and after each.
fn losses(victim: &Victim<'_>, steps: usize, eot: usize) -> Result<Vec<Vec<f32>>, AttackError> {
    let threat = victim.threat();
    let length = 2.5 * threat.epsilon / steps as f32;
    let mut point = victim.origin().clone();
    let mut losses = vec![Vec::with_capacity(steps + 1); victim.examples().len()];
    for step in 0..=steps {
        let climb = victim.climb_mean(&CrossEntropy, &point, eot)?;
        for (own, value) in losses.iter_mut().zip(floats(climb.values)) {
            own.push(value);
        }
        if step < steps {
            let moved = point.clone() + threat.steepest(&point, climb.gradient) * length;
            point = threat.project(victim.origin(), moved);
        }
    }
    Ok(losses)
}
