//! What came out of `mr bench-attacks`, for records, programs and people.

use anyhow::Result;
use mr_attacks::{Evaluation, Judged, ThreatModel};
use mr_metrics::finding::{PlotData, PlotGroup, PlotKind, Scale};
use mr_metrics::stats::median;
use mr_metrics::{
    ExperimentRecord, Interval, SecurityCurve, Series, Short, Table, accuracy, optimality,
};
use serde_json::{Value, json};

use crate::command::LEVEL;
use crate::layout::{Listing, Percent};
use crate::report::lines;

/// Points of each curve.
const POINTS: usize = 25;

/// What one attack did on its own.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) found: Evaluation,
    pub(super) seconds: f64,
}

/// Attacks beside each other.
pub(super) struct Compared {
    lines: Vec<Line>,
    /// Of each attack.
    optimality: Vec<f64>,
    /// Robust accuracy over the size of the perturbation, of each attack.
    curves: Vec<SecurityCurve>,
}

impl Line {
    fn robust(&self) -> Result<Interval> {
        Ok(accuracy(&self.found.robust_mask(), LEVEL)?)
    }

    /// Of the examples that are right when clean, the share that it broke.
    fn success(&self) -> Option<f64> {
        let clean = self.found.clean_accuracy();
        (clean > 0.0).then(|| 1.0 - self.found.robust_accuracy() / clean)
    }

    fn distance(&self) -> Option<f64> {
        let found = self
            .found
            .examples
            .iter()
            .filter(|one| one.attack.is_some());
        let found: Vec<f64> = found
            .filter_map(|one| one.distance)
            .map(f64::from)
            .collect();
        median(&found).ok()
    }

    /// Forward and backward passes per example.
    fn passes(&self) -> [f64; 2] {
        let count = self.found.examples.len().max(1) as f64;
        let counts = self.found.counts;
        [counts.forwards, counts.backwards].map(|passes| passes as f64 / count)
    }
}

impl Compared {
    pub(super) fn of(lines: Vec<Line>, threat: &ThreatModel) -> Result<Self> {
        let distances: Vec<Vec<Option<f64>>> = lines
            .iter()
            .map(|line| distances(&line.found, threat))
            .collect();
        let optimality = if threat.is_unbounded() {
            optimality(&distances)?
        } else {
            shares_of_union(&distances)
        };
        let curves = curves(&distances, threat)?;
        Ok(Self {
            lines,
            optimality,
            curves,
        })
    }

    /// Puts the results into a record.
    pub(super) fn fill(&self, record: &mut ExperimentRecord) -> Result<()> {
        let columns = [
            "attack",
            "robust_accuracy",
            "success_rate",
            "median_distance",
            "optimality",
            "forwards_per_example",
            "backwards_per_example",
        ];
        let mut table = Table {
            columns: columns.map(String::from).into(),
            ..Table::default()
        };
        for (line, &optimality) in self.lines.iter().zip(&self.optimality) {
            let robust = line.robust()?;
            record.number(&format!("robust_accuracy.{}", line.name), robust);
            record.number(&format!("optimality.{}", line.name), optimality);
            let [forwards, backwards] = line.passes();
            table.rows.push(vec![
                json!(line.name),
                json!(robust.value),
                json!(line.success()),
                json!(line.distance()),
                json!(optimality),
                json!(forwards),
                json!(backwards),
            ]);
        }
        record.tables.insert("attacks".into(), table);
        for (line, curve) in self.lines.iter().zip(&self.curves) {
            let points = curve.points.iter();
            let points: Vec<(f64, Interval)> =
                points.map(|point| (point.epsilon, point.robust)).collect();
            let series = Series::of_intervals("epsilon", &points);
            record.curve(&format!("robust.{}", line.name), series)?;
        }
        Ok(())
    }

    /// The curves as an SVG file.
    pub(super) fn plot(&self, title: &str, threat: &ThreatModel) -> String {
        let named = self.lines.iter().zip(&self.curves);
        let groups = named.map(|(line, curve)| PlotGroup {
            name: line.name.clone(),
            x: curve.points.iter().map(|point| point.epsilon).collect(),
            y: curve
                .points
                .iter()
                .map(|point| point.robust.value)
                .collect(),
            ..PlotGroup::default()
        });
        lines(PlotData {
            title: title.into(),
            kind: PlotKind::Line,
            x_scale: Scale::Linear,
            x_label: format!("size of the perturbation ({})", threat.norm),
            y_label: "robust accuracy".into(),
            groups: groups.collect(),
        })
    }

    /// The results for a person.
    pub(super) fn listing(&self, title: String) -> Result<Listing> {
        let mut listing = Listing::new(title);
        let headings = [
            "attack",
            "robust",
            "success",
            "median distance",
            "optimality",
            "forwards",
            "backwards",
            "seconds",
        ];
        listing.row(headings.map(String::from));
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".into());
        for (line, optimality) in self.lines.iter().zip(&self.optimality) {
            let [forwards, backwards] = line.passes();
            let success = line.success();
            let success = success.map(|share| format!("{:.1} %", 100.0 * share));
            listing.row([
                line.name.clone(),
                Percent(line.robust()?).to_string(),
                or_dash(success),
                or_dash(line.distance().map(|distance| Short(distance).to_string())),
                format!("{optimality:.3}"),
                format!("{forwards:.1}"),
                format!("{backwards:.1}"),
                format!("{:.1}", line.seconds),
            ]);
        }
        Ok(listing)
    }

    /// The results for a program.
    pub(super) fn object(&self) -> Result<Value> {
        let lines = self.lines.iter().zip(&self.optimality);
        let object = |(line, optimality): (&Line, &f64)| {
            let [forwards, backwards] = line.passes();
            let robust = line.robust()?;
            Ok(json!({
                "attack": line.name,
                "robust_accuracy": robust.value,
                "robust_interval": robust.ends(),
                "success_rate": line.success(),
                "median_distance": line.distance(),
                "optimality": optimality,
                "forwards_per_example": forwards,
                "backwards_per_example": backwards,
                "seconds": line.seconds,
            }))
        };
        lines.map(object).collect()
    }
}

/// At which distance each example breaks, which rounding may carry past the radius; 0 where it is wrong
/// when clean.
fn distances(found: &Evaluation, threat: &ThreatModel) -> Vec<Option<f64>> {
    let of = |one: &Judged| {
        let distance = one.distance?;
        Some(f64::from(distance.min(threat.epsilon)))
    };
    found.examples.iter().map(of).collect()
}

/// Of the examples that any attack breaks, the share that each does: inside a ball all perturbations are
/// about as large as the ball, and say nothing of an attack.
fn shares_of_union(distances: &[Vec<Option<f64>>]) -> Vec<f64> {
    let count = distances.first().map_or(0, Vec::len);
    let breaks = |attack: &[Option<f64>], example: usize| {
        attack[example].is_some_and(|distance| distance > 0.0)
    };
    let any = (0..count).filter(|&i| distances.iter().any(|attack| breaks(attack, i)));
    let any: Vec<usize> = any.collect();
    let share = |attack: &Vec<Option<f64>>| {
        let broken = any.iter().filter(|&&i| breaks(attack, i)).count();
        if any.is_empty() {
            1.0
        } else {
            broken as f64 / any.len() as f64
        }
    };
    distances.iter().map(share).collect()
}

/// The security curve of each attack, over the same radii.
fn curves(distances: &[Vec<Option<f64>>], threat: &ThreatModel) -> Result<Vec<SecurityCurve>> {
    let end = if threat.is_unbounded() {
        let all = distances.iter().flatten().flatten();
        all.copied().fold(0.0, f64::max)
    } else {
        f64::from(threat.epsilon)
    };
    // Where nothing moves, the curve is a point.
    let points = if end > 0.0 { POINTS } else { 1 };
    let epsilons: Vec<f64> = (0..points)
        .map(|i| end * i as f64 / (points.max(2) - 1) as f64)
        .collect();
    let curve = |distances: &Vec<Option<f64>>| {
        Ok(SecurityCurve::from_distances(distances, &epsilons, LEVEL)?)
    };
    distances.iter().map(curve).collect()
}
