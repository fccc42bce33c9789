//! A Boolean function of bits.

use burn::tensor::{Device, Tensor, TensorData};

use super::{Compiled, every};
use crate::arch::{Architecture, Mlp};
use crate::input::Input;
use crate::network::Network;

/// `(a and b) xor c` of four bits, of which d means nothing: the second logit is 1 where it is true, the
/// first is 0.
///
/// Of x = a and b, `x xor c` is `x + c - 2 (x and c)`: three neurons are `a and b`, c, and `a and b and c`,
/// each ReLU of a sum of bits less one than there are; a fourth reads d, and nobody reads it. In the
/// counterfactual every bit is the other one.
pub fn boolean(device: &Device) -> Compiled {
    let strings = every(&[0, 1], 4);
    let bits = |flip: usize| {
        let values = strings.iter().flatten();
        let values: Vec<f32> = values.map(|&bit| (bit ^ flip) as f32).collect();
        let data = TensorData::new(values, [strings.len(), 4, 1, 1]);
        Input::Real(Tensor::from_data(data, device))
    };
    let says = strings.iter().flat_map(|bits| {
        let [a, b, c] = [0, 1, 2].map(|bit| bits[bit] == 1);
        [0.0, f32::from(u8::from((a && b) != c))]
    });
    let meant = TensorData::new(says.collect(), [strings.len(), 1, 2]);
    let edges = vec![
        "input.c0->linear1.n0",
        "input.c1->linear1.n0",
        "input.c2->linear1.n1",
        "input.c0->linear1.n2",
        "input.c1->linear1.n2",
        "input.c2->linear1.n2",
        "linear1.n0->logits",
        "linear1.n1->logits",
        "linear1.n2->logits",
    ];
    Compiled {
        name: "boolean",
        network: network(device),
        clean: bits(0),
        corrupt: bits(1),
        meant: Tensor::from_data(meant, device),
        resample: edges.clone(),
        zero: edges,
    }
}

fn network(device: &Device) -> Network {
    let mlp = Mlp {
        input: [4, 1, 1],
        hidden: vec![4],
        classes: 2,
        ..Mlp::default()
    };
    let weights = [
        // By neuron: a, b, c, d.
        (
            "linear1.weight",
            vec![4, 4],
            vec![
                1.0, 1.0, 0.0, 0.0, //
                0.0, 0.0, 1.0, 0.0, //
                1.0, 1.0, 1.0, 0.0, //
                0.0, 0.0, 0.0, 1.0,
            ],
        ),
        ("linear1.bias", vec![4], vec![-1.0, 0.0, -2.0, 0.0]),
        (
            "linear2.weight",
            vec![2, 4],
            vec![
                0.0, 0.0, 0.0, 0.0, //
                1.0, 1.0, -2.0, 0.0,
            ],
        ),
        ("linear2.bias", vec![2], vec![0.0, 0.0]),
    ];
    let named = weights.map(|(name, shape, values)| (name.to_string(), shape, values));
    Network::with_weights(Architecture::Mlp(mlp), named.to_vec(), device)
        .expect("the weights are those of the architecture")
}
