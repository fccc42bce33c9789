//! Activations without end, load by load.

mod live;
mod planted;
mod shards;
mod taps;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use live::Live;
pub use planted::PlantedStream;
pub use shards::{Shards, write_shards};
pub use taps::{Positions, Tap, Taps};

use super::Activations;
use crate::error::TrainError;
use crate::random::generator;
use rand::seq::SliceRandom;

/// Where samples come from. A load is what is shuffled together; each is what it is whatever came before, so that a killed
/// fit goes on where it was.
pub trait Stream: Sync {
    /// Channels of a sample.
    fn width(&self) -> usize;

    /// The samples of a load, row-major `[sample, channel]`, shuffled. Loads never end: they begin anew, in another order.
    ///
    /// # Errors
    /// If the samples cannot be had.
    fn load(&self, number: usize) -> Result<Vec<f32>, TrainError>;

    /// What decides the samples, for checkpoints.
    fn about(&self) -> Value;
}

/// Where a fit stands in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Place {
    /// The load.
    pub load: usize,
    /// The sample of the load that comes next.
    pub sample: usize,
}

/// Hands out a stream's samples batch by batch. What is left of a load that fills no batch is not used.
pub(crate) struct Reader<'a> {
    stream: &'a dyn Stream,
    batch_size: usize,
    place: Place,
    load: Vec<f32>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        stream: &'a dyn Stream,
        batch_size: usize,
        place: Place,
    ) -> Result<Self, TrainError> {
        let load = stream.load(place.load)?;
        let mut reader = Self {
            stream,
            batch_size,
            place,
            load,
        };
        reader.check()?;
        Ok(reader)
    }

    /// The load that the next batch is of.
    pub(crate) fn load(&self) -> &[f32] {
        &self.load
    }

    /// Where the next batch begins.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// The next samples, `[sample, channel]`: a batch, or the whole load where that is smaller.
    pub(crate) fn next(&mut self) -> Result<&[f32], TrainError> {
        let width = self.stream.width();
        let count = self.load.len() / width;
        let batch = self.batch_size.min(count);
        if self.place.sample + batch > count {
            self.place = Place {
                load: self.place.load + 1,
                sample: 0,
            };
            // The old load's memory is free before the new one is made.
            self.load = Vec::new();
            self.load = self.stream.load(self.place.load)?;
            self.check()?;
        }
        let batch = self.batch_size.min(self.load.len() / width);
        let first = self.place.sample;
        self.place.sample += batch;
        Ok(&self.load[first * width..(first + batch) * width])
    }

    fn check(&mut self) -> Result<(), TrainError> {
        let width = self.stream.width();
        if self.load.len() < width {
            return Err(TrainError::Data(format!(
                "load {} of the activations holds no sample: no position passes the filter",
                self.place.load
            )));
        }
        if let Some(at) = self.load.iter().position(|value| !value.is_finite()) {
            return Err(TrainError::Data(format!(
                "sample {} of load {} of the activations holds {} in channel {}",
                at / width,
                self.place.load,
                self.load[at],
                at % width
            )));
        }
        Ok(())
    }
}

/// Samples in memory: each load is all of them, in an order that the seed and the load's number decide.
#[derive(Debug, Clone, Copy)]
pub struct InMemory<'a> {
    /// The samples.
    pub activations: &'a Activations,
    /// Seed of their orders.
    pub seed: u64,
}

impl Stream for InMemory<'_> {
    fn width(&self) -> usize {
        self.activations.width()
    }

    fn load(&self, number: usize) -> Result<Vec<f32>, TrainError> {
        let order = order(self.activations.count(), self.seed, number);
        Ok(picked(self.activations.values(), self.width(), &order))
    }

    fn about(&self) -> Value {
        serde_json::json!({
            "samples": self.activations.count(),
            "width": self.width(),
            "sum": self.activations.values().iter().map(|&v| f64::from(v)).sum::<f64>(),
            "seed": self.seed,
        })
    }
}

/// The order of a load's samples.
fn order(count: usize, seed: u64, load: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(&mut generator(seed, "dictionary order", load, 0));
    order
}

/// Some rows of others, in this order.
fn picked(values: &[f32], width: usize, rows: &[usize]) -> Vec<f32> {
    let mut out = Vec::with_capacity(rows.len() * width);
    for &row in rows {
        out.extend_from_slice(&values[row * width..(row + 1) * width]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_load_is_a_new_order_and_a_place_brings_it_back() {
        let samples = Activations::new((0..20).map(|i| i as f32).collect(), 2).unwrap();
        let stream = InMemory {
            activations: &samples,
            seed: 3,
        };
        let mut sorted = stream.load(0).unwrap();
        assert_ne!(sorted, stream.load(1).unwrap());
        sorted.sort_by(f32::total_cmp);
        assert_eq!(sorted, samples.values());
        // Ten samples, four at a time: two batches of each load.
        let mut reader = Reader::new(&stream, 4, Place::default()).unwrap();
        let read: Vec<Vec<f32>> = (0..5).map(|_| reader.next().unwrap().to_vec()).collect();
        assert_eq!(read[2][..], stream.load(1).unwrap()[..8]);
        let mut again = Reader::new(&stream, 4, Place { load: 1, sample: 4 }).unwrap();
        assert_eq!(again.next().unwrap(), read[3]);
        assert_eq!(again.next().unwrap(), read[4]);
        assert_eq!(again.place(), Place { load: 2, sample: 4 });
        let mut whole = Reader::new(&stream, 100, Place::default()).unwrap();
        assert_eq!(whole.next().unwrap().len(), 20, "a load is a batch at most");
    }
}
