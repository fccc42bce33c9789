//! What a finding's plots draw: points over an axis, by group, with intervals over seeds.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::check::inherit;
use super::condition::{Conditions, Shown, same};
use super::records::{Records, Run};
use super::sample::{Centre, Source, levels, points};
use crate::error::MetricError;
use crate::record::{RecordKind, lookup};
use crate::stats::Bootstrap;

/// A plot of a finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plot {
    /// Its title.
    pub title: String,
    /// Dotted path of x.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// Dotted path of y, or a list of them, one line each.
    #[serde(default, with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub y: Vec<String>,
    /// Name of a series that each record holds, in place of x and y.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<String>,
    /// Dotted path, or a list of them, whose values tell the lines apart.
    #[serde(default, with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub group: Vec<String>,
    /// Which records, on top of the finding's own conditions.
    #[serde(
        default,
        rename = "where",
        skip_serializing_if = "Conditions::is_empty"
    )]
    pub conditions: Conditions,
    /// Lines through seed means, or one point per run.
    #[serde(default)]
    pub kind: PlotKind,
    /// Scale of x.
    #[serde(default)]
    pub x_scale: Scale,
    /// Label of x; the path if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x_label: Option<String>,
    /// Label of y; the path if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y_label: Option<String>,
}

/// How a plot draws its points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlotKind {
    /// Lines through the means over seeds, with intervals.
    #[default]
    Line,
    /// Each run is a point.
    Scatter,
}

/// The scale of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// Equal differences are equally far apart.
    #[default]
    Linear,
    /// Equal ratios are equally far apart.
    Log,
}

/// A plot ready to draw.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlotData {
    /// Its title.
    pub title: String,
    /// Lines or points.
    pub kind: PlotKind,
    /// Scale of x.
    pub x_scale: Scale,
    /// Label of x.
    pub x_label: String,
    /// Label of y.
    pub y_label: String,
    /// The lines, or the clouds of points.
    pub groups: Vec<PlotGroup>,
}

/// One line or cloud of a plot; all columns have the same length, sorted by x.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct PlotGroup {
    /// `density = 0.1`; empty if the plot has no groups.
    pub name: String,
    /// Where.
    pub x: Vec<f64>,
    /// The mean over seeds; of a scatter plot, the run's own value.
    pub y: Vec<f64>,
    /// Lower ends of intervals over seeds; none for a single seed.
    pub low: Vec<Option<f64>>,
    /// Upper ends.
    pub high: Vec<Option<f64>>,
    /// Seeds behind each point.
    pub n: Vec<usize>,
}

impl Plot {
    pub(super) fn inherit(&mut self, kind: Option<RecordKind>, conditions: &Conditions) {
        inherit(&mut self.conditions, kind, conditions);
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        match (&self.x, self.y.is_empty(), &self.series) {
            (Some(_), false, None) | (None, true, Some(_)) => Ok(()),
            _ => Err("takes either `x` and `y`, or `series`".into()),
        }
    }

    /// The points of the plot.
    ///
    /// # Errors
    /// [`MetricError::NoRecord`] if no record is selected, or one lacks what is drawn.
    pub fn data(&self, records: &Records, bootstrap: Bootstrap) -> Result<PlotData, MetricError> {
        let runs = records.select(&self.conditions)?;
        let mut drawn = Vec::new();
        for (name, runs) in grouped(&runs, &self.group)? {
            for source in self.sources() {
                let mut group = match self.kind {
                    PlotKind::Line => line(&runs, &source, bootstrap)?,
                    PlotKind::Scatter => scatter(&runs, &source)?,
                };
                group.name = match (&source, self.y.len()) {
                    (Source::Metric { metric, .. }, 2..) if name.is_empty() => last(metric).into(),
                    (Source::Metric { metric, .. }, 2..) => format!("{}, {name}", last(metric)),
                    _ => name.clone(),
                };
                drawn.push(group);
            }
        }
        let of_series = |axis: &str| self.series.as_ref().map(|name| format!("{axis} of {name}"));
        Ok(PlotData {
            title: self.title.clone(),
            kind: self.kind,
            x_scale: self.x_scale,
            x_label: (self.x_label.clone())
                .or_else(|| series_label(&runs, self.series.as_deref()))
                .or_else(|| self.x.clone())
                .unwrap_or_default(),
            y_label: (self.y_label.clone())
                .or_else(|| of_series("y"))
                .unwrap_or_else(|| self.y.join(", ")),
            groups: drawn,
        })
    }

    fn sources(&self) -> Vec<Source<'_>> {
        match (&self.x, &self.series) {
            (_, Some(series)) => vec![Source::Series(series)],
            (Some(along), None) => self
                .y
                .iter()
                .map(|metric| Source::Metric { along, metric })
                .collect(),
            (None, None) => Vec::new(),
        }
    }
}

/// The label that the records themselves give the x of a series.
fn series_label(runs: &[&Run], series: Option<&str>) -> Option<String> {
    let label = &runs.first()?.json["series"][series?]["x_label"];
    label.as_str().map(str::to_owned)
}

fn line(
    runs: &[&Run],
    source: &Source<'_>,
    bootstrap: Bootstrap,
) -> Result<PlotGroup, MetricError> {
    let mut group = PlotGroup::default();
    for level in levels(points(runs, source)?) {
        let y = Centre::Mean.interval(&level.sample, bootstrap)?;
        group.x.push(level.x);
        group.y.push(y.value);
        group.low.push(y.low);
        group.high.push(y.high);
        group.n.push(y.n);
    }
    Ok(group)
}

fn scatter(runs: &[&Run], source: &Source<'_>) -> Result<PlotGroup, MetricError> {
    let mut points = points(runs, source)?;
    points.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.2.total_cmp(&b.2)));
    Ok(PlotGroup {
        name: String::new(),
        x: points.iter().map(|point| point.1).collect(),
        y: points.iter().map(|point| point.2).collect(),
        low: vec![None; points.len()],
        high: vec![None; points.len()],
        n: vec![1; points.len()],
    })
}

/// Runs by the values at these paths, in order of the values: numbers by size, then text.
pub(super) fn grouped<'a>(
    runs: &[&'a Run],
    paths: &[String],
) -> Result<Vec<(String, Vec<&'a Run>)>, MetricError> {
    let mut groups: Vec<(Vec<Value>, Vec<&'a Run>)> = Vec::new();
    for &run in runs {
        let mut key = Vec::with_capacity(paths.len());
        for path in paths {
            // A setting that some runs lack tells them apart too.
            key.push(lookup(&run.json, path).cloned().unwrap_or(Value::Null));
        }
        let same_key = |other: &[Value]| other.iter().zip(&key).all(|(a, b)| same(a, b));
        match groups.iter_mut().find(|(other, _)| same_key(other)) {
            Some((_, members)) => members.push(run),
            None => groups.push((key, vec![run])),
        }
    }
    for (index, path) in paths.iter().enumerate() {
        if groups.iter().all(|(key, _)| key[index].is_null()) {
            return Err(MetricError::NoRecord(format!(
                "no selected record has `{path}` to group by"
            )));
        }
    }
    groups.sort_by(|(a, _), (b, _)| {
        let number = |value: &Value| value.as_f64().unwrap_or(f64::INFINITY);
        let text = |value: &Value| Shown(value).to_string();
        a.iter()
            .zip(b)
            .map(|(a, b)| number(a).total_cmp(&number(b)).then(text(a).cmp(&text(b))))
            .find(|order| order.is_ne())
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    Ok(groups
        .into_iter()
        .map(|(key, members)| {
            let name: Vec<String> = paths
                .iter()
                .zip(&key)
                .map(|(path, value)| match value {
                    Value::Null => format!("no {}", last(path)),
                    value => format!("{} = {}", last(path), Shown(value)),
                })
                .collect();
            (name.join(", "), members)
        })
        .collect())
}

/// The last name of a dotted path.
fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// One path, or a list of them.
pub(super) mod one_or_many {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a dotted path or a list of dotted paths")]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<String>, D::Error> {
        Ok(match OneOrMany::deserialize(deserializer)? {
            OneOrMany::One(path) => vec![path],
            OneOrMany::Many(paths) => paths,
        })
    }

    pub(in super::super) fn serialize<S: Serializer>(
        paths: &[String],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        paths.serialize(serializer)
    }
}
