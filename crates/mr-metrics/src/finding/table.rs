//! The table behind a finding: metrics by group.

use serde::{Deserialize, Serialize};

use super::check::inherit;
use super::condition::Conditions;
use super::plot::{grouped, one_or_many};
use super::records::Records;
use super::sample::{Centre, Sample};
use crate::error::MetricError;
use crate::interval::Interval;
use crate::record::RecordKind;
use crate::stats::Bootstrap;

/// A table of a finding: a row per group of runs, a column per metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TablePlan {
    /// Its title.
    pub title: String,
    /// Dotted path, or a list of them, whose values tell the rows apart.
    #[serde(with = "one_or_many")]
    pub rows: Vec<String>,
    /// The columns.
    pub columns: Vec<Column>,
    /// Which records, on top of the finding's own conditions.
    #[serde(
        default,
        rename = "where",
        skip_serializing_if = "Conditions::is_empty"
    )]
    pub conditions: Conditions,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its heading.
    pub label: String,
    /// Dotted path of the metric.
    pub metric: String,
    /// How seeds become one number.
    #[serde(default)]
    pub centre: Centre,
}

/// A table ready to print.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableData {
    /// Its title.
    pub title: String,
    /// Headings of the columns.
    pub columns: Vec<String>,
    /// The rows, in order of their groups.
    pub rows: Vec<TableRow>,
}

/// One row of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableRow {
    /// `density = 0.1`.
    pub name: String,
    /// Seeds behind the row.
    pub seeds: usize,
    /// A cell per column; none where the records of the row lack the metric.
    pub cells: Vec<Option<Interval>>,
}

impl TablePlan {
    pub(super) fn inherit(&mut self, kind: Option<RecordKind>, conditions: &Conditions) {
        inherit(&mut self.conditions, kind, conditions);
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        if self.rows.is_empty() || self.columns.is_empty() {
            return Err("needs a path in `rows` and at least one column".into());
        }
        Ok(())
    }

    /// The cells of the table.
    ///
    /// # Errors
    /// [`MetricError::NoRecord`] if no record is selected.
    pub fn data(&self, records: &Records, bootstrap: Bootstrap) -> Result<TableData, MetricError> {
        let runs = records.select(&self.conditions)?;
        let rows = grouped(&runs, &self.rows)?
            .into_iter()
            .map(|(name, runs)| {
                let mut seeds: Vec<u64> = runs.iter().map(|run| run.seed).collect();
                seeds.sort_unstable();
                seeds.dedup();
                let cells = self.columns.iter().map(|column| {
                    let sample = Sample::over(&runs, &column.metric).ok()?;
                    column.centre.interval(&sample, bootstrap).ok()
                });
                TableRow {
                    name,
                    seeds: seeds.len(),
                    cells: cells.collect(),
                }
            })
            .collect();
        Ok(TableData {
            title: self.title.clone(),
            columns: self.columns.iter().map(|c| c.label.clone()).collect(),
            rows,
        })
    }
}
