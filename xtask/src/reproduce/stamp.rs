//! Fingerprints and stamps: how a stage is known to be fresh.
//!
//! A stage's fingerprint is the SHA-256 of its arguments, the bytes of its input files, the
//! fingerprints of the stages it needs and the `mr` binary. Starting a stage writes the
//! fingerprint to `.stamps/NAME.started`; success writes `.stamps/NAME.json`. So after a kill the
//! stage is known to have started with the same fingerprint, and may go on from its checkpoint,
//! while output begun under another fingerprint is removed first.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::expand::Stage;
use super::graph::Plan;

/// What a finished stage leaves behind.
#[derive(Debug, Serialize, Deserialize)]
struct Stamp {
    stage: String,
    fingerprint: String,
    command: Vec<String>,
    seconds: f64,
    /// Seconds since 1970.
    finished: u64,
}

/// What is to be done with a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Succeeded under this fingerprint: skipped.
    Fresh,
    /// Began under this fingerprint and did not finish: goes on in its output folder.
    Resume,
    /// Never began.
    New,
    /// Began or succeeded under another fingerprint: starts over.
    Changed,
    /// Succeeded under this fingerprint, but its output is gone.
    Lost,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fresh => "fresh",
            Self::Resume => "resumes",
            Self::New => "new",
            Self::Changed => "changed",
            Self::Lost => "its output is gone",
        })
    }
}

/// The fingerprint of every stage of a plan, in its order.
pub(crate) fn fingerprints(plan: &Plan, binary: &str) -> Result<Vec<String>> {
    let mut files: BTreeMap<&Path, String> = BTreeMap::new();
    let mut all: Vec<String> = Vec::new();
    for (stage, needs) in plan.stages.iter().zip(&plan.needs) {
        let mut fields = Fields::default();
        fields.list(stage.arguments.iter().map(String::as_str));
        let mut inputs = Vec::new();
        for path in &stage.inputs {
            if !files.contains_key(path.as_path()) {
                files.insert(path, hash_file(path)?);
            }
            inputs.push(files[path.as_path()].clone());
        }
        fields.list(inputs.iter().map(String::as_str));
        fields.list(needs.iter().map(|&need| all[need].as_str()));
        fields.list([binary].into_iter());
        all.push(hex(fields.0));
    }
    Ok(all)
}

/// Hashes lists of texts, each with its length, so that no two inputs run together.
#[derive(Default)]
struct Fields(Sha256);

impl Fields {
    fn list<'a>(&mut self, texts: impl ExactSizeIterator<Item = &'a str>) {
        self.0.update((texts.len() as u64).to_le_bytes());
        for text in texts {
            self.0.update((text.len() as u64).to_le_bytes());
            self.0.update(text);
        }
    }
}

/// The SHA-256 of a file's bytes, in hexadecimal.
pub(crate) fn hash_file(path: &Path) -> Result<String> {
    let context = || format!("cannot read {}", path.display());
    let mut hasher = Sha256::new();
    let mut file = File::open(path).with_context(context)?;
    io::copy(&mut file, &mut hasher).with_context(context)?;
    Ok(hex(hasher))
}

fn hex(hasher: Sha256) -> String {
    format!("{:x}", hasher.finalize())
}

/// The stamps of one run folder.
#[derive(Debug)]
pub(crate) struct Stamps {
    out: PathBuf,
}

impl Stamps {
    /// Stamps of the run folder `out`, whether or not it exists.
    pub(crate) fn of(out: &Path) -> Self {
        Self { out: out.into() }
    }

    fn stamp(&self, stage: &Stage) -> PathBuf {
        self.out
            .join(".stamps")
            .join(format!("{}.json", stage.name))
    }

    fn started(&self, stage: &Stage) -> PathBuf {
        self.out
            .join(".stamps")
            .join(format!("{}.started", stage.name))
    }

    /// What is to be done with a stage that has this fingerprint.
    pub(crate) fn state(&self, stage: &Stage, fingerprint: &str) -> State {
        // A stamp that cannot be read is no stamp: the stage runs again.
        let stamp: Option<Stamp> = std::fs::read(self.stamp(stage))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        if let Some(stamp) = stamp {
            let written = stage
                .output()
                .is_none_or(|output| self.out.join(output).exists());
            return match (stamp.fingerprint == fingerprint, written) {
                (true, true) => State::Fresh,
                (true, false) => State::Lost,
                (false, _) => State::Changed,
            };
        }
        match std::fs::read_to_string(self.started(stage)) {
            Ok(text) if text == fingerprint => State::Resume,
            Ok(_) => State::Changed,
            Err(_) => State::New,
        }
    }

    /// Forgets that a stage ever ran; its output is removed when it starts.
    pub(crate) fn forget(&self, stage: &Stage) -> Result<()> {
        for path in [self.stamp(stage), self.started(stage)] {
            remove(&path)?;
        }
        Ok(())
    }

    /// Marks a stage as begun, removing output that it may not go on from.
    pub(crate) fn start(&self, stage: &Stage, fingerprint: &str, state: State) -> Result<()> {
        if state != State::Resume {
            self.forget(stage)?;
            if let Some(output) = stage.output() {
                remove(&self.out.join(output))?;
            }
        }
        write_atomically(&self.started(stage), fingerprint.as_bytes())
    }

    /// Stamps a stage that succeeded.
    pub(crate) fn finish(
        &self,
        stage: &Stage,
        fingerprint: &str,
        command: &[String],
        seconds: f64,
    ) -> Result<()> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let stamp = Stamp {
            stage: stage.name.clone(),
            fingerprint: fingerprint.into(),
            command: command.to_vec(),
            seconds,
            finished: now.as_secs(),
        };
        write_atomically(&self.stamp(stage), &serde_json::to_vec_pretty(&stamp)?)
    }
}

/// Removes a file or folder; one that is not there is as good as removed.
fn remove(path: &Path) -> Result<()> {
    let done = match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    done.with_context(|| format!("cannot remove {}", path.display()))
}

/// Writes a file whole or not at all.
fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reproduce::template::OUT;

    fn stage(name: &str, word: &str, inputs: &[&Path], needs: &[&str]) -> Stage {
        Stage {
            name: name.into(),
            arguments: vec![word.into(), "--out".into(), format!("{OUT}/{name}")],
            inputs: inputs.iter().map(PathBuf::from).collect(),
            needs: needs.iter().map(ToString::to_string).collect(),
        }
    }

    fn plan(word: &str, input: &Path) -> Plan {
        Plan::new(vec![
            stage("a", word, &[input], &[]),
            stage("b", "eval", &[], &["a"]),
            stage("c", "eval", &[], &[]),
        ])
        .unwrap()
    }

    /// Which of the three stages have another fingerprint.
    fn changed(left: &[String], right: &[String]) -> Vec<bool> {
        left.iter().zip(right).map(|(l, r)| l != r).collect()
    }

    #[test]
    fn a_change_reaches_the_stage_and_those_that_need_it() {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("toy.toml");
        std::fs::write(&input, "steps = 1").unwrap();
        let first = fingerprints(&plan("train", &input), "m").unwrap();
        assert_eq!(fingerprints(&plan("train", &input), "m").unwrap(), first);

        let argument = fingerprints(&plan("attack", &input), "m").unwrap();
        assert_eq!(changed(&first, &argument), [true, true, false]);
        let binary = fingerprints(&plan("train", &input), "n").unwrap();
        assert_eq!(changed(&first, &binary), [true, true, true]);
        std::fs::write(&input, "steps = 2").unwrap();
        let bytes = fingerprints(&plan("train", &input), "m").unwrap();
        assert_eq!(changed(&first, &bytes), [true, true, false]);
    }

    #[test]
    fn fields_do_not_run_together() {
        let hash = |texts: &[&str]| {
            let mut fields = Fields::default();
            fields.list(texts.iter().copied());
            hex(fields.0)
        };
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
    }

    #[test]
    fn a_stage_goes_from_new_to_fresh_and_back() {
        let out = tempfile::tempdir().unwrap();
        std::fs::create_dir(out.path().join(".stamps")).unwrap();
        let stamps = Stamps::of(out.path());
        let stage = stage("a", "train", &[], &[]);
        let part = out.path().join("a/checkpoint");
        assert_eq!(stamps.state(&stage, "f"), State::New);

        stamps.start(&stage, "f", State::New).unwrap();
        std::fs::create_dir(out.path().join("a")).unwrap();
        std::fs::write(&part, "half").unwrap();
        // Killed: it goes on under the same fingerprint, with what it had written.
        assert_eq!(stamps.state(&stage, "f"), State::Resume);
        stamps.start(&stage, "f", State::Resume).unwrap();
        assert!(part.exists());
        // Killed, then changed: it starts over.
        assert_eq!(stamps.state(&stage, "g"), State::Changed);
        stamps.start(&stage, "g", State::Changed).unwrap();
        assert!(!part.exists());

        std::fs::create_dir(out.path().join("a")).unwrap();
        stamps.finish(&stage, "g", &["mr".into()], 1.5).unwrap();
        assert_eq!(stamps.state(&stage, "g"), State::Fresh);
        assert_eq!(stamps.state(&stage, "f"), State::Changed);
        std::fs::remove_dir(out.path().join("a")).unwrap();
        assert_eq!(stamps.state(&stage, "g"), State::Lost);
        stamps.forget(&stage).unwrap();
        assert_eq!(stamps.state(&stage, "g"), State::New);
    }

    #[test]
    fn a_broken_stamp_is_no_stamp() {
        let out = tempfile::tempdir().unwrap();
        std::fs::create_dir(out.path().join(".stamps")).unwrap();
        let stamps = Stamps::of(out.path());
        let stage = stage("a", "train", &[], &[]);
        std::fs::write(stamps.stamp(&stage), "{\"stage\":").unwrap();
        assert_eq!(stamps.state(&stage, "f"), State::New);
    }
}
