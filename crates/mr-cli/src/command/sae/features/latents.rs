//! Latents as pages show them.

use std::collections::BTreeMap;

use anyhow::Result;
use burn::tensor::Tensor;
use mr_models::{Model, floats};
use mr_sae::Dictionary;

use super::super::fed::Fed;
use super::super::placed::Placed;
use super::activity::{Activities, Histogram, Peak};
use super::effect::Effects;

/// Rows of cosines that are held at a time.
const ROWS: usize = 512;

/// One latent.
pub(super) struct Latent {
    pub(super) number: usize,
    /// The share of samples that turn it on.
    pub(super) density: f64,
    pub(super) largest: f32,
    /// The mean where it is on.
    pub(super) mean: f64,
    pub(super) histogram: Histogram,
    pub(super) examples: Vec<Example>,
    /// Classes whose logits it raises most, and by how much.
    pub(super) raises: Vec<(usize, f32)>,
    /// Those that it lowers most.
    pub(super) lowers: Vec<(usize, f32)>,
    /// Of its effects on all logits the middle and the count of each bin.
    pub(super) effects: Vec<(f32, usize)>,
    /// The latents whose directions are nearest, and the cosines.
    pub(super) nearest: Vec<(usize, f32)>,
}

/// An example that a latent is active on.
pub(super) struct Example {
    pub(super) peak: Peak,
    /// Its activity at each position.
    pub(super) values: Vec<f32>,
}

/// The largest and the smallest effects with their classes, and the middle and the count of each bin of all.
type Split = (Vec<(usize, f32)>, Vec<(usize, f32)>, Vec<(f32, usize)>);

/// How much of each is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    pub(super) classes: usize,
    pub(super) nearest: usize,
}

/// These latents, with the activity of their examples at every position.
pub(super) fn latents(
    placed: &Placed<'_>,
    data: &Fed,
    activities: &Activities,
    effects: Option<&Effects>,
    chosen: &[usize],
    shown: Shown,
) -> Result<Vec<Latent>> {
    let mut traces = traces(placed, data, activities, chosen)?;
    let nearest = nearest(&placed.sae.directions(), chosen, shown.nearest);
    let latent = |(&number, nearest): (&usize, Vec<(usize, f32)>)| {
        let activity = &activities.latents[number];
        let (raises, lowers, bins) = match effects {
            Some(effects) => split(effects.latent(number), shown.classes),
            None => Default::default(),
        };
        let example = |&peak: &Peak| Example {
            peak,
            values: traces.remove(&(number, peak.example)).unwrap_or_default(),
        };
        Latent {
            number,
            density: activities.density(number),
            largest: activity.largest,
            mean: activity.mean(),
            histogram: activity.histogram.clone(),
            examples: activity.top.iter().map(example).collect(),
            raises,
            lowers,
            effects: bins,
            nearest,
        }
    };
    Ok(chosen.iter().zip(nearest).map(latent).collect())
}

/// The activity of latents at every position of the examples that they are most active on.
fn traces(
    placed: &Placed<'_>,
    data: &Fed,
    activities: &Activities,
    chosen: &[usize],
) -> Result<BTreeMap<(usize, usize), Vec<f32>>> {
    let mut wanted: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &latent in chosen {
        for peak in &activities.latents[latent].top {
            wanted.entry(peak.example).or_default().push(latent);
        }
    }
    let device = placed.network.device();
    let examples: Vec<usize> = wanted.keys().copied().collect();
    let mut found = BTreeMap::new();
    let Some(&first) = examples.first() else {
        return Ok(found);
    };
    let positions = placed.positions(&data.input(&[first], &device))?;
    let width = placed.sae.d_sae();
    for rows in examples.chunks(placed.batch(positions)) {
        let passed = placed.pass(&data.input(rows, &device))?;
        let codes = floats(placed.sae.encode(passed.x));
        for (&example, codes) in rows.iter().zip(codes.chunks(positions * width)) {
            for &latent in &wanted[&example] {
                let values = codes.chunks(width).map(|row| row[latent]).collect();
                found.insert((latent, example), values);
            }
        }
    }
    Ok(found)
}

/// The largest and the smallest effects, and a histogram of all.
fn split(effects: &[f32], count: usize) -> Split {
    let mut order: Vec<(usize, f32)> = effects.iter().copied().enumerate().collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let raises = order.iter().take(count).filter(|one| one.1 > 0.0).copied();
    let lowers = order
        .iter()
        .rev()
        .take(count)
        .filter(|one| one.1 < 0.0)
        .copied();
    let (high, low) = (
        order.first().map_or(0.0, |one| one.1),
        order.last().map_or(0.0, |one| one.1),
    );
    const BINS: usize = 40;
    let width = ((high - low) / BINS as f32).max(f32::MIN_POSITIVE);
    let mut bins: Vec<(f32, usize)> = (0..BINS)
        .map(|bin| (low + width * (bin as f32 + 0.5), 0))
        .collect();
    for (_, effect) in &order {
        bins[(((effect - low) / width) as usize).min(BINS - 1)].1 += 1;
    }
    (raises.collect(), lowers.collect(), bins)
}

/// The nearest other latents of each, by the cosine of directions.
fn nearest(directions: &Tensor<2>, chosen: &[usize], count: usize) -> Vec<Vec<(usize, f32)>> {
    let norms = directions
        .clone()
        .square()
        .sum_dim(1)
        .sqrt()
        .clamp_min(1e-12);
    let unit = directions.clone() / norms;
    let [latents, width] = unit.dims();
    let values = floats(unit.clone());
    let device = unit.device();
    let mut all = Vec::with_capacity(chosen.len());
    for rows in chosen.chunks(ROWS) {
        let picked: Vec<f32> = rows
            .iter()
            .flat_map(|&row| values[row * width..(row + 1) * width].iter().copied())
            .collect();
        let picked = burn::tensor::TensorData::new(picked, [rows.len(), width]);
        let picked = Tensor::<2>::from_data(picked, &device);
        let cosines = floats(picked.matmul(unit.clone().transpose()));
        for (&row, cosines) in rows.iter().zip(cosines.chunks(latents)) {
            let mut others: Vec<(usize, f32)> = cosines.iter().copied().enumerate().collect();
            others.retain(|&(other, _)| other != row);
            others.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            others.truncate(count);
            all.push(others);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn effects_are_split_by_sign_and_counted() {
        let (raises, lowers, bins) = split(&[0.5, -1.0, 2.0, 0.0], 3);
        assert_eq!(raises, [(2, 2.0), (0, 0.5)]);
        assert_eq!(lowers, [(1, -1.0)]);
        assert_eq!(bins.iter().map(|bin| bin.1).sum::<usize>(), 4);
        assert_eq!((bins[0].1, bins[39].1), (1, 1));
    }

    #[test]
    fn the_nearest_latents_are_those_of_the_largest_cosine() {
        let rows = Tensor::<2>::from_floats(
            [[1.0, 0.0], [2.0, 0.1], [0.0, 3.0], [-1.0, 0.0]],
            &Device::flex(),
        );
        let found = nearest(&rows, &[0, 2], 2);
        assert_eq!(found[0].iter().map(|one| one.0).collect::<Vec<_>>(), [1, 2]);
        assert!((found[0][0].1 - 0.99875).abs() < 1e-4);
        assert_eq!(found[1][0].0, 1);
    }
}
