//! What runs past the sites of a network: images, text, or sparse features without end.

use anyhow::Result;
use burn::tensor::Device;
use mr_models::data::{Dataset, Sequences, SparseFeatures, load, load_sequences};
use mr_models::{Input, Model};
use mr_train::TrainingData;

use crate::opened::Examples;
use crate::settings::Settings;
use crate::subject::Subject;

/// Examples of any kind.
pub(super) enum Fed {
    Images(Dataset),
    Sequences(Sequences),
    Stream(SparseFeatures),
}

impl Fed {
    /// The examples of the settings.
    pub(super) fn load(settings: &Settings, subject: &Subject) -> Result<Self> {
        if settings.data.is_sequences() {
            let data = load_sequences(&settings.data, settings.split)?;
            let first = data.input(&[0], &subject.network.device());
            subject.network.spec().accepts(&first)?;
            return Ok(Self::Sequences(data));
        }
        let data = load(&settings.data, settings.split)?;
        subject.takes(&data)?;
        Ok(Self::Images(data))
    }

    /// The same, but sparse features come as a stream without end.
    pub(super) fn stream(settings: &Settings, subject: &Subject) -> Result<Self> {
        if settings.data.name == "sparse-features" && settings.data.limit.is_none() {
            return Ok(Self::Stream(settings.data.sparse_features()?));
        }
        Self::load(settings, subject)
    }

    /// The batch of these examples.
    pub(super) fn input(&self, rows: &[usize], device: &Device) -> Input {
        match self {
            Self::Images(data) => data.input(rows, device),
            Self::Sequences(data) => data.input(rows, device),
            Self::Stream(features) => features.input(rows[0] as u64, rows.len(), device),
        }
    }

    pub(super) fn data(&self) -> TrainingData<'_> {
        match self {
            Self::Images(data) => data.into(),
            Self::Sequences(data) => data.into(),
            Self::Stream(features) => features.clone().into(),
        }
    }
}

impl Examples for Fed {
    fn name(&self) -> &str {
        match self {
            Self::Images(data) => data.name(),
            Self::Sequences(data) => data.name(),
            Self::Stream(_) => "sparse-features",
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Images(data) => data.len(),
            Self::Sequences(data) => data.len(),
            Self::Stream(_) => 0,
        }
    }
}
