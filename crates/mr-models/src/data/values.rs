//! The values of a data set, as compact as they came.

use std::ops::Range;

use super::error::DataError;

/// Rounding that is forgiven at the ends of `[0, 1]`.
const SLACK: f32 = 1e-6;

/// The values of all examples, row-major `[example, channel, height, width]`.
#[derive(Debug, Clone)]
pub(super) enum Values {
    /// A byte b stands for b / 255.
    Bytes(Vec<u8>),
    /// In `[0, 1]`.
    Floats(Vec<f32>),
}

impl Values {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Floats(floats) => floats.len(),
        }
    }

    /// Appends a range of the values, in `[0, 1]`.
    pub(super) fn append_to(&self, range: Range<usize>, out: &mut Vec<f32>) {
        match self {
            Self::Bytes(bytes) => {
                out.extend(bytes[range].iter().map(|&byte| f32::from(byte) / 255.0));
            }
            Self::Floats(floats) => out.extend_from_slice(&floats[range]),
        }
    }

    /// The values of some examples, of `pixels` values each.
    pub(super) fn gather(&self, examples: &[usize], pixels: usize) -> Self {
        match self {
            Self::Bytes(bytes) => Self::Bytes(copy(bytes, examples, pixels)),
            Self::Floats(floats) => Self::Floats(copy(floats, examples, pixels)),
        }
    }
}

fn copy<T: Copy>(from: &[T], examples: &[usize], pixels: usize) -> Vec<T> {
    let mut to = Vec::with_capacity(examples.len() * pixels);
    for &example in examples {
        to.extend_from_slice(&from[example * pixels..(example + 1) * pixels]);
    }
    to
}

/// Clamps to `[0, 1]` what is outside by rounding alone.
///
/// # Errors
/// [`DataError::Value`] naming the first value that is NaN, infinite or further outside.
pub(super) fn clamp(name: &str, shape: [usize; 3], floats: &mut [f32]) -> Result<(), DataError> {
    let outside = |value: &f32| !(-SLACK..=1.0 + SLACK).contains(value);
    if let Some(at) = floats.iter().position(outside) {
        let [channels, height, width] = shape.map(|size| size.max(1));
        return Err(DataError::Value {
            name: name.into(),
            example: at / (channels * height * width),
            channel: at / (height * width) % channels,
            row: at / width % height,
            column: at % width,
            value: floats[at],
        });
    }
    for value in floats {
        *value = value.clamp(0.0, 1.0);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_at_the_ends_of_the_box_is_clamped() {
        let mut floats = [-5e-7, 0.25, 1.0 + 5e-7];
        clamp("edge", [1, 1, 3], &mut floats).unwrap();
        assert_eq!(floats, [0.0, 0.25, 1.0]);
    }

    #[test]
    fn the_first_value_outside_is_named() {
        for bad in [f32::NAN, f32::INFINITY, -1.1e-6, 1.0 + 3e-6] {
            let mut floats = [0.5; 24];
            floats[12 + 7] = bad;
            floats[23] = f32::NAN;
            let error = clamp("bad", [2, 2, 3], &mut floats).unwrap_err();
            let DataError::Value {
                example,
                channel,
                row,
                column,
                ..
            } = error
            else {
                panic!("{error}")
            };
            assert_eq!([example, channel, row, column], [1, 1, 0, 1]);
        }
    }
}
