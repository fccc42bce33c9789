//! Attacks on internals: how far an objective can be driven, example by example.

use std::sync::Mutex;

use mr_models::objective::kl_divergence;
use mr_models::{Model, Objective, Workers, data::Dataset, floats, predictions};
use serde::{Deserialize, Serialize};

use crate::attack::{Attack, ObjectiveAttack};
use crate::error::AttackError;
use crate::evaluate::{EvaluationConfig, Run, check_finite, fits, last, lock};
use crate::evaluation::Counts;
use crate::goal::{Goal, Never};
use crate::threat::ThreatModel;
use crate::victim::Meter;

/// What an attack on an objective did to one example.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Aim {
    /// Its number in the data set that it came from.
    pub index: u64,
    /// Its true class.
    pub label: usize,
    /// The class that the model gives it.
    pub clean: usize,
    /// The class that the model gives it after the attack.
    pub adversarial: usize,
    /// The objective of the clean example.
    pub before: f32,
    /// The objective after the attack; never less than before, as the clean example is kept where
    /// nothing better was found.
    pub after: f32,
    /// The Kullback-Leibler divergence, in nats, of the class distribution after the attack from the
    /// clean one.
    pub divergence: f32,
    /// Length of the perturbation in the threat's norm.
    pub distance: f32,
}

impl Aim {
    /// How far the objective was driven.
    pub fn rise(&self) -> f32 {
        self.after - self.before
    }

    /// Whether the model still gives the class that it gave the clean example.
    pub fn keeps_prediction(&self) -> bool {
        self.clean == self.adversarial
    }
}

/// What an attack on an objective did, by example and in the order of the data.
#[derive(Debug, Clone, PartialEq)]
pub struct Aims {
    /// What became of each example.
    pub examples: Vec<Aim>,
    /// Passes through the model.
    pub counts: Counts,
    /// The adversarial points `[example, coordinate]`, row-major, if they were to be kept.
    pub points: Option<Vec<f32>>,
}

/// Drives an objective up as far as an attack can, on every example, misclassified ones too.
///
/// There is no goal to reach: the attack climbs to its end. What it proposes is projected into the
/// threat and measured by a fresh forward pass, and the clean example is kept where that is no better.
/// Divergences and shifts are measured from the clean example. As everywhere, what becomes of an
/// example does not depend on batch size, order or threads.
///
/// `progress` is told how many examples are done after each batch; where it says `false` the run stops.
///
/// ```
/// use burn::tensor::Device;
/// use mr_attacks::{EvaluationConfig, Norm, Pgd, ThreatModel, aim};
/// use mr_models::{Architecture, Mlp, Network, data, objective};
///
/// let net = Network::init(Architecture::Mlp(Mlp::default()), 0, &Device::flex())?;
/// let test = data::load(&data::DataConfig::default(), data::Split::Test)?.take(4)?;
/// let moved = objective::by_name("shift(linear1.hook_out) - 10 kl")?;
/// let threat = ThreatModel::new(Norm::Linf, 0.1);
/// let pgd = Pgd { steps: 5, ..Pgd::default() };
/// let config = EvaluationConfig::default();
/// let found = aim(&net, &test, &threat, &pgd, moved.as_ref(), &config, &mut |_| true)?;
/// assert!(found.examples.iter().all(|one| one.after >= one.before));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`AttackError`] if threat, attack, objective or data do not fit the model, its logits are not
/// finite, or `progress` stops it.
pub fn aim(
    model: &dyn Model,
    data: &Dataset,
    threat: &ThreatModel,
    attack: &dyn ObjectiveAttack,
    objective: &dyn Objective,
    config: &EvaluationConfig,
    progress: &mut (dyn FnMut(usize) -> bool + Send),
) -> Result<Aims, AttackError> {
    let goal = Goal::Criterion(std::sync::Arc::new(Never));
    let searcher: &dyn Attack = attack;
    fits(model, data, threat, &goal, &[searcher], config)?;
    objective.fits(model.spec())?;
    let run = Run {
        model,
        data,
        threat,
        goal: &goal,
        config,
    };
    let all: Vec<usize> = (0..data.len()).collect();
    let batches: Vec<&[usize]> = all.chunks(config.batch_size).collect();
    let told = Mutex::new((0, progress));
    let parts = Workers::new(config.threads).map(batches.len(), |batch| {
        let part = aim_batch(&run, batches[batch], attack, objective)?;
        let mut told = lock(&told);
        let (done, progress) = &mut *told;
        *done += part.examples.len();
        if progress(*done) {
            Ok(part)
        } else {
            Err(AttackError::Stopped)
        }
    })?;
    let mut aims = Aims {
        examples: Vec::with_capacity(all.len()),
        counts: Counts::default(),
        points: config.keep.then(Vec::new),
    };
    for part in parts {
        aims.examples.extend(part.examples);
        aims.counts += part.counts;
        if let (Some(points), Some(more)) = (&mut aims.points, part.points) {
            points.extend(more);
        }
    }
    Ok(aims)
}

fn aim_batch(
    run: &Run<'_>,
    rows: &[usize],
    attack: &dyn ObjectiveAttack,
    objective: &dyn Objective,
) -> Result<Aims, AttackError> {
    let meter = Meter::default();
    let (victim, numbers) = run.victim(rows, &meter)?;
    let victim = victim.in_stream("clean");
    let clean = victim.clean_logits();
    check_finite(&clean, &numbers)?;
    let victim = victim
        .with_reference(clean.clone())
        .in_stream(&attack.name());
    let origin = victim.origin();
    let (before, _) = victim.see(objective, origin)?;
    let proposed = attack.run_on(&victim, objective)?;
    let point = run.threat.project(origin, victim.finite_points(proposed));
    let (after, logits) = victim.see(objective, &point)?;
    check_finite(&logits, &numbers)?;

    let inside = run.threat.contains(origin, &point);
    let distances = floats(run.threat.distance(origin, &point));
    // Rounding may leave a divergence a little below 0.
    let divergences = floats(kl_divergence(&clean, &logits).clamp_min(0.0));
    let (clean, adversarial) = (predictions(&clean), predictions(&logits));
    let (before, after) = (floats(before), floats(after));
    if let Some(row) = before.iter().position(|value| !value.is_finite()) {
        return Err(AttackError::Data(format!(
            "example {} of `{}`: the objective `{}` is no finite number, so that nothing can be driven up",
            numbers[row],
            run.data.name(),
            objective.name()
        )));
    }
    let examples: Vec<Aim> = (0..rows.len())
        .map(|i| {
            let kept = Aim {
                index: numbers[i],
                label: run.data.labels()[rows[i]],
                clean: last(&clean[i]),
                adversarial: last(&clean[i]),
                before: before[i],
                after: before[i],
                divergence: 0.0,
                distance: 0.0,
            };
            if !(inside[i] && after[i] > before[i]) {
                return kept;
            }
            Aim {
                adversarial: last(&adversarial[i]),
                after: after[i],
                divergence: divergences[i],
                distance: distances[i],
                ..kept
            }
        })
        .collect();
    let points = run.config.keep.then(|| {
        let width = point.dims()[1];
        let mut points = floats(origin.clone());
        let found = floats(point);
        for (i, one) in examples.iter().enumerate() {
            if one.after > one.before {
                let at = i * width..(i + 1) * width;
                points[at.clone()].copy_from_slice(&found[at]);
            }
        }
        points
    });
    Ok(Aims {
        examples,
        counts: meter.counts(),
        points,
    })
}

#[cfg(test)]
mod tests;
