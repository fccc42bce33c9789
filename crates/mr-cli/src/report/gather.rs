//! Finding and reading every record below a folder.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use mr_metrics::ExperimentRecord;

/// The name of a record's file.
const RECORD: &str = "record.json";

/// A record and where it lies.
#[derive(Debug, Clone)]
pub(crate) struct Located {
    /// The record.
    pub(crate) record: ExperimentRecord,
    /// Its folder, which its artifacts are named from.
    pub(crate) folder: PathBuf,
    /// Its folder as the report names it: from where the search began, with `/`.
    pub(crate) place: String,
}

/// Reads every `record.json` below a folder, in order of their paths; hidden folders are passed over.
///
/// # Errors
/// If the folder cannot be searched, holds no record, or a record cannot be read, naming it.
pub(crate) fn gather(root: &Path) -> Result<Vec<Located>> {
    let mut folders = Vec::new();
    search(root, &mut folders)?;
    if folders.is_empty() {
        bail!("{}: no {RECORD} in it or below it", root.display());
    }
    folders.sort();
    folders
        .into_iter()
        .map(|folder| {
            let record = ExperimentRecord::read(&folder.join(RECORD))?;
            let place = folder.strip_prefix(root).unwrap_or(&folder);
            let parts: Vec<_> = place.iter().map(|part| part.to_string_lossy()).collect();
            Ok(Located {
                record,
                place: parts.join("/"),
                folder,
            })
        })
        .collect()
}

/// The records alone.
pub(crate) fn records(located: &[Located]) -> Vec<ExperimentRecord> {
    located.iter().map(|one| one.record.clone()).collect()
}

/// Collects the folders with a record. A link to a folder is not followed: it could lead back.
fn search(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let context = || format!("cannot search {}", folder.display());
    for entry in std::fs::read_dir(folder).with_context(context)? {
        let entry = entry.with_context(context)?;
        let name = entry.file_name();
        let kind = entry.file_type().with_context(context)?;
        if kind.is_dir() && !name.to_string_lossy().starts_with('.') {
            search(&entry.path(), found)?;
        } else if name == RECORD && !kind.is_dir() {
            found.push(folder.into());
        }
    }
    Ok(())
}
