//! What a run leaves in its folder.
//!
//! `record.json` is an [`ExperimentRecord`] without dates and durations: the same command on the
//! same device writes the same bytes. Its `config` is laid out alike for every command, and findings
//! select by it:
//!
//! | kind | `config` |
//! |---|---|
//! | train | `model`, `data`, `train`: the tables as they were used |
//! | eval | `data`, `split`, `evaluation`, `trained` |
//! | attack | `data`, `split`, `threat`, `goal`, `attack` (a list), `epsilons`, `evaluation`, `trained`; of transferred attacks `transfer_from` |
//! | bench-attacks | `data`, `split`, `threat`, `attack` (a list), `evaluation`, `trained` |
//! | checklist | `data`, `split`, `threat`, `checklist`, `trained`; `transfer_from` where it is named |
//! | certify | `data`, `split`, `threat`, `certify`, `evaluation`, `trained`; where they are set `epsilons`, `attack` |
//! | corrupt | `data`, `split`, `corrupt`, `evaluation`, `trained` |
//! | universal | `data`, `split`, `threat`, `goal`, `fit`, `fit_limit`, `evaluation`, `trained` |
//! | patch | `data`, `split`, `patch`, `goal`, `fit`, `fit_limit`, `evaluation`, `trained` |
//! | aim | `data`, `split`, `objective`, `threat`, `attack`, `evaluation`, `trained` |
//! | gain | `data`, `split`, `gain`, `attack`, `evaluation`, `trained` |
//! | probe | `data`, `split`, `probe`, `trained`; of a saved one `load` and `concept` |
//! | damage | `data`, `split`, `objective`, `threat`, `attack`, `damage`, `evaluation`, `trained` |
//! | visualize | `objectives` and `visualize`, or `dissect`; `trained` |
//! | lens | `lens`, `trained` |
//! | circuit-patch | `objective`, `patching`, `trained`; as of every circuit's pair `pair`, or of a task `data` and `split` |
//! | circuit-attribute | `objective`, `attribute`, `trained` and the pair |
//! | circuit-discover | `discover`, `trained` and the pair |
//! | circuit-evaluate | `objective`, `circuit`, `evaluate`, `trained` and the pair; in a ball `threat`, `attack` |
//! | circuit-draw, circuit-diff | the files and what is done with them, `trained` |
//! | circuit-features | `objective`, `dictionaries`, `sites`, `features`, `trained` and the pair |
//! | sae-train | `data`, `split`, `sae`, `sites`, `other`, `trained` |
//! | sae-eval | `data`, `split`, `dictionaries`, `sites`, `other`, `loss`, `trained` |
//! | sae-features | `data`, `split`, `dictionary`, `sites`, `features`, `trained` |
//! | sae-card | `data`, `split`, `dictionary`, `site`, `norm`, `card`, `seeds`, `beside`, `attack`, `evaluation`, `trained` |
//! | measure | `data`, `split`, `measure`, `threat`, `attack`, `epsilons`, `trained` |
//!
//! `trained` is what the network says of itself: `name`, `seed`, `step`, and the tables `model`,
//! `data`, `train` of the run that made it; of bare weights only `model` is known. So a finding
//! picks networks by `config.trained.data.density`, `config.trained.train.loss.type` or
//! `config.trained.model.hidden`, whichever command wrote the record.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use mr_metrics::{ExperimentRecord, MetricError, RecordKind};
use serde_json::Value;

/// Name of the record in a run's folder.
pub(crate) const RECORD_FILE: &str = "record.json";

/// The release of burn that this build computes with.
const BURN: &str = "0.22.1";

/// A folder that a run writes into.
#[derive(Debug)]
pub(crate) struct Output {
    folder: PathBuf,
    /// The record of the same run, if it was finished before.
    pub(crate) before: Option<ExperimentRecord>,
}

impl Output {
    /// Opens a folder for the run of this record, before anything is computed for it: it must be
    /// writable, and hold no other run's record unless that may be replaced.
    pub(crate) fn open(folder: &Path, draft: &ExperimentRecord, overwrite: bool) -> Result<Self> {
        let path = folder.join(RECORD_FILE);
        let shown = path.display();
        let before = match ExperimentRecord::read(&path) {
            Ok(record) => Some(record),
            Err(MetricError::File { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                None
            }
            // A path below a file, or one that may not be read, cannot be written either.
            Err(error @ MetricError::File { .. }) => {
                return Err(error).context("--out");
            }
            Err(_) if overwrite => None,
            Err(error) => {
                return Err(error).context(format!(
                    "{shown} is no record of this build; --overwrite replaces it"
                ));
            }
        };
        let before = match before {
            Some(record) if is_same(&record, draft) => Some(record),
            Some(record) if !overwrite => bail!(
                "{shown} is the record of another run ({}): name another folder with --out, or \
                 replace it with --overwrite",
                difference(&record, draft)
            ),
            _ => None,
        };
        std::fs::create_dir_all(folder)
            .and_then(|()| tempfile::tempfile_in(folder).map(drop))
            .with_context(|| format!("--out {}: cannot write there", folder.display()))?;
        Ok(Self {
            folder: folder.into(),
            before,
        })
    }

    /// The path of a file in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes the record, whole or not at all.
    pub(crate) fn write(&self, record: &ExperimentRecord) -> Result<()> {
        let path = self.path(RECORD_FILE);
        record.write(&path).context("the record is not written")?;
        tracing::info!("wrote {}", path.display());
        Ok(())
    }
}

/// Finds out before anything is computed whether a file can be written.
pub(crate) fn writable(flag: &str, path: Option<&PathBuf>) -> Result<()> {
    let Some(path) = path else {
        return Ok(());
    };
    let context = || format!("{flag} {}: cannot write there", path.display());
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder).with_context(context)?;
    tempfile::tempfile_in(folder).with_context(context)?;
    Ok(())
}

/// A record without results.
pub(crate) fn draft(
    kind: RecordKind,
    name: Option<&str>,
    config: Value,
    seed: u64,
    device: &str,
) -> ExperimentRecord {
    let name = name.map_or_else(|| kind.to_string(), String::from);
    let mut record = ExperimentRecord::new(kind, name, config, seed, device);
    record.command = command();
    for (name, version) in [("mr", env!("CARGO_PKG_VERSION")), ("burn", BURN)] {
        record.versions.insert(name.into(), version.into());
    }
    record
}

/// The command line, without what changes only what is said on the way.
fn command() -> Vec<String> {
    let talk = |word: &String| {
        matches!(
            word.as_str(),
            "--json" | "--quiet" | "-q" | "--verbose" | "-v" | "-vv" | "--overwrite"
        )
    };
    let words = std::env::args_os().skip(1);
    std::iter::once("mr".to_string())
        .chain(words.map(|word| word.to_string_lossy().into_owned()))
        .filter(|word| !talk(word))
        .collect()
}

fn is_same(record: &ExperimentRecord, draft: &ExperimentRecord) -> bool {
    record.kind == draft.kind && record.seed == draft.seed && record.config == draft.config
}

/// The first thing that tells two runs apart.
fn difference(record: &ExperimentRecord, draft: &ExperimentRecord) -> String {
    if record.kind != draft.kind {
        return format!("of `mr {}`, not `mr {}`", record.kind, draft.kind);
    }
    if record.seed != draft.seed {
        return format!("its seed is {}, not {}", record.seed, draft.seed);
    }
    let path = first_difference(&record.config, &draft.config).unwrap_or_default();
    let value = |record: &ExperimentRecord| {
        mr_metrics::lookup(&record.config, &path).map_or("not set".into(), Value::to_string)
    };
    format!("its {path} is {}, not {}", value(record), value(draft))
}

fn first_difference(theirs: &Value, ours: &Value) -> Option<String> {
    if theirs == ours {
        return None;
    }
    if let (Value::Object(a), Value::Object(b)) = (theirs, ours) {
        let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
        for key in keys {
            let (a, b) = (&theirs[key], &ours[key]);
            if let Some(rest) = first_difference(a, b) {
                return Some(if rest.is_empty() {
                    key.clone()
                } else {
                    format!("{key}.{rest}")
                });
            }
        }
    }
    Some(String::new())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(config: Value, seed: u64) -> ExperimentRecord {
        draft(RecordKind::Train, Some("a"), config, seed, "flex")
    }

    #[test]
    fn another_runs_record_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = record(json!({"data": {"density": 0.1}}), 0);
        let output = Output::open(folder.path(), &first, false).unwrap();
        assert!(output.before.is_none());
        output.write(&first).unwrap();
        assert_eq!(
            Output::open(folder.path(), &first, false).unwrap().before,
            Some(first.clone())
        );
        let said = |draft: &ExperimentRecord| {
            let error = Output::open(folder.path(), draft, false).unwrap_err();
            error.to_string()
        };
        let other = record(json!({"data": {"density": 0.2}}), 0);
        assert!(said(&other).contains("(its data.density is 0.1, not 0.2)"));
        assert!(said(&record(first.config.clone(), 1)).contains("(its seed is 0, not 1)"));
        assert!(
            Output::open(folder.path(), &other, true)
                .unwrap()
                .before
                .is_none()
        );
        assert_eq!(
            ExperimentRecord::read(&output.path(RECORD_FILE)).unwrap(),
            first
        );
    }

    #[test]
    fn the_release_of_burn_is_that_of_the_workspace() {
        let manifest = include_str!("../../../Cargo.toml");
        assert!(manifest.contains(&format!("burn = {{ version = \"={BURN}\"")));
    }
}
