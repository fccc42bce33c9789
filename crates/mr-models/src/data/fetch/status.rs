//! What the cache holds.

use std::path::PathBuf;

use super::registry::{Fetchable, fetchables};
use super::run::work_folder;
use crate::data::cache::DataCache;
use crate::data::error::DataError;

/// How much of something is in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Every file is there.
    Complete,
    /// Some files are there, or a fetch was interrupted.
    Partial,
    /// Nothing is there.
    Absent,
}

/// One thing that can be fetched, and how much of it is in the cache.
#[derive(Debug)]
pub struct Status<'a> {
    /// What it is.
    pub entry: &'a Fetchable,
    /// How much of it is there.
    pub state: State,
    /// Bytes of its files in the cache.
    pub bytes: u64,
    /// Where its files lie or would lie.
    pub folder: PathBuf,
}

/// What of everything that can be fetched is in the cache. Sizes only; [`fetch`](super::fetch)
/// verifies checksums.
///
/// # Errors
/// A cache that cannot be read.
pub fn status(cache: &DataCache) -> Result<Vec<Status<'static>>, DataError> {
    fetchables()
        .iter()
        .map(|entry| status_of(entry, cache))
        .collect()
}

pub(super) fn status_of<'a>(
    entry: &'a Fetchable,
    cache: &DataCache,
) -> Result<Status<'a>, DataError> {
    let folder = cache.folder(entry.name);
    let (mut there, mut bytes) = (0, 0);
    for file in entry.files() {
        let path = folder.join(file);
        if path.is_file() {
            let metadata = path.metadata().map_err(DataError::file(&path))?;
            there += 1;
            bytes += metadata.len();
        }
    }
    let state = if there == entry.files().count() {
        State::Complete
    } else if there > 0 || work_folder(cache, entry.name).exists() {
        State::Partial
    } else {
        State::Absent
    };
    Ok(Status {
        entry,
        state,
        bytes,
        folder,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_in_a_cache_that_is_not_there() {
        let all = status(&DataCache::at("no-such-folder")).unwrap();
        assert_eq!(all.len(), fetchables().len());
        for one in all {
            assert_eq!((one.state, one.bytes), (State::Absent, 0));
        }
    }
}
