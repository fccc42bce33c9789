//! The smallest circuit that is faithful enough.

use mr_models::Model;

use super::measure::Faithfulness;
use crate::attribution::EdgeScores;
use crate::circuit::{Circuit, Ranking};
use crate::error::CircuitError;

/// The first circuit along a ranking whose faithfulness is `target` or more, pruned, and that faithfulness: sizes
/// grow by one edge, and by a twentieth where that is more (to within a twentieth, the smallest). Where `is_greedy`,
/// edges are taken from the logits back ([`Circuit::greedy`]), else as they rank. The whole network has 1, so that
/// there is one.
///
/// Whoever reports this faithfulness should measure it on other inputs: the size was chosen on these. `progress` is
/// told how many edges of how many are done.
///
/// # Errors
/// [`CircuitError::Setting`] for a target outside (0, 1]; those of [`Circuit::top`] and
/// [`Faithfulness::without`].
pub fn smallest<M: Model + Clone>(
    measure: &Faithfulness<'_, M>,
    scores: &EdgeScores,
    target: f64,
    ranking: Ranking,
    is_greedy: bool,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<(Circuit, f64), CircuitError> {
    if !(target > 0.0 && target <= 1.0) {
        let valid = "above 0 and at most 1";
        return Err(CircuitError::setting(
            "the faithfulness",
            target.to_string(),
            valid,
        ));
    }
    let all = scores.scores.len();
    let mut n = 0;
    loop {
        n = (n + 1).max(n + n / 20).min(all);
        let scores = scores.clone();
        let circuit = if is_greedy {
            Circuit::greedy(scores, n, ranking)?
        } else {
            Circuit::top(scores, n, ranking)?
        };
        let circuit = circuit.pruned();
        // Where a greedy choice cannot reach every edge, nothing is left to add.
        let found = measure.without(&circuit.cut_edges())?.faithfulness;
        progress(n, all);
        if found >= target || n == all {
            return Ok((circuit, found));
        }
    }
}
