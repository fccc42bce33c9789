//! A circuit: some of a network's edges.

use std::collections::BTreeSet;

use mr_models::{Edge, ModelSpec, Wiring};

use super::nodes::Nodes;
use crate::attribution::EdgeScores;
use crate::error::CircuitError;

/// Some edges of a network, with the score that every edge of it was given: what attribution and
/// discovery find, what is saved, drawn, compared and evaluated. [`Cut`](crate::Cut) with
/// [`cut_edges`](Self::cut_edges) is the network that runs as this circuit.
#[derive(Debug, Clone, PartialEq)]
pub struct Circuit {
    scores: EdgeScores,
    /// By edge, in the order of the scores.
    pub(super) kept: Vec<bool>,
}

impl Circuit {
    /// The circuit of these edges.
    ///
    /// # Errors
    /// [`CircuitError::Score`] if a score is NaN.
    pub fn new(scores: EdgeScores, kept: &[Edge]) -> Result<Self, CircuitError> {
        let kept: BTreeSet<Edge> = kept.iter().copied().collect();
        let is_kept = |(edge, _): &(Edge, f32)| kept.contains(edge);
        let kept = scores.scores.iter().map(is_kept).collect();
        Self::of(scores, kept)
    }

    /// The whole network, every edge of which scores 1.
    pub fn whole(wiring: &Wiring) -> Self {
        let edges = wiring.edges();
        Self {
            kept: vec![true; edges.len()],
            scores: EdgeScores {
                wiring: wiring.clone(),
                scores: edges.into_iter().map(|edge| (edge, 1.0)).collect(),
            },
        }
    }

    pub(super) fn of(scores: EdgeScores, kept: Vec<bool>) -> Result<Self, CircuitError> {
        let mut all = scores.scores.iter();
        if let Some(&(edge, score)) = all.find(|(_, score)| score.is_nan()) {
            return Err(CircuitError::Score {
                edge: scores.wiring.name(edge),
                score,
            });
        }
        Ok(Self { scores, kept })
    }

    /// What writes and what reads.
    pub fn wiring(&self) -> &Wiring {
        &self.scores.wiring
    }

    /// Every edge of the network with its score.
    pub fn scores(&self) -> &EdgeScores {
        &self.scores
    }

    /// The edges of the circuit, in forward order.
    pub fn kept(&self) -> Vec<Edge> {
        self.where_kept(true)
    }

    /// The edges that are not in the circuit, in forward order.
    pub fn cut_edges(&self) -> Vec<Edge> {
        self.where_kept(false)
    }

    fn where_kept(&self, wanted: bool) -> Vec<Edge> {
        let all = self.scores.scores.iter().zip(&self.kept);
        all.filter(|(_, kept)| **kept == wanted)
            .map(|((edge, _), _)| *edge)
            .collect()
    }

    /// The edges of the circuit with their scores, in forward order.
    pub fn scored(&self) -> impl Iterator<Item = (Edge, f32)> {
        let all = self.scores.scores.iter().zip(&self.kept);
        all.filter(|(_, kept)| **kept).map(|(scored, _)| *scored)
    }

    /// Number of its edges.
    pub fn len(&self) -> usize {
        self.kept.iter().filter(|kept| **kept).count()
    }

    /// Whether it has no edge.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of the network's edges.
    pub fn edges(&self) -> usize {
        self.kept.len()
    }

    /// The nodes that an edge of it touches, in forward order.
    pub fn nodes(&self) -> Vec<String> {
        let nodes = Nodes::of(self.wiring());
        let mut touched = vec![false; nodes.names.len()];
        for (edge, _) in self.scored() {
            touched[nodes.writers[edge.writer]] = true;
            touched[nodes.readers[edge.reader]] = true;
        }
        let named = nodes.names.into_iter().zip(touched);
        named
            .filter(|(_, touched)| *touched)
            .map(|(name, _)| name)
            .collect()
    }

    /// Checks that it is a circuit of this model, and not an empty one.
    ///
    /// # Errors
    /// [`CircuitError::Foreign`] naming the first edge that only one of them has, and
    /// [`CircuitError::Empty`].
    pub fn fits(&self, spec: &ModelSpec) -> Result<(), CircuitError> {
        let (own, theirs) = (self.wiring(), &spec.wiring);
        if own != theirs {
            let foreign = |reason: String| CircuitError::Foreign {
                network: spec.name.clone(),
                reason,
            };
            let names = |wiring: &Wiring| -> BTreeSet<String> {
                let edges = wiring.edges().into_iter();
                edges.map(|edge| wiring.name(edge)).collect()
            };
            let (ours, others) = (names(own), names(theirs));
            return Err(foreign(
                match (
                    ours.difference(&others).next(),
                    others.difference(&ours).next(),
                ) {
                    (Some(edge), _) => format!("the network has no edge `{edge}`"),
                    (None, Some(edge)) => format!("the circuit has no edge `{edge}`"),
                    (None, None) => "its nodes are of another width".into(),
                },
            ));
        }
        if self.is_empty() {
            return Err(CircuitError::Empty);
        }
        Ok(())
    }
}
