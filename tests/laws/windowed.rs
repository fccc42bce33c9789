//! A batch that recomputes only what a changed window reaches gives the logits of a full pass.

use burn::tensor::{Device, Tensor, TensorData};
use mr_models::{
    Architecture, Change, ConvNet, Input, Model, Network, Normalization, Padding, floats,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Stages of several convolutions, odd sizes, BatchNorm, several channels, a wide kernel.
pub(crate) fn nets() -> Vec<Network> {
    let deep = ConvNet {
        input: [2, 11, 9],
        widths: vec![3, 5],
        depth: 2,
        kernel: 3,
        hidden: vec![7],
        batch_norm: true,
        normalization: Some(Normalization {
            mean: vec![0.3, 0.6],
            std: vec![0.2, 0.5],
        }),
        ..ConvNet::default()
    };
    let wide = ConvNet {
        input: [1, 12, 12],
        widths: vec![4],
        kernel: 5,
        hidden: vec![],
        ..ConvNet::default()
    };
    let unpadded = ConvNet {
        input: [3, 14, 13],
        widths: vec![4, 3],
        padding: Padding::Valid,
        hidden: vec![6, 5],
        ..ConvNet::default()
    };
    let mut all = Vec::new();
    for convnet in [deep, wide, unpadded] {
        let mut net = Network::init(Architecture::Convnet(convnet), 4, &Device::flex()).unwrap();
        // Running statistics that are not 0 and 1.
        let names: Vec<(String, usize)> = net
            .weights()
            .entries()
            .iter()
            .filter(|entry| entry.name.contains("running"))
            .map(|entry| (entry.name.clone(), entry.shape[0]))
            .collect();
        for (name, width) in names {
            let values: Vec<f32> = (0..width).map(|i| 0.5 + 0.1 * i as f32).collect();
            let values = Tensor::from_data(TensorData::new(values, [width]), &Device::flex());
            net.weights_mut().set(&name, values);
        }
        all.push(net);
    }
    all
}

pub(crate) struct Images {
    shape: [usize; 3],
    values: Vec<Vec<f32>>,
}

impl Images {
    pub(crate) fn random(shape: [usize; 3], count: usize, rng: &mut ChaCha8Rng) -> Self {
        let width = shape.iter().product();
        let values = (0..count).map(|_| (0..width).map(|_| rng.random()).collect());
        Self {
            shape,
            values: values.collect(),
        }
    }

    pub(crate) fn input(&self) -> Input {
        let [c, h, w] = self.shape;
        let data = TensorData::new(self.values.concat(), [self.values.len(), c, h, w]);
        Input::Real(Tensor::from_data(data, &Device::flex()))
    }

    fn changed(&self, changes: &[Change]) -> Self {
        let [channels, height, width] = self.shape;
        let mut values = self.values.clone();
        for (image, change) in values.iter_mut().zip(changes) {
            let mut new = change.values.iter();
            for c in 0..channels {
                for y in change.top..change.top + change.height {
                    for x in change.left..change.left + change.width {
                        image[(c * height + y) * width + x] = *new.next().unwrap();
                    }
                }
            }
        }
        Self { values, ..*self }
    }
}

fn change(shape: [usize; 3], rng: &mut ChaCha8Rng) -> Change {
    let [channels, height, width] = shape;
    let side = [rng.random_range(1..=height), rng.random_range(1..=width)];
    Change {
        top: rng.random_range(0..=height - side[0]),
        left: rng.random_range(0..=width - side[1]),
        height: side[0],
        width: side[1],
        values: (0..channels * side[0] * side[1])
            .map(|_| rng.random())
            .collect(),
    }
}

#[test]
fn a_window_recomputed_is_a_full_pass() {
    for net in nets() {
        let mr_models::InputKind::Real { shape } = net.spec().input else {
            panic!("images")
        };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut images = Images::random(shape, 37, &mut rng);
        let mut windowed = net.windowed(&images.input()).unwrap();
        for round in 0..12 {
            let changes: Vec<Change> = images
                .values
                .iter()
                .map(|_| change(shape, &mut rng))
                .collect();
            let proposed = images.changed(&changes);
            let found = floats(windowed.propose(&changes));
            let full = floats(net.logits(&proposed.input()));
            for (found, full) in found.iter().zip(&full) {
                assert!((found - full).abs() < 1e-5, "{found} for {full}");
            }
            let keep: Vec<bool> = images.values.iter().map(|_| rng.random()).collect();
            windowed.settle(&keep);
            for (row, keep) in keep.iter().enumerate() {
                if *keep {
                    images.values[row].clone_from(&proposed.values[row]);
                }
            }
            if round == 5 {
                let rows: Vec<usize> = (0..images.values.len())
                    .filter(|row| row % 3 != 1)
                    .collect();
                windowed.select(&rows);
                images.values = rows.iter().map(|&row| images.values[row].clone()).collect();
            }
        }
    }
}

/// In other company, to the last bit.
#[test]
fn its_logits_are_an_examples_own() {
    let net = &nets()[0];
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let shape = [2, 11, 9];
    let images = Images::random(shape, 20, &mut rng);
    let changes: Vec<Change> = images
        .values
        .iter()
        .map(|_| change(shape, &mut rng))
        .collect();
    let mut all = net.windowed(&images.input()).unwrap();
    let whole = floats(all.propose(&changes));
    for row in 0..20 {
        let one = Images {
            shape,
            values: vec![images.values[row].clone()],
        };
        let mut alone = net.windowed(&one.input()).unwrap();
        let found = floats(alone.propose(&changes[row..=row]));
        assert!(found == whole[row * 10..(row + 1) * 10], "row {row}");
    }
}
