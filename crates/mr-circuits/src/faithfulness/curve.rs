//! Faithfulness against size.

use mr_models::Model;

use super::measure::Faithfulness;
use crate::attribution::EdgeScores;
use crate::circuit::{Circuit, Ranking};
use crate::error::CircuitError;

/// Shares of the edges that MIB's curves go through.
pub const FRACTIONS: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0];

/// One circuit of a curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The share of the network's edges that were chosen.
    pub fraction: f64,
    /// Edges left after pruning.
    pub edges: usize,
    /// Its faithfulness.
    pub faithfulness: f64,
}

/// Faithfulness of circuits of growing size, by one ranking of the edges.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// From the smallest to the whole network.
    pub points: Vec<Point>,
    /// Integrated circuit performance ratio: the area under faithfulness (MIB, Mueller et al. 2025, eq. 2);
    /// more is better.
    pub cpr: f64,
    /// Integrated circuit-model distance: the area under |1 - faithfulness| (ibid., eq. 3); less is better.
    pub cmd: f64,
}

/// The curve of circuits chosen by their scores: the greedy choice or the plain top, each pruned.
///
/// `progress` is told how many points of how many are done.
///
/// # Errors
/// Those of [`Circuit::top`] and [`Faithfulness::without`].
pub fn curve<M: Model + Clone>(
    measure: &Faithfulness<'_, M>,
    scores: &EdgeScores,
    fractions: &[f64],
    ranking: Ranking,
    is_greedy: bool,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Curve, CircuitError> {
    let mut points = Vec::with_capacity(fractions.len());
    for (at, &fraction) in fractions.iter().enumerate() {
        let all = scores.scores.len();
        let n = ((fraction * all as f64) as usize).min(all);
        let scores = scores.clone();
        let circuit = if is_greedy {
            Circuit::greedy(scores, n, ranking)?
        } else {
            Circuit::top(scores, n, ranking)?
        };
        let circuit = circuit.pruned();
        points.push(Point {
            fraction,
            edges: circuit.len(),
            faithfulness: measure.without(&circuit.cut_edges())?.faithfulness,
        });
        progress(at + 1, fractions.len());
    }
    Ok(Curve {
        cpr: area(&points, |f| f),
        cmd: area(&points, |f| (1.0 - f).abs()),
        points,
    })
}

/// The area by trapezoids, as MIB takes it.
fn area(points: &[Point], of: fn(f64) -> f64) -> f64 {
    let pairs = points.windows(2).map(|pair| {
        let width = pair[1].fraction - pair[0].fraction;
        width * f64::midpoint(of(pair[0].faithfulness), of(pair[1].faithfulness))
    });
    pairs.sum()
}
