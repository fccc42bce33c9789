//! What `mr train` trains on.

use anyhow::Result;
use mr_models::data::{DataConfig, Dataset, SparseFeatures, Split, load};
use mr_train::{LossConfig, TrainConfig, TrainingData};

use crate::settings::Layers;

/// What is trained on.
pub(super) struct Source {
    /// Whether the loss is that of an autoencoder.
    reconstructs: bool,
    data: Examples,
}

enum Examples {
    Set(Dataset),
    Stream(SparseFeatures),
}

impl Source {
    /// Sparse features that are reconstructed come as a stream without end, all else as a data set.
    pub(super) fn of(layers: &Layers) -> Result<Self> {
        let data: DataConfig = layers.section("data")?;
        let train: TrainConfig = layers.section("train")?;
        let reconstructs = matches!(train.loss, LossConfig::Reconstruction(_));
        let is_stream = data.name == "sparse-features" && reconstructs && data.limit.is_none();
        let data = if is_stream {
            Examples::Stream(data.sparse_features()?)
        } else {
            Examples::Set(load(&data, Split::Train)?)
        };
        Ok(Self { reconstructs, data })
    }

    pub(super) fn data(&self) -> TrainingData<'_> {
        match &self.data {
            Examples::Set(data) => data.into(),
            Examples::Stream(features) => features.clone().into(),
        }
    }

    /// Fills in what a `[model]` table leaves open and the data say: its input and its classes.
    pub(super) fn fit(&self, layers: &mut Layers) {
        let (shape, classes) = match &self.data {
            Examples::Set(data) => (data.shape(), data.classes() as i64),
            Examples::Stream(features) => ([features.features(), 1, 1], 0),
        };
        match layers.text("model.type") {
            Some("toy") => {
                let features: usize = shape.iter().product();
                layers.beneath("model.features", features as i64);
                let classes = if self.reconstructs { 0 } else { classes };
                layers.beneath("model.classes", classes);
            }
            Some(_) => {
                layers.beneath("model.input", shape.map(|size| size as i64).to_vec());
                layers.beneath("model.classes", classes);
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use mr_models::Architecture;

    use super::*;
    use crate::settings::Settings;

    #[test]
    fn an_open_table_is_fitted_to_the_data() {
        let mut layers = Layers::default();
        layers.set("model.type=mlp").unwrap();
        layers.set("data.name=sparse-parity").unwrap();
        layers.set("data.limit=10").unwrap();
        let source = Source::of(&layers).unwrap();
        source.fit(&mut layers);
        let Some(Architecture::Mlp(mlp)) = Settings::of(layers).unwrap().model else {
            panic!("the table is an mlp");
        };
        assert_eq!((mlp.input, mlp.classes), ([15, 1, 1], 2));
    }
}
