//! Dictionaries drawn: how often latents are on, and what sparsity costs.

use mr_metrics::finding::{PlotData, PlotGroup, PlotKind, Scale};

use super::judged::Judged;
use crate::report::lines;

fn group(name: &str, mut points: Vec<(f64, f64)>) -> PlotGroup {
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (x, y): (Vec<f64>, Vec<f64>) = points.into_iter().unzip();
    let none = vec![None; x.len()];
    PlotGroup {
        name: name.into(),
        n: vec![1; x.len()],
        low: none.clone(),
        high: none,
        x,
        y,
    }
}

/// Latents by the logarithm of how often they are on, a line for each dictionary.
pub(super) fn densities(title: &str, all: &[Judged]) -> String {
    let of = |judged: &Judged| {
        let densities = &judged.densities;
        let bins = densities.edges.windows(2).zip(&densities.counts);
        let middle =
            |(edges, &count): (&[f64], &usize)| (f64::midpoint(edges[0], edges[1]), count as f64);
        group(&judged.name, bins.map(middle).collect())
    };
    lines(PlotData {
        title: title.into(),
        kind: PlotKind::Line,
        x_scale: Scale::Linear,
        x_label: "log10 of the share of samples that turn a latent on".into(),
        y_label: "latents".into(),
        groups: all.iter().map(of).collect(),
    })
}

/// A number of dictionaries over how many latents are active, a line for each kind.
pub(super) fn pareto(title: &str, all: &[Judged], number: &str, label: &str) -> Option<String> {
    let mut kinds: Vec<&str> = all.iter().map(|judged| judged.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let of = |kind: &&str| {
        let points = all.iter().filter(|judged| judged.kind == *kind);
        let points =
            points.filter_map(|judged| Some((judged.number("l0")?, judged.number(number)?)));
        group(kind, points.filter(|point| point.0 > 0.0).collect())
    };
    let groups: Vec<PlotGroup> = kinds.iter().map(of).collect();
    if all.len() < 2 || groups.iter().all(|group| group.x.is_empty()) {
        return None;
    }
    Some(lines(PlotData {
        title: title.into(),
        kind: PlotKind::Line,
        x_scale: Scale::Log,
        x_label: "active latents of a sample (L0)".into(),
        y_label: label.into(),
        groups,
    }))
}
