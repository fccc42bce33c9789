//! Edge attribution patching.

mod layers;

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use mr_models::{
    Edge, Joined, Labels, Model, Objective, Port, Tap, Wiring, floats, run_with_cache,
    value_and_grad_at,
};

use crate::error::CircuitError;
use crate::pair::Pair;

/// Where gradients are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Path {
    /// At the clean input: EAP (Syed, Rager & Conmy 2023).
    #[default]
    Clean,
    /// The mean over this many steps from the corrupt to the clean embedding, the clean one included:
    /// EAP-IG (Hanna, Pezzelle & Belinkov 2024, eq. 4).
    Inputs(usize),
}

/// How much each edge would move an objective if it carried what it carries in the corrupt run.
#[derive(Debug, Clone, PartialEq)]
pub struct EdgeScores {
    /// What writes and what reads.
    pub wiring: Wiring,
    /// Every edge with its score, reader by reader.
    pub scores: Vec<(Edge, f32)>,
}

impl EdgeScores {
    /// The score of the edge of this name, such as `a0.h1->m0`.
    ///
    /// # Errors
    /// [`CircuitError::Model`] for a name that is none.
    ///
    /// # Panics
    /// If the scores are not those of the wiring.
    pub fn get(&self, name: &str) -> Result<f32, CircuitError> {
        let edge = self.wiring.edge(name)?;
        let found = self.scores.iter().find(|(at, _)| *at == edge);
        Ok(found.expect("every edge has a score").1)
    }

    /// Names and scores, the largest in size first; of equal ones the earlier in the network.
    pub fn ranked(&self) -> Vec<(String, f32)> {
        let mut ranked = self.scores.clone();
        ranked.sort_by(|(_, a), (_, b)| b.abs().total_cmp(&a.abs()));
        let named = ranked.into_iter();
        named
            .map(|(edge, score)| (self.wiring.name(edge), score))
            .collect()
    }
}

/// The attribution of every edge: `(corrupt_u - clean_u) . d objective / d input_v`, summed over positions
/// and channels and averaged over the batch, for writer u and reader v; in a chain of layers, what writer u
/// sends goes through the edge's part of the linear map first. Edges that score far from 0 carry what the two
/// runs differ in.
///
/// # Errors
/// [`CircuitError::Unwired`] if the network has no edges, [`CircuitError::Steps`] for a path of
/// no steps, [`CircuitError::Model`] if the objective does not fit.
pub fn edge_attribution(
    model: &dyn Model,
    pair: &Pair,
    labels: &Labels,
    objective: &dyn Objective,
    path: Path,
) -> Result<EdgeScores, CircuitError> {
    let wiring = model.spec().wiring.clone();
    let Some(input) = wiring.writers.first() else {
        return Err(CircuitError::Unwired {
            network: model.spec().name.clone(),
        });
    };
    if wiring.joined == Joined::Layers {
        return layers::edge_attribution(model, pair, labels, objective, path);
    }
    let sites: Vec<&str> = wiring.writers.iter().map(|p| p.site.as_str()).collect();
    let (_, clean) = run_with_cache(model, pair.clean(), &sites)?;
    let (_, corrupt) = run_with_cache(model, pair.corrupt(), &sites)?;
    let mut changes = BTreeMap::new();
    for site in sites {
        let change = corrupt.get(site)?.clone() - clean.get(site)?.clone();
        changes.insert(site.to_string(), change);
    }
    let steps = match path {
        Path::Clean => 1,
        Path::Inputs(0) => return Err(CircuitError::Steps),
        Path::Inputs(steps) => steps,
    };
    let mut gradients = BTreeMap::<String, Tensor<3>>::new();
    for step in 1..=steps {
        let back = 1.0 - step as f32 / steps as f32;
        let added = (back > 0.0).then(|| changes[&input.site].clone() * back);
        let start = Tap {
            site: input.site.clone(),
            added,
        };
        let mut taps = vec![start];
        for reader in &wiring.readers {
            if taps.iter().all(|tap| tap.site != reader.site) {
                taps.push(Tap {
                    site: reader.site.clone(),
                    added: None,
                });
            }
        }
        let found = value_and_grad_at(model, pair.clean(), labels, objective, false, &taps)?;
        for reader in &wiring.readers {
            if step == 1 {
                gradients.insert(reader.site.clone(), found.site(&reader.site).clone());
            }
        }
        if step > 1 {
            for (site, sum) in &mut gradients {
                *sum = sum.clone() + found.site(site).clone();
            }
        }
    }
    let share = 1.0 / (steps * pair.clean().batch().max(1)) as f32;
    let rows = |ports: &[Port], at: &BTreeMap<String, Tensor<3>>| {
        let row = |port: &Port| at[&port.site].clone().slice_dim(2, port.channels.clone());
        Tensor::cat(
            ports
                .iter()
                .map(|port| row(port).flatten::<1>(0, 2).unsqueeze::<2>())
                .collect(),
            0,
        )
    };
    let written = rows(&wiring.writers, &changes);
    let read = rows(&wiring.readers, &gradients);
    let width = wiring.writers.len();
    let all = floats(read.matmul(written.transpose()) * share);
    let scores = wiring.edges().into_iter();
    let scores = scores
        .map(|edge| (edge, all[edge.reader * width + edge.writer]))
        .collect();
    Ok(EdgeScores { wiring, scores })
}

#[cfg(test)]
mod tests;
