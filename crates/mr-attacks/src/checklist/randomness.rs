//! Passes that differ.

use mr_models::floats;
use mr_models::objective::Margin;

use super::bench::{Bench, length, quantile};
use super::{Item, Verdict};
use crate::error::AttackError;

/// Passes per example (AutoAttack's number).
const PASSES: usize = 5;
/// How far two outputs, scaled to length 1, may lie apart (AutoAttack's limit): rounding on devices
/// that sum in any order.
const ROUNDING: f64 = 1e-4;
/// One minus the cosine between two gradients, each the mean over draws: at .1 a step still goes about
/// where it should, at .5 it goes where the draws say.
const ASTRAY: [f64; 2] = [0.1, 0.5];
/// Share of examples whose prediction some draw changes. Their fate is luck, whatever the attack.
const FLIPS: [f64; 2] = [0.05, 0.1];

struct Passes {
    apart: f64,
    flips: bool,
    /// Between the gradients of two passes, and between two means over draws.
    cosines: [f64; 2],
}

/// Where passes differ, a gradient is that of one draw and success is luck (stochastic gradients,
/// Athalye et al. 2018): attacks have to average over draws, as the other items do. That is no fault of
/// a model whose averages agree and whose predictions stay; where even averages go apart, or draws
/// decide what is predicted, no attack of so many passes can be trusted.
pub(super) fn check(bench: &mut Bench<'_>, item: Item) -> Result<Item, AttackError> {
    let eot = bench.config.eot;
    let passes = bench.each("randomness", |victim| {
        let outputs: Vec<Vec<f32>> = (0..PASSES)
            .map(|_| floats(victim.logits(victim.origin())))
            .collect();
        let reached: Vec<Vec<bool>> = (0..PASSES)
            .map(|_| victim.reached(&victim.logits(victim.origin())))
            .collect();
        let gradient = |passes| {
            let climb = victim.climb_mean(&Margin, victim.origin(), passes);
            climb.map(|climb| floats(climb.gradient))
        };
        let single = [gradient(1)?, gradient(1)?];
        let mean = [gradient(eot)?, gradient(eot)?];
        let count = victim.examples().len();
        Ok((0..count)
            .map(|row| {
                let of = |values: &Vec<f32>| {
                    let width = values.len() / count;
                    values[row * width..(row + 1) * width].to_vec()
                };
                let first = of(&outputs[0]);
                let apart = outputs[1..].iter().map(|other| apart(&first, &of(other)));
                Passes {
                    apart: apart.fold(0.0, f64::max),
                    flips: reached.iter().any(|pass| pass[row] != reached[0][row]),
                    cosines: [&single, &mean].map(|two| cosine(&of(&two[0]), &of(&two[1]))),
                }
            })
            .collect())
    })?;
    let total = passes.len();
    let apart = passes.iter().map(|one| one.apart).fold(0.0, f64::max);
    let flips = passes.iter().filter(|one| one.flips).count();
    let median = |which: usize| {
        let cosines: Vec<f64> = passes.iter().map(|one| one.cosines[which]).collect();
        quantile(&cosines, 0.5)
    };
    let (single, mean) = (median(0), median(1));
    let item = item
        .with("largest_difference", apart)
        .count("predictions_that_flip", flips)
        .with("median_cosine_of_gradients", single)
        .with("median_cosine_of_mean_gradients", mean);
    let (verdict, sentence) = if apart <= ROUNDING {
        let agree = if apart == 0.0 {
            "to the bit".to_string()
        } else {
            format!("to {apart:.0e} of their length")
        };
        (Verdict::Pass, format!("{PASSES} passes agree {agree}"))
    } else {
        let verdict = Verdict::of_share(flips, total, FLIPS).max(Verdict::of(1.0 - mean, ASTRAY));
        let sentence = format!(
            "{PASSES} passes differ by up to {apart:.1e}, {flips} of {total} predictions flip, gradients \
             of two passes have a median cosine of {single:.2}, means over {eot} one of {mean:.2}: \
             attack the mean over draws (EOT)"
        );
        (verdict, sentence)
    };
    Ok(item.judged(verdict, sentence))
}

/// The distance of two outputs scaled to length 1.
fn apart(a: &[f32], b: &[f32]) -> f64 {
    let scale = |values: &[f32]| 1.0 / (length(values) + 1e-10);
    let (for_a, for_b) = (scale(a), scale(b));
    let squares = a.iter().zip(b).map(|(&a, &b)| {
        let apart = f64::from(a) * for_a - f64::from(b) * for_b;
        apart * apart
    });
    squares.sum::<f64>().sqrt()
}

/// 1 for two gradients that are 0: they do not differ.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let product: f64 = a
        .iter()
        .zip(b)
        .map(|(&a, &b)| f64::from(a) * f64::from(b))
        .sum();
    match (length(a), length(b)) {
        (0.0, 0.0) => 1.0,
        (0.0, _) | (_, 0.0) => 0.0,
        (long_a, long_b) => product / long_a / long_b,
    }
}
