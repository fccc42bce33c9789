//! From the pipeline file's templates to the stages of one profile.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::pipeline::{Pipeline, StageTemplate};
use super::template::{OUT, Variables, combinations, fill};
use crate::workspace;

/// One command of `mr`, with what it depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stage {
    /// Unique within the plan.
    pub(crate) name: String,
    /// Arguments of `mr`, the run folder still written as [`OUT`].
    pub(crate) arguments: Vec<String>,
    /// Files whose bytes enter the fingerprint.
    pub(crate) inputs: Vec<PathBuf>,
    /// Names of stages, or patterns that end in `*`.
    pub(crate) needs: Vec<String>,
}

impl Stage {
    /// The arguments with the run folder in place.
    pub(crate) fn argv(&self, out: &str) -> Vec<String> {
        self.arguments
            .iter()
            .map(|word| word.replace(OUT, out))
            .collect()
    }

    /// What the stage writes: the value of its `--out`, relative to the run folder.
    pub(crate) fn output(&self) -> Option<&str> {
        let value = self.raw_output()?;
        value.strip_prefix(OUT)?.strip_prefix('/')
    }

    fn raw_output(&self) -> Option<&str> {
        let mut words = self.arguments.iter();
        words
            .find_map(|word| match word.strip_prefix("--out") {
                Some("") => Some(None),
                Some(rest) => rest.strip_prefix('=').map(Some),
                None => None,
            })?
            .or_else(|| words.next().map(String::as_str))
    }
}

/// Expands every stage of a profile, in the file's order. `folder` holds the pipeline file.
pub(crate) fn expand(
    pipeline: &Pipeline,
    profile: &str,
    folder: &Path,
    root: &Path,
) -> Result<Vec<Stage>> {
    let variables = pipeline.variables(profile)?;
    if variables.contains_key("out") {
        bail!("profile `{profile}` sets `out`, which is always the run folder");
    }
    let mut stages = Vec::new();
    for template in &pipeline.stage {
        let elsewhere = |profiles: &Vec<String>| !profiles.iter().any(|name| name == profile);
        if template.profiles.as_ref().is_some_and(elsewhere) {
            continue;
        }
        let rows = combinations(&template.matrix, variables)
            .with_context(|| format!("stage `{}`", template.name))?;
        for row in rows {
            let stage = one(template, &row, folder, root)
                .with_context(|| format!("stage `{}`", template.name))?;
            stages.push(stage);
        }
    }
    distinct_outputs(&stages)?;
    Ok(stages)
}

fn one(template: &StageTemplate, row: &Variables, folder: &Path, root: &Path) -> Result<Stage> {
    let name = fill(&template.name, row)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-+=".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(allowed) {
        let name = name.replace(OUT, "{out}");
        bail!("the name `{name}` cannot name a file; use letters, digits and ._-+=");
    }
    let mut inputs = Vec::new();
    for input in &template.inputs {
        let path = folder.join(fill(input, row)?);
        if !path.is_file() {
            bail!("the input {} is not a file", path.display());
        }
        inputs.push(path);
    }
    let mut arguments = Vec::new();
    for word in &template.run {
        let word = fill(word, row)?;
        let file = folder.join(&word);
        if !word.contains(OUT) && file.is_file() {
            arguments.push(workspace::shown(&file, root));
            if !inputs.contains(&file) {
                inputs.push(file);
            }
        } else {
            arguments.push(word);
        }
    }
    let needs = template
        .needs
        .iter()
        .map(|need| fill(need, row))
        .collect::<Result<_>>()?;
    let stage = Stage {
        name,
        arguments,
        inputs,
        needs,
    };
    // A stage that starts over has its output removed, so that must lie in the run folder.
    if let Some(raw) = stage.raw_output() {
        let inside = stage.output().is_some_and(|path| {
            !path.starts_with('.')
                && Path::new(path)
                    .components()
                    .all(|part| matches!(part, Component::Normal(_)))
                && path.split('/').next() != Some("logs")
        });
        if !inside {
            bail!(
                "stage `{}` writes to `{}`; --out must be `{{out}}/` and a name other than logs",
                stage.name,
                raw.replace(OUT, "{out}")
            );
        }
    }
    Ok(stage)
}

/// No two stages write to one place, nor one inside another's.
fn distinct_outputs(stages: &[Stage]) -> Result<()> {
    let mut owners: BTreeMap<PathBuf, &str> = BTreeMap::new();
    for stage in stages {
        let Some(output) = stage.output() else {
            continue;
        };
        if let Some(other) = owners.insert(PathBuf::from(output), &stage.name) {
            bail!(
                "stages `{other}` and `{}` both write to {{out}}/{output}",
                stage.name
            );
        }
    }
    for (output, inner) in &owners {
        for folder in output.ancestors().skip(1) {
            if let Some(outer) = owners.get(folder) {
                bail!(
                    "stage `{inner}` writes to {{out}}/{}, inside the output of `{outer}`",
                    output.display()
                );
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "title = 't'\n[profiles.quick]\nseeds = [0, 1]\n[profiles.full]\nseeds = [0, 1, 2]\n";

    fn stages(body: &str, profile: &str) -> Result<Vec<Stage>> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("toy.toml"), "x = 1")?;
        let pipeline = Pipeline::parse(&format!("{HEAD}{body}"))?;
        expand(&pipeline, profile, folder.path(), folder.path())
    }

    fn error(body: &str) -> String {
        format!("{:#}", stages(body, "quick").unwrap_err())
    }

    const TOY: &str = "[[stage]]\nname = 'toy-{seed}'\nmatrix = { seed = 'seeds' }\n\
        run = ['train', '--config', 'toy.toml', '--seed', '{seed}', '--out', '{out}/toy-{seed}']\n";

    #[test]
    fn a_stage_is_expanded_over_its_matrix() {
        let stages = stages(TOY, "full").unwrap();
        let names: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
        assert_eq!(names, ["toy-0", "toy-1", "toy-2"]);
        let words = "train --config toy.toml --seed 1 --out runs/a/toy-1";
        assert_eq!(stages[1].argv("runs/a").join(" "), words);
        assert_eq!(stages[1].output(), Some("toy-1"));
        assert!(stages[1].inputs[0].ends_with("toy.toml"));
    }

    #[test]
    fn a_stage_of_another_profile_is_left_out() {
        let body = format!("{TOY}[[stage]]\nname = 'b'\nrun = ['eval']\nprofiles = ['full']\n");
        assert_eq!(stages(&body, "quick").unwrap().len(), 2);
        assert_eq!(stages(&body, "full").unwrap().len(), 4);
    }

    #[test]
    fn culprits_are_named() {
        let stage = |rest: &str| error(&format!("[[stage]]\n{rest}"));
        let says = stage("name = 'a-{sed}'\nrun = []");
        assert_eq!(
            says,
            "stage `a-{sed}`: unknown variable `sed` in `a-{sed}`; there are: out, seeds"
        );
        assert!(stage("name = 'a/b'\nrun = []").contains("the name `a/b` cannot name a file"));
        assert!(
            stage("name = 'a'\nrun = []\ninputs = ['no.toml']").contains("no.toml is not a file")
        );
        for out in [
            "/elsewhere",
            "{out}",
            "{out}/../b",
            "{out}/logs/b",
            "{out}/.stamps",
        ] {
            let says = stage(&format!("name = 'a'\nrun = ['train', '--out={out}']"));
            assert!(says.contains(&format!("writes to `{out}`")), "{says}");
        }
    }

    #[test]
    fn outputs_are_kept_apart() {
        let two = |first: &str, second: &str| {
            error(&format!(
                "[[stage]]\nname = 'a'\nrun = ['--out', '{{out}}/{first}']\n\
                 [[stage]]\nname = 'b'\nrun = ['--out', '{{out}}/{second}']"
            ))
        };
        assert_eq!(two("m", "m"), "stages `a` and `b` both write to {out}/m");
        assert_eq!(
            two("m", "m/n"),
            "stage `b` writes to {out}/m/n, inside the output of `a`"
        );
    }
}
