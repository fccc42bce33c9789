//! Damage at each front, and what restoring its parts gives back.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use mr_circuits::{
    Damage, EdgeScores, Front, Orders, Restored, damage, edge_damage, restore, restore_edges,
    restore_own,
};
use mr_models::objective::Margin;
use mr_models::{Edge, Model, Network, Objective, Place};

use super::attacked::Attacked;
use crate::console::Console;
use crate::progress::Bar;
use crate::settings::DamageConfig;

/// The change at one front: nodes of a layer, or edges into one.
pub(super) struct Split {
    /// The site, or `edges.SITE` for those to it.
    pub(super) name: String,
    /// Names of the parts.
    pub(super) parts: Vec<String>,
    /// Mean share of each part.
    pub(super) shares: Vec<f64>,
    /// Mean change of the objective.
    pub(super) change: f64,
    /// How far the shares are from adding up.
    pub(super) error: f64,
    /// Accuracy with parts patched.
    pub(super) restored: Restored,
    /// By count, how many are right with the worst parts of each example itself; none of edges.
    pub(super) own: Vec<usize>,
    /// What shares foretell of these, of nodes and of the margin.
    pub(super) foretold: Option<Foretold>,
    /// The edges, where parts are edges.
    pub(super) edges: Vec<Edge>,
}

/// What would be if parts did not interact.
pub(super) struct Foretold {
    /// By count, how many would be right.
    pub(super) right: Vec<usize>,
    /// The part of the change that must be undone for that.
    pub(super) needed: f64,
}

impl Split {
    /// Parts by their share, the most harmful first.
    pub(super) fn ranked(&self) -> Vec<usize> {
        ranked(&self.shares)
    }

    /// The change split at every front, and over the edges of every layer.
    pub(super) fn all(
        attacked: &Attacked<'_>,
        fronts: &[Front],
        config: &DamageConfig,
        console: &Console,
    ) -> Result<Vec<Self>> {
        let mut splits = Vec::new();
        for front in fronts {
            splits.push(nodes(attacked, front, config, console)?);
        }
        if config.edges && !attacked.network.spec().wiring.writers.is_empty() {
            splits.extend(edges(attacked, config, console)?);
        }
        Ok(splits)
    }
}

fn nodes(
    attacked: &Attacked<'_>,
    front: &Front,
    config: &DamageConfig,
    console: &Console,
) -> Result<Split> {
    let name = match &front.place {
        Place::Input => "input",
        Place::Site(site) => site,
    };
    let halves = attacked.halves();
    let bar = console.bar(&format!("damage at {name}"), attacked.broken.len());
    let told = Told::new(&bar);
    let split = |examples: &[usize]| -> Result<Vec<Damage>> {
        attacked.batches(examples, |batch| {
            let (pair, labels) = attacked.pair(batch)?;
            let (network, objective) = (attacked.network, attacked.objective);
            let path = &config.path;
            let found = damage(
                network,
                &pair,
                &labels,
                objective,
                front,
                path,
                &mut |_, _| {},
            )?;
            told.more(batch.len());
            Ok(found)
        })
    };
    let mut seen = joined(split(&halves[0])?);
    let ranking = seen.ranked();
    let parts = split(&halves[1])?;
    drop(bar);
    let rest = joined(parts);
    let counts = counts(ranking.len());
    let own = restored_own(attacked, &rest, &halves[1], &counts)?;
    // Below 0 is right in the margin alone.
    let foretold = (attacked.objective.name() == Margin.name()).then(|| Foretold {
        right: rest.foretold(&counts),
        needed: rest.needed(),
    });
    seen.shares.extend(rest.shares);
    seen.change.extend(rest.change);
    seen.adversarial.extend(rest.adversarial);

    let seeds = seeds(attacked, config);
    let restored = restored(attacked, name, &halves[1], console, |batch, truth| {
        let orders = Orders {
            ranking: &ranking,
            counts: &counts,
            seeds: &seeds,
        };
        let (pair, _) = attacked.pair(batch)?;
        Ok(restore(
            attacked.network,
            &pair,
            truth,
            front,
            orders,
            &mut |_, _| {},
        )?)
    })?;
    let changes = seen.change.iter().copied().map(f64::from);
    Ok(Split {
        name: name.into(),
        parts: front.parts.iter().map(|part| part.name.clone()).collect(),
        shares: seen.mean(),
        change: changes.sum::<f64>() / seen.change.len() as f64,
        error: seen.completeness_error(),
        restored,
        own,
        foretold,
        edges: Vec::new(),
    })
}

/// The damage of several batches.
fn joined(parts: Vec<Damage>) -> Damage {
    let mut parts = parts.into_iter();
    let mut all = parts.next().expect("there are examples to split");
    for part in parts {
        all.shares.extend(part.shares);
        all.change.extend(part.change);
        all.adversarial.extend(part.adversarial);
        all.steps.extend(part.steps);
    }
    all
}

/// The damage of the edges to one layer.
#[derive(Default)]
pub(super) struct Layer {
    site: String,
    pub(super) edges: Vec<Edge>,
    /// Of each half of the examples, the sum of shares.
    sums: [Vec<f64>; 2],
    missed: f64,
    change: f64,
}

impl Layer {
    /// The shares of edges, summed over all examples.
    pub(super) fn sums(&self) -> impl Iterator<Item = f64> {
        let [first, second] = &self.sums;
        first.iter().zip(second).map(|(a, b)| a + b)
    }
}

/// The change split over the edges of every layer.
pub(super) fn by_edge(
    attacked: &Attacked<'_>,
    config: &DamageConfig,
    console: &Console,
) -> Result<Vec<Layer>> {
    let halves = attacked.halves();
    let bar = console.bar("damage of edges", attacked.broken.len());
    let told = Told::new(&bar);
    let mut layers: Vec<Layer> = Vec::new();
    for (half, examples) in halves.iter().enumerate() {
        let batches = attacked.batches(examples, |batch| {
            let (pair, labels) = attacked.pair(batch)?;
            let (network, objective) = (attacked.network, attacked.objective);
            let path = &config.path;
            let found = edge_damage(network, &pair, &labels, objective, path, &mut |_, _| {})?;
            told.more(batch.len());
            Ok((batch.len() as f64, found))
        })?;
        for (count, found) in batches {
            layers.resize_with(found.len(), Layer::default);
            for (layer, found) in layers.iter_mut().zip(found) {
                let scores = &found.scores.scores;
                layer.missed += found.completeness_error() * found.change.abs() * count;
                layer.change += found.change * count;
                layer.site = found.site;
                layer.edges = scores.iter().map(|&(edge, _)| edge).collect();
                layer.sums[half].resize(scores.len(), 0.0);
                for (sum, &(_, score)) in layer.sums[half].iter_mut().zip(scores) {
                    *sum += f64::from(score) * count;
                }
            }
        }
    }
    Ok(layers)
}

/// The edges to each layer, and what restoring them gives back.
fn edges(attacked: &Attacked<'_>, config: &DamageConfig, console: &Console) -> Result<Vec<Split>> {
    let wiring = &attacked.network.spec().wiring;
    let [_, examples] = attacked.halves();
    let all = attacked.broken.len() as f64;
    let split = |layer: Layer| {
        let ranking = ranked(&layer.sums[0]);
        let (counts, seeds) = (counts(ranking.len()), seeds(attacked, config));
        let name = format!("edges.{}", layer.site);
        let restored = restored(attacked, &name, &examples, console, |batch, truth| {
            let orders = Orders {
                ranking: &ranking,
                counts: &counts,
                seeds: &seeds,
            };
            let (pair, _) = attacked.pair(batch)?;
            let (network, edges) = (attacked.network, &layer.edges);
            Ok(restore_edges(
                network,
                &pair,
                truth,
                edges,
                orders,
                &mut |_, _| {},
            )?)
        })?;
        Ok(Split {
            name,
            parts: layer.edges.iter().map(|&edge| wiring.name(edge)).collect(),
            shares: layer.sums().map(|sum| sum / all).collect(),
            change: layer.change / all,
            error: layer.missed / layer.change.abs(),
            restored,
            own: Vec::new(),
            foretold: None,
            edges: layer.edges,
        })
    };
    let layers = by_edge(attacked, config, console)?;
    layers.into_iter().map(split).collect()
}

/// Accuracy with parts restored, over batches.
fn restored(
    attacked: &Attacked<'_>,
    name: &str,
    examples: &[usize],
    console: &Console,
    job: impl Fn(&[usize], &[usize]) -> Result<Restored> + Sync,
) -> Result<Restored> {
    let bar = console.bar(&format!("restoring {name}"), examples.len());
    let told = Told::new(&bar);
    let batches = attacked.batches(examples, |batch| {
        let found = job(batch, &attacked.truth(batch));
        told.more(batch.len());
        found
    })?;
    let mut batches = batches.into_iter();
    let mut all = batches.next().expect("there are examples to restore");
    batches.for_each(|more| all.add(&more));
    Ok(all)
}

/// How many are right with each example's own worst parts restored, by count.
fn restored_own(
    attacked: &Attacked<'_>,
    split: &Damage,
    examples: &[usize],
    counts: &[usize],
) -> Result<Vec<usize>> {
    let place = |at: &usize| examples.iter().position(|other| other == at);
    let batches = attacked.batches(examples, |batch| {
        let (pair, _) = attacked.pair(batch)?;
        let first = batch.first().and_then(place).unwrap_or(0);
        let rows = first..first + batch.len();
        let part = Damage {
            front: split.front.clone(),
            shares: split.shares[rows.clone()].to_vec(),
            change: split.change[rows.clone()].to_vec(),
            adversarial: split.adversarial[rows.clone()].to_vec(),
            steps: split.steps[rows].to_vec(),
        };
        Ok(restore_own(
            attacked.network,
            &pair,
            &attacked.truth(batch),
            &part,
            counts,
        )?)
    })?;
    let mut right = vec![0; counts.len()];
    for batch in batches {
        for (right, more) in right.iter_mut().zip(batch) {
            *right += more;
        }
    }
    Ok(right)
}

/// A bar that several threads move.
struct Told<'a> {
    bar: &'a Bar,
    done: Mutex<usize>,
}

impl<'a> Told<'a> {
    fn new(bar: &'a Bar) -> Self {
        Self {
            bar,
            done: Mutex::new(0),
        }
    }

    fn more(&self, count: usize) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        *done += count;
        self.bar.at(*done, String::new);
    }
}

fn ranked(shares: &[f64]) -> Vec<usize> {
    let mut parts: Vec<usize> = (0..shares.len()).collect();
    parts.sort_by(|&a, &b| shares[b].total_cmp(&shares[a]));
    parts
}

fn seeds(attacked: &Attacked<'_>, config: &DamageConfig) -> Vec<u64> {
    let first = attacked.opened.settings.seed.unwrap_or(0);
    (0..config.random)
        .map(|seed| first.wrapping_add(seed))
        .collect()
}

/// How many parts to restore: few one by one, then half as many again each time, and all.
fn counts(parts: usize) -> Vec<usize> {
    let mut counts = vec![0];
    let mut next = 1;
    while next < parts {
        counts.push(next);
        next += (next / 2).max(1);
    }
    counts.push(parts);
    counts
}

/// The share of every edge of the network; none where edges were left out, or only those to the logits are
/// known.
pub(super) fn scores(splits: &[Split], network: &Network) -> Option<EdgeScores> {
    let edges = splits
        .iter()
        .flat_map(|split| split.edges.iter().zip(&split.shares));
    all_scores(edges.map(|(&edge, &share)| (edge, share)), network)
}

/// The same of edges with their shares; of an edge that goes around layers, that in the layer where it ends.
pub(super) fn all_scores(
    edges: impl Iterator<Item = (Edge, f64)>,
    network: &Network,
) -> Option<EdgeScores> {
    let shares: BTreeMap<Edge, f64> = edges.collect();
    let wiring = network.spec().wiring.clone();
    let all = wiring.edges().into_iter();
    let scores = all.map(|edge| Some((edge, *shares.get(&edge)? as f32)));
    let scores: Vec<(Edge, f32)> = scores.collect::<Option<_>>()?;
    (!scores.is_empty()).then_some(EdgeScores { wiring, scores })
}

#[cfg(test)]
mod tests {
    use super::counts;

    #[test]
    fn counts_begin_with_none_and_end_with_all() {
        assert_eq!(counts(1), [0, 1]);
        assert_eq!(counts(10), [0, 1, 2, 3, 4, 6, 9, 10]);
        assert!(counts(12800).len() < 30);
    }
}
