//! From records to one value per seed.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::condition::Conditions;
use super::records::{Records, Run};
use crate::error::MetricError;
use crate::interval::Interval;
use crate::stats::{Bootstrap, bca, mean, median};

/// How the values of the seeds become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Centre {
    /// The mean over seeds.
    #[default]
    Mean,
    /// The median over seeds.
    Median,
    /// The lowest run, so that a lower bound holds for each. Has no interval.
    Lowest,
    /// The highest run, so that an upper bound holds for each. Has no interval.
    Highest,
}

impl Centre {
    /// The number of a sample that is not empty and finite; NaN otherwise.
    pub(super) fn of(self, values: &[f64]) -> f64 {
        match self {
            Self::Mean => mean(values).unwrap_or(f64::NAN),
            Self::Median => median(values).unwrap_or(f64::NAN),
            Self::Lowest => values.iter().copied().fold(f64::NAN, f64::min),
            Self::Highest => values.iter().copied().fold(f64::NAN, f64::max),
        }
    }

    /// Whether the bootstrap is valid for it: it is not for extremes.
    pub(super) fn has_interval(self) -> bool {
        matches!(self, Self::Mean | Self::Median)
    }

    /// The number with its interval over seeds; an extreme is that of all runs, which the mean of a
    /// seed's runs would hide.
    pub(super) fn interval(
        self,
        sample: &Sample,
        bootstrap: Bootstrap,
    ) -> Result<Interval, MetricError> {
        if self.has_interval() {
            return bca(&sample.values, |values| self.of(values), bootstrap);
        }
        let extreme = self.of(&sample.each);
        Ok(Interval::point(extreme, bootstrap.level, sample.each.len()))
    }
}

impl fmt::Display for Centre {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mean => "mean",
            Self::Median => "median",
            Self::Lowest => "lowest",
            Self::Highest => "highest",
        })
    }
}

/// One value per seed: the mean over the records of the seed, if it has several.
#[derive(Debug, Clone, Default)]
pub(super) struct Sample {
    pub(super) seeds: Vec<u64>,
    pub(super) values: Vec<f64>,
    /// The value of each record behind them.
    pub(super) each: Vec<f64>,
}

impl Sample {
    /// The sample of a metric over the selected records. A record that lacks the metric is an
    /// error, for leaving it out would choose the runs that went well.
    pub(super) fn of(
        records: &Records,
        conditions: &Conditions,
        metric: &str,
    ) -> Result<Self, MetricError> {
        Self::over(&records.select(conditions)?, metric)
    }

    pub(super) fn over(runs: &[&Run], metric: &str) -> Result<Self, MetricError> {
        let mut points = Vec::with_capacity(runs.len());
        for run in runs {
            points.push((run.seed, run.metric(metric)?));
        }
        Ok(Self::from_points(&points))
    }

    pub(super) fn from_points(points: &[(u64, f64)]) -> Self {
        let mut by_seed: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for &(seed, value) in points {
            by_seed.entry(seed).or_default().push(value);
        }
        Self {
            seeds: by_seed.keys().copied().collect(),
            values: by_seed.values().map(|v| Centre::Mean.of(v)).collect(),
            each: points.iter().map(|&(_, value)| value).collect(),
        }
    }

    /// `5 seeds`, or `5 seeds (30 runs)`.
    pub(super) fn size(&self) -> String {
        let seeds = seeds(self.seeds.len());
        if self.each.len() == self.seeds.len() {
            seeds
        } else {
            format!("{seeds} ({} runs)", self.each.len())
        }
    }
}

/// `1 seed`, `5 seeds`.
pub(super) fn seeds(count: usize) -> String {
    format!("{count} seed{}", if count == 1 { "" } else { "s" })
}

/// An axis and the samples along it, sorted.
#[derive(Debug, Clone)]
pub(super) struct Level {
    pub(super) x: f64,
    pub(super) sample: Sample,
}

/// Groups points (seed, x, y) into levels of equal x.
pub(super) fn levels(mut points: Vec<(u64, f64, f64)>) -> Vec<Level> {
    points.sort_by(|a, b| a.1.total_cmp(&b.1));
    points
        .chunk_by(|a, b| a.1 == b.1)
        .map(|chunk| {
            let values: Vec<(u64, f64)> = chunk.iter().map(|&(seed, _, y)| (seed, y)).collect();
            Level {
                x: chunk[0].1,
                sample: Sample::from_points(&values),
            }
        })
        .collect()
}

/// The points (seed, x, y) of runs: of a metric along a path, or of a series.
pub(super) fn points(
    runs: &[&Run],
    source: &Source<'_>,
) -> Result<Vec<(u64, f64, f64)>, MetricError> {
    let mut points = Vec::with_capacity(runs.len());
    for run in runs {
        match source {
            Source::Metric { along, metric } => {
                points.push((run.seed, run.metric(along)?, run.metric(metric)?));
            }
            Source::Series(name) => {
                points.extend(run.series(name)?.into_iter().map(|(x, y)| (run.seed, x, y)));
            }
        }
    }
    Ok(points)
}

/// Where the points of a curve come from.
pub(super) enum Source<'a> {
    /// Each record is one point.
    Metric {
        /// Path of x.
        along: &'a str,
        /// Path of y.
        metric: &'a str,
    },
    /// Each record holds a whole curve.
    Series(&'a str),
}

impl<'a> Source<'a> {
    /// A metric along a path, or a series; `None` for both, neither or half of one.
    pub(super) fn of(
        along: Option<&'a str>,
        metric: Option<&'a str>,
        series: Option<&'a str>,
    ) -> Option<Self> {
        match (along, metric, series) {
            (Some(along), Some(metric), None) => Some(Self::Metric { along, metric }),
            (None, None, Some(series)) => Some(Self::Series(series)),
            _ => None,
        }
    }
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metric { along, metric } => write!(f, "{metric} along {along}"),
            Self::Series(name) => write!(f, "series {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Centre, Sample, levels};
    use crate::stats::Bootstrap;

    #[test]
    fn records_of_a_seed_are_averaged_first() {
        let sample = Sample::from_points(&[(1, 2.0), (0, 1.0), (1, 4.0)]);
        assert_eq!(sample.seeds, [0, 1]);
        assert_eq!(sample.values, [1.0, 3.0]);
        assert_eq!(sample.size(), "2 seeds (3 runs)");
        assert_eq!(Sample::from_points(&[(1, 2.0)]).size(), "1 seed");
    }

    #[test]
    fn extremes_are_those_of_runs_and_have_no_interval() {
        // The seeds' means are 1, 4 and 2: one run of the first is far lower.
        let points = [(0, -1.0), (0, 3.0), (1, 4.0), (2, 2.0)];
        let sample = Sample::from_points(&points);
        let of = |centre: Centre| centre.interval(&sample, Bootstrap::default()).unwrap();
        let lowest = of(Centre::Lowest);
        assert_eq!((lowest.value, lowest.ends(), lowest.n), (-1.0, None, 4));
        assert_eq!(of(Centre::Highest).value, 4.0);
        let median = of(Centre::Median);
        assert_eq!((median.value, median.n), (2.0, 3));
        assert!(median.ends().is_some());
        assert!(Centre::Mean.of(&[]).is_nan());
    }

    #[test]
    fn levels_are_sorted_by_x() {
        let levels = levels(vec![(0, 0.5, 1.0), (0, 0.1, 2.0), (1, 0.5, 3.0)]);
        assert_eq!(levels.len(), 2);
        assert_eq!((levels[0].x, levels[1].x), (0.1, 0.5));
        assert_eq!(levels[1].sample.values, [1.0, 3.0]);
    }
}
