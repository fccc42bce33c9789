//! What a circuit lacks, and what it does not need.

use mr_models::{Edge, Model};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::measure::Faithfulness;
use crate::circuit::Circuit;
use crate::error::CircuitError;

/// Nodes without which circuit and network differ most.
#[derive(Debug, Clone, PartialEq)]
pub struct Incompleteness {
    /// The nodes that were taken out of both, in their order.
    pub nodes: Vec<String>,
    /// `|m(circuit without them) - m(network without them)|` as a share of `|m(network) - m(empty)|`.
    pub score: f64,
}

/// The largest incompleteness that a greedy search finds: nodes of the circuit are taken out of it and of the
/// network one after the other, each time the one of up to `candidates` drawn ones that makes the two differ
/// most (Wang et al. 2023, section 4.1 and appendix). A complete circuit scores near 0: what the network would
/// fall back on is in it too.
///
/// Taking a node out cuts every edge from it. `steps` is how many nodes are taken out at most; the step that
/// scores highest is given. `progress` is told how many steps of how many are done.
///
/// # Errors
/// Those of [`Faithfulness::of`].
pub fn completeness<M: Model + Clone>(
    measure: &Faithfulness<'_, M>,
    circuit: &Circuit,
    steps: usize,
    candidates: usize,
    seed: u64,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Incompleteness, CircuitError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let wiring = circuit.wiring();
    let edges = wiring.edges();
    let (kept, cut) = (circuit.kept(), circuit.cut_edges());
    // The input is no part that could be left out of one of the two alone.
    let is_node = |edge: &&Edge| edge.writer > 0;
    let mut left: Vec<usize> = kept
        .iter()
        .filter(is_node)
        .map(|edge| edge.writer)
        .collect();
    left.sort_unstable();
    left.dedup();
    let score = |out: &[usize]| -> Result<f64, CircuitError> {
        let from_out = |edge: &Edge| out.contains(&edge.writer);
        let network: Vec<Edge> = edges.iter().copied().filter(from_out).collect();
        let both = cut.iter().copied().chain(network.iter().copied());
        let mut both: Vec<Edge> = both.collect();
        both.sort_unstable();
        both.dedup();
        let circuit = measure.without(&both)?.faithfulness;
        Ok((circuit - measure.without(&network)?.faithfulness).abs())
    };
    let mut out = Vec::new();
    let mut worst = (score(&out)?, 0);
    let steps = steps.min(left.len());
    for step in 0..steps {
        let (drawn, _) = left.partial_shuffle(&mut rng, candidates.max(1));
        let mut best = (f64::NEG_INFINITY, 0);
        let mut drawn = drawn.to_vec();
        // Of equals the earlier in the network, whatever the order of the draw.
        drawn.sort_unstable();
        for writer in drawn {
            out.push(writer);
            let found = score(&out)?;
            out.pop();
            if found > best.0 {
                best = (found, writer);
            }
        }
        out.push(best.1);
        left.retain(|&writer| writer != best.1);
        left.sort_unstable();
        if best.0 > worst.0 {
            worst = (best.0, out.len());
        }
        progress(step + 1, steps);
    }
    let named = out[..worst.1].iter();
    Ok(Incompleteness {
        nodes: named
            .map(|&writer| wiring.writers[writer].to_string())
            .collect(),
        score: worst.0,
    })
}

/// What one edge of a circuit does for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Need {
    /// The edge.
    pub edge: Edge,
    /// By how much the circuit's faithfulness changes without it.
    pub change: f64,
}

/// Whether a circuit is minimal: what its faithfulness loses without each of its edges, the least needed first.
/// Wang et al. (2023, section 4.2) take a node out together with others that might stand in for it; here each
/// edge goes alone, so that of two that stand in for each other both look needless.
///
/// `progress` is told how many edges of how many are done.
///
/// # Errors
/// Those of [`Faithfulness::of`].
pub fn minimality<M: Model + Clone>(
    measure: &Faithfulness<'_, M>,
    circuit: &Circuit,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Need>, CircuitError> {
    let mut cut = circuit.cut_edges();
    let whole = measure.of(circuit)?.faithfulness;
    let kept = circuit.kept();
    let mut needs = Vec::with_capacity(kept.len());
    for (at, &edge) in kept.iter().enumerate() {
        cut.push(edge);
        let change = measure.without(&cut)?.faithfulness - whole;
        cut.pop();
        needs.push(Need { edge, change });
        progress(at + 1, kept.len());
    }
    needs.sort_by(|a, b| a.change.abs().total_cmp(&b.change.abs()));
    Ok(needs)
}
