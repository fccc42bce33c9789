//! The gradient against finite differences.

use burn::tensor::{Tensor, TensorData};
use mr_models::objective::Margin;
use mr_models::{Place, floats};
use rand::Rng;

use super::bench::{Bench, length, quantile};
use super::{Item, Verdict};
use crate::error::AttackError;
use crate::randomness::{Draw, rows, uniform};
use crate::victim::Victim;

/// Euclidean length of the step to either side. Long enough that rounding (1e-6 of the logits) is a
/// percent of the difference at most, short enough to cross few kinks of ReLU and pooling: a pixel of
/// 1,000 changes by 3e-4.
const STEP: f32 = 0.01;
/// How far each coordinate of the points that are looked at may lie from the clean ones.
const NEAR: f32 = 0.02;
/// Random directions beside that of the gradient.
const DIRECTIONS: u32 = 3;
/// Median relative errors. Kinks and rounding stay below a tenth; a direction that is off by half says
/// nothing of where the function goes.
const ERROR: [f64; 2] = [0.1, 0.5];

/// Central differences of the margin, which is piecewise linear for most networks and does not
/// saturate, along its gradient and along random directions, against what the gradient says. They tell
/// a gradient that is wrong, replaced or cut off. A random model draws the same at both ends and for the
/// gradient: differences of draws are none of the derivative. An example with neither a gradient nor a
/// difference is left out here: "gradients" counts it.
pub(super) fn check(bench: &mut Bench<'_>, item: Item) -> Result<Item, AttackError> {
    let eot = bench.config.eot;
    let errors = bench.each("finite differences", |victim| errors(victim, eot))?;
    let of = |pick: fn(&[f64; 2]) -> f64| -> Vec<f64> {
        errors
            .iter()
            .map(pick)
            .filter(|error| !error.is_nan())
            .collect()
    };
    let (along, across) = (of(|one| one[0]), of(|one| one[1]));
    let item = item.count("examples_with_a_difference", along.len().max(across.len()));
    if along.is_empty() && across.is_empty() {
        let sentence =
            "neither a gradient nor a difference: the outputs are flat around every example";
        return Ok(item.judged(Verdict::NotApplicable, sentence));
    }
    let median = |errors: &[f64]| {
        if errors.is_empty() {
            0.0
        } else {
            quantile(errors, 0.5)
        }
    };
    let (along, across) = (median(&along), median(&across));
    let sentence = format!(
        "the median relative error is {along:.3} along the gradient and {across:.3} along random \
         directions"
    );
    Ok(item
        .with("median_error_along_the_gradient", along)
        .with("median_error_along_random_directions", across)
        .judged(Verdict::of(along.max(across), ERROR), sentence))
}

/// The relative error along the gradient and along random directions, of each example; NaN where
/// nothing changes.
fn errors(victim: &Victim<'_>, eot: usize) -> Result<Vec<[f64; 2]>, AttackError> {
    let base = near(victim);
    let gradient = victim.redrawn().climb_mean(&Margin, &base, eot)?.gradient;
    let along = compare(victim, &base, &gradient, unit(&gradient), eot)?;
    let mut across = vec![[0.0; 2]; along.len()];
    for step in 0..DIRECTIONS {
        let draw = draw(victim, step);
        let width = base.dims()[1];
        let signs = rows(
            draw,
            victim.examples(),
            width,
            &base.device(),
            |rng, values| {
                values.extend((0..width).map(|_| if rng.random_bool(0.5) { 1.0 } else { -1.0 }));
            },
        );
        let found = compare(victim, &base, &gradient, unit(&signs), eot)?;
        for (sum, one) in across.iter_mut().zip(found) {
            sum[0] += one[0];
            sum[1] += one[1];
        }
    }
    let ratio = |[apart, size]: [f64; 2]| if size > 0.0 { apart / size } else { f64::NAN };
    let pairs = along.into_iter().zip(across);
    Ok(pairs
        .map(|(along, across)| [ratio(along), ratio(across)])
        .collect())
}

/// Points near the clean ones, and so far inside the box that a step stays there. Not the clean ones:
/// in areas of one colour the inputs of a pooling tie, and where they do there is no derivative.
fn near(victim: &Victim<'_>) -> Tensor<2> {
    let origin = victim.origin().clone();
    let draw = draw(victim, DIRECTIONS);
    let width = origin.dims()[1];
    let moved = uniform(draw, victim.examples(), width, &origin.device()) * NEAR;
    if victim.threat().place != Place::Input {
        return origin + moved;
    }
    let [low, high] = victim.threat().bounds;
    let margin = (NEAR + STEP).min((high - low) / 4.0);
    origin.clamp(low + margin, high - margin) + moved
}

fn draw(victim: &Victim<'_>, step: u32) -> Draw<'static> {
    Draw {
        seed: victim.seed(),
        attack: "finite differences",
        restart: 0,
        step,
    }
}

fn unit(directions: &Tensor<2>) -> Tensor<2> {
    let [count, width] = directions.dims();
    let mut values = floats(directions.clone());
    for row in values.chunks_mut(width) {
        let length = length(row);
        if length > 0.0 {
            for value in row {
                *value = (f64::from(*value) / length) as f32;
            }
        }
    }
    Tensor::from_data(
        TensorData::new(values, [count, width]),
        &directions.device(),
    )
}

/// How far difference and gradient lie apart along a direction, and the larger of the two.
fn compare(
    victim: &Victim<'_>,
    base: &Tensor<2>,
    gradient: &Tensor<2>,
    direction: Tensor<2>,
    eot: usize,
) -> Result<Vec<[f64; 2]>, AttackError> {
    let step = direction.clone() * STEP;
    let score = |point: Tensor<2>| victim.redrawn().score_mean(&Margin, &point, eot);
    let above = score(base.clone() + step.clone())?.values;
    let below = score(base.clone() - step)?.values;
    let said = floats((gradient.clone() * direction).sum_dim(1));
    let rows = above.iter().zip(&below).zip(said);
    Ok(rows
        .map(|((&above, &below), said)| {
            let found = f64::from(above - below) / f64::from(2.0 * STEP);
            let said = f64::from(said);
            [(found - said).abs(), found.abs().max(said.abs())]
        })
        .collect())
}
