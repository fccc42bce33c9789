//! Which latents carry the change of the logits.

use burn::tensor::Tensor;
use mr_models::{
    Cache, Labels, ModelError, Objective, Tap, class_tensor, floats, value_and_grad_at,
};
use serde::{Deserialize, Serialize};

use super::Setup;
use super::drift::Moved;
use super::spot::Seen;
use crate::error::AttackError;

/// What carries the change of an adversarial example's logits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Blame {
    /// The example's number in the data set.
    pub index: u64,
    /// Its true class.
    pub label: usize,
    /// The class that the network is brought to give it.
    pub adversarial: usize,
    /// How far the attack moves the logit of that class above the true one's.
    pub change: f32,
    /// What all latents carry of it.
    pub latents: f32,
    /// What the dictionary's error carries: the part of the activation's change that no latent writes.
    pub error: f32,
    /// What is left over, `change - latents - error`: gradients are averaged over finitely many points, and what
    /// does not pass through the site is not seen.
    pub completeness_error: f32,
    /// The latents that carry most, by size.
    pub top: Vec<Carried>,
}

/// What one latent carries.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Carried {
    /// The latent, counted from 0.
    pub latent: usize,
    /// How much of the change, in logits; over positions.
    pub carries: f32,
}

/// The logit of the label's target above that of its truth, at the last position.
struct Above;

impl Objective for Above {
    fn name(&self) -> String {
        "target-above-truth".into()
    }

    fn value(&self, logits: &Tensor<3>, _cache: &Cache, labels: &Labels) -> Tensor<1> {
        let [batch, positions, classes] = logits.dims();
        let last = logits.clone().narrow(1, positions - 1, 1);
        let last = last.reshape([batch, classes]);
        let target = labels.target.clone().expect("the label has a target");
        let of = |class: Tensor<2, burn::tensor::Int>| {
            let at = class.narrow(1, positions - 1, 1);
            last.clone().gather(1, at).squeeze_dim::<1>(1)
        };
        of(target) - of(labels.truth.clone())
    }
}

/// Lays the blame of every example that was right and is wrong at these points.
///
/// Attribution by integrated gradients (Sundararajan et al. 2017, eq. 1) in the space of codes and error, as in
/// sparse feature circuits (Marks et al. 2024, eq. 4): on the line from the clean to the adversarial activation,
/// latent j carries `(z_j' - z_j) d_j . g`, the error `((x' - x) - sum_j (z_j' - z_j) d_j) . g`, where g is the
/// mean gradient at the site. As both are linear in the activation, they add up to what the activation carries.
pub(super) fn blames(
    setup: &Setup<'_>,
    moved: &[Moved],
    points: &[f32],
) -> Result<Vec<Blame>, AttackError> {
    let parts = setup.batches(|rows| {
        let broken =
            |row: &usize| moved[*row].clean == moved[*row].label && !moved[*row].keeps_prediction();
        let rows: Vec<usize> = rows.iter().copied().filter(broken).collect();
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        of_batch(setup, moved, points, &rows)
    })?;
    Ok(parts.into_iter().flatten().collect())
}

fn of_batch(
    setup: &Setup<'_>,
    moved: &[Moved],
    points: &[f32],
    rows: &[usize],
) -> Result<Vec<Blame>, AttackError> {
    let device = setup.model.device();
    let input = setup.data.input(rows, &device);
    let targets: Vec<usize> = rows.iter().map(|&row| moved[row].prediction).collect();
    let labels = setup.data.labels_of(rows, &device);
    let labels = labels.with_target(class_tensor(&targets, &device));
    let before = setup.spot.see(setup.model, &input)?;
    let now = setup.spot.see(setup.model, &setup.at(points, rows))?;
    let above = |seen: &Seen| floats(Above.value(&seen.logits, &Cache::default(), &labels));
    let (start, end) = (above(&before), above(&now));
    let way = now.x - before.x;
    let gradient = mean_gradient(setup, &input, &labels, &way)?;

    let [batch, positions, channels] = way.dims();
    let latents = setup.spot.latents();
    let directions = setup.spot.dictionary.directions();
    // How the objective changes with each latent, `[batch, position, latent]`.
    let slopes = gradient.clone().reshape([batch * positions, channels]);
    let slopes = slopes.matmul(directions.transpose());
    let slopes = slopes.reshape([batch, positions, latents]);
    let carried = floats(((now.codes - before.codes) * slopes).sum_dim(1));
    let whole = floats((way * gradient).flatten::<2>(1, 2).sum_dim(1));
    Ok(rows
        .iter()
        .enumerate()
        .map(|(i, &row)| {
            let carried = &carried[i * latents..(i + 1) * latents];
            let sum = carried.iter().map(|&one| f64::from(one)).sum::<f64>() as f32;
            let change = end[i] - start[i];
            Blame {
                index: moved[row].index,
                label: moved[row].label,
                adversarial: targets[i],
                change,
                latents: sum,
                error: whole[i] - sum,
                completeness_error: change - whole[i],
                top: heaviest(carried, setup.config.top),
            }
        })
        .collect())
}

/// The gradient at the site, averaged over the middles of equal parts of the way.
fn mean_gradient(
    setup: &Setup<'_>,
    input: &mr_models::Input,
    labels: &Labels,
    way: &Tensor<3>,
) -> Result<Tensor<3>, ModelError> {
    let parts = setup.config.points;
    let site = &setup.spot.site;
    let mut sum = way.zeros_like();
    for part in 0..parts {
        let share = (part as f32 + 0.5) / parts as f32;
        let tap = Tap {
            site: site.clone(),
            added: Some(way.clone() * share),
        };
        let at = value_and_grad_at(setup.model, input, labels, &Above, false, &[tap])?;
        sum = sum + at.site(site).clone();
    }
    Ok(sum / parts as f32)
}

fn heaviest(carried: &[f32], top: usize) -> Vec<Carried> {
    let mut all: Vec<Carried> = carried
        .iter()
        .enumerate()
        .map(|(latent, &carries)| Carried { latent, carries })
        .filter(|one| one.carries != 0.0)
        .collect();
    all.sort_by(|a, b| b.carries.abs().total_cmp(&a.carries.abs()));
    all.truncate(top);
    all
}
