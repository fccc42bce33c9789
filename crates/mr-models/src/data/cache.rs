//! Where fetched data lies.

use std::path::{Path, PathBuf};

use super::error::DataError;

/// The environment variable that moves the cache.
pub const CACHE_VARIABLE: &str = "MECH_ROBUST_DATA";

/// The folder of fetched data sets and models, one folder each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataCache {
    root: PathBuf,
}

impl DataCache {
    /// The folder that `MECH_ROBUST_DATA` names, otherwise `mech-robust` in the platform's usual
    /// place for caches.
    ///
    /// # Errors
    /// [`DataError::NoCache`] if the system names no such place.
    pub fn platform() -> Result<Self, DataError> {
        match std::env::var_os(CACHE_VARIABLE) {
            Some(root) if !root.is_empty() => Ok(Self::at(PathBuf::from(root))),
            _ => directories::ProjectDirs::from("", "", "mech-robust")
                .map(|folders| Self::at(folders.cache_dir()))
                .ok_or(DataError::NoCache),
        }
    }

    /// A cache in this folder, which need not exist.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder of all.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of one fetched data set or model; it need not exist.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// A file of a fetched data set or model, such as `mnist_lenet5_clntrained.safetensors` of
    /// `lenet5`.
    ///
    /// # Errors
    /// [`DataError::Missing`], which says what to run, if it is not there.
    pub fn file(&self, name: &str, file: &str) -> Result<PathBuf, DataError> {
        let path = self.folder(name).join(file);
        if path.is_file() {
            Ok(path)
        } else {
            Err(DataError::Missing {
                name: name.into(),
                path,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_says_what_to_run() {
        let root = tempfile::tempdir().unwrap();
        let cache = DataCache::at(root.path());
        let error = cache.file("mnist", "images").unwrap_err().to_string();
        assert!(
            error.ends_with("images is missing; `mr data fetch mnist` brings it"),
            "{error}"
        );
        std::fs::create_dir(cache.folder("mnist")).unwrap();
        std::fs::write(cache.folder("mnist").join("images"), []).unwrap();
        assert!(cache.file("mnist", "images").is_ok());
    }
}
