//! Faithfulness by how many nodes are kept.

use anyhow::Result;
use mr_circuits::{
    Ablated, DictionaryAt, FeatureAblation, FeatureFaithfulness, FeatureNode, shuffled_nodes,
};
use mr_models::Objective;

use super::super::given::Given;
use crate::console::Console;
use crate::opened::Opened;

/// Faithfulness that is asked how many nodes it takes.
pub(super) const ENOUGH: f64 = 0.9;

/// What a growing circuit does.
pub(super) struct Curves {
    /// The strongest nodes, errors among them.
    pub(super) strongest: Vec<FeatureFaithfulness>,
    /// The strongest latents, without any error.
    pub(super) latents: Vec<FeatureFaithfulness>,
    /// Random orders of all nodes, one by one.
    pub(super) random: Vec<Vec<FeatureFaithfulness>>,
}

impl Curves {
    /// Of nodes from the strongest on.
    pub(super) fn of(
        opened: &Opened<Given>,
        objective: &dyn Objective,
        dictionaries: &[DictionaryAt],
        ablation: &FeatureAblation,
        nodes: &[FeatureNode],
        random: usize,
        console: &Console,
    ) -> Result<Self> {
        let given = &opened.data;
        let ablated = Ablated::new(
            &opened.subject.network,
            given.pair.clean(),
            &given.labels,
            objective,
            dictionaries,
            ablation,
        )?;
        let is_latent = |node: &&FeatureNode| matches!(node, FeatureNode::Latent { .. });
        let latents: Vec<FeatureNode> = nodes.iter().filter(is_latent).cloned().collect();
        let seed = opened.settings.seed.unwrap_or(0);
        let orders = (0..random as u64).map(|draw| shuffled_nodes(nodes, seed.wrapping_add(draw)));
        let mut orders: Vec<Vec<FeatureNode>> = orders.collect();
        orders.push(latents);
        orders.push(nodes.to_vec());
        let of = orders.iter().map(|order| sizes(order.len()).len()).sum();
        let bar = console.bar("faithfulness", of);
        let mut done = 0;
        let mut curves = Vec::new();
        for order in &orders {
            let mut curve = Vec::new();
            for size in sizes(order.len()) {
                curve.push(ablated.with(&order[..size])?);
                done += 1;
                bar.at(done, String::new);
            }
            curves.push(curve);
        }
        let strongest = curves.pop().unwrap_or_default();
        let latents = curves.pop().unwrap_or_default();
        Ok(Self {
            strongest,
            latents,
            random: curves,
        })
    }

    /// The least of the sizes that were tried from which on the strongest nodes are faithful enough.
    pub(super) fn enough(&self) -> Option<usize> {
        let is_enough = |one: &&FeatureFaithfulness| one.faithfulness() >= ENOUGH;
        let run = self.strongest.iter().rev().take_while(is_enough);
        run.last().map(|one| one.nodes)
    }

    /// The mean over random orders, and the least and the largest, by size.
    pub(super) fn control(&self) -> Vec<(usize, [f64; 3])> {
        let Some(first) = self.random.first() else {
            return Vec::new();
        };
        let at = |at: usize| {
            let all: Vec<f64> = self
                .random
                .iter()
                .map(|one| one[at].faithfulness())
                .collect();
            let mean = all.iter().sum::<f64>() / all.len() as f64;
            let low = all.iter().copied().fold(f64::INFINITY, f64::min);
            let high = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            (first[at].nodes, [mean, low, high])
        };
        (0..first.len()).map(at).collect()
    }
}

/// 1, 2, 4 and so on, and all.
fn sizes(count: usize) -> Vec<usize> {
    let mut sizes: Vec<usize> = std::iter::successors(Some(1), |size| Some(size * 2))
        .take_while(|&size| size < count)
        .collect();
    if count > 0 {
        sizes.push(count);
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(nodes: usize, circuit: f64) -> FeatureFaithfulness {
        FeatureFaithfulness {
            nodes,
            network: 1.0,
            circuit,
            none: 0.0,
        }
    }

    #[test]
    fn sizes_double_up_to_all() {
        assert_eq!(sizes(0), [0usize; 0]);
        assert_eq!(sizes(1), [1]);
        assert_eq!(sizes(8), [1, 2, 4, 8]);
        assert_eq!(sizes(11), [1, 2, 4, 8, 11]);
    }

    #[test]
    fn enough_is_enough_from_there_on() {
        let curves = |values: &[f64]| Curves {
            strongest: (1..).zip(values).map(|(n, &v)| point(n, v)).collect(),
            latents: Vec::new(),
            random: vec![vec![point(1, 0.2)], vec![point(1, 0.4)]],
        };
        assert_eq!(curves(&[0.95, 0.3, 0.92, 1.0]).enough(), Some(3));
        assert_eq!(curves(&[0.95, 0.3]).enough(), None);
        let control = curves(&[]).control();
        assert_eq!(control[0].0, 1);
        assert!((control[0].1[0] - 0.3).abs() < 1e-12 && control[0].1[2] == 0.4);
    }
}
