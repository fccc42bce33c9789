//! How well edges that a method found are the ones that are known to count.

use mr_models::Edge;

/// The area under the ROC curve: the chance that a true edge ranks above one that is not, where ties count
/// half. 1 for a perfect ranking, 0.5 for none; NaN where every edge is true, or none.
///
/// `all` is every edge, `found` those that have a score, ranked by its size. An edge that was not found ranks
/// below all that were. A *true* edge that was not found does not tie with the false ones that were not
/// found either: it is missed, however far the curve is followed, and counts nothing. So a method that leaves
/// out 2 of 5 true edges and finds nothing else is at 0.6, as in the tables of Conmy et al. (2023).
pub fn edge_auroc(all: &[Edge], found: &[(Edge, f32)], truth: &[Edge]) -> f64 {
    let score = |edge: &Edge| {
        let mut found = found.iter();
        found
            .find(|(at, _)| at == edge)
            .map(|(_, score)| score.abs())
    };
    let (mut above, mut pairs) = (0.0, 0_usize);
    for edge in all.iter().filter(|edge| truth.contains(edge)) {
        let own = score(edge);
        for other in all.iter().filter(|edge| !truth.contains(edge)) {
            pairs += 1;
            above += match (own, score(other)) {
                (None, _) => 0.0,
                (Some(_), None) => 1.0,
                (Some(own), Some(other)) if own > other => 1.0,
                (Some(own), Some(other)) if own < other => 0.0,
                (Some(_), Some(_)) => 0.5,
            };
        }
    }
    above / pairs as f64
}

#[cfg(test)]
mod tests;
