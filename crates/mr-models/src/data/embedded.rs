//! The part of Fashion-MNIST (Xiao et al. 2017) that is compiled in, so that nothing needs a
//! network: the first 1,000 training and 200 test examples of each class. MIT licence, its notice
//! lies beside the files.

use std::path::Path;

use super::dataset::Dataset;
use super::error::DataError;
use super::idx;
use super::source::Split;

pub(crate) const FASHION_CLASSES: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

/// Reads a split of it: 10,000 training or 2,000 test examples.
///
/// # Errors
/// None that is known; the compiled-in files are read like any others.
pub(crate) fn fashion_mnist(split: Split) -> Result<Dataset, DataError> {
    let (images, labels): (&[u8], &[u8]) = match split {
        Split::Train => (
            include_bytes!("embedded/train-images-idx3-ubyte.gz"),
            include_bytes!("embedded/train-labels-idx1-ubyte.gz"),
        ),
        Split::Test => (
            include_bytes!("embedded/t10k-images-idx3-ubyte.gz"),
            include_bytes!("embedded/t10k-labels-idx1-ubyte.gz"),
        ),
    };
    idx::parse(
        "fashion-mnist-mini",
        (Path::new("embedded images"), images),
        (Path::new("embedded labels"), labels),
        Some(FASHION_CLASSES.map(String::from).to_vec()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn byte_sum(data: &Dataset, example: usize) -> u32 {
        data.image(example)
            .iter()
            .map(|value| (value * 255.0).round() as u32)
            .sum()
    }

    // Golden numbers from Python's gzip and struct on the files that
    // fixtures/generate/fashion_mnist.py wrote.
    #[test]
    fn it_is_what_the_generator_wrote() {
        let train = fashion_mnist(Split::Train).unwrap();
        assert_eq!((train.len(), train.shape()), (10_000, [1, 28, 28]));
        assert_eq!(train.labels()[..12], [9, 0, 0, 3, 0, 2, 7, 2, 5, 5, 0, 9]);
        assert_eq!(
            (byte_sum(&train, 0), byte_sum(&train, 9_999)),
            (76_247, 88_546)
        );
        let (mean, deviation) = train.channel_statistics()[0];
        assert!((mean - 0.286_681_65).abs() < 1e-6 && (deviation - 0.354_012_57).abs() < 1e-6);

        let test = fashion_mnist(Split::Test).unwrap();
        assert_eq!(test.len(), 2_000);
        assert_eq!(test.labels()[..12], [9, 2, 1, 1, 6, 1, 4, 6, 5, 7, 4, 5]);
        assert_eq!(
            (byte_sum(&test, 0), byte_sum(&test, 1_999)),
            (33_456, 59_915)
        );
    }

    #[test]
    fn classes_are_balanced() {
        for (split, each) in [(Split::Train, 1000), (Split::Test, 200)] {
            let data = fashion_mnist(split).unwrap();
            for class in 0..10 {
                let count = data
                    .labels()
                    .iter()
                    .filter(|&&label| label == class)
                    .count();
                assert_eq!(count, each);
            }
        }
    }
}
