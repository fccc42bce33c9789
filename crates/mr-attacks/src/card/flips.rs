//! The smallest perturbation that turns a latent on or off.

use std::collections::BTreeMap;
use std::sync::Arc;

use mr_models::objective::Sense;
use mr_models::{Objective, floats};
use mr_sae::Latent;
use serde::{Deserialize, Serialize};

use super::objectives::Reach;
use super::{Setup, drift};
use crate::error::AttackError;

/// What flips one latent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Flips {
    /// The latent, counted from 0.
    pub latent: usize,
    /// What flips it in each example, in the order of the data.
    pub examples: Vec<Flip>,
}

/// What flips a latent in one example.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Flip {
    /// The example's number in the data set.
    pub index: u64,
    /// Whether it is on at any position of the clean example; a flip turns it off at all, or on at one.
    pub on: bool,
    /// The smallest radius at which the attack flips it, an upper bound on the smallest that would; `None` where
    /// it flips at none.
    pub epsilon: Option<f32>,
    /// Whether noise of the largest radius flips it: the control.
    pub by_noise: bool,
}

impl Flips {
    /// The radii at which it flips where it was on (or off), of how many examples: those that never flip have
    /// none.
    pub fn radii(&self, on: bool) -> (Vec<f32>, usize) {
        let those = || self.examples.iter().filter(move |flip| flip.on == on);
        (
            those().filter_map(|flip| flip.epsilon).collect(),
            those().count(),
        )
    }

    /// The median radius where it was on (or off), those that never flip counted as further than any; `None`
    /// where there is no such example or half of them never flip.
    pub fn median(&self, on: bool) -> Option<f32> {
        let (mut radii, of) = self.radii(on);
        radii.sort_by(f32::total_cmp);
        if of == 0 {
            return None;
        }
        radii.get((of - 1) / 2).copied()
    }
}

/// What flips each of these latents, by bisection: the attack is run inside the largest radius, and where it
/// flips the latent, inside half of it, and so on. That a latent that flips within a ball flips within any larger
/// one holds of the best attack, and of this one as a rule.
pub(super) fn flips(
    setup: &Setup<'_>,
    latents: &[usize],
    tell: &mut dyn FnMut() -> Result<(), AttackError>,
) -> Result<Vec<Flips>, AttackError> {
    let largest = *setup.config.epsilons.last().expect("checked: not empty");
    let noise = drift::noise(setup, &setup.threat.with_epsilon(largest));
    let clean = setup.clean_points();
    let all: Vec<usize> = (0..setup.data.len()).collect();
    let steps = 1usize << setup.config.halvings;
    let radius = |step: usize| largest * step as f32 / steps as f32;
    latents
        .iter()
        .map(|&latent| {
            let on = is_on(setup, latent, &clean)?;
            let noisy = is_on(setup, latent, &noise)?;
            // Of each example: it flips at `high` steps, and does not at `low`.
            let mut low = vec![0; all.len()];
            let mut high = vec![None; all.len()];
            for round in 0..=setup.config.halvings {
                let mut at: BTreeMap<(usize, bool), Vec<usize>> = BTreeMap::new();
                for &row in &all {
                    let next = match high[row] {
                        None if round == 0 => steps,
                        Some(high) if high - low[row] > 1 => usize::midpoint(low[row], high),
                        _ => continue,
                    };
                    at.entry((next, on[row])).or_default().push(row);
                }
                for ((step, was_on), rows) in at {
                    let flipped = attacked(setup, latent, was_on, &rows, radius(step))?;
                    for (row, flipped) in rows.into_iter().zip(flipped) {
                        if flipped {
                            high[row] = Some(step);
                        } else {
                            low[row] = step;
                        }
                    }
                }
                tell()?;
            }
            let examples = all.iter().map(|&row| Flip {
                index: setup.data.number(row),
                on: on[row],
                epsilon: high[row].map(radius),
                by_noise: noisy[row] != on[row],
            });
            Ok(Flips {
                latent,
                examples: examples.collect(),
            })
        })
        .collect()
}

/// Whether the attack flips the latent in each of these examples.
fn attacked(
    setup: &Setup<'_>,
    latent: usize,
    was_on: bool,
    rows: &[usize],
    epsilon: f32,
) -> Result<Vec<bool>, AttackError> {
    let (dictionary, site) = (Arc::clone(&setup.spot.dictionary), setup.spot.site.clone());
    let objective: Arc<dyn Objective> = if was_on {
        Arc::new(Latent {
            dictionary,
            site,
            latent,
            sense: Sense::Less,
        })
    } else {
        Arc::new(Reach {
            dictionary,
            site,
            latent,
        })
    };
    let some = setup.data.subset(rows);
    let some = some.map_err(|error| AttackError::Data(error.to_string()))?;
    let threat = setup.threat.with_epsilon(epsilon);
    let found = crate::aim::aim(
        setup.model,
        &some,
        &threat,
        setup.attack,
        objective.as_ref(),
        setup.running,
        &mut |_| true,
    )?;
    let points = found.points.expect("points were to be kept");
    let setup = Setup {
        data: &some,
        ..*setup
    };
    let on = is_on(&setup, latent, &points)?;
    Ok(on.into_iter().map(|on| on != was_on).collect())
}

/// Whether a latent is on at any position of each example at these points.
fn is_on(setup: &Setup<'_>, latent: usize, points: &[f32]) -> Result<Vec<bool>, AttackError> {
    let parts = setup.batches(|rows| {
        let seen = setup.spot.see(setup.model, &setup.at(points, rows))?;
        let peaks = floats(seen.codes.narrow(2, latent, 1).max_dim(1));
        Ok(peaks.into_iter().map(|peak| peak > 0.0).collect::<Vec<_>>())
    })?;
    Ok(parts.concat())
}
