//! What a network is trained on, batch by batch.

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use mr_models::data::{Dataset, Sequences, SparseFeatures};
use mr_models::{Input, InputKind, Labels, Model, ModelSpec};

use crate::config::{Augmentation, TrainConfig};
use crate::error::TrainError;
use crate::foretold::takes;
use crate::random::{derived, generator};

/// What a network is trained on.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "one value lives as long as a run and is moved once"
)]
pub enum TrainingData<'a> {
    /// Labelled examples, seen in a new order in each epoch.
    Examples(&'a Dataset),
    /// Sequences of tokens, seen in a new order in each epoch: a language model learns what comes next.
    Sequences(&'a Sequences),
    /// Sparse feature vectors without end and without labels, each seen once. They come from a stream
    /// that the training seed picks, so runs of several seeds see different ones.
    Sparse(SparseFeatures),
}

impl<'a> From<&'a Dataset> for TrainingData<'a> {
    fn from(data: &'a Dataset) -> Self {
        Self::Examples(data)
    }
}

impl<'a> From<&'a Sequences> for TrainingData<'a> {
    fn from(data: &'a Sequences) -> Self {
        Self::Sequences(data)
    }
}

impl From<SparseFeatures> for TrainingData<'_> {
    fn from(features: SparseFeatures) -> Self {
        Self::Sparse(features)
    }
}

impl TrainingData<'_> {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Examples(data) => data.name(),
            Self::Sequences(data) => data.name(),
            Self::Sparse(_) => "sparse-features",
        }
    }

    /// Channel, height, width of an example; tokens of a sequence.
    pub(crate) fn shape(&self) -> [usize; 3] {
        match self {
            Self::Examples(data) => data.shape(),
            Self::Sequences(data) => [data.positions(), 1, 1],
            Self::Sparse(features) => [features.features(), 1, 1],
        }
    }

    /// Number of examples; `None` where they never end.
    pub(crate) fn count(&self) -> Option<usize> {
        match self {
            Self::Examples(data) => Some(data.len()),
            Self::Sequences(data) => Some(data.len()),
            Self::Sparse(_) => None,
        }
    }

    /// The order of an epoch; nothing where examples never end.
    pub(crate) fn order(&self, seed: u64, epoch: usize) -> Vec<usize> {
        match self {
            Self::Examples(data) => data.order(seed, epoch as u64),
            Self::Sequences(data) => data.order(seed, epoch as u64),
            Self::Sparse(_) => Vec::new(),
        }
    }

    /// Examples as a batch. Of a stream, those from the first on.
    pub(crate) fn input(&self, rows: &[usize], device: &Device) -> Input {
        match self {
            Self::Examples(data) => data.input(rows, device),
            Self::Sequences(data) => data.input(rows, device),
            Self::Sparse(features) => features.input(rows[0] as u64, rows.len(), device),
        }
    }

    /// The sites of a model on such examples.
    pub(crate) fn spec_of(&self, model: &dyn Model) -> Result<ModelSpec, TrainError> {
        Ok(match self {
            Self::Sequences(data) => model.spec().of_length(data.positions())?,
            Self::Examples(_) | Self::Sparse(_) => model.spec().clone(),
        })
    }

    /// Checks that the model takes such examples.
    pub(crate) fn fits(&self, spec: &ModelSpec) -> Result<(), TrainError> {
        if let Self::Sequences(data) = self {
            return takes(spec, data);
        }
        match spec.input {
            InputKind::Real { shape } if shape == self.shape() => Ok(()),
            InputKind::Real { shape } => Err(TrainError::Data(format!(
                "`{}` has examples of {:?} (channel, height, width), the model takes {shape:?}",
                self.name(),
                self.shape()
            ))),
            InputKind::Tokens { .. } => Err(TrainError::Data(format!(
                "`{}` holds real values, the model takes tokens",
                self.name()
            ))),
        }
    }
}

/// Some examples of a step.
pub(crate) struct Batch {
    pub(crate) input: Input,
    pub(crate) labels: Labels,
    /// Of sequences, 1 where the next token is to be learned, `[batch, position]`.
    pub(crate) mask: Option<Tensor<2>>,
    /// The examples' own numbers, which random draws depend on.
    pub(crate) examples: Vec<u64>,
}

/// What is held out for validation.
#[derive(Debug)]
pub(crate) enum Held {
    Examples(Dataset),
    Sequences(Sequences),
}

/// Hands out the examples of each step; the same for the same step, whatever came before.
pub(crate) struct Source<'a> {
    data: TrainingData<'a>,
    augmentation: Augmentation,
    seed: u64,
    batch_size: usize,
    /// Whether an example is held out for validation.
    held: Vec<bool>,
    /// Number of examples that are not held out.
    count: usize,
    /// The order of an epoch, and which epoch that is.
    order: (usize, Vec<usize>),
}

impl<'a> Source<'a> {
    pub(crate) fn new(data: TrainingData<'a>, config: &TrainConfig) -> Result<Self, TrainError> {
        config.augmentation.fits(data.shape())?;
        let seed = config.seed;
        let (data, total) = match data {
            TrainingData::Examples(examples) => (data, examples.len()),
            TrainingData::Sequences(sequences) => (data, sequences.len()),
            TrainingData::Sparse(features) => {
                let stream = derived(seed, "stream", 0);
                (TrainingData::Sparse(features.stream(stream)), 0)
            }
        };
        let mut held = vec![false; total];
        let watched = config.loss.watched().map(|fast| fast.canary.examples);
        let wanted = match &config.validation {
            Some(validation) => Some(("validation", validation.examples)),
            None => watched.map(|examples| ("loss.canary", examples)),
        };
        if let Some((what, wanted)) = wanted {
            let seed = derived(seed, "held out", 0);
            let order = match &data {
                TrainingData::Examples(examples) => examples.order(seed, 0),
                TrainingData::Sequences(sequences) => sequences.order(seed, 0),
                TrainingData::Sparse(_) => {
                    return Err(TrainError::setting(
                        what,
                        "set",
                        "left out: a stream has no labels to judge by",
                    ));
                }
            };
            if wanted >= total {
                return Err(TrainError::setting(
                    format!("{what}.examples"),
                    wanted,
                    format!("below {total}, the number of examples"),
                ));
            }
            for &example in &order[..wanted] {
                held[example] = true;
            }
        }
        let count = held.iter().filter(|&&held| !held).count();
        let batch_size = match &data {
            TrainingData::Examples(_) | TrainingData::Sequences(_) => config.batch_size.min(count),
            TrainingData::Sparse(_) => config.batch_size,
        };
        let mut source = Self {
            data,
            augmentation: config.augmentation,
            seed,
            batch_size,
            held,
            count,
            order: (usize::MAX, Vec::new()),
        };
        source.prepare(0);
        Ok(source)
    }

    /// Examples of a step.
    pub(crate) fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// Steps of an epoch; `None` for a stream.
    pub(crate) fn steps_per_epoch(&self) -> Option<usize> {
        match self.data {
            TrainingData::Examples(_) | TrainingData::Sequences(_) => {
                Some(self.count / self.batch_size)
            }
            TrainingData::Sparse(_) => None,
        }
    }

    /// The epoch that a step belongs to, counted from 0; 0 on a stream.
    pub(crate) fn epoch(&self, step: usize) -> usize {
        self.steps_per_epoch().map_or(0, |steps| step / steps)
    }

    /// The examples that are held out, as a data set of their own.
    pub(crate) fn held_out(&self) -> Result<Option<Held>, TrainError> {
        let rows: Vec<usize> = (0..self.held.len()).filter(|&row| self.held[row]).collect();
        if rows.is_empty() {
            return Ok(None);
        }
        Ok(match &self.data {
            TrainingData::Examples(data) => Some(Held::Examples(data.subset(&rows)?)),
            TrainingData::Sequences(data) => Some(Held::Sequences(data.subset(&rows)?)),
            TrainingData::Sparse(_) => None,
        })
    }

    /// Puts the examples of a step's epoch in their order, if they are not.
    pub(crate) fn prepare(&mut self, step: usize) {
        let epoch = self.epoch(step);
        if self.order.0 == epoch {
            return;
        }
        let seed = derived(self.seed, "order", 0);
        let mut order = match &self.data {
            TrainingData::Examples(data) => data.order(seed, epoch as u64),
            TrainingData::Sequences(data) => data.order(seed, epoch as u64),
            TrainingData::Sparse(_) => return,
        };
        order.retain(|&row| !self.held[row]);
        self.order = (epoch, order);
    }

    /// Some of the examples of a step that was prepared; `part` lies below the batch size.
    pub(crate) fn draw(&self, step: usize, part: Range<usize>, device: &Device) -> Batch {
        match &self.data {
            TrainingData::Examples(data) => {
                let rows = self.rows(step, part);
                let input = if self.augmentation.is_off() {
                    data.input(rows, device)
                } else {
                    self.augmented(data, rows, device)
                };
                Batch {
                    input,
                    labels: data.labels_of(rows, device),
                    mask: None,
                    examples: rows.iter().map(|&row| data.number(row)).collect(),
                }
            }
            TrainingData::Sequences(data) => {
                let rows = self.rows(step, part);
                Batch {
                    input: data.input(rows, device),
                    labels: Labels {
                        truth: data.next(rows, device),
                        ..Labels::of_classes(&[], device)
                    },
                    mask: Some(data.mask(rows, device)),
                    examples: rows.iter().map(|&row| data.number(row)).collect(),
                }
            }
            TrainingData::Sparse(features) => {
                let first = (step * self.batch_size + part.start) as u64;
                let count = part.len();
                Batch {
                    input: features.input(first, count, device),
                    labels: Labels::of_classes(&vec![0; count], device),
                    mask: None,
                    examples: (first..first + count as u64).collect(),
                }
            }
        }
    }

    /// The rows of a step that was prepared.
    fn rows(&self, step: usize, part: Range<usize>) -> &[usize] {
        let in_epoch = step % (self.count / self.batch_size);
        let first = in_epoch * self.batch_size;
        &self.order.1[first + part.start..first + part.end]
    }

    fn augmented(&self, data: &Dataset, rows: &[usize], device: &Device) -> Input {
        let shape @ [channels, height, width] = data.shape();
        let mut values = Vec::with_capacity(rows.len() * channels * height * width);
        for &row in rows {
            let mut rng = generator(self.seed, "augmentation", self.order.0, data.number(row));
            let image = data.image(row);
            self.augmentation
                .append(&image, shape, &mut rng, &mut values);
        }
        let shape = [rows.len(), channels, height, width];
        Input::Real(Tensor::from_data(TensorData::new(values, shape), device))
    }

    /// What tells these data from others.
    pub(crate) fn fingerprint(&self) -> serde_json::Value {
        let shape = self.data.shape();
        let mut sum = Checksum::default();
        match &self.data {
            TrainingData::Examples(data) => {
                for (row, label) in data.labels().iter().enumerate() {
                    sum.add(&label.to_le_bytes());
                    sum.add(&data.number(row).to_le_bytes());
                }
                // A hundred images tell data sets apart; all would take longer than a small epoch.
                for row in (0..data.len()).step_by(data.len().div_ceil(100)) {
                    sum.add_floats(&data.image(row));
                }
            }
            TrainingData::Sequences(data) => {
                for row in 0..data.len() {
                    sum.add(&data.number(row).to_le_bytes());
                    sum.add(&data.known_from(row).to_le_bytes());
                }
                for row in (0..data.len()).step_by(data.len().div_ceil(1000)) {
                    for token in data.tokens(row) {
                        sum.add(&token.to_le_bytes());
                    }
                }
            }
            TrainingData::Sparse(features) => sum.add_floats(&features.batch(0, 8)),
        }
        serde_json::json!({
            "name": self.data.name(),
            "examples": self.held.len(),
            "shape": shape,
            "checksum": sum.text(),
        })
    }
}

/// FNV-1a (Fowler, Noll & Vo): the same in every build.
pub(crate) struct Checksum(u64);

impl Default for Checksum {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Checksum {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub(crate) fn add_floats(&mut self, values: &[f32]) {
        for value in values {
            self.add(&value.to_le_bytes());
        }
    }

    pub(crate) fn text(&self) -> String {
        format!("{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use mr_models::floats;

    use super::*;
    use crate::config::Validation;

    fn ten() -> Dataset {
        let names = vec!["a".into(), "b".into()];
        let labels = (0..10).map(|i| i % 2).collect();
        Dataset::of_bytes("ten", [1, 1, 2], names, (0..20).collect(), labels).unwrap()
    }

    fn config(batch_size: usize) -> TrainConfig {
        TrainConfig {
            batch_size,
            ..TrainConfig::default()
        }
    }

    fn numbers(source: &mut Source<'_>, step: usize) -> Vec<u64> {
        source.prepare(step);
        let batch = source.draw(step, 0..source.batch_size(), &Device::flex());
        batch.examples
    }

    #[test]
    fn an_epoch_sees_each_example_once_and_the_next_in_another_order() {
        let data = ten();
        let mut source = Source::new((&data).into(), &config(5)).unwrap();
        assert_eq!(source.steps_per_epoch(), Some(2));
        let mut epoch = |first| {
            let mut all = numbers(&mut source, first);
            all.extend(numbers(&mut source, first + 1));
            all
        };
        let (first, second) = (epoch(0), epoch(2));
        assert_eq!(epoch(0), first, "the past can be drawn again");
        assert_ne!(first, second);
        for mut order in [first, second] {
            order.sort_unstable();
            assert_eq!(order, (0..10).collect::<Vec<u64>>());
        }
    }

    #[test]
    fn parts_make_up_the_batch() {
        let data = ten();
        let source = Source::new((&data).into(), &config(4)).unwrap();
        let draw = |part| source.draw(1, part, &Device::flex());
        let whole = floats(draw(0..4).input.real());
        let mut parts = floats(draw(0..1).input.real());
        parts.extend(floats(draw(1..4).input.real()));
        assert_eq!(whole, parts);
    }

    #[test]
    fn held_out_examples_are_never_drawn() {
        let data = ten();
        let config = TrainConfig {
            validation: Some(Validation {
                examples: 3,
                ..Validation::default()
            }),
            ..config(100)
        };
        let mut source = Source::new((&data).into(), &config).unwrap();
        let Held::Examples(held) = source.held_out().unwrap().unwrap() else {
            panic!("images are held out");
        };
        let held: Vec<u64> = (0..held.len()).map(|row| held.number(row)).collect();
        assert_eq!((held.len(), source.batch_size()), (3, 7));
        let mut all = numbers(&mut source, 5);
        all.extend(&held);
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<u64>>());
        let all_held = TrainConfig {
            validation: Some(Validation {
                examples: 10,
                ..Validation::default()
            }),
            ..config
        };
        let error = Source::new((&data).into(), &all_held).err().unwrap();
        assert!(error.to_string().contains("below 10"), "{error}");
    }

    #[test]
    fn seeds_pick_their_streams() {
        let features = SparseFeatures::new(6, 0.5, 0).unwrap();
        let draw = |seed, step| {
            let config = TrainConfig { seed, ..config(4) };
            let source = Source::new(features.clone().into(), &config).unwrap();
            floats(source.draw(step, 0..4, &Device::flex()).input.real())
        };
        assert_eq!(draw(0, 3), draw(0, 3));
        assert_ne!(draw(0, 3), draw(0, 4));
        assert_ne!(draw(0, 3), draw(1, 3));
    }
}
