//! The records that findings are checked against.

use serde_json::Value;

use super::condition::{Conditions, Shown};
use crate::error::MetricError;
use crate::record::{ExperimentRecord, lookup, metric};

/// Records, ready for dotted paths.
#[derive(Debug, Clone, Default)]
pub struct Records {
    runs: Vec<Run>,
}

/// One record.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) seed: u64,
    name: String,
    pub(super) json: Value,
}

impl Records {
    /// Takes records of any kind in any order.
    pub fn new(records: &[ExperimentRecord]) -> Self {
        let runs = records
            .iter()
            .map(|record| Run {
                seed: record.seed,
                name: record.name.clone(),
                json: record.to_json(),
            })
            .collect();
        Self { runs }
    }

    /// The records that satisfy every condition, at least one.
    pub(super) fn select(&self, conditions: &Conditions) -> Result<Vec<&Run>, MetricError> {
        let selected: Vec<&Run> = self
            .runs
            .iter()
            .filter(|run| {
                conditions
                    .iter()
                    .all(|(path, condition)| condition.holds(&run.json, path))
            })
            .collect();
        if selected.is_empty() {
            return Err(MetricError::NoRecord(self.why_none(conditions)));
        }
        Ok(selected)
    }

    /// Which conditions the records miss, with the values that they have instead.
    fn why_none(&self, conditions: &Conditions) -> String {
        let all = self.runs.len();
        if all == 0 {
            return "no record was given".into();
        }
        let wanted: Vec<String> = conditions
            .iter()
            .map(|(path, condition)| format!("{path} {condition}"))
            .collect();
        let mut parts = vec![format!(
            "none of {all} records matches {}",
            wanted.join(", ")
        )];
        for (path, condition) in conditions {
            if self.runs.iter().any(|run| condition.holds(&run.json, path)) {
                continue;
            }
            let mut held: Vec<String> = Vec::new();
            for found in self.runs.iter().filter_map(|run| lookup(&run.json, path)) {
                let shown = Shown(found).to_string();
                if !held.contains(&shown) && held.len() < 8 {
                    held.push(shown);
                }
            }
            parts.push(if held.is_empty() {
                format!("none holds {path}")
            } else {
                format!("{path} is {}", held.join(", "))
            });
        }
        parts.join("; ")
    }
}

impl Run {
    /// The number at a dotted path.
    pub(super) fn metric(&self, path: &str) -> Result<f64, MetricError> {
        match metric(&self.json, path) {
            Some(Some(value)) => Ok(value),
            Some(None) => Err(MetricError::NoRecord(format!(
                "`{path}` of record `{}` (seed {}) is not a number; see its notes",
                self.name, self.seed
            ))),
            None => Err(MetricError::NoRecord(format!(
                "record `{}` (seed {}) has no `{path}`; {}",
                self.name,
                self.seed,
                self.neighbours(path)
            ))),
        }
    }

    /// The points of a series, without those that have no value.
    pub(super) fn series(&self, name: &str) -> Result<Vec<(f64, f64)>, MetricError> {
        let column = |column: &str| {
            self.json
                .get("series")
                .and_then(|series| series.get(name))
                .and_then(|series| series.get(column))
                .and_then(Value::as_array)
        };
        let (Some(x), Some(y)) = (column("x"), column("y")) else {
            return Err(MetricError::NoRecord(format!(
                "record `{}` (seed {}) has no series `{name}`; {}",
                self.name,
                self.seed,
                self.neighbours(&format!("series.{name}"))
            )));
        };
        Ok(x.iter()
            .zip(y)
            .filter_map(|(x, y)| Some((x.as_f64()?, y.as_f64()?)))
            .collect())
    }

    /// What stands beside a path that does not exist.
    fn neighbours(&self, path: &str) -> String {
        let parent = path.split_once('.').map_or("", |(parent, _)| parent);
        match lookup(&self.json, parent) {
            Some(Value::Object(map)) if !map.is_empty() => {
                let keys: Vec<&str> = map.keys().map(String::as_str).collect();
                let place = if parent.is_empty() { "it" } else { parent };
                format!("{place} holds: {}", keys.join(", "))
            }
            _ => format!("`{parent}` holds nothing"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Records;
    use crate::finding::Conditions;
    use crate::record::{ExperimentRecord, RecordKind};

    fn records() -> Records {
        let records: Vec<ExperimentRecord> = [0.1, 0.5]
            .into_iter()
            .enumerate()
            .map(|(seed, density)| {
                let config = json!({"density": density});
                let kind = RecordKind::Measure;
                let mut record = ExperimentRecord::new(kind, "toy", config, seed as u64, "flex");
                record.number("fpd", 1.0 + seed as f64);
                record
            })
            .collect();
        Records::new(&records)
    }

    fn conditions(text: &str) -> Conditions {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn conditions_select_and_an_empty_selection_says_why() {
        let records = records();
        let one = records
            .select(&conditions("\"config.density\" = 0.5"))
            .unwrap();
        assert_eq!((one.len(), one[0].seed), (1, 1));
        assert_eq!(one[0].metric("numbers.fpd").unwrap(), 2.0);
        let none = conditions("kind = \"measure\"\n\"config.density\" = 0.3");
        let error = records.select(&none).unwrap_err().to_string();
        assert_eq!(
            error,
            "none of 2 records matches config.density = 0.3, kind = measure; \
             config.density is 0.1, 0.5"
        );
        let empty = Records::default().select(&none).unwrap_err();
        assert_eq!(empty.to_string(), "no record was given");
    }

    #[test]
    fn an_unknown_metric_names_its_neighbours() {
        let records = records();
        let run = records.select(&Conditions::new()).unwrap()[0];
        let error = run.metric("numbers.F").unwrap_err().to_string();
        assert!(error.ends_with("numbers holds: fpd"), "{error}");
        assert!(run.series("curve").is_err());
    }
}
