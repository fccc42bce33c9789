//! Activations of a site, as samples in the host's memory.

use burn::tensor::{Device, Tensor, TensorData};
use mr_models::{Model, floats, run_with_cache};
use mr_sae::samples;
use rand::seq::index;

use crate::error::TrainError;
use crate::pools::Pools;
use crate::random::{derived, generator};
use crate::source::TrainingData;

/// Examples that one thread runs at a time.
const BATCH: usize = 128;

/// Samples of `width` channels, row-major `[sample, channel]`. Never empty.
#[derive(Debug, Clone)]
pub struct Activations {
    values: Vec<f32>,
    width: usize,
}

impl Activations {
    /// Samples of so many channels each.
    ///
    /// # Errors
    /// [`TrainError::Data`] if there is none, they are not whole, or a value is not finite.
    pub fn new(values: Vec<f32>, width: usize) -> Result<Self, TrainError> {
        if width == 0 || values.is_empty() || !values.len().is_multiple_of(width) {
            return Err(TrainError::Data(format!(
                "{} values are not one or more samples of {width} channels",
                values.len()
            )));
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(TrainError::Data(format!(
                "sample {} of the activations holds {}",
                at / width,
                values[at]
            )));
        }
        Ok(Self { values, width })
    }

    /// Some channels of the same samples, in this order.
    ///
    /// # Errors
    /// [`TrainError::Data`] for none, or one that is not there.
    pub fn columns(&self, channels: &[usize]) -> Result<Self, TrainError> {
        if channels.is_empty() || channels.iter().any(|&channel| channel >= self.width) {
            return Err(TrainError::Data(format!(
                "channels {channels:?} of samples that have {}",
                self.width
            )));
        }
        let rows = self.values.chunks_exact(self.width);
        let values = rows.flat_map(|row| channels.iter().map(|&channel| row[channel]));
        Ok(Self {
            values: values.collect(),
            width: channels.len(),
        })
    }

    /// What a site of a model holds over data, each position of each example a sample. Where that is
    /// more than `limit`, so many are drawn by `seed`, without repetition; of a stream, just enough
    /// examples are run to fill it.
    ///
    /// # Errors
    /// [`TrainError::Setting`] for a limit of 0, and if the model lacks the site or does not take
    /// the data.
    pub fn of_site<'a>(
        model: &dyn Model,
        data: impl Into<TrainingData<'a>>,
        site: &str,
        limit: usize,
        seed: u64,
    ) -> Result<Self, TrainError> {
        let data = data.into();
        data.fits(model.spec())?;
        let spec = data.spec_of(model)?;
        let site = spec.site(site)?;
        if limit == 0 {
            return Err(TrainError::setting("samples", 0, "at least 1"));
        }
        let stream = derived(seed, "samples", 0);
        let (data, examples) = match data {
            TrainingData::Examples(examples) => (data, examples.len()),
            TrainingData::Sequences(sequences) => (data, sequences.len()),
            TrainingData::Sparse(features) => (
                TrainingData::Sparse(features.stream(stream)),
                limit.div_ceil(site.positions),
            ),
        };
        let total = examples * site.positions;
        let kept = kept(total, limit, seed);
        let device = model.device();
        let pools = Pools::new(rayon::current_num_threads())?;
        let parts = pools.map(examples.div_ceil(BATCH), |batch| {
            let rows: Vec<usize> = (batch * BATCH..examples.min((batch + 1) * BATCH)).collect();
            let first = rows[0] * site.positions;
            let last = first + rows.len() * site.positions;
            let mine = &kept[kept.partition_point(|&i| i < first)..];
            let mine = &mine[..mine.partition_point(|&i| i < last)];
            if mine.is_empty() {
                return Ok(Vec::new());
            }
            let input = data.input(&rows, &device);
            let (_, cache) = run_with_cache(model, &input, &[&site.name])?;
            let values = floats(samples(cache.get(&site.name)?.clone()));
            let row = |&i: &usize| &values[(i - first) * site.channels..][..site.channels];
            Ok(mine.iter().flat_map(row).copied().collect())
        });
        let parts: Result<Vec<Vec<f32>>, TrainError> = parts.into_iter().collect();
        Self::new(parts?.concat(), site.channels)
    }

    /// Number of samples.
    pub fn count(&self) -> usize {
        self.values.len() / self.width
    }

    /// Channels of a sample.
    pub fn width(&self) -> usize {
        self.width
    }

    /// All values, row-major `[sample, channel]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The samples of these numbers, in this order: `[sample, channel]`.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn select(&self, rows: &[usize], device: &Device) -> Tensor<2> {
        let mut values = Vec::with_capacity(rows.len() * self.width);
        for &row in rows {
            values.extend_from_slice(&self.values[row * self.width..(row + 1) * self.width]);
        }
        Tensor::from_data(TensorData::new(values, [rows.len(), self.width]), device)
    }
}

/// At most `limit` of `0..total`, ascending.
fn kept(total: usize, limit: usize, seed: u64) -> Vec<usize> {
    if total <= limit {
        return (0..total).collect();
    }
    let mut rng = generator(seed, "samples", 0, 1);
    let mut kept = index::sample(&mut rng, total, limit).into_vec();
    kept.sort_unstable();
    kept
}

#[cfg(test)]
mod tests {
    use mr_models::data::{Dataset, SparseFeatures};
    use mr_models::{Architecture, ConvNet, Network, Toy};

    use super::*;

    fn images() -> Dataset {
        let names = vec!["a".into()];
        let bytes = (0..300 * 4).map(|i| (i * 7 % 251) as u8).collect();
        Dataset::of_bytes("images", [1, 2, 2], names, bytes, vec![0; 300]).unwrap()
    }

    fn convnet() -> Network {
        let convnet = ConvNet {
            input: [1, 2, 2],
            widths: vec![3],
            hidden: vec![2],
            classes: 1,
            ..ConvNet::default()
        };
        Network::init(Architecture::Convnet(convnet), 0, &Device::flex()).unwrap()
    }

    #[test]
    fn each_position_of_each_image_is_a_sample() {
        let (net, data) = (convnet(), images());
        let all = Activations::of_site(&net, &data, "conv1.hook_out", 10_000, 0).unwrap();
        assert_eq!((all.count(), all.width()), (1200, 3));
        // Image 200 alone: its four positions are samples 800 to 803.
        let input = data.input(&[200], &Device::flex());
        let (_, cache) = run_with_cache(&net, &input, &["conv1.hook_out"]).unwrap();
        let alone = floats(cache.get("conv1.hook_out").unwrap().clone());
        for (a, b) in all.values()[800 * 3..804 * 3].iter().zip(alone) {
            assert!((a - b).abs() < 1e-6);
        }
    }

    #[test]
    fn a_limit_draws_some_samples_by_the_seed() {
        let (net, data) = (convnet(), images());
        let of = |limit, seed| {
            let drawn = Activations::of_site(&net, &data, "conv1.hook_out", limit, seed);
            drawn.unwrap().values().to_vec()
        };
        assert_eq!(of(100, 0).len(), 300);
        assert_eq!(of(100, 0), of(100, 0));
        assert_ne!(of(100, 0), of(100, 1));
        assert_eq!(kept(5, 5, 0), [0, 1, 2, 3, 4]);
        let some = kept(1000, 30, 0);
        assert!(
            some.windows(2).all(|pair| pair[0] < pair[1]),
            "no repetition"
        );
        assert_eq!(some.len(), 30);
    }

    #[test]
    fn a_stream_is_run_until_the_limit_is_filled() {
        let toy = Architecture::Toy(Toy::default());
        let net = Network::init(toy, 0, &Device::flex()).unwrap();
        let features = SparseFeatures::new(50, 0.1, 0).unwrap();
        let found = Activations::of_site(&net, features, "hook_hidden", 300, 0).unwrap();
        assert_eq!((found.count(), found.width()), (300, 10));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (net, data) = (convnet(), images());
        let error = Activations::of_site(&net, &data, "conv2.hook_out", 10, 0).unwrap_err();
        assert!(
            error.to_string().contains("did you mean conv1.hook_out"),
            "{error}"
        );
        assert!(Activations::of_site(&net, &data, "conv1.hook_out", 0, 0).is_err());
        assert!(Activations::new(vec![1.0; 5], 2).is_err());
        let error = Activations::new(vec![0.0, 1.0, f32::NAN, 0.0], 2).unwrap_err();
        assert_eq!(error.to_string(), "sample 1 of the activations holds NaN");
    }
}
