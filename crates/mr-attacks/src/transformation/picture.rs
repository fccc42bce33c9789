//! An image on the host, and how it is sampled and filtered.

use crate::error::AttackError;

/// An image in the host's memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    shape: [usize; 3],
    values: Vec<f32>,
}

/// What lies beyond the edge of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Border {
    /// The nearest pixel: `a a | a b c | c c`.
    Nearest,
    /// The image reflected about its outermost pixels: `c b | a b c | b a`.
    Mirror,
    /// The image reflected about its edge: `b a | a b c | c b`.
    Reflect,
    /// Zeros.
    Black,
}

impl Border {
    /// The index inside `0..count` that stands for `at`; `None` for a zero.
    fn index(self, at: isize, count: usize) -> Option<usize> {
        let last = count as isize - 1;
        if (0..=last).contains(&at) {
            return Some(at as usize);
        }
        let inside = match self {
            Self::Black => return None,
            Self::Nearest => at.clamp(0, last),
            Self::Mirror if last == 0 => 0,
            Self::Mirror => {
                let period = 2 * last;
                let at = at.rem_euclid(period);
                at.min(period - at)
            }
            Self::Reflect => {
                let period = 2 * (last + 1);
                let at = at.rem_euclid(period);
                at.min(period - 1 - at)
            }
        };
        Some(inside as usize)
    }
}

impl Picture {
    /// An image `[channel, height, width]`, row-major, in `[0, 1]`.
    ///
    /// # Errors
    /// [`AttackError::Data`] if shape and values do not go together or are empty.
    pub fn new(shape: [usize; 3], values: Vec<f32>) -> Result<Self, AttackError> {
        let count: usize = shape.iter().product();
        if count == 0 || count != values.len() {
            return Err(AttackError::Data(format!(
                "an image of {shape:?} (channel, height, width) has {count} values, not {}; none may \
                 be empty",
                values.len()
            )));
        }
        Ok(Self { shape, values })
    }

    /// Channel, height, width.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// The values, row-major.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The values themselves.
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }

    /// How many pixels a length of one pixel of a 32 x 32 image is here: the published settings of
    /// corruptions are for that size. Smaller images take them as they are.
    pub(crate) fn scale(&self) -> f32 {
        (self.shape[1].min(self.shape[2]) as f32 / 32.0).max(1.0)
    }

    pub(crate) fn planes(&self) -> impl Iterator<Item = Plane> + '_ {
        let [_, height, width] = self.shape;
        self.values.chunks(height * width).map(move |values| Plane {
            height,
            width,
            values: values.to_vec(),
        })
    }

    /// The image with each channel replaced, brought into `[0, 1]`.
    pub(crate) fn map_planes(&self, change: impl FnMut(Plane) -> Plane) -> Self {
        self.of_planes(self.planes().map(change))
    }

    /// An image of this shape with these channels, brought into `[0, 1]`.
    pub(crate) fn of_planes(&self, planes: impl IntoIterator<Item = Plane>) -> Self {
        let values = planes.into_iter().flat_map(|plane| plane.values);
        Self {
            shape: self.shape,
            values: values.map(|value| value.clamp(0.0, 1.0)).collect(),
        }
    }

    /// The image with each value changed, brought into `[0, 1]`.
    pub(crate) fn map(&self, change: impl FnMut(f32) -> f32) -> Self {
        let values = self.values.iter().copied().map(change);
        Self {
            shape: self.shape,
            values: values.map(|value| value.clamp(0.0, 1.0)).collect(),
        }
    }
}

/// One channel.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plane {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) values: Vec<f32>,
}

impl Plane {
    /// A channel of the values at each (row, column).
    pub(crate) fn of(
        height: usize,
        width: usize,
        mut value: impl FnMut(usize, usize) -> f32,
    ) -> Self {
        let mut values = Vec::with_capacity(height * width);
        for row in 0..height {
            values.extend((0..width).map(|column| value(row, column)));
        }
        Self {
            height,
            width,
            values,
        }
    }

    pub(crate) fn at(&self, row: isize, column: isize, border: Border) -> f32 {
        let inside = border
            .index(row, self.height)
            .zip(border.index(column, self.width));
        inside.map_or(0.0, |(row, column)| self.values[row * self.width + column])
    }

    /// Between pixels, by bilinear interpolation.
    pub(crate) fn between(&self, row: f32, column: f32, border: Border) -> f32 {
        let (top, left) = (row.floor(), column.floor());
        let (down, right) = (row - top, column - left);
        let (top, left) = (top as isize, left as isize);
        let at = |row, column| self.at(row, column, border);
        let upper = at(top, left) * (1.0 - right) + at(top, left + 1) * right;
        let lower = at(top + 1, left) * (1.0 - right) + at(top + 1, left + 1) * right;
        upper * (1.0 - down) + lower * down
    }

    /// Correlation with a square kernel of odd side, row-major.
    pub(crate) fn filtered(&self, kernel: &[f32], border: Border) -> Self {
        let side = kernel.len().isqrt() as isize;
        let middle = side / 2;
        Self::of(self.height, self.width, |row, column| {
            let mut sum = 0.0;
            for (i, weight) in kernel
                .iter()
                .enumerate()
                .filter(|(_, weight)| **weight != 0.0)
            {
                let (down, right) = (i as isize / side - middle, i as isize % side - middle);
                sum += weight * self.at(row as isize + down, column as isize + right, border);
            }
            sum
        })
    }

    /// A Gaussian blur of this standard deviation in pixels, cut off at `truncate` of them; 0 does
    /// nothing.
    pub(crate) fn gaussian(&self, sigma: f32, truncate: f32, border: Border) -> Self {
        let radius = (truncate * sigma + 0.5) as isize;
        if radius == 0 {
            return self.clone();
        }
        let weights = (-radius..=radius).map(|at| (-0.5 * (at as f32 / sigma).powi(2)).exp());
        let weights = of_sum_one(weights.collect());
        let taps = || weights.iter().zip(-radius..=radius);
        let down = Self::of(self.height, self.width, |row, column| {
            let at = |offset| self.at(row as isize + offset, column as isize, border);
            taps().map(|(weight, offset)| weight * at(offset)).sum()
        });
        Self::of(self.height, self.width, |row, column| {
            let at = |offset| down.at(row as isize, column as isize + offset, border);
            taps().map(|(weight, offset)| weight * at(offset)).sum()
        })
    }
}

/// Weights in proportion to these, of sum 1.
pub(crate) fn of_sum_one(mut weights: Vec<f32>) -> Vec<f32> {
    let sum: f32 = weights.iter().sum();
    for weight in &mut weights {
        *weight /= sum;
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_of_three_pixels() {
        let line = |border: Border| -> Vec<Option<usize>> {
            (-3..6).map(|at| border.index(at, 3)).collect()
        };
        let some = |all: [usize; 9]| all.map(Some).to_vec();
        assert_eq!(line(Border::Nearest), some([0, 0, 0, 0, 1, 2, 2, 2, 2]));
        assert_eq!(line(Border::Mirror), some([1, 2, 1, 0, 1, 2, 1, 0, 1]));
        assert_eq!(line(Border::Reflect), some([2, 1, 0, 0, 1, 2, 2, 1, 0]));
        assert_eq!(line(Border::Black)[2..5], [None, Some(0), Some(1)]);
        for border in [Border::Nearest, Border::Mirror, Border::Reflect] {
            assert_eq!(border.index(-7, 1), Some(0));
        }
    }

    #[test]
    fn between_pixels_is_the_weighted_mean() {
        let plane = Plane::of(2, 2, |row, column| (2 * row + column) as f32);
        assert_eq!(plane.between(0.5, 0.5, Border::Nearest), 1.5);
        assert_eq!(plane.between(0.25, 1.0, Border::Nearest), 1.5);
        assert_eq!(plane.between(-0.5, 1.0, Border::Black), 0.5);
    }

    #[test]
    fn values_that_are_no_image_are_refused() {
        let error = Picture::new([1, 2, 2], vec![0.0; 3]).unwrap_err();
        assert!(error.to_string().contains("has 4 values, not 3"), "{error}");
        assert!(Picture::new([1, 0, 2], vec![]).is_err());
    }
}
