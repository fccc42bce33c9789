//! Versioned JSON files: read whole or refused, written whole or not at all.

use std::io::Write;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::MetricError;

/// Reads a JSON file whose object names its `schema` version.
pub(crate) fn read_versioned<T: DeserializeOwned>(
    path: &Path,
    what: &str,
    version: u32,
) -> Result<T, MetricError> {
    let text = std::fs::read(path).map_err(|source| MetricError::File {
        path: path.into(),
        source,
    })?;
    let format = |reason: String| MetricError::Format {
        path: path.into(),
        reason,
    };
    let json: Value = serde_json::from_slice(&text).map_err(|error| {
        if error.is_eof() {
            format(format!(
                "the file ends early, at byte {}: it was cut off while it was written or copied",
                text.len()
            ))
        } else {
            format(format!("not valid JSON: {error}"))
        }
    })?;
    let found = json
        .get("schema")
        .ok_or_else(|| format(format!("not {what}: it has no `schema` version")))?;
    if found.as_u64() != Some(version.into()) {
        return Err(MetricError::Schema {
            path: path.into(),
            found: found.to_string(),
            expected: version,
        });
    }
    serde_json::from_value(json).map_err(|error| format(format!("not {what}: {error}")))
}

/// Writes indented JSON into a temporary file beside `path`, then renames it over `path`.
pub(crate) fn write_json(path: &Path, content: &impl Serialize) -> Result<(), MetricError> {
    let mut bytes = serde_json::to_vec_pretty(content).map_err(|error| MetricError::Format {
        path: path.into(),
        reason: error.to_string(),
    })?;
    bytes.push(b'\n');
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new()
            .prefix(".mr-")
            .tempfile_in(folder)?;
        file.write_all(&bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|source| MetricError::File {
        path: path.into(),
        source,
    })
}
