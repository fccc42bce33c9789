//! Curves that records hold, as one chart per network: how it was trained, and what it withstands.

use std::collections::BTreeMap;

use mr_metrics::finding::{PlotData, PlotGroup, PlotKind, Scale};
use mr_metrics::stats::{Bootstrap, bca, mean};
use mr_metrics::{ExperimentRecord, RecordKind, Series};

use super::chart::{Chart, Intervals, Size};
use super::natural::natural;
use super::variant::variants;

/// Loss, accuracy and whatever else was noted along training.
pub(super) fn training(records: &[&ExperimentRecord]) -> Vec<Chart> {
    let along = |series: &Series| {
        let label = series.x_label.to_lowercase();
        label.starts_with("step") || label.starts_with("epoch")
    };
    charts(records, RecordKind::Train, along, None)
}

/// Robust accuracy over epsilon.
pub(super) fn security(records: &[&ExperimentRecord], bootstrap: Bootstrap) -> Vec<Chart> {
    let along = |series: &Series| series.x_label.to_lowercase().starts_with("epsilon");
    charts(records, RecordKind::Attack, along, Some(bootstrap))
}

/// Certified accuracy, and what attacks leave above it, over epsilon.
pub(super) fn certified(records: &[&ExperimentRecord], bootstrap: Bootstrap) -> Vec<Chart> {
    let along = |series: &Series| series.x_label.starts_with("epsilon");
    charts(records, RecordKind::Certify, along, Some(bootstrap))
}

/// Accuracy over the severity of corruptions.
pub(super) fn corruptions(records: &[&ExperimentRecord], bootstrap: Bootstrap) -> Vec<Chart> {
    let along = |series: &Series| series.x_label.starts_with("severity");
    charts(records, RecordKind::Corrupt, along, Some(bootstrap))
}

/// Relative gain by place.
pub(super) fn gains(records: &[&ExperimentRecord], bootstrap: Bootstrap) -> Vec<Chart> {
    let along = |series: &Series| series.x_label.starts_with("place");
    charts(records, RecordKind::Gain, along, Some(bootstrap))
}

/// What probes read, by site.
pub(super) fn probes(records: &[&ExperimentRecord], bootstrap: Bootstrap) -> Vec<Chart> {
    let along = |series: &Series| series.x_label.starts_with("site");
    charts(records, RecordKind::Probe, along, Some(bootstrap))
}

/// The curves of one line of a chart, one per run, each with its seed.
type Line<'a> = Vec<(u64, &'a Series)>;

/// A chart per network, name of a series and label of its x; a line per way of training.
fn charts(
    records: &[&ExperimentRecord],
    kind: RecordKind,
    along: impl Fn(&Series) -> bool,
    bootstrap: Option<Bootstrap>,
) -> Vec<Chart> {
    let records: Vec<&ExperimentRecord> = (records.iter().copied())
        .filter(|record| record.kind == kind)
        .collect();
    let mut panels: BTreeMap<(String, String, String), BTreeMap<String, Line<'_>>> =
        BTreeMap::new();
    for (record, variant) in records.iter().zip(variants(&records)) {
        for (name, series) in record.series.iter().filter(|(_, series)| along(series)) {
            panels
                .entry((variant.model.clone(), name.clone(), series.x_label.clone()))
                .or_default()
                .entry(variant.line.clone())
                .or_default()
                .push((record.seed, series));
        }
    }
    let mut panels: Vec<_> = panels.into_iter().collect();
    panels.sort_by(|(a, _), (b, _)| natural(&a.0, &b.0));
    panels
        .into_iter()
        .map(|((model, name, x_label), lines)| {
            let name = match name.as_str() {
                "security_curve" => "robust accuracy".into(),
                "certified_curve" => "certified accuracy".into(),
                name => name.replace(['_', '.'], " "),
            };
            let mut names: Vec<&String> = lines.keys().collect();
            // What is compared with comes first.
            let later = |line: &str| !line.starts_with("standard");
            names.sort_by(|a, b| later(a).cmp(&later(b)).then(natural(a, b)));
            let groups: Vec<PlotGroup> = names
                .into_iter()
                .map(|line| group(line, &lines[line], bootstrap))
                .collect();
            let y_scale = scale(&name, &groups);
            let one_seed = groups.iter().flat_map(|group| &group.n).all(|&n| n == 1);
            let data = PlotData {
                title: format!("{model}: {name}"),
                kind: PlotKind::Line,
                x_scale: Scale::Linear,
                x_label,
                y_label: name,
                groups,
            };
            let intervals = match bootstrap {
                _ if one_seed => Intervals::Own,
                Some(bootstrap) => Intervals::OverSeeds(bootstrap.level),
                None => Intervals::Range,
            };
            Chart {
                y_scale,
                ..Chart::new(data, intervals, Size::Half)
            }
        })
        .collect()
}

/// Losses that fall by more than a factor of 20 are read on a logarithmic axis.
fn scale(name: &str, groups: &[PlotGroup]) -> Scale {
    let values = || groups.iter().flat_map(|group| group.y.iter().copied());
    let least = values().fold(f64::INFINITY, f64::min);
    let most = values().fold(f64::NEG_INFINITY, f64::max);
    if name.contains("loss") && least > 0.0 && most > 20.0 * least {
        Scale::Log
    } else {
        Scale::Linear
    }
}

/// The mean over seeds at each x. Its ends are an interval over seeds if there is a bootstrap, else
/// the lowest and highest seed; a single seed keeps the interval that its curve has of itself.
fn group(name: &str, line: &Line<'_>, bootstrap: Option<Bootstrap>) -> PlotGroup {
    let mut points: BTreeMap<u64, BTreeMap<u64, Vec<f64>>> = BTreeMap::new();
    for (seed, series) in line {
        for (x, y) in series.x.iter().zip(&series.y) {
            if let Some(y) = y {
                let at = points.entry(ordered(*x)).or_default();
                at.entry(*seed).or_default().push(*y);
            }
        }
    }
    let mut group = PlotGroup {
        name: name.into(),
        ..PlotGroup::default()
    };
    for (x, seeds) in points {
        let x = from_ordered(x);
        // Several runs of one seed are one unit.
        let values: Vec<f64> = seeds
            .values()
            .map(|values| mean(values).unwrap_or(f64::NAN))
            .collect();
        let centre = mean(&values).unwrap_or(f64::NAN);
        let (low, high) = match (line.as_slice(), bootstrap) {
            ([(_, series)], _) => own(series, x),
            (_, _) if values.len() < 2 => (None, None),
            (_, None) => (
                Some(values.iter().copied().fold(f64::INFINITY, f64::min)),
                Some(values.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
            ),
            (_, Some(bootstrap)) => {
                let of = |values: &[f64]| mean(values).unwrap_or(f64::NAN);
                bca(&values, of, bootstrap).map_or((None, None), |i| (i.low, i.high))
            }
        };
        group.x.push(x);
        group.y.push(centre);
        group.low.push(low);
        group.high.push(high);
        group.n.push(values.len());
    }
    group
}

/// The ends that a curve has of itself at x.
fn own(series: &Series, x: f64) -> (Option<f64>, Option<f64>) {
    let Some(index) = series.x.iter().position(|&other| other == x) else {
        return (None, None);
    };
    let end = |ends: &Option<Vec<Option<f64>>>| ends.as_ref().and_then(|ends| ends[index]);
    (end(&series.low), end(&series.high))
}

/// A number whose order is that of the float: `f64` is no key of a map.
fn ordered(x: f64) -> u64 {
    let bits = (x + 0.0).to_bits();
    if bits >> 63 == 0 {
        bits | 1 << 63
    } else {
        !bits
    }
}

fn from_ordered(key: u64) -> f64 {
    f64::from_bits(if key >> 63 == 1 {
        key & !(1 << 63)
    } else {
        !key
    })
}

#[cfg(test)]
mod tests {
    use mr_metrics::stats::Bootstrap;
    use mr_metrics::{ExperimentRecord, RecordKind, Series};
    use serde_json::json;

    use super::{certified, from_ordered, ordered, security, training};
    use crate::report::chart::Intervals;

    fn record(kind: RecordKind, loss: &str, seed: u64, curve: Series) -> ExperimentRecord {
        let config = json!({"model": {"type": "mlp"}, "train": {"loss": {"type": loss}}});
        let mut record = ExperimentRecord::new(kind, "r", config, seed, "flex");
        let name = if kind == RecordKind::Train {
            "loss"
        } else {
            "robust_accuracy"
        };
        record.curve(name, curve).unwrap();
        record
    }

    #[test]
    fn seeds_become_one_line_and_trainings_become_two() {
        let epsilon = |y: f64| Series::new("epsilon (Linf)", vec![0.0, 0.1], vec![0.9, y]);
        let records: Vec<ExperimentRecord> = [("cross-entropy", 0.0), ("adversarial", 0.6)]
            .into_iter()
            .flat_map(|(loss, base)| {
                (0..3).map(move |seed| {
                    let y = base + 0.1 * seed as f64;
                    record(RecordKind::Attack, loss, seed, epsilon(y))
                })
            })
            .collect();
        let all: Vec<&ExperimentRecord> = records.iter().collect();
        let charts = security(&all, Bootstrap::default());
        assert_eq!(charts.len(), 1);
        assert_eq!(charts[0].data.title, "MLP: robust accuracy");
        assert_eq!(charts[0].intervals, Intervals::OverSeeds(0.95));
        let groups = &charts[0].data.groups;
        let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
        assert_eq!(names, ["standard", "adversarial"]);
        assert_eq!(groups[1].x, [0.0, 0.1]);
        assert!((groups[1].y[1] - 0.7).abs() < 1e-12);
        assert!(groups[1].low[1].unwrap() < 0.7);
        assert_eq!(groups[1].n, [3, 3]);
        assert!(training(&all).is_empty());
    }

    #[test]
    fn certified_accuracy_has_a_chart_of_its_own() {
        let curve = Series::new("epsilon (Linf)", vec![0.1, 0.2], vec![0.9, 0.5]);
        let mut one = record(RecordKind::Certify, "ibp", 0, curve.clone());
        one.series.clear();
        one.curve("certified_curve", curve).unwrap();
        let charts = certified(&[&one], Bootstrap::default());
        assert_eq!(charts[0].data.title, "MLP: certified accuracy");
        assert!(security(&[&one], Bootstrap::default()).is_empty());
    }

    #[test]
    fn one_seed_keeps_its_own_interval() {
        let mut curve = Series::new("epsilon", vec![0.0], vec![0.5]);
        (curve.low, curve.high) = (Some(vec![Some(0.4)]), Some(vec![Some(0.6)]));
        let one = record(RecordKind::Attack, "cross-entropy", 0, curve);
        let charts = security(&[&one], Bootstrap::default());
        assert_eq!(charts[0].intervals, Intervals::Own);
        assert_eq!(charts[0].data.groups[0].low, [Some(0.4)]);
    }

    #[test]
    fn training_shows_the_range_of_seeds_and_leaves_gaps_out() {
        let mut first = Series::new("step", vec![100.0, 200.0], vec![1.0, 0.01]);
        let second = Series::new("step", vec![100.0, 200.0], vec![3.0, 0.03]);
        first.y[1] = None;
        let records = [
            record(RecordKind::Train, "cross-entropy", 0, first),
            record(RecordKind::Train, "cross-entropy", 1, second),
        ];
        let charts = training(&[&records[0], &records[1]]);
        let group = &charts[0].data.groups[0];
        assert_eq!(group.y, [2.0, 0.03]);
        assert_eq!(group.low, [Some(1.0), None]);
        assert_eq!(group.n, [2, 1]);
        assert_eq!(charts[0].y_scale, super::Scale::Log);
    }

    #[test]
    fn keys_are_ordered_as_numbers() {
        let values = [-2.5, -0.0, 0.0, 1e-300, 3.0];
        for pair in values.windows(2) {
            assert!(ordered(pair[0]) <= ordered(pair[1]), "{pair:?}");
            assert_eq!(from_ordered(ordered(pair[0])), pair[0]);
        }
    }
}
