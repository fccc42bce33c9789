//! How alike two networks are inside, and under attack.

use anyhow::Result;
use burn::tensor::{Tensor, TensorData};
use mr_circuits::{Circuit, EdgeScores, Front, Overlaps, Ranking, overlaps};
use mr_metrics::linear_cka;
use mr_models::{Input, Place, floats, run_with_cache};

use super::attacked::Attacked;
use super::fronts::{Split, all_scores, by_edge, scores};
use crate::console::Console;
use crate::settings::DamageConfig;

/// Examples that representations are compared on; their products are all kept.
const MOST: usize = 500;
/// Shares of all edges that circuits have.
const SIZES: [f64; 3] = [0.01, 0.03, 0.1];
/// Random circuits that overlaps are held against, of as many edges into each layer.
const DRAWS: usize = 200;

pub(super) struct Compared {
    /// Examples that the attack breaks in both.
    pub(super) examples: usize,
    /// By site.
    pub(super) sites: Vec<Similarity>,
    /// By size of the circuits.
    pub(super) overlaps: Vec<Overlap>,
}

/// Linear CKA of what two networks hold at a site; none where one of them does not vary.
pub(super) struct Similarity {
    pub(super) site: String,
    /// On clean examples.
    pub(super) clean: Option<f64>,
    /// On the adversarial examples of each.
    pub(super) adversarial: Option<f64>,
    /// On clean examples, each held against the next one in the second network: what chance gives.
    pub(super) shuffled: Option<f64>,
}

/// What the most damaged edges of two networks share.
pub(super) struct Overlap {
    pub(super) edges: usize,
    pub(super) found: Overlaps,
}

impl Overlap {
    pub(super) fn jaccard(&self) -> f64 {
        self.found.between([&[0], &[0]])
    }
}

impl Compared {
    pub(super) fn new(
        both: [&Attacked<'_>; 2],
        fronts: &[Front],
        splits: &[Split],
        config: &DamageConfig,
        console: &Console,
    ) -> Result<Self> {
        let [ours, theirs] = both;
        let mut examples = ours.broken.clone();
        examples.retain(|at| theirs.broken.contains(at));
        examples.truncate(MOST);
        let mut sites = Vec::new();
        if examples.len() > 1 {
            for front in fronts {
                if let Place::Site(site) = &front.place {
                    sites.push(similarity(both, site, &examples)?);
                }
            }
        }
        let mut shared = Vec::new();
        if let Some(own) = scores(splits, ours.network) {
            let layers = by_edge(theirs, config, console)?;
            let edges = layers
                .iter()
                .flat_map(|layer| layer.edges.iter().copied().zip(layer.sums()));
            if let Some(other) = all_scores(edges, theirs.network) {
                let seed = ours.opened.settings.seed.unwrap_or(0);
                for size in SIZES {
                    let count = (size * own.scores.len() as f64).ceil() as usize;
                    let most =
                        |scores: &EdgeScores| Circuit::top(scores.clone(), count, Ranking::Signed);
                    let (a, b) = (most(&own)?, most(&other)?);
                    shared.push(Overlap {
                        edges: count,
                        found: overlaps([&[a], &[b]], DRAWS, seed)?,
                    });
                }
            }
        }
        Ok(Self {
            examples: examples.len(),
            sites,
            overlaps: shared,
        })
    }
}

fn similarity(both: [&Attacked<'_>; 2], site: &str, examples: &[usize]) -> Result<Similarity> {
    let [ours, theirs] = both;
    let held = |attacked: &Attacked<'_>, order: &[usize], clean: bool| -> Result<Tensor<2>> {
        let rows = attacked.batches(order, |batch| {
            let (pair, _) = attacked.pair(batch)?;
            let input: &Input = if clean { pair.clean() } else { pair.corrupt() };
            let (_, cache) = run_with_cache(attacked.network, input, &[site])?;
            Ok(floats(cache.get(site)?.clone()))
        })?;
        let rows = rows.concat();
        let width = rows.len() / order.len();
        let rows = TensorData::new(rows, [order.len(), width]);
        Ok(Tensor::from_data(rows, &attacked.opened.device.device))
    };
    let own = held(ours, examples, true)?;
    let mut shuffled = examples.to_vec();
    shuffled.rotate_left(1);
    Ok(Similarity {
        site: site.into(),
        clean: linear_cka(&own, &held(theirs, examples, true)?)?,
        adversarial: linear_cka(
            &held(ours, examples, false)?,
            &held(theirs, examples, false)?,
        )?,
        shuffled: linear_cka(&own, &held(theirs, &shuffled, true)?)?,
    })
}
