//! Between tensors and the host's memory, and between the host's memory and files.

use std::io::Write;
use std::path::Path;

use burn::tensor::{Int, Tensor};

/// A float tensor's values, row-major.
///
/// # Panics
/// If the device cannot be read any more.
pub fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor
        .into_data()
        .try_into_vec_as::<f32>()
        .expect("a float tensor converts to f32")
}

/// An integer tensor's values, row-major.
///
/// # Panics
/// If the device cannot be read any more.
pub fn integers<const D: usize>(tensor: Tensor<D, Int>) -> Vec<i64> {
    tensor
        .into_data()
        .try_into_vec_as::<i64>()
        .expect("an integer tensor converts to i64")
}

/// Writes a whole file or nothing: into a temporary file beside it, then renamed over it. The
/// folder is made if there is none.
///
/// # Errors
/// Whatever the file system says.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".mr-");
    // As readable as any file that the user makes, not private as temporary files are.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    // The file's own errors do not name the temporary path.
    file.as_file_mut().write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
