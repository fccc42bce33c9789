//! SHA-256 of files.

use std::fs::File;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::data::error::DataError;

/// The SHA-256 of a file, as 64 hexadecimal digits.
pub(super) fn sha256(path: &Path) -> Result<String, DataError> {
    let mut file = File::open(path).map_err(DataError::file(path))?;
    let mut hasher = Sha256::new();
    std::io::copy(&mut file, &mut hasher).map_err(DataError::file(path))?;
    Ok(format!("{:x}", hasher.finalize()))
}

/// Whether a file is there and has this SHA-256.
pub(super) fn is_right(path: &Path, expected: &str) -> Result<bool, DataError> {
    Ok(path.is_file() && sha256(path)? == expected)
}

/// Refuses a file of another SHA-256; `name` is what the error calls it.
pub(super) fn verify(path: &Path, name: &str, expected: &str) -> Result<(), DataError> {
    let found = sha256(path)?;
    if found == expected {
        return Ok(());
    }
    Err(DataError::Checksum {
        file: name.into(),
        expected: expected.into(),
        found,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // Known values: FIPS 180-2, appendix B.1, and the empty message.
    #[test]
    fn checksums_are_those_of_the_standard() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(
            sha256(file.path()).unwrap(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        std::fs::write(file.path(), "abc").unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(is_right(file.path(), abc).unwrap());
        assert!(verify(file.path(), "abc", abc).is_ok());
        let error = verify(file.path(), "abc", "00").unwrap_err().to_string();
        assert!(error.contains(&format!("expected SHA-256 00, got {abc}")));
        assert!(!is_right(Path::new("no-such-file"), abc).unwrap());
    }
}
