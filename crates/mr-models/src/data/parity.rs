//! Multitask sparse parity (Michaud et al. 2023, "The Quantization Model of Neural Scaling").

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::dataset::Dataset;
use super::error::DataError;

/// A stream of bit strings without end: one control bit per task, of which one is on, then the bits
/// of each task in turn. The label is the parity of the bits of the task that is on; the bits of
/// the other tasks are as random and mean nothing.
///
/// Bits are 0.0 and 1.0. We give each task bits of its own, where Michaud et al. let tasks share
/// them: the tasks are then independent features, which is what superposition is measured against.
/// Example i is the same however the stream is cut into batches.
#[derive(Debug, Clone)]
pub struct SparseParity {
    tasks: usize,
    bits: usize,
    rng: ChaCha8Rng,
}

impl SparseParity {
    /// The stream of this seed.
    ///
    /// # Errors
    /// [`DataError::Setting`] unless `tasks` and `bits`, the bits of each task, are at least 1.
    pub fn new(tasks: usize, bits: usize, seed: u64) -> Result<Self, DataError> {
        for (what, value) in [("tasks", tasks), ("bits", bits)] {
            if !(1..=1024).contains(&value) {
                return Err(DataError::setting(what, value, "from 1 to 1024"));
            }
        }
        Ok(Self {
            tasks,
            bits,
            rng: ChaCha8Rng::seed_from_u64(seed),
        })
    }

    /// Another stream of the same seed, independent of the others; a new value is on stream 0.
    pub fn stream(mut self, stream: u64) -> Self {
        self.rng.set_stream(stream);
        self
    }

    /// Length of one example: the control bits and the bits of every task.
    pub fn features(&self) -> usize {
        self.tasks * (1 + self.bits)
    }

    /// Examples `start` to `start + count`: values row-major `[example, feature]`, and labels.
    pub fn batch(&self, start: u64, count: usize) -> (Vec<f32>, Vec<usize>) {
        // One word picks the task, the rest are bits.
        let words = 1 + (self.tasks * self.bits).div_ceil(32);
        let mut rng = self.rng.clone();
        rng.set_word_pos(u128::from(start) * words as u128);
        let mut values = Vec::with_capacity(count * self.features());
        let mut labels = Vec::with_capacity(count);
        for _ in 0..count {
            let on = ((u64::from(rng.next_u32()) * self.tasks as u64) >> 32) as usize;
            values.extend((0..self.tasks).map(|task| f32::from(u8::from(task == on))));
            let bits_from = values.len();
            for word in 1..words {
                let word_bits = rng.next_u32();
                let left = self.tasks * self.bits - 32 * (word - 1);
                values.extend((0..left.min(32)).map(|bit| ((word_bits >> bit) & 1) as f32));
            }
            let read = &values[bits_from + on * self.bits..][..self.bits];
            labels.push(read.iter().filter(|&&bit| bit == 1.0).count() % 2);
        }
        (values, labels)
    }

    /// The first `count` examples, of the classes `even` and `odd`.
    ///
    /// # Errors
    /// [`DataError::Empty`] if `count` is 0.
    pub fn dataset(&self, count: usize) -> Result<Dataset, DataError> {
        let (values, labels) = self.batch(0, count);
        let names = vec!["even".into(), "odd".into()];
        let shape = [self.features(), 1, 1];
        Dataset::of_floats("sparse-parity", shape, names, values, labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_is_the_parity_of_the_task_that_is_on() {
        let (values, labels) = SparseParity::new(3, 4, 0).unwrap().batch(0, 500);
        let mut on = [0; 3];
        for (row, &label) in values.chunks(15).zip(&labels) {
            assert!(row.iter().all(|&bit| bit == 0.0 || bit == 1.0));
            assert_eq!(row[..3].iter().sum::<f32>(), 1.0);
            let task = row.iter().position(|&bit| bit == 1.0).unwrap();
            on[task] += 1;
            let sum: f32 = row[3 + 4 * task..3 + 4 * (task + 1)].iter().sum();
            assert_eq!(sum as usize % 2, label);
        }
        // Five standard errors about 500/3, and about 250 odd ones.
        assert!(on.iter().all(|count| (114..220).contains(count)), "{on:?}");
        let odd: usize = labels.iter().sum();
        assert!((194..306).contains(&odd), "{odd}");
    }

    #[test]
    fn no_single_bit_tells_the_label() {
        let (values, labels) = SparseParity::new(3, 4, 2).unwrap().batch(0, 4000);
        for bit in 3..15 {
            let agree = values
                .chunks(15)
                .zip(&labels)
                .filter(|(row, label)| row[bit] as usize == **label)
                .count();
            assert!((1840..2160).contains(&agree), "bit {bit}: {agree}");
        }
    }

    #[test]
    fn an_example_is_the_same_in_any_batch() {
        // 3 x 40 bits take four words.
        for (tasks, bits) in [(3, 4), (3, 40), (1, 1), (2, 16)] {
            let stream = SparseParity::new(tasks, bits, 9).unwrap();
            let (values, labels) = stream.batch(0, 20);
            let (part, part_labels) = stream.batch(5, 10);
            let width = stream.features();
            assert_eq!(values.len(), 20 * width);
            assert_eq!(values[5 * width..15 * width], part);
            assert_eq!(labels[5..15], part_labels);
            assert_ne!(values, stream.stream(1).batch(0, 20).0);
        }
    }

    #[test]
    fn settings_are_checked() {
        assert_eq!(
            SparseParity::new(0, 4, 0).unwrap_err().to_string(),
            "tasks is 0, must be from 1 to 1024"
        );
        assert!(SparseParity::new(3, 0, 0).is_err());
        let data = SparseParity::new(3, 4, 0).unwrap().dataset(10).unwrap();
        assert_eq!(data.class_names(), ["even", "odd"]);
        assert_eq!(data.shape(), [15, 1, 1]);
    }
}
