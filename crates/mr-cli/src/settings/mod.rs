//! What a command is told: the tables of a TOML file, which are the libraries' own configuration
//! structs, and the flags that override them.
//!
//! ```toml
//! name = "half"            # of the run, in its record
//! seed = 0                 # of every draw that no table gives a seed of its own
//! device = "flex"
//! out = "runs/half"
//! split = "test"           # what eval, attack and measure look at
//!
//! [model]                  # mr_models::Architecture
//! type = "convnet"
//! widths = [16, 32]
//!
//! [data]                   # mr_models::data::DataConfig
//! name = "mnist"
//!
//! [train]                  # mr_train::TrainConfig
//! epochs = 5
//!
//! [threat]                 # mr_attacks::ThreatModel
//! norm = "Linf"
//! epsilon = 0.1
//!
//! [attack]                 # mr_attacks::AttackConfig; [[attack]] for several
//! type = "pgd"
//! steps = 40
//!
//! [certify]                # mr_attacks::CertifierConfig
//! type = "ibp"
//!
//! [defence]                # mr_models::DefenceConfig; [[defence]] for several
//! type = "quantize"
//! levels = 8
//!
//! [corrupt]                # what `mr corrupt` tries
//! severities = [1, 3, 5]
//!
//! [fit]                    # mr_attacks::FitConfig: what `mr universal` and `mr patch` fit with
//! epochs = 5
//!
//! [patch]                  # what `mr patch` fits
//! size = [8, 8]
//!
//! [evaluation]             # mr_attacks::EvaluationConfig
//! batch_size = 128
//!
//! [gain]                   # mr_attacks::GainConfig
//! norm = "L2"
//!
//! [damage]                 # what `mr circuit damage` splits
//! random = 20
//!
//! [checklist]              # mr_attacks::ChecklistConfig
//! queries = 400
//!
//! [measure]                # what `mr measure` measures
//! saliency = true
//!
//! [probe]                  # what `mr probe` reads
//! kind = "logistic"
//!
//! [sae]                    # what `mr sae train` fits; [sae.fit] and [sae.length] are mr_train::FitConfig and FitLength
//! kind = "top-k"
//! k = [16, 32]
//! ```
//!
//! `target` ("next", "random" or a class), `epsilons` (a curve), `objective` (what `mr aim` drives up) and
//! `fit_limit` (training examples that `mr universal` and `mr patch` fit to) are further keys of the
//! root. One file may serve all commands: each reads the tables that it needs, all are checked.

mod blame;
mod corrupt;
mod damage;
mod dictionary;
mod layers;
mod patch;
mod probe;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use mr_attacks::{
    AttackConfig, CertifierConfig, ChecklistConfig, EvaluationConfig, FitConfig, GainConfig,
    Targets, ThreatModel,
};
use mr_models::data::{DataConfig, Split};
use mr_models::{Architecture, DefenceConfig};
use mr_train::TrainConfig;
use serde::{Deserialize, Deserializer};
use toml::Value;

pub(crate) use corrupt::CorruptConfig;
pub(crate) use damage::DamageConfig;
pub(crate) use dictionary::SaeSettings;
pub(crate) use layers::Layers;
use patch::PatchConfig;
pub(crate) use probe::{ProbeSettings, ReadOut};

use crate::measure::MeasureConfig;

/// Flags of every command that runs something.
#[derive(Debug, Args)]
#[command(next_help_heading = "Settings")]
pub(crate) struct Common {
    /// Take settings from this file; may be repeated, later files and flags override
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) config: Vec<PathBuf>,
    /// Override one setting, such as data.density=0.1
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Compute on this device: flex, ndarray, wgpu[:N], vulkan[:N], cuda[:N]; see `mr devices`
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// Seed of every random draw
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    seed: Option<i64>,
    /// Write the record of the run, and whatever else it makes, into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Name of the run in its record [default: that of the file]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Replace the record of another run in the folder
    #[arg(long)]
    pub(crate) overwrite: bool,
}

/// Flags that pick data.
#[derive(Debug, Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct DataFlags {
    /// Data set; see `mr data list` [default: what the model was trained on]
    #[arg(long, value_name = "NAME")]
    data: Option<String>,
    /// Only the first N examples
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    limit: Option<i64>,
}

/// Flags of every command that looks at a network.
#[derive(Debug, Args)]
#[command(next_help_heading = "Running")]
pub(crate) struct RunFlags {
    /// Part of the data to look at: train or test
    #[arg(long, value_name = "PART")]
    split: Option<String>,
    /// Examples that one thread holds at a time; does not change the result
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    batch_size: Option<i64>,
    /// Threads; does not change the result [default: all cores, or RAYON_NUM_THREADS]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    threads: Option<i64>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// All settings of a run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) name: Option<String>,
    pub(crate) seed: Option<u64>,
    pub(crate) device: Option<String>,
    pub(crate) out: Option<PathBuf>,
    pub(crate) split: Split,
    pub(crate) model: Option<Architecture>,
    pub(crate) data: DataConfig,
    pub(crate) train: TrainConfig,
    pub(crate) threat: Option<ThreatModel>,
    #[serde(deserialize_with = "target")]
    pub(crate) target: Option<Targets>,
    pub(crate) epsilons: Vec<f64>,
    pub(crate) attack: Vec<AttackConfig>,
    /// Read before the rest: by `Subject::open`.
    pub(crate) defence: Vec<DefenceConfig>,
    pub(crate) checklist: ChecklistConfig,
    pub(crate) certify: Option<CertifierConfig>,
    pub(crate) corrupt: CorruptConfig,
    pub(crate) fit: FitConfig,
    pub(crate) fit_limit: Option<usize>,
    pub(crate) patch: PatchConfig,
    pub(crate) evaluation: EvaluationConfig,
    pub(crate) measure: MeasureConfig,
    pub(crate) objective: Option<String>,
    pub(crate) gain: GainConfig,
    pub(crate) probe: ProbeSettings,
    pub(crate) damage: DamageConfig,
    pub(crate) sae: SaeSettings,
}

impl Common {
    /// The file's settings under those of `--set` and the flags here.
    pub(crate) fn layers(&self) -> Result<Layers> {
        let mut layers = Layers::default();
        for path in &self.config {
            layers.read(path)?;
        }
        for assignment in &self.set {
            layers.set(assignment)?;
        }
        for table in [
            "train",
            "evaluation",
            "measure",
            "checklist",
            "fit",
            "probe",
            "sae",
        ] {
            layers.flag("--seed", &format!("{table}.seed"), self.seed)?;
        }
        layers.flag("--seed", "seed", self.seed)?;
        layers.flag("--device", "device", self.device.clone())?;
        layers.flag("--out", "out", self.out.as_deref().map(text).transpose()?)?;
        layers.flag("--name", "name", self.name.clone())?;
        if let Some(stem) = self.config.last().and_then(|path| path.file_stem()) {
            layers.beneath("name", stem.to_string_lossy().into_owned());
        }
        Ok(layers)
    }
}

impl DataFlags {
    pub(crate) fn apply(&self, layers: &mut Layers) -> Result<()> {
        layers.flag("--data", "data.name", self.data.clone())?;
        layers.flag("--limit", "data.limit", self.limit)
    }
}

impl RunFlags {
    /// The file's settings under those of `--set` and the flags here.
    pub(crate) fn layers(&self) -> Result<Layers> {
        let mut layers = self.common.layers()?;
        layers.flag("--split", "split", self.split.clone())?;
        layers.flag("--batch-size", "evaluation.batch_size", self.batch_size)?;
        layers.flag("--threads", "evaluation.threads", self.threads)?;
        Ok(layers)
    }
}

impl Settings {
    /// Reads the layers; a seed of the root is that of every table without its own.
    pub(crate) fn of(mut layers: Layers) -> Result<Self> {
        if let Some(seed @ Value::Integer(_)) = layers.get("seed").cloned() {
            for table in [
                "train",
                "evaluation",
                "measure",
                "checklist",
                "fit",
                "probe",
                "sae",
            ] {
                layers.beneath(&format!("{table}.seed"), seed.clone());
            }
        }
        layers.all()
    }
}

fn text(path: &Path) -> Result<String> {
    let text = path.to_str().map(String::from);
    text.with_context(|| format!("--out {}: the path must be UTF-8", path.display()))
}

/// `target` in a file: "next", "random" or a class.
fn target<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Targets>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let targets = match &value {
        Value::Integer(class) => usize::try_from(*class).ok().map(Targets::Class),
        Value::String(name) => match name.as_str() {
            "next" => Some(Targets::Next),
            "random" => Some(Targets::Random),
            name => name.parse().ok().map(Targets::Class),
        },
        _ => None,
    };
    match targets {
        Some(targets) => Ok(Some(targets)),
        None => Err(serde::de::Error::custom(format!(
            "{value} is no target; valid: a class such as 3, next, random"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(toml: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        std::fs::write(&path, toml).unwrap();
        let mut layers = Layers::default();
        let error = layers.read(&path).and_then(|()| Settings::of(layers));
        let error = error.map(|_| ()).unwrap_err();
        let text = format!("{error:#}");
        text.replace(&*folder.path().to_string_lossy(), "DIR")
    }

    #[test]
    fn an_unknown_key_names_the_file_the_key_and_near_matches() {
        for (toml, expected) in [
            (
                "sed = 1",
                "DIR/a.toml: unknown key `sed`; did you mean seed?",
            ),
            (
                "[train]\nepoch = 1",
                "DIR/a.toml: unknown key `train.epoch`; did you mean epochs?",
            ),
            (
                "[train.optimizer]\ntype = \"sgd\"\nlrr = 1.0",
                "DIR/a.toml: unknown key `train.optimizer.lrr`; did you mean lr?",
            ),
            (
                "[attack]\ntype = \"pgd\"\nstep = 3",
                "DIR/a.toml: unknown key `attack.step`; did you mean steps, step_size, stop_early?",
            ),
            (
                "[[attack]]\ntype = \"pgd\"\n[[attack]]\ntype = \"fgsm\"\nsteps = 3",
                "DIR/a.toml: unknown key `attack.1.steps`; valid names: objective",
            ),
            (
                "[attack]\ntype = \"pgdd\"",
                "DIR/a.toml: unknown attack `pgdd`; did you mean pgd, apgd?",
            ),
            (
                "[model]\ntype = \"convent\"",
                "DIR/a.toml: unknown model `convent`; did you mean convnet?",
            ),
            (
                "[threat]\nnorm = \"Linff\"\nepsilon = 0.1",
                "DIR/a.toml: unknown norm `Linff`; did you mean Linf?",
            ),
            (
                "[threat]\nnorm = \"Linf\"",
                "DIR/a.toml: `threat.epsilon` is not set",
            ),
        ] {
            assert_eq!(said(toml), expected);
        }
    }

    #[test]
    fn wrong_types_and_syntax_name_their_place() {
        assert_eq!(
            said("[train]\nepochs = \"many\""),
            "DIR/a.toml: `train.epochs`: invalid type: string \"many\", expected usize"
        );
        assert!(said("seed = 1\n[train\n").starts_with("DIR/a.toml: line 2: "));
        assert!(said("target = \"first\"").contains("valid: a class such as 3, next, random"));
    }

    #[test]
    fn later_files_override_and_another_type_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let mut layers = Layers::default();
        for (name, toml) in [
            (
                "a.toml",
                "seed = 1\n[train]\nepochs = 3\nloss = { type = \"trades\", beta = 2.0 }",
            ),
            (
                "b.toml",
                "[train]\nbatch_size = 7\nloss = { type = \"reconstruction\", rho = 0.5 }",
            ),
            (
                "c.toml",
                "[train]\nloss = { type = \"reconstruction\", rho = 0.1 }\nepoch = 1",
            ),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, toml).unwrap();
            layers.read(&path).unwrap();
        }
        let error = Settings::of(layers).unwrap_err().to_string();
        assert!(
            error.contains("c.toml: unknown key `train.epoch`"),
            "{error}"
        );
    }

    #[test]
    fn the_seed_is_that_of_every_table_without_one() {
        let mut layers = Layers::default();
        layers.set("seed=7").unwrap();
        layers.set("evaluation.seed=2").unwrap();
        let settings = Settings::of(layers).unwrap();
        assert_eq!((settings.train.seed, settings.evaluation.seed), (7, 2));
    }
}
