//! The net and the pair of inputs that tests share.

use burn::tensor::{Device, Int, Tensor, TensorData};
use mr_models::{Architecture, Input, Network, NormKind, Transformer, TransformerInput};

use crate::pair::Pair;

fn transformer(norm: NormKind) -> Transformer {
    Transformer {
        input: TransformerInput::Tokens {
            vocabulary: 7,
            context: 6,
            token_types: 0,
        },
        layers: 2,
        d_model: 8,
        heads: 2,
        d_mlp: 12,
        norm,
        final_norm: norm != NormKind::None,
        ..Transformer::default()
    }
}

fn made(transformer: Transformer) -> Network {
    Network::init(Architecture::Transformer(transformer), 3, &Device::flex()).unwrap()
}

pub(crate) fn net(norm: NormKind) -> Network {
    made(transformer(norm))
}

/// Both heads of a block share keys and values.
pub(crate) fn shared() -> Network {
    made(Transformer {
        key_value_heads: 1,
        ..transformer(NormKind::Layer)
    })
}

pub(crate) fn tokens(values: [i64; 12]) -> Input {
    let data = TensorData::new(values.to_vec(), [2, 6]);
    Input::Tokens(Tensor::<2, Int>::from_data(data, &Device::flex()))
}

pub(crate) fn pair() -> Pair {
    let clean = tokens([1, 2, 3, 4, 5, 6, 0, 2, 4, 6, 1, 3]);
    let corrupt = tokens([1, 0, 3, 4, 2, 6, 0, 5, 4, 6, 1, 1]);
    Pair::new(clean, corrupt).unwrap()
}
