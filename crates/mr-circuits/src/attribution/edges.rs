//! Edge attribution patching.

mod layers;
mod stream;

use mr_models::{Edge, Joined, Labels, Model, Objective, Wiring};

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
    /// The mean over the nodes, and for each over this many steps from what it writes in the corrupt run to
    /// what it writes in the clean one, the clean one included, with everything before it clean: EAP-IG on
    /// activations, as Hanna et al.'s code has it, in which the heads of a block are one node. Between layers
    /// the nodes of a layer are one, and the mean for an edge is over those before its reader: through a layer
    /// that is given what it writes, no gradient of a chain comes back.
    Activations(usize),
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
/// and channels and averaged over the batch, for writer u and reader v; between layers, what writer u
/// sends goes through the edge's part of the linear map first. Edges that score far from 0 carry what the two
/// runs differ in.
///
/// # Errors
/// [`CircuitError::Unwired`] if the network has no edges, [`CircuitError::Steps`] for a path of
/// no steps, [`CircuitError::Score`] if activations or gradients are not finite, [`CircuitError::Model`] if
/// the inputs or the objective do not fit.
pub fn edge_attribution(
    model: &dyn Model,
    pair: &Pair,
    labels: &Labels,
    objective: &dyn Objective,
    path: Path,
) -> Result<EdgeScores, CircuitError> {
    let spec = model.spec();
    if spec.wiring.writers.is_empty() {
        return Err(CircuitError::Unwired {
            network: spec.name.clone(),
        });
    }
    if let Path::Inputs(0) | Path::Activations(0) = path {
        return Err(CircuitError::Steps);
    }
    spec.accepts(pair.clean())?;
    spec.accepts(pair.corrupt())?;
    let found = match &spec.wiring.joined {
        Joined::Stream => stream::edge_attribution(model, pair, labels, objective, path),
        Joined::Layers(_) => layers::edge_attribution(model, pair, labels, objective, path),
    }?;
    match found.scores.iter().find(|(_, score)| !score.is_finite()) {
        Some(&(edge, score)) => Err(CircuitError::Score {
            edge: found.wiring.name(edge),
            score,
        }),
        None => Ok(found),
    }
}

#[cfg(test)]
mod tests;
