//! The change of an objective, split over edges.

use burn::tensor::Tensor;
use mr_models::{
    Edge, Joined, Labels, Model, Objective, Place, Site, Wiring, floats, run_with_cache,
};

use super::front::Front;
use super::integrate::{Integration, Moved, integrate, moved};
use super::restore::{Orders, Restored, right};
use super::split::{completeness_error, damage};
use crate::ablation::Ablation;
use crate::attribution::EdgeScores;
use crate::cut::Cut;
use crate::error::CircuitError;
use crate::layered::{Layered, Linked};
use crate::pair::Pair;

/// What each edge into the nodes of one layer, or around it, contributes to the change of an objective, in the
/// mean over the batch.
#[derive(Debug, Clone, PartialEq)]
pub struct EdgeDamage {
    /// The site that the edges lead to.
    pub site: String,
    /// Their shares.
    pub scores: EdgeScores,
    /// Mean change of the objective.
    pub change: f64,
}

impl EdgeDamage {
    /// How much of the mean change the shares miss or add, as a part of it.
    pub fn completeness_error(&self) -> f64 {
        let scores = self.scores.scores.iter();
        let sum: f64 = scores.map(|&(_, score)| f64::from(score)).sum();
        completeness_error(std::iter::once((sum - self.change, self.change)))
    }
}

/// Splits the change of an objective over edges: of layers over those into each in turn, with those that go
/// around it, such as the skip of a residual block around the block's inner layer; of a residual stream over
/// those to the logits. The path is the straight one at what these edges lead to, and what is read is the sum of
/// what they carry: the shares of one layer's edges add up to the change.
///
/// `progress` is told how many examples of how many are done.
///
/// # Errors
/// [`CircuitError::Unwired`] if the network has no edges, and those of [`damage`].
pub fn edge_damage(
    model: &dyn Model,
    pair: &Pair,
    labels: &Labels,
    objective: &dyn Objective,
    integration: &Integration,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<EdgeDamage>, CircuitError> {
    let wiring = &model.spec().wiring;
    if wiring.joined == Joined::Stream {
        let of = to_logits(model, pair, labels, objective, integration, progress)?;
        return Ok(vec![of]);
    }
    let layered = Layered::of(model)?;
    let (_, before) = run_with_cache(model, pair.clean(), &layered.written())?;
    let (_, after) = run_with_cache(model, pair.corrupt(), &layered.written())?;
    let sent = |input, cache| layered.sent(input, cache);
    let (before, after) = (sent(pair.clean(), &before)?, sent(pair.corrupt(), &after)?);
    let sent = before.into_iter().zip(after);
    let changes: Vec<Tensor<4>> = sent.map(|(before, after)| after - before).collect();
    let batch = pair.clean().batch().max(1);
    let sites = layered.read();
    let mut found = Vec::with_capacity(sites.len());
    for (at, &site) in sites.iter().enumerate() {
        let across = layered.across(site);
        let mut path = vec![moved(model, pair, &Place::site(site))?];
        for &joint in &across {
            let Linked { sites, link, .. } = &layered.joints[joint];
            let place = Place::site(&sites[1].name);
            if sites[1].name == site {
                continue;
            }
            // What goes around the layer moves on the same path.
            let change = Site::of_map(link.received(changes[joint].clone()));
            match path.iter_mut().find(|moved| moved.place == place) {
                Some(moved) => moved.change = moved.change.clone() + change,
                None => path.push(Moved { place, change }),
            }
        }
        let mut told = |done, of| progress(at * of + done, sites.len() * of);
        let way = integrate(model, pair, labels, objective, path, integration, &mut told)?;
        let mut scores = Vec::new();
        for joint in across {
            let linked = &layered.joints[joint];
            let place = Place::site(&linked.sites[1].name);
            let places = way.moved.iter().zip(&way.gradients);
            for (_, gradient) in places.filter(|(moved, _)| moved.place == place) {
                let gradient = linked.sites[1].as_map(gradient.clone());
                let along = linked.link.along(changes[joint].clone(), gradient);
                scores.extend(linked.edges(wiring, &floats(along / batch as f32)));
            }
        }
        scores.sort_by_key(|(edge, _)| (edge.reader, edge.writer));
        let [clean, corrupt] = way.values;
        let change = corrupt.iter().zip(&clean).map(|(b, a)| f64::from(b - a));
        found.push(EdgeDamage {
            site: site.into(),
            scores: EdgeScores {
                wiring: wiring.clone(),
                scores,
            },
            change: change.sum::<f64>() / batch as f64,
        });
    }
    Ok(found)
}

fn to_logits(
    model: &dyn Model,
    pair: &Pair,
    labels: &Labels,
    objective: &dyn Objective,
    integration: &Integration,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<EdgeDamage, CircuitError> {
    let wiring: &Wiring = &model.spec().wiring;
    let front = Front::writers(model.spec())?;
    let split = damage(
        model,
        pair,
        labels,
        objective,
        &front,
        integration,
        progress,
    )?;
    let reader = wiring.readers.len() - 1;
    let mean = split.mean().into_iter().enumerate();
    let scores = mean.map(|(writer, share)| (Edge { writer, reader }, share as f32));
    Ok(EdgeDamage {
        site: wiring.readers[reader].site.clone(),
        scores: EdgeScores {
            wiring: wiring.clone(),
            scores: scores.collect(),
        },
        change: split.change.iter().copied().map(f64::from).sum::<f64>()
            / split.change.len().max(1) as f64,
    })
}

/// Gives the first `counts` edges of a ranking what they carry in the clean run, in the adversarial one, and
/// reads how many examples get their true class again; and the same with edges in random orders, one for
/// each seed. `ranking` are indices into `edges`.
///
/// # Errors
/// [`CircuitError::Unwired`] if the network has no edges, [`CircuitError::Parts`] for more edges than there
/// are.
///
/// # Panics
/// If the ranking names edges that there are not, or there is not one true class for each example.
pub fn restore_edges(
    model: &dyn Model,
    pair: &Pair,
    truth: &[usize],
    edges: &[Edge],
    orders: Orders<'_>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Restored, CircuitError> {
    let cut = Cut::new(model, &[], &Ablation::Resample(pair.clean().clone()))?;
    let restored = |chosen: &[usize]| {
        let chosen: Vec<Edge> = chosen.iter().map(|&at| edges[at]).collect();
        right(&cut.with(&chosen).logits(pair.corrupt()), truth)
    };
    orders.through(truth.len(), &restored, progress)
}
