//! The record itself.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::file::{read_versioned, write_json};
use super::values::{Number, Series, Table};
use crate::error::MetricError;

/// The version of the record's format that this build reads and writes.
pub const RECORD_SCHEMA: u32 = 1;

/// Which command wrote a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordKind {
    /// A model was fitted.
    Train,
    /// A model was run on clean data.
    Eval,
    /// A model was attacked.
    Attack,
    /// A model was certified.
    Certify,
    /// A model's gradients were doubted.
    Checklist,
    /// A model was run on corrupted and turned data.
    Corrupt,
    /// A perturbation for all examples was fitted.
    Universal,
    /// A patch for all examples was fitted.
    Patch,
    /// Something was measured on a model.
    Measure,
    /// An objective was driven up by an attack.
    Aim,
    /// The gain of each site was measured.
    Gain,
    /// Attacks were compared on a model.
    BenchAttacks,
    /// A model's sites were read by probes.
    Probe,
    /// What an attack does was split over parts of a model.
    Damage,
    /// Images were sought that excite parts of a model.
    Visualize,
    /// A model's residual stream was read layer by layer.
    Lens,
    /// Activations were patched from one run into another.
    CircuitPatch,
    /// Edges of a model were scored.
    CircuitAttribute,
    /// Edges of a model that are needed were found.
    CircuitDiscover,
    /// A circuit was held against its model.
    CircuitEvaluate,
    /// A circuit was drawn.
    CircuitDraw,
    /// Circuits were compared.
    CircuitDiff,
    /// Latents of dictionaries were scored, and what they carry.
    CircuitFeatures,
    /// Dictionaries were fitted.
    SaeTrain,
    /// Dictionaries were judged.
    SaeEval,
    /// The latents of a dictionary were shown.
    SaeFeatures,
    /// A dictionary was attacked.
    SaeCard,
    /// Kinds of dictionaries were compared on known features.
    SaeBench,
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Eval => "eval",
            Self::Attack => "attack",
            Self::Certify => "certify",
            Self::Checklist => "checklist",
            Self::Corrupt => "corrupt",
            Self::Universal => "universal",
            Self::Patch => "patch",
            Self::Measure => "measure",
            Self::Aim => "aim",
            Self::Gain => "gain",
            Self::BenchAttacks => "bench-attacks",
            Self::Probe => "probe",
            Self::Damage => "damage",
            Self::Visualize => "visualize",
            Self::Lens => "lens",
            Self::CircuitPatch => "circuit-patch",
            Self::CircuitAttribute => "circuit-attribute",
            Self::CircuitDiscover => "circuit-discover",
            Self::CircuitEvaluate => "circuit-evaluate",
            Self::CircuitDraw => "circuit-draw",
            Self::CircuitDiff => "circuit-diff",
            Self::CircuitFeatures => "circuit-features",
            Self::SaeTrain => "sae-train",
            Self::SaeEval => "sae-eval",
            Self::SaeFeatures => "sae-features",
            Self::SaeCard => "sae-card",
            Self::SaeBench => "sae-bench",
        })
    }
}

/// One run of one command: how to repeat it, and every number that came out.
///
/// It holds no date and no duration, and its maps are sorted, so that the same seed on the same
/// device writes the same bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentRecord {
    /// Version of this format.
    pub schema: u32,
    /// Which command wrote it.
    pub kind: RecordKind,
    /// Name of the run, such as its stage in a pipeline.
    pub name: String,
    /// The command line that reruns it.
    pub command: Vec<String>,
    /// The whole configuration as it was used, of the model, data and training it builds on too.
    pub config: Value,
    /// The seed of the run: the unit of statistics.
    pub seed: u64,
    /// The device it ran on.
    pub device: String,
    /// Versions of what it ran with, by name.
    pub versions: BTreeMap<String, String>,
    /// Results, by name.
    #[serde(default)]
    pub numbers: BTreeMap<String, Number>,
    /// Curves, by name.
    #[serde(default)]
    pub series: BTreeMap<String, Series>,
    /// Tables, by name.
    #[serde(default)]
    pub tables: BTreeMap<String, Table>,
    /// What a reader should know.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What a reader should worry about.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Files that the run left, by name; paths are relative to the record.
    #[serde(default)]
    pub artifacts: BTreeMap<String, String>,
}

impl ExperimentRecord {
    /// A record without results.
    pub fn new(
        kind: RecordKind,
        name: impl Into<String>,
        config: Value,
        seed: u64,
        device: impl Into<String>,
    ) -> Self {
        Self {
            schema: RECORD_SCHEMA,
            kind,
            name: name.into(),
            command: Vec::new(),
            config,
            seed,
            device: device.into(),
            versions: BTreeMap::new(),
            numbers: BTreeMap::new(),
            series: BTreeMap::new(),
            tables: BTreeMap::new(),
            notes: Vec::new(),
            warnings: Vec::new(),
            artifacts: BTreeMap::new(),
        }
    }

    /// Adds or replaces a number. JSON has no NaN and no infinity: such a value becomes `null`, and
    /// a note says so.
    pub fn number(&mut self, name: &str, number: impl Into<Number>) -> &mut Self {
        let mut number = number.into();
        let what = format!("number `{name}`");
        finite_or_noted(&mut number.value, &what, &mut self.notes);
        for end in [&mut number.low, &mut number.high] {
            *end = end.filter(|end| end.is_finite());
        }
        self.numbers.insert(name.into(), number);
        self
    }

    /// Adds or replaces a curve. Values that are not finite become `null`, and a note says so.
    ///
    /// # Errors
    /// If its columns differ in length, or an x is not finite.
    pub fn curve(&mut self, name: &str, mut series: Series) -> Result<&mut Self, MetricError> {
        series.validate(name)?;
        if let Some(position) = series.x.iter().position(|x| !x.is_finite()) {
            return Err(MetricError::NotFinite {
                what: format!("x of series `{name}`"),
                value: series.x[position],
                position,
            });
        }
        for (x, y) in series.x.iter().zip(&mut series.y) {
            let what = format!("series `{name}` at {x}");
            finite_or_noted(y, &what, &mut self.notes);
        }
        for end in [&mut series.low, &mut series.high]
            .into_iter()
            .flatten()
            .flatten()
        {
            *end = end.filter(|end| end.is_finite());
        }
        self.series.insert(name.into(), series);
        Ok(self)
    }

    /// The record as one JSON value, which dotted paths are looked up in.
    ///
    /// # Panics
    /// Never: every map of a record has text keys.
    pub fn to_json(&self) -> Value {
        let mut json = serde_json::to_value(self).expect("a record's keys are text");
        json.sort_all_objects();
        json
    }

    /// Reads a record.
    ///
    /// # Errors
    /// If the file cannot be read, is truncated or otherwise not a record, or was written under
    /// another version of the format.
    pub fn read(path: &Path) -> Result<Self, MetricError> {
        let record: Self = read_versioned(path, "an experiment record", RECORD_SCHEMA)?;
        record.validate().map_err(|error| MetricError::Format {
            path: path.into(),
            reason: error.to_string(),
        })?;
        Ok(record)
    }

    /// Writes the whole record or nothing, and makes the folder if there is none.
    ///
    /// # Errors
    /// If columns of a series or a table differ in length, or whatever the file system says.
    pub fn write(&self, path: &Path) -> Result<(), MetricError> {
        self.validate()?;
        // Finite numbers only get in through `number` and `curve`, but the fields are public.
        let mut record = self.clone();
        for (name, number) in &self.numbers {
            record.number(name, number.clone());
        }
        for (name, series) in &self.series {
            record.curve(name, series.clone())?;
        }
        write_json(path, &record.to_json())
    }

    fn validate(&self) -> Result<(), MetricError> {
        for (name, series) in &self.series {
            series.validate(name)?;
        }
        for (name, table) in &self.tables {
            table.validate(name)?;
        }
        Ok(())
    }
}

fn finite_or_noted(value: &mut Option<f64>, what: &str, notes: &mut Vec<String>) {
    if let Some(number) = value.filter(|number| !number.is_finite()) {
        let reason = if number.is_nan() {
            "not a number"
        } else {
            "infinite"
        };
        notes.push(format!("{what} is null: it was {reason}"));
        *value = None;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ExperimentRecord, RecordKind};
    use crate::error::MetricError;
    use crate::record::{Number, Series};
    use crate::stats::wilson;

    fn record() -> ExperimentRecord {
        let config = json!({"data": {"density": 0.1}, "attack": {"epsilon": 8}});
        let mut record = ExperimentRecord::new(RecordKind::Measure, "toy", config, 3, "flex");
        record.number("fpd", 4.45);
        record.number("accuracy", wilson(98, 100, 0.95).unwrap());
        record.number("lambda", Number::from(0.2).with_unit("input norm"));
        record
            .curve(
                "curve",
                Series::new("epsilon", vec![0.0, 0.1], vec![1.0, 0.25]),
            )
            .unwrap();
        record
            .artifacts
            .insert("weights".into(), "model.safetensors".into());
        record
    }

    #[test]
    fn a_record_comes_back_and_writes_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (
            folder.path().join("a/record.json"),
            folder.path().join("b.json"),
        );
        record().write(&first).unwrap();
        let back = ExperimentRecord::read(&first).unwrap();
        assert_eq!(back.numbers, record().numbers);
        assert_eq!(back.series, record().series);
        back.write(&second).unwrap();
        let bytes = std::fs::read(&first).unwrap();
        assert_eq!(bytes, std::fs::read(&second).unwrap());
        assert_eq!(bytes.last(), Some(&b'\n'));
    }

    #[test]
    fn truncated_and_foreign_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.json");
        record().write(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();

        std::fs::write(&path, &text[..text.len() / 2]).unwrap();
        let error = ExperimentRecord::read(&path).unwrap_err().to_string();
        assert!(
            error.contains("record.json: the file ends early"),
            "{error}"
        );

        std::fs::write(&path, text.replace("\"schema\": 1", "\"schema\": 7")).unwrap();
        let error = ExperimentRecord::read(&path).unwrap_err();
        assert!(
            matches!(error, MetricError::Schema { expected: 1, .. }),
            "{error}"
        );

        std::fs::write(&path, text.replace("\"device\"", "\"devise\"")).unwrap();
        let error = ExperimentRecord::read(&path).unwrap_err().to_string();
        assert!(error.contains("unknown field `devise`"), "{error}");

        std::fs::write(&path, "[1, 2]").unwrap();
        let error = ExperimentRecord::read(&path).unwrap_err().to_string();
        assert!(error.contains("not an experiment record"), "{error}");

        let missing = ExperimentRecord::read(&folder.path().join("none.json"));
        assert!(matches!(missing, Err(MetricError::File { .. })));
    }

    #[test]
    fn values_that_are_not_finite_become_null_with_a_note() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.json");
        let mut record = record();
        record.number("broken", f64::NAN);
        record
            .curve("loss", Series::new("step", vec![1.0], vec![f64::INFINITY]))
            .unwrap();
        record.numbers.insert("sneaked".into(), f64::NAN.into());
        record.write(&path).unwrap();
        let back = ExperimentRecord::read(&path).unwrap();
        assert_eq!(back.numbers["broken"].value, None);
        assert_eq!(back.series["loss"].y, [None]);
        assert_eq!(
            back.notes,
            [
                "number `broken` is null: it was not a number",
                "series `loss` at 1 is null: it was infinite",
                "number `sneaked` is null: it was not a number",
            ]
        );
    }

    #[test]
    fn columns_of_different_length_are_refused() {
        let series = Series::new("epsilon", vec![0.0], vec![1.0, 2.0]);
        let error = record().curve("c", series).unwrap_err().to_string();
        assert_eq!(error, "x and y of series `c`: 1 and 2 differ in length");
    }
}
