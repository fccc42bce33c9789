//! How faithful a circuit is, beside others.

use mr_metrics::finding::{PlotData, PlotGroup, PlotKind, Scale};

use super::result::Found;
use crate::report::lines;

/// Bars of the histogram.
const BINS: usize = 20;

fn group(name: &str, x: Vec<f64>, y: Vec<f64>) -> PlotGroup {
    PlotGroup {
        name: name.into(),
        n: vec![1; x.len()],
        low: vec![None; x.len()],
        high: vec![None; x.len()],
        x,
        y,
    }
}

impl Found {
    /// Faithfulness of circuits of growing size, and where this one is.
    pub(super) fn by_size(&self) -> String {
        let points = &self.sizes.points;
        let share = self.circuit.len() as f64 / self.circuit.edges().max(1) as f64;
        let percent = |share: f64| 100.0 * share;
        let first = points.first().map_or(1.0, |point| point.fraction);
        let groups = vec![
            group(
                "the strongest edges",
                points.iter().map(|point| percent(point.fraction)).collect(),
                points.iter().map(|point| point.faithfulness).collect(),
            ),
            group(
                "this circuit",
                vec![percent(share.max(first))],
                vec![self.own.faithfulness],
            ),
        ];
        lines(PlotData {
            title: format!("Faithfulness by size: {}", self.title),
            kind: PlotKind::Line,
            x_scale: Scale::Log,
            x_label: "edges chosen (%)".into(),
            y_label: "faithfulness".into(),
            groups,
        })
    }

    /// How many random circuits are how faithful, and where this one is.
    pub(super) fn among_random(&self) -> String {
        let own = self.own.faithfulness;
        let all = self.random.iter().chain([&own]);
        let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &value| {
            (low.min(value), high.max(value))
        });
        let wide = ((high - low) / BINS as f64).max(1e-6);
        let mut counts = [0.0_f64; BINS];
        for &value in &self.random {
            counts[(((value - low) / wide) as usize).min(BINS - 1)] += 1.0;
        }
        let most = counts.iter().copied().fold(1.0, f64::max);
        // The outline of the bars.
        let (mut x, mut y) = (vec![low], vec![0.0]);
        for (bin, &count) in counts.iter().enumerate() {
            x.extend([low + wide * bin as f64, low + wide * (bin + 1) as f64]);
            y.extend([count; 2]);
        }
        x.push(low + wide * BINS as f64);
        y.push(0.0);
        let random = format!("{} random circuits", self.random.len());
        lines(PlotData {
            title: format!("Among random circuits of its size: {}", self.title),
            kind: PlotKind::Line,
            x_scale: Scale::Linear,
            x_label: "faithfulness".into(),
            y_label: "circuits".into(),
            groups: vec![
                group(&random, x, y),
                group("this circuit", vec![own; 2], vec![0.0, most]),
            ],
        })
    }
}
