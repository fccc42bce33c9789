//! What `mr train` trains on.

use anyhow::Result;
use mr_models::data::{
    DataConfig, Dataset, Sequences, SparseFeatures, Split, load, load_sequences,
};
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
    /// Those to train on, and those to test by.
    Sequences(Sequences, Sequences),
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
        } else if data.is_sequences() {
            let load = |split| load_sequences(&data, split);
            Examples::Sequences(load(Split::Train)?, load(Split::Test)?)
        } else {
            Examples::Set(load(&data, Split::Train)?)
        };
        Ok(Self { reconstructs, data })
    }

    pub(super) fn data(&self) -> TrainingData<'_> {
        match &self.data {
            Examples::Set(data) => data.into(),
            Examples::Sequences(data, _) => data.into(),
            Examples::Stream(features) => features.clone().into(),
        }
    }

    /// What a language model is tested by.
    pub(super) fn test(&self) -> Option<&Sequences> {
        match &self.data {
            Examples::Sequences(_, test) => Some(test),
            Examples::Set(_) | Examples::Stream(_) => None,
        }
    }

    /// Fills in what a `[model]` table leaves open and the data say: its input and its classes.
    pub(super) fn fit(&self, layers: &mut Layers) {
        let (shape, classes) = match &self.data {
            Examples::Set(data) => (data.shape(), data.classes() as i64),
            Examples::Stream(features) => ([features.features(), 1, 1], 0),
            Examples::Sequences(data, _) => {
                // Where there are other networks, the trainer says that they take no tokens.
                let at = match layers.text("model.type") {
                    Some("transformer") => "model.input.tokens",
                    Some("rnn") => "model",
                    _ => return,
                };
                for (key, size) in [
                    ("vocabulary", data.vocabulary()),
                    ("context", data.positions()),
                ] {
                    layers.beneath(&format!("{at}.{key}"), size as i64);
                }
                return;
            }
        };
        match layers.text("model.type") {
            Some("toy") => {
                let features: usize = shape.iter().product();
                layers.beneath("model.features", features as i64);
                let classes = if self.reconstructs { 0 } else { classes };
                layers.beneath("model.classes", classes);
            }
            Some("transformer") => {
                let sides = shape.map(|size| size as i64);
                layers.beneath("model.input.image.shape", sides.to_vec());
                // The largest patch that cuts the image into seven or more a side.
                let fits = |patch: &i64| sides[1] % patch == 0 && sides[2] % patch == 0;
                let patch = (1..=sides[1] / 7).rev().find(fits);
                layers.beneath("model.input.image.patch", patch.unwrap_or(1));
                layers.beneath("model.causal", false);
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
    use burn::tensor::Device;
    use mr_models::{Architecture, Network, Transformer, TransformerInput};

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

    #[test]
    fn a_transformer_takes_the_tokens_or_the_images_that_there_are() {
        let made = |data: &str| {
            let mut layers = Layers::default();
            layers.set("model.type=transformer").unwrap();
            layers.set(&format!("data.name={data}")).unwrap();
            layers.set("data.limit=10").unwrap();
            Source::of(&layers).unwrap().fit(&mut layers);
            let Some(Architecture::Transformer(net)) = Settings::of(layers).unwrap().model else {
                panic!("the table is a transformer");
            };
            net
        };
        let tokens = TransformerInput::Tokens {
            vocabulary: 64,
            context: 3,
            token_types: 0,
        };
        assert_eq!(made("modular-addition").input, tokens);
        let net = made("fashion-mnist-mini");
        assert!(matches!(
            net.input,
            TransformerInput::Image { patch: 4, .. }
        ));
        assert_eq!((net.classes, net.causal), (10, false));
        let causal = Architecture::Transformer(Transformer {
            causal: true,
            ..net
        });
        let error = Network::init(causal, 0, &Device::flex())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("causal is true, must be false for images"),
            "{error}"
        );
    }
}
