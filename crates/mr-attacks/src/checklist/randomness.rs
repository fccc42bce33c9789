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
/// The cosine between the gradients of two passes above which a gradient step still goes about where
/// it should: at .9 it loses a tenth of its length.
const COSINE: f64 = 0.9;

struct Passes {
    apart: f64,
    flips: bool,
    cosine: f64,
}

/// Where passes differ, a gradient is that of one draw and success is luck (stochastic gradients,
/// Athalye et al. 2018): attacks have to average over draws. Failed where draws change a prediction or
/// the gradient's direction, suspicious where they change the output alone.
pub(super) fn check(bench: &mut Bench<'_>, item: Item) -> Result<Item, AttackError> {
    let passes = bench.each("randomness", |victim| {
        let outputs: Vec<Vec<f32>> = (0..PASSES)
            .map(|_| floats(victim.logits(victim.origin())))
            .collect();
        let reached: Vec<Vec<bool>> = (0..PASSES)
            .map(|_| victim.reached(&victim.logits(victim.origin())))
            .collect();
        let gradient = || {
            victim
                .climb(&Margin, victim.origin())
                .map(|c| floats(c.gradient))
        };
        let gradients = [gradient()?, gradient()?];
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
                    cosine: cosine(&of(&gradients[0]), &of(&gradients[1])),
                }
            })
            .collect())
    })?;
    let total = passes.len();
    let apart = passes.iter().map(|one| one.apart).fold(0.0, f64::max);
    let flips = passes.iter().filter(|one| one.flips).count();
    let cosines: Vec<f64> = passes.iter().map(|one| one.cosine).collect();
    let cosine = quantile(&cosines, 0.5);
    let item = item
        .with("largest_difference", apart)
        .count("predictions_that_flip", flips)
        .with("median_cosine_of_gradients", cosine);
    let (verdict, sentence) = if apart <= ROUNDING {
        let agree = if apart == 0.0 {
            "to the bit".to_string()
        } else {
            format!("to {apart:.0e} of their length")
        };
        (Verdict::Pass, format!("{PASSES} passes agree {agree}"))
    } else {
        let masked = flips > 0 || cosine < COSINE;
        let verdict = if masked {
            Verdict::Fail
        } else {
            Verdict::Suspicious
        };
        let sentence = format!(
            "{PASSES} passes differ by up to {apart:.1e}, {flips} of {total} predictions flip, gradients \
             of two passes have a median cosine of {cosine:.2}: attack the mean over draws (EOT)"
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
