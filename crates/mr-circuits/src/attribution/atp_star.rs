//! Attribution patching with the corrections of AtP*.

use std::ops::Range;

use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor};
use mr_models::{Hook, Input, Labels, Model, ModelSpec, Objective, Region, Site, floats};

use super::nodes::{NodeScore, Taken, no_head};
use crate::error::CircuitError;
use crate::pair::Pair;

/// AtP* (Kramár et al. 2024), which has fewer false negatives than
/// [`node_attribution`](crate::node_attribution):
///
/// - queries and keys are patched through the softmax itself, and only from the attention pattern on by the
///   gradient (section 3.1.1): a saturated softmax has no slope where a patch moves it far. A node of
///   `attn.hook_q` or `attn.hook_k` must be one head, at all positions or some; keys go one position at a time
///   and are added up, as in the paper;
/// - gradients are taken once for each block with that block's outputs left out of the way back (GradDrop,
///   section 3.1.2), so that a direct and an indirect effect that cancel are seen: a score is
///   `1/(L-1) sum over blocks |score without the block|`, at least 0. A network of one block has none to drop.
///
/// # Errors
/// Those of [`node_attribution`](crate::node_attribution), and [`CircuitError::Unstreamed`] if the network has no
/// attention blocks.
pub fn atp_star(
    model: &dyn Model,
    pair: &Pair,
    labels: &Labels,
    objective: &dyn Objective,
    nodes: &[(String, Region)],
) -> Result<Vec<NodeScore>, CircuitError> {
    let spec = model.spec();
    let is_out = |site: &&Site| site.name.ends_with(".hook_attn_out");
    let layers = spec.sites.iter().filter(is_out).count();
    if layers == 0 {
        return Err(CircuitError::Unstreamed {
            network: spec.name.clone(),
        });
    }
    let mut others = Vec::new();
    for (site, _) in nodes {
        if let Some(part) = Part::of(site, spec) {
            others.extend([part.queries, part.keys, part.scores, part.pattern]);
        }
    }
    let with = |layer: Option<usize>| -> Result<(Taken, Vec<f32>), CircuitError> {
        let dropped = layer.map(|layer| Dropped { model, layer });
        let model = dropped
            .as_ref()
            .map_or(model, |dropped| dropped as &dyn Model);
        let taken = Taken::of(model, pair, labels, objective, nodes, &others)?;
        let sums = nodes.iter().map(|node| match Part::of(&node.0, spec) {
            Some(part) => part.through_softmax(&taken, node, spec),
            None => Ok(taken.linear(node)),
        });
        let sums = sums.collect::<Result<_, _>>()?;
        Ok((taken, sums))
    };
    if layers == 1 {
        let (taken, sums) = with(None)?;
        let all = nodes.iter().zip(sums);
        return all.map(|(node, sum)| taken.score(node, sum)).collect();
    }
    let (taken, sums) = with(Some(0))?;
    let share = (layers - 1) as f32;
    let mut totals: Vec<f32> = sums.into_iter().map(|sum| sum.abs() / share).collect();
    for layer in 1..layers {
        for (total, sum) in totals.iter_mut().zip(with(Some(layer))?.1) {
            *total += sum.abs() / share;
        }
    }
    let all = nodes.iter().zip(totals);
    all.map(|(node, total)| taken.score(node, total)).collect()
}

/// The attention that a node of queries or keys is part of.
struct Part {
    is_query: bool,
    queries: String,
    keys: String,
    scores: String,
    pattern: String,
}

impl Part {
    fn of(site: &str, spec: &ModelSpec) -> Option<Self> {
        let (prefix, name) = site.split_once("attn.hook_")?;
        let is_query = match name {
            "q" => true,
            "k" => false,
            _ => return None,
        };
        let at = |name: &str| format!("{prefix}attn.hook_{name}");
        // What scores are made of: turned by the position where the network does that.
        let turned = |name: &str| {
            let turned = at(&format!("rot_{name}"));
            let is_there = spec.sites.iter().any(|site| site.name == turned);
            if is_there { turned } else { at(name) }
        };
        Some(Self {
            is_query,
            queries: turned("q"),
            keys: turned("k"),
            scores: at("attn_scores"),
            pattern: at("pattern"),
        })
    }

    /// What the pattern's change does by the gradient there, summed over the region and the batch.
    fn through_softmax(
        &self,
        taken: &Taken,
        (site, region): &(String, Region),
        spec: &ModelSpec,
    ) -> Result<f32, CircuitError> {
        let scores = taken.clean[&self.scores].clone();
        let [batch, positions, across] = scores.dims();
        let heads = across / positions;
        let width = taken.clean[&self.queries].dims()[2] / heads;
        let sharing = heads * width / taken.clean[&self.keys].dims()[2];
        let channels = region
            .channels
            .clone()
            .unwrap_or(0..spec.site(site)?.channels);
        if channels.len() != width || !channels.start.is_multiple_of(width) {
            return Err(no_head(site, region));
        }
        let place = channels.start / width;
        // Keys of a group are those of several heads.
        let readers = if self.is_query {
            place..place + 1
        } else {
            place * sharing..(place + 1) * sharing
        };
        let part =
            |all: &Tensor<3>, head: usize, width: usize| all.clone().narrow(2, head * width, width);
        let where_patched = region.positions.clone().unwrap_or(0..positions);
        let mut sum = 0.0;
        for head in readers {
            let [query, key] = [head, head / sharing];
            let before = part(&scores, head, positions);
            let queries = if self.is_query {
                &taken.corrupt
            } else {
                &taken.clean
            };
            let keys = if self.is_query {
                &taken.clean
            } else {
                &taken.corrupt
            };
            let queries = part(&queries[&self.queries], query, width);
            let keys = part(&keys[&self.keys], key, width);
            let after = queries.matmul(keys.transpose()) / (width as f32).sqrt();
            // What is masked stays so.
            let masked = before.clone().lower_elem(f32::MIN);
            let slope = part(&taken.gradients[&self.pattern], head, positions);
            let pattern = part(&taken.clean[&self.pattern], head, positions);
            let after = after.mask_fill(masked, f32::NEG_INFINITY);
            let effect = |scores: Tensor<3>, queries: Range<usize>| {
                let change = (softmax(scores, 2) - pattern.clone()) * slope.clone();
                floats(change.narrow(1, queries.start, queries.len()).sum())[0]
            };
            if self.is_query {
                sum += effect(after, where_patched.clone());
                continue;
            }
            for key in where_patched.clone() {
                let column = after.clone().narrow(2, key, 1);
                let place = [0..batch, 0..positions, key..key + 1];
                sum += effect(before.clone().slice_assign(place, column), 0..positions);
            }
        }
        Ok(sum)
    }
}

/// A model whose gradients do not go through what one block adds to the stream.
struct Dropped<'a> {
    model: &'a dyn Model,
    layer: usize,
}

impl Model for Dropped<'_> {
    fn spec(&self) -> &ModelSpec {
        self.model.spec()
    }

    fn device(&self) -> Device {
        self.model.device()
    }

    fn run(&self, input: &Input, hook: &mut dyn Hook) -> Tensor<3> {
        let outputs = ["hook_attn_out", "hook_mlp_out"];
        let mut dropping = Dropping {
            outputs: outputs.map(|name| format!("blocks.{}.{name}", self.layer)),
            hook,
        };
        self.model.run(input, &mut dropping)
    }
}

struct Dropping<'a> {
    outputs: [String; 2],
    hook: &'a mut dyn Hook,
}

impl Dropping<'_> {
    fn is_output(&self, site: &Site) -> bool {
        self.outputs.contains(&site.name)
    }
}

impl Hook for Dropping<'_> {
    fn wants(&self, site: &Site) -> bool {
        self.is_output(site) || self.hook.wants(site)
    }

    fn only_reads(&self, site: &Site) -> bool {
        !self.is_output(site) && self.hook.only_reads(site)
    }

    fn at(&mut self, site: &Site, mut activation: Tensor<3>) -> Tensor<3> {
        if self.hook.wants(site) {
            activation = self.hook.at(site, activation);
        }
        if self.is_output(site) && activation.is_autodiff() {
            activation = activation.inner();
        }
        activation
    }
}

#[cfg(test)]
mod tests;
