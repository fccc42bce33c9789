//! The run folder: `logs/`, `.stamps/`, and a lock that lasts as long as any stage of it runs.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

/// A run folder, held by this process until dropped.
#[derive(Debug)]
pub(crate) struct RunFolder {
    pub(crate) path: PathBuf,
    lock: File,
}

impl RunFolder {
    /// Makes or reopens a run folder and waits until no other process works in it.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let stamps = path.join(".stamps");
        // Stages that start over have their output removed: never do so in a stranger's folder.
        if !stamps.is_dir() && std::fs::read_dir(path).is_ok_and(|mut some| some.next().is_some()) {
            bail!(
                "{} is not empty and is no run folder; give --out another",
                path.display()
            );
        }
        for folder in [&stamps, &path.join("logs")] {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let name = stamps.join("lock");
        let lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&name)
            .with_context(|| format!("cannot write {}", name.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                eprintln!(
                    "waiting: another run, or a stage that a killed run left, works in {}",
                    path.display()
                );
                lock.lock().context("cannot lock the run folder")?;
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).context("cannot lock the run folder");
            }
        }
        Ok(Self {
            path: path.into(),
            lock,
        })
    }

    /// The standard input of a stage: the (empty) lock file. A stage that outlives a killed xtask
    /// thereby keeps the folder locked, and no second copy of it starts beside it.
    pub(crate) fn stdin(&self) -> Result<Stdio> {
        let lock = self.lock.try_clone().context("cannot share the lock")?;
        Ok(Stdio::from(lock))
    }

    /// Where the output of a command goes.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.path.join("logs").join(format!("{name}.log"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_other_things_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("thesis.tex"), "").unwrap();
        let error = RunFolder::open(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains("is not empty and is no run folder"),
            "{error}"
        );
    }

    #[test]
    fn a_run_folder_opens_again() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("runs/a");
        drop(RunFolder::open(&path).unwrap());
        let folder = RunFolder::open(&path).unwrap();
        assert_eq!(folder.log("x"), path.join("logs/x.log"));
    }
}
