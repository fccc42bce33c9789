//! The pipeline file: what a person writes in `xtask/pipelines/NAME/pipeline.toml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use toml::Value;

use super::template::Variables;

/// An experiment as stages of `mr`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pipeline {
    /// One line that says what is reproduced.
    pub(crate) title: String,
    /// Variables by profile; `quick` and `full` are those that the command line asks for.
    pub(crate) profiles: BTreeMap<String, Variables>,
    /// Stages, each expanded over its matrix.
    pub(crate) stage: Vec<StageTemplate>,
    /// What is checked once every stage has run.
    pub(crate) verify: Option<Verify>,
}

/// One `[[stage]]`: a command of `mr` for every combination of its matrix.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StageTemplate {
    /// Unique after expansion; names the stamp and the log.
    pub(crate) name: String,
    /// Arguments of `mr`. A word that is a file of the pipeline folder becomes that file's path.
    pub(crate) run: Vec<String>,
    /// Axis name to a list of values, or to the name of a profile variable.
    #[serde(default)]
    pub(crate) matrix: BTreeMap<String, Value>,
    /// Further files of the pipeline folder whose bytes the stage depends on.
    #[serde(default)]
    pub(crate) inputs: Vec<String>,
    /// Stages that must succeed first; a trailing `*` stands for anything.
    #[serde(default)]
    pub(crate) needs: Vec<String>,
    /// Profiles that have this stage; all, if absent.
    pub(crate) profiles: Option<Vec<String>>,
}

/// The `[verify]` table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Verify {
    /// The findings file, in the pipeline folder.
    pub(crate) findings: String,
    /// Where the records lie: a folder, or a pattern such as `{out}/**/record.json`.
    #[serde(default = "everywhere")]
    pub(crate) records: String,
}

fn everywhere() -> String {
    "{out}/**/record.json".into()
}

impl Pipeline {
    /// Reads `pipeline.toml` of a folder.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("pipeline.toml");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("in {}", path.display()))
    }

    /// Parses a pipeline file and checks the profiles that it names.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let pipeline: Self = toml::from_str(text)?;
        if pipeline.stage.is_empty() {
            bail!("the pipeline has no [[stage]]");
        }
        for stage in &pipeline.stage {
            for profile in stage.profiles.iter().flatten() {
                pipeline
                    .variables(profile)
                    .with_context(|| format!("stage `{}`", stage.name))?;
            }
        }
        Ok(pipeline)
    }

    /// The variables of a profile.
    pub(crate) fn variables(&self, profile: &str) -> Result<&Variables> {
        let names: Vec<&str> = self.profiles.keys().map(String::as_str).collect();
        self.profiles.get(profile).with_context(|| {
            format!(
                "no profile `{profile}`; the pipeline has: {}",
                names.join(", ")
            )
        })
    }
}

/// The folder of a pipeline: a name within `xtask/pipelines`, or the path of any folder.
pub(crate) fn locate(name: &str, root: &Path) -> Result<PathBuf> {
    let pipelines = root.join("xtask/pipelines");
    for folder in [pipelines.join(name), std::path::absolute(name)?] {
        if folder.join("pipeline.toml").is_file() {
            return Ok(folder);
        }
    }
    let mut known: Vec<String> = std::fs::read_dir(&pipelines)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|folder| folder.join("pipeline.toml").is_file())
        .filter_map(|folder| Some(folder.file_name()?.to_string_lossy().into_owned()))
        .collect();
    known.sort();
    bail!(
        "no pipeline `{name}`: xtask/pipelines has {}; a path must lead to a folder with a pipeline.toml",
        if known.is_empty() {
            "none".into()
        } else {
            known.join(", ")
        }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_and_profiles_are_named() {
        let unknown = "title = 't'\nprofile = 1\n[profiles.quick]\n[[stage]]\nname = 'a'\nrun = []";
        let error = format!("{:#}", Pipeline::parse(unknown).unwrap_err());
        assert!(error.contains("unknown field `profile`"), "{error}");

        let profile =
            "title = 't'\n[profiles.quick]\n[[stage]]\nname = 'a'\nrun = []\nprofiles = ['ful']";
        let error = format!("{:#}", Pipeline::parse(profile).unwrap_err());
        assert!(
            error.contains("stage `a`: no profile `ful`; the pipeline has: quick"),
            "{error}"
        );
    }

    #[test]
    fn unknown_pipelines_list_the_known() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("xtask/pipelines/superposition");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("pipeline.toml"), "").unwrap();
        assert_eq!(locate("superposition", root.path()).unwrap(), folder);
        let error = locate("superpositoin", root.path())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`superpositoin`: xtask/pipelines has superposition"),
            "{error}"
        );
    }
}
