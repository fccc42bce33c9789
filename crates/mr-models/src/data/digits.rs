//! UCI optical digits (Alpaydin & Kaynak 1998), 8x8, as the crate `smartcore` carries them.

use std::path::Path;

use super::dataset::{Dataset, numbered};
use super::error::DataError;
use super::source::Split;

const SIDE: usize = 8;
const PIXELS: usize = SIDE * SIDE;
/// Values run from 0 to this.
const DARKEST: f32 = 16.0;
/// The first examples train, the last 360 test. Examples lie in the order of their writers, so that
/// the writers of the test split are mostly unseen.
const TRAIN: usize = 1437;

/// Reads a split of `digits.xy`: number of features and of examples as little-endian u64, then the
/// values of all examples and the labels as little-endian f32. Values 0-16 are scaled to `[0, 1]`.
///
/// # Errors
/// A file that is missing, truncated or of another shape; values past 16; labels past 9.
pub(crate) fn read(path: &Path, split: Split) -> Result<Dataset, DataError> {
    let all = read_all(path)?;
    let (train, test) = all.split(TRAIN.min(all.len().saturating_sub(1)))?;
    Ok(match split {
        Split::Train => train,
        Split::Test => test,
    })
}

fn read_all(path: &Path) -> Result<Dataset, DataError> {
    let bytes = std::fs::read(path).map_err(DataError::file(path))?;
    let Some((header, body)) = bytes.split_at_checked(16) else {
        return Err(DataError::format(path, "truncated within its header"));
    };
    let word = |at: usize| {
        let word: [u8; 8] = header[at..at + 8].try_into().expect("eight bytes");
        u64::from_le_bytes(word)
    };
    let (features, examples) = (word(0), word(8));
    if features != PIXELS as u64 {
        let reason = format!("{features} features per example, expected {PIXELS}");
        return Err(DataError::format(path, reason));
    }
    let expected = examples.saturating_mul(4 * (PIXELS as u64 + 1));
    if body.len() as u64 != expected {
        return Err(DataError::Truncated {
            path: path.into(),
            expected,
            found: body.len() as u64,
        });
    }
    let mut values: Vec<f32> = body
        .chunks_exact(4)
        .map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]]))
        .collect();
    let labels = values
        .split_off(examples as usize * PIXELS)
        .into_iter()
        .enumerate()
        .map(|(example, label)| {
            (label.fract() == 0.0 && label >= 0.0)
                .then_some(label as usize)
                .ok_or_else(|| {
                    let reason = format!("example {example} has label {label}, expected 0 to 9");
                    DataError::format(path, reason)
                })
        })
        .collect::<Result<_, _>>()?;
    for value in &mut values {
        *value /= DARKEST;
    }
    Dataset::of_floats("digits", [1, SIDE, SIDE], numbered(10), values, labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(features: u64, values: &[f32], labels: &[f32]) -> tempfile::NamedTempFile {
        let mut bytes = features.to_le_bytes().to_vec();
        bytes.extend((labels.len() as u64).to_le_bytes());
        for value in values.iter().chain(labels) {
            bytes.extend(value.to_le_bytes());
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    #[test]
    fn values_are_sixteenths() {
        let mut values = vec![0.0; 128];
        values[1] = 5.0;
        values[127] = 16.0;
        let file = file(64, &values, &[0.0, 9.0]);
        let train = read(file.path(), Split::Train).unwrap();
        assert_eq!((train.len(), train.image(0)[1]), (1, 0.3125));
        let test = read(file.path(), Split::Test).unwrap();
        assert_eq!(test.labels(), [9]);
        assert_eq!(test.image(0)[63], 1.0);
    }

    #[test]
    fn damage_is_named() {
        let said = |file: &tempfile::NamedTempFile| read_all(file.path()).unwrap_err().to_string();
        assert!(said(&file(63, &[0.0; 64], &[1.0])).contains("63 features"));
        assert!(said(&file(64, &[0.0; 63], &[1.0])).contains("expected 260 bytes"));
        assert!(said(&file(64, &[17.0; 64], &[1.0])).contains("example 0 holds 1.0625"));
        assert!(said(&file(64, &[0.0; 64], &[1.5])).contains("label 1.5"));
        assert!(said(&file(64, &[0.0; 64], &[10.0])).contains("label 10"));
        assert!(said(&file(64, &[0.0; 64], &[f32::NAN])).contains("label NaN"));
        let short = tempfile::NamedTempFile::new().unwrap();
        assert!(said(&short).ends_with("truncated within its header"));
    }
}
