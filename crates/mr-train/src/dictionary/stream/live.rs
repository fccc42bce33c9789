//! Activations computed when they are wanted.

use serde_json::{Value, json};

use super::taps::Taps;
use super::{Stream, order, picked};
use crate::error::TrainError;
use crate::pools::Pools;
use crate::random::derived;
use crate::source::TrainingData;

/// Runs examples as they are needed. A load is the samples of so many examples, in the order of an epoch, shuffled: no more
/// than these are in memory.
pub struct Live<'a> {
    taps: Taps<'a>,
    data: TrainingData<'a>,
    /// Examples of a load.
    examples: usize,
    /// Loads of an epoch; `None` where data never end.
    per_epoch: Option<usize>,
    seed: u64,
    pools: Pools,
}

impl<'a> Live<'a> {
    /// A stream whose loads hold about `samples` samples, at least those of one example.
    ///
    /// # Errors
    /// [`TrainError::Setting`] for no samples, [`TrainError::Threads`].
    pub fn new(
        taps: Taps<'a>,
        data: TrainingData<'a>,
        samples: usize,
        seed: u64,
    ) -> Result<Self, TrainError> {
        if samples == 0 {
            return Err(TrainError::setting("buffer", 0, "at least 1"));
        }
        let examples = (samples / taps.positions()).max(1);
        let (data, examples, per_epoch) = match data {
            TrainingData::Sparse(features) => {
                let stream = derived(seed, "samples", 0);
                (
                    TrainingData::Sparse(features.stream(stream)),
                    examples,
                    None,
                )
            }
            data => {
                let total = data.count().unwrap_or(0);
                let examples = examples.min(total);
                (data, examples, Some(total.div_ceil(examples.max(1))))
            }
        };
        Ok(Self {
            taps,
            data,
            examples,
            per_epoch,
            seed,
            pools: Pools::new(rayon::current_num_threads())?,
        })
    }

    /// Loads that hold every example once; `None` where data never end.
    pub fn loads_per_epoch(&self) -> Option<usize> {
        self.per_epoch
    }

    fn examples_of(&self, load: usize) -> Vec<usize> {
        let Some(per_epoch) = self.per_epoch else {
            return (load * self.examples..(load + 1) * self.examples).collect();
        };
        let (epoch, part) = (load / per_epoch, load % per_epoch);
        let order = self.data.order(self.seed, epoch);
        let mut parts = order.chunks(self.examples);
        parts.nth(part).unwrap_or_default().to_vec()
    }
}

impl Stream for Live<'_> {
    fn width(&self) -> usize {
        self.taps.width()
    }

    fn load(&self, number: usize) -> Result<Vec<f32>, TrainError> {
        let examples = self.examples_of(number);
        let values = self.taps.samples(&self.data, &examples, &self.pools)?;
        let width = self.width();
        let order = order(values.len() / width, self.seed, number);
        Ok(picked(&values, width, &order))
    }

    fn about(&self) -> Value {
        json!({
            "data": self.data.name(),
            "sites": self.taps.sites().collect::<Vec<_>>(),
            "widths": self.taps.widths(),
            "positions": self.taps.filter(),
            "examples": self.examples,
            "seed": self.seed,
        })
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mr_models::data::{Dataset, SparseFeatures};
    use mr_models::{Architecture, ConvNet, Network, Toy};

    use super::super::{Positions, Tap};
    use super::*;
    use crate::dictionary::Activations;

    fn images() -> Dataset {
        let names = vec!["a".into()];
        let bytes = (0..30 * 16).map(|i| (i * 7 % 251) as u8).collect();
        Dataset::of_bytes("images", [1, 4, 4], names, bytes, vec![0; 30]).unwrap()
    }

    fn convnet() -> Network {
        let convnet = ConvNet {
            input: [1, 4, 4],
            widths: vec![3, 5],
            hidden: vec![2],
            classes: 1,
            ..ConvNet::default()
        };
        Network::init(Architecture::Convnet(convnet), 0, &Device::flex()).unwrap()
    }

    fn live<'a>(net: &'a Network, data: &'a Dataset, sites: &[&'a str], skip: usize) -> Live<'a> {
        let data = TrainingData::from(data);
        let taps = sites.iter().map(|&site| Tap { model: net, site }).collect();
        let positions = Positions {
            skip,
            ..Positions::default()
        };
        let taps = Taps::new(taps, &data, positions).unwrap();
        Live::new(taps, data, 192, 5).unwrap()
    }

    fn sorted(mut values: Vec<f32>) -> Vec<f32> {
        values.sort_by(f32::total_cmp);
        values
    }

    #[test]
    fn an_epoch_of_loads_is_every_position_of_every_example() {
        let (net, data) = (convnet(), images());
        let stream = live(&net, &data, &["conv1.hook_out"], 0);
        // 192 samples are 12 examples of 16 positions.
        assert_eq!(stream.loads_per_epoch(), Some(3));
        let epoch = |first: usize| {
            let loads = (first..first + 3).map(|load| stream.load(load).unwrap());
            loads.collect::<Vec<_>>()
        };
        let (one, two) = (epoch(0), epoch(3));
        assert_ne!(one, two);
        assert_eq!(one[0].len(), 192 * 3);
        let all = Activations::of_site(&net, &data, "conv1.hook_out", 1000, 0).unwrap();
        assert_eq!(sorted(one.concat()), sorted(all.values().to_vec()));
        assert_eq!(sorted(two.concat()), sorted(all.values().to_vec()));
        assert_eq!(epoch(0), one, "a load is the same whenever it is asked for");
    }

    #[test]
    fn sites_stand_side_by_side_and_positions_are_left_out() {
        let (net, data) = (convnet(), images());
        let both = live(&net, &data, &["conv1.hook_pre", "conv1.hook_out"], 15);
        assert_eq!((both.width(), both.taps.positions()), (6, 1));
        for sample in both.load(0).unwrap().chunks(6) {
            let relu: Vec<f32> = sample[..3].iter().map(|v| v.max(0.0)).collect();
            assert_eq!(relu, sample[3..], "the same position of the same example");
        }
        let data = TrainingData::from(&data);
        let tap = |site| Tap { model: &net, site };
        let of = |sites: &[&'static str], filter| {
            let taps = sites.iter().map(|&site| tap(site)).collect();
            Taps::new(taps, &data, filter).err().unwrap().to_string()
        };
        let error = of(&["conv1.hook_out", "conv2.hook_out"], Positions::default());
        assert!(error.contains("same position of all"), "{error}");
        let error = of(
            &["conv1.hook_out"],
            Positions {
                skip: 16,
                ..Positions::default()
            },
        );
        assert!(error.contains("below 16"), "{error}");
        let tokens = Positions {
            without_tokens: vec![0],
            ..Positions::default()
        };
        assert!(of(&["conv1.hook_out"], tokens).contains("the data are no tokens"));
        assert!(of(&[], Positions::default()).contains("one site at least"));
    }

    #[test]
    fn data_without_end_give_new_samples_in_every_load() {
        let net = Network::init(Architecture::Toy(Toy::default()), 0, &Device::flex()).unwrap();
        let data = TrainingData::from(SparseFeatures::new(50, 0.1, 0).unwrap());
        let tap = Tap {
            model: &net,
            site: "hook_hidden",
        };
        let taps = Taps::new(vec![tap], &data, Positions::default()).unwrap();
        let stream = Live::new(taps, data, 20, 0).unwrap();
        assert_eq!(stream.loads_per_epoch(), None);
        assert_eq!(stream.load(1).unwrap().len(), 20 * 10);
        assert_ne!(
            sorted(stream.load(0).unwrap()),
            sorted(stream.load(1).unwrap())
        );
    }
}
