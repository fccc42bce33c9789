//! Labelled examples in the host's memory.

use burn::tensor::{Device, TensorData};

use super::error::DataError;
use super::order::shuffled;
use super::values::{Values, clamp};
use crate::input::{Input, Labels};

/// Labelled examples of one shape, each value in `[0, 1]`. Never empty.
///
/// Images of bytes stay bytes until a batch is drawn: 50,000 CIFAR images take 154 MB, not 614.
#[derive(Debug, Clone)]
pub struct Dataset {
    name: String,
    shape: [usize; 3],
    class_names: Vec<String>,
    values: Values,
    labels: Vec<usize>,
    numbers: Vec<u64>,
}

impl Dataset {
    /// A data set of bytes, each standing for byte / 255, laid out
    /// `[example, channel, height, width]`. `shape` is channel, height, width.
    ///
    /// # Errors
    /// Empty, images and labels not equally many, or a label that is no class.
    pub fn of_bytes(
        name: &str,
        shape: [usize; 3],
        class_names: Vec<String>,
        bytes: Vec<u8>,
        labels: Vec<usize>,
    ) -> Result<Self, DataError> {
        Self::checked(name, shape, class_names, Values::Bytes(bytes), labels)
    }

    /// A data set of floats in `[0, 1]`, laid out `[example, channel, height, width]`. Values that
    /// are outside by rounding (1e-6) are clamped. `shape` is channel, height, width.
    ///
    /// # Errors
    /// Those of [`of_bytes`](Self::of_bytes), and [`DataError::Value`] naming the first value that
    /// is NaN, infinite or outside the box.
    pub fn of_floats(
        name: &str,
        shape: [usize; 3],
        class_names: Vec<String>,
        mut floats: Vec<f32>,
        labels: Vec<usize>,
    ) -> Result<Self, DataError> {
        clamp(name, shape, &mut floats)?;
        Self::checked(name, shape, class_names, Values::Floats(floats), labels)
    }

    fn checked(
        name: &str,
        shape: [usize; 3],
        class_names: Vec<String>,
        values: Values,
        labels: Vec<usize>,
    ) -> Result<Self, DataError> {
        let name = name.to_string();
        let pixels: usize = shape.iter().product();
        if values.len() == 0 || pixels == 0 {
            return Err(DataError::Empty { name });
        }
        if !values.len().is_multiple_of(pixels) {
            let values = values.len();
            return Err(DataError::Ragged {
                name,
                values,
                shape,
            });
        }
        let images = values.len() / pixels;
        if images != labels.len() {
            let labels = labels.len();
            return Err(DataError::Lengths {
                name,
                images,
                labels,
            });
        }
        let classes = class_names.len();
        if let Some(example) = labels.iter().position(|&label| label >= classes) {
            return Err(DataError::Label {
                name,
                example,
                label: labels[example],
                classes,
            });
        }
        let numbers = (0..labels.len() as u64).collect();
        Ok(Self {
            name,
            shape,
            class_names,
            values,
            labels,
            numbers,
        })
    }

    /// What it is called, such as `mnist`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of examples, at least 1.
    #[expect(
        clippy::len_without_is_empty,
        reason = "no constructor makes an empty data set"
    )]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Channel, height, width of one example.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Number of classes; not every one need occur.
    pub fn classes(&self) -> usize {
        self.class_names.len()
    }

    /// What the classes are called.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// The label of each example.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// An example's number in the data set that it was first read in. It stays with the example
    /// through [`subset`](Self::subset) and its like, so what is drawn for it at random can be the
    /// same in any order and company.
    ///
    /// # Panics
    /// If there is no such example.
    pub fn number(&self, example: usize) -> u64 {
        self.numbers[example]
    }

    fn pixels(&self) -> usize {
        self.shape.iter().product()
    }

    /// The values `[channel, height, width]` of one example, in `[0, 1]`.
    ///
    /// # Panics
    /// If there is no such example.
    pub fn image(&self, example: usize) -> Vec<f32> {
        let mut values = Vec::with_capacity(self.pixels());
        self.append_image(example, &mut values);
        values
    }

    fn append_image(&self, example: usize, out: &mut Vec<f32>) {
        let pixels = self.pixels();
        self.values
            .append_to(example * pixels..(example + 1) * pixels, out);
    }

    /// The examples at these indices, in this order, as `[batch, channel, height, width]` in
    /// `[0, 1]`.
    ///
    /// # Panics
    /// If there is no such example.
    pub fn input(&self, examples: &[usize], device: &Device) -> Input {
        let mut values = Vec::with_capacity(examples.len() * self.pixels());
        for &example in examples {
            self.append_image(example, &mut values);
        }
        let [channels, height, width] = self.shape;
        let shape = [examples.len(), channels, height, width];
        Input::Real(burn::tensor::Tensor::from_data(
            TensorData::new(values, shape),
            device,
        ))
    }

    /// The labels of the examples at these indices, in this order.
    ///
    /// # Panics
    /// If there is no such example.
    pub fn labels_of(&self, examples: &[usize], device: &Device) -> Labels {
        let classes: Vec<usize> = examples.iter().map(|&i| self.labels[i]).collect();
        Labels::of_classes(&classes, device)
    }

    /// The first `count` examples, or all if there are fewer.
    ///
    /// # Errors
    /// [`DataError::Empty`] if `count` is 0.
    pub fn take(&self, count: usize) -> Result<Self, DataError> {
        let first: Vec<usize> = (0..count.min(self.len())).collect();
        self.subset(&first)
    }

    /// The examples at these indices, in this order.
    ///
    /// # Errors
    /// [`DataError::Empty`] if there are none, [`DataError::Setting`] for an index past the end.
    pub fn subset(&self, examples: &[usize]) -> Result<Self, DataError> {
        if let Some(&past) = examples.iter().find(|&&example| example >= self.len()) {
            let valid = format!("below {}, the number of examples", self.len());
            return Err(DataError::setting("example", past, valid));
        }
        let labels = examples.iter().map(|&i| self.labels[i]).collect();
        self.part(self.class_names.clone(), examples, labels)
    }

    fn part(
        &self,
        class_names: Vec<String>,
        examples: &[usize],
        labels: Vec<usize>,
    ) -> Result<Self, DataError> {
        let values = self.values.gather(examples, self.pixels());
        let part = Self::checked(&self.name, self.shape, class_names, values, labels)?;
        Ok(Self {
            numbers: examples.iter().map(|&i| self.numbers[i]).collect(),
            ..part
        })
    }

    /// The examples of these classes, relabelled: the first class named becomes 0, and so on.
    ///
    /// # Errors
    /// [`DataError::Setting`] for a class that there is not or that is named twice,
    /// [`DataError::Empty`] if no example is left.
    pub fn only_classes(&self, classes: &[usize]) -> Result<Self, DataError> {
        let mut relabelled = vec![None; self.classes()];
        for (new, &class) in classes.iter().enumerate() {
            match relabelled.get_mut(class) {
                Some(label @ None) => *label = Some(new),
                Some(Some(_)) => {
                    return Err(DataError::setting("class", class, "named only once"));
                }
                None => {
                    let valid = format!("below {}, the number of classes", self.classes());
                    return Err(DataError::setting("class", class, valid));
                }
            }
        }
        let (kept, labels): (Vec<usize>, Vec<usize>) = self
            .labels
            .iter()
            .enumerate()
            .filter_map(|(example, &label)| relabelled[label].map(|new| (example, new)))
            .unzip();
        let names = classes
            .iter()
            .map(|&class| self.class_names[class].clone())
            .collect();
        self.part(names, &kept, labels)
    }

    /// The examples before `at`, and those from `at` on.
    ///
    /// # Errors
    /// [`DataError::Setting`] if either part would be empty.
    pub fn split(&self, at: usize) -> Result<(Self, Self), DataError> {
        if at == 0 || at >= self.len() {
            let valid = format!(
                "from 1 to {}, so that both parts hold examples",
                self.len() - 1
            );
            return Err(DataError::setting("split", at, valid));
        }
        let examples: Vec<usize> = (0..self.len()).collect();
        Ok((self.subset(&examples[..at])?, self.subset(&examples[at..])?))
    }

    /// All indices in an order that depends on `seed` and `epoch` alone.
    pub fn order(&self, seed: u64, epoch: u64) -> Vec<usize> {
        shuffled(self.len(), seed, epoch)
    }

    /// Mean and standard deviation of each channel over all examples.
    pub fn channel_statistics(&self) -> Vec<(f32, f32)> {
        let area = self.shape[1] * self.shape[2];
        let mut sums = vec![(0.0_f64, 0.0_f64); self.shape[0]];
        for example in 0..self.len() {
            let image = self.image(example);
            for (channel, sum) in image.chunks(area).zip(&mut sums) {
                for &value in channel {
                    sum.0 += f64::from(value);
                    sum.1 += f64::from(value) * f64::from(value);
                }
            }
        }
        let count = (self.len() * area) as f64;
        sums.into_iter()
            .map(|(sum, squares)| {
                let mean = sum / count;
                let variance = (squares / count - mean * mean).max(0.0);
                (mean as f32, variance.sqrt() as f32)
            })
            .collect()
    }
}

/// `0`, `1`, ... as class names.
pub(crate) fn numbered(classes: usize) -> Vec<String> {
    (0..classes).map(|class| class.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{floats, integers};

    fn four() -> Dataset {
        let bytes = vec![0, 255, 51, 102, 1, 2, 3, 4];
        Dataset::of_bytes("four", [1, 1, 2], numbered(3), bytes, vec![2, 0, 1, 0]).unwrap()
    }

    #[test]
    fn bytes_become_fractions_of_255() {
        let data = four();
        assert_eq!(data.len(), 4);
        assert_eq!(data.image(1), [0.2, 0.4]);
        let device = Device::flex();
        let batch = data.input(&[1, 0], &device).real();
        assert_eq!(batch.dims(), [2, 1, 1, 2]);
        assert_eq!(floats(batch), [0.2, 0.4, 0.0, 1.0]);
        assert_eq!(integers(data.labels_of(&[1, 0], &device).truth), [0, 2]);
    }

    #[test]
    fn parts_keep_what_they_should() {
        let data = four();
        assert_eq!(data.take(2).unwrap().labels(), [2, 0]);
        assert_eq!(data.take(9).unwrap().len(), 4);
        let (head, tail) = data.split(1).unwrap();
        assert_eq!((head.labels(), tail.labels()), (&[2][..], &[0, 1, 0][..]));
        assert_eq!(tail.image(0), data.image(1));
        let two = data.only_classes(&[2, 0]).unwrap();
        assert_eq!(two.labels(), [0, 1, 1]);
        assert_eq!(two.class_names(), ["2", "0"]);
        assert_eq!(two.image(2), data.image(3));
        let numbers = |part: &Dataset| [part.number(0), part.number(1)];
        assert_eq!((numbers(&two), numbers(&tail)), ([0, 1], [1, 2]));
        assert_eq!(
            tail.subset(&[2, 0]).map(|part| numbers(&part)).unwrap(),
            [3, 1]
        );
    }

    #[test]
    fn parts_that_cannot_be_are_refused() {
        let data = four();
        let said = |error: DataError| error.to_string();
        assert_eq!(
            said(data.take(0).unwrap_err()),
            "four: the data set is empty"
        );
        assert_eq!(
            said(data.subset(&[4]).unwrap_err()),
            "example is 4, must be below 4, the number of examples"
        );
        assert_eq!(
            said(data.only_classes(&[3]).unwrap_err()),
            "class is 3, must be below 3, the number of classes"
        );
        assert!(data.only_classes(&[1, 1]).is_err());
        assert!(data.only_classes(&[]).is_err());
        assert!(data.split(0).is_err() && data.split(4).is_err());
    }

    #[test]
    fn bad_examples_are_named() {
        let floats = |values: Vec<f32>, labels| {
            Dataset::of_floats("bad", [1, 2, 2], numbered(2), values, labels)
                .unwrap_err()
                .to_string()
        };
        let mut values = vec![0.5; 8];
        values[6] = f32::NAN;
        assert_eq!(
            floats(values, vec![0, 1]),
            "bad: example 1 holds NaN at channel 0, row 1, column 0: values must lie in [0, 1]"
        );
        let outside = vec![0.0, 1.0, 0.0, 1.00001];
        assert!(floats(outside, vec![0]).contains("example 0 holds 1.00001"));
        assert_eq!(floats(vec![0.0; 8], vec![0]), "bad: 2 images but 1 labels");
        assert_eq!(
            floats(vec![0.0; 8], vec![0, 2]),
            "bad: example 1 has label 2, but there are 2 classes"
        );
        assert_eq!(floats(vec![], vec![]), "bad: the data set is empty");
        assert_eq!(
            floats(vec![0.0; 5], vec![0]),
            "bad: 5 values are not a whole number of images of shape [1, 2, 2]"
        );
    }

    #[test]
    fn statistics_are_those_of_the_channel() {
        let floats = vec![0.0, 1.0, 0.25, 0.25];
        let data = Dataset::of_floats("s", [2, 1, 2], numbered(1), floats, vec![0]).unwrap();
        assert_eq!(data.channel_statistics(), [(0.5, 0.5), (0.25, 0.0)]);
    }
}
