//! Which edges make a circuit, by their scores.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use mr_models::Edge;

use super::graph::Circuit;
use super::nodes::Nodes;
use crate::attribution::EdgeScores;
use crate::error::CircuitError;

/// What makes an edge count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ranking {
    /// The size of its score: edges that hinder the behaviour count too.
    #[default]
    Absolute,
    /// Its score.
    Signed,
}

impl Ranking {
    fn of(self, score: f32) -> f32 {
        match self {
            Self::Absolute => score.abs(),
            Self::Signed => score,
        }
    }
}

impl Circuit {
    /// The n edges that count most; of equal ones the earlier in the network.
    ///
    /// # Errors
    /// [`CircuitError::Count`] if there are not so many, [`CircuitError::Score`] if one is NaN.
    pub fn top(scores: EdgeScores, n: usize, ranking: Ranking) -> Result<Self, CircuitError> {
        let all = enough(&scores, n)?;
        let mut order: Vec<usize> = (0..all).collect();
        let rank = |at: &usize| ranking.of(scores.scores[*at].1);
        order.sort_by(|a, b| rank(b).total_cmp(&rank(a)));
        let mut kept = vec![false; all];
        order[..n].iter().for_each(|&at| kept[at] = true);
        Self::of(scores, kept)
    }

    /// The edges that count this much or more.
    ///
    /// # Errors
    /// [`CircuitError::Score`] if a score is NaN.
    pub fn above(
        scores: EdgeScores,
        threshold: f32,
        ranking: Ranking,
    ) -> Result<Self, CircuitError> {
        let rank = |(_, score): &(Edge, f32)| ranking.of(*score) >= threshold;
        let kept = scores.scores.iter().map(rank).collect();
        Self::of(scores, kept)
    }

    /// n edges from the logits back: always the one that counts most of those into a node of the circuit
    /// (Hanna, Pezzelle & Belinkov 2024, section 3). Every edge leads to the logits.
    ///
    /// # Errors
    /// Those of [`top`](Self::top).
    pub fn greedy(scores: EdgeScores, n: usize, ranking: Ranking) -> Result<Self, CircuitError> {
        let all = enough(&scores, n)?;
        let nodes = Nodes::of(&scores.wiring);
        let mut into = vec![Vec::new(); nodes.names.len()];
        for (at, (edge, _)) in scores.scores.iter().enumerate() {
            into[nodes.readers[edge.reader]].push(at);
        }
        let mut reached = vec![false; nodes.names.len()];
        let mut open = BinaryHeap::new();
        let candidates = |node: usize| {
            let into: &Vec<usize> = &into[node];
            into.iter().map(|&at| Candidate {
                rank: ranking.of(scores.scores[at].1),
                at,
            })
        };
        for node in (0..reached.len()).filter(|&node| nodes.is_output(node)) {
            reached[node] = true;
            open.extend(candidates(node));
        }
        let mut kept = vec![false; all];
        for _ in 0..n {
            let Some(best) = open.pop() else { break };
            kept[best.at] = true;
            let from = nodes.writers[scores.scores[best.at].0.writer];
            if !reached[from] {
                reached[from] = true;
                open.extend(candidates(from));
            }
        }
        Self::of(scores, kept)
    }

    /// Without the edges that lie on no path from the input to the logits: what they carry either does not
    /// depend on the input or does not arrive.
    #[must_use]
    pub fn pruned(mut self) -> Self {
        let nodes = Nodes::of(self.wiring());
        let count = nodes.names.len();
        let mut fed: Vec<bool> = (0..count).map(|node| nodes.is_input(node)).collect();
        let mut read: Vec<bool> = (0..count).map(|node| nodes.is_output(node)).collect();
        let ends = |edge: &Edge| (nodes.writers[edge.writer], nodes.readers[edge.reader]);
        // Edges come reader by reader in forward order, so that one pass each way is enough.
        let kept = self.kept();
        for (from, to) in kept.iter().map(ends) {
            fed[to] |= fed[from];
        }
        for (from, to) in kept.iter().rev().map(ends) {
            read[from] |= read[to];
        }
        let on_path: Vec<bool> = {
            let all = self.scores().scores.iter().map(|(edge, _)| ends(edge));
            all.map(|(from, to)| fed[from] && read[to]).collect()
        };
        for (kept, on_path) in self.kept.iter_mut().zip(on_path) {
            *kept &= on_path;
        }
        self
    }
}

fn enough(scores: &EdgeScores, n: usize) -> Result<usize, CircuitError> {
    let edges = scores.scores.len();
    if n > edges {
        return Err(CircuitError::Count { n, edges });
    }
    Ok(edges)
}

/// An edge that may be taken next: the one of the highest rank, of equal ones the earlier.
struct Candidate {
    rank: f32,
    at: usize,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        let earlier = other.at.cmp(&self.at);
        self.rank.total_cmp(&other.rank).then(earlier)
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}
