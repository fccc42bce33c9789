//! How much two circuits have in common.

use mr_models::Edge;

use super::graph::Circuit;
use crate::error::CircuitError;

/// The edges of two circuits of one wiring, sorted by whose they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Edges of both.
    pub shared: Vec<Edge>,
    /// Edges of the first alone.
    pub only_first: Vec<Edge>,
    /// Edges of the second alone.
    pub only_second: Vec<Edge>,
}

impl Difference {
    /// Shared edges among those of either; 1 where both are empty.
    pub fn jaccard(&self) -> f64 {
        jaccard(
            self.shared.len(),
            self.only_first.len() + self.only_second.len(),
        )
    }
}

pub(super) fn jaccard(shared: usize, others: usize) -> f64 {
    match shared + others {
        0 => 1.0,
        all => shared as f64 / all as f64,
    }
}

/// What two circuits of networks with one wiring share: circuits of two models may be compared, such as
/// those of a standard and an adversarially trained one.
///
/// # Errors
/// [`CircuitError::Foreign`] if the edges that they could have are not the same.
pub fn difference(first: &Circuit, second: &Circuit) -> Result<Difference, CircuitError> {
    comparable(first, second)?;
    let both = first
        .scores()
        .scores
        .iter()
        .zip(first.kept.iter().zip(&second.kept));
    let of = |wanted: [bool; 2]| -> Vec<Edge> {
        let those = both.clone().filter(|(_, (a, b))| [**a, **b] == wanted);
        those.map(|((edge, _), _)| *edge).collect()
    };
    Ok(Difference {
        shared: of([true, true]),
        only_first: of([true, false]),
        only_second: of([false, true]),
    })
}

/// Whether two circuits could have the same edges.
pub(super) fn comparable(first: &Circuit, second: &Circuit) -> Result<(), CircuitError> {
    let (a, b) = (first.wiring(), second.wiring());
    if a == b {
        return Ok(());
    }
    Err(CircuitError::Foreign {
        network: "other circuit".into(),
        reason: format!(
            "{} writers and {} readers against {} and {}",
            a.writers.len(),
            a.readers.len(),
            b.writers.len(),
            b.readers.len()
        ),
    })
}
