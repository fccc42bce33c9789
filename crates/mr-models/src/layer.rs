//! A network as the operations that it is made of: what certificates are computed from.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::module::{conv2d, max_pool2d};
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};

use crate::arch::product;

/// One operation of a network in evaluation mode, on maps `[batch, channel, height, width]`; a vector
/// is a map of height and width 1. Its tensors lie where the network's weights do, and are on the
/// graph of their gradient where those are.
#[derive(Debug, Clone)]
pub enum Layer {
    /// `x scale + shift`, one number of each per channel: a normalisation.
    Scale {
        /// Factors `[channel]`.
        scale: Tensor<1>,
        /// Terms `[channel]`; `None` for none.
        shift: Option<Tensor<1>>,
    },
    /// `W x + b` of the flattened map.
    Linear {
        /// W `[out, in]`.
        weight: Tensor<2>,
        /// b `[out]`; `None` for none.
        bias: Option<Tensor<1>>,
    },
    /// A convolution.
    Convolution {
        /// Kernels `[out, in, height, width]`.
        weight: Tensor<4>,
        /// Terms `[out]`; `None` for none.
        bias: Option<Tensor<1>>,
        /// Step of the kernel, in both directions.
        stride: usize,
        /// Zeros around the map, on every side.
        padding: usize,
    },
    /// `max(x, 0)`.
    Relu,
    /// The largest value of each square; squares do not overlap, and an incomplete one is left out.
    MaxPool {
        /// Side of a square.
        side: usize,
    },
    /// The mean of each channel's map.
    MeanPool,
    /// The sum of two ways through; a way without layers passes its input on.
    Sum {
        /// One way.
        branch: Vec<Layer>,
        /// The other.
        skip: Vec<Layer>,
    },
}

impl Layer {
    /// What it makes of a map `[batch, channel, height, width]`.
    pub fn apply(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Scale { scale, shift } => {
                let scaled = x * by_channel(scale.clone());
                match shift {
                    Some(shift) => scaled + by_channel(shift.clone()),
                    None => scaled,
                }
            }
            Self::Linear { weight, bias } => {
                let batch = x.dims()[0];
                let [out, width] = weight.dims();
                let y = product(
                    x.reshape([batch, width]),
                    weight.clone().unsqueeze::<3>().transpose(),
                );
                let y = y.reshape([batch, out, 1, 1]);
                match bias {
                    Some(bias) => y + by_channel(bias.clone()),
                    None => y,
                }
            }
            Self::Convolution {
                weight,
                bias,
                stride,
                padding,
            } => {
                let options = ConvOptions::new([*stride; 2], [*padding; 2], [1, 1], 1);
                conv2d(x, weight.clone(), bias.clone(), options)
            }
            Self::Relu => relu(x),
            Self::MaxPool { side } => {
                let options = MaxPoolOptions::new([*side; 2]).with_stride([*side; 2]);
                max_pool2d(x, options)
            }
            Self::MeanPool => {
                let [batch, channels, height, width] = x.dims();
                let maps: Tensor<3> = x.reshape([batch, channels, height * width]);
                maps.mean_dim(2).reshape([batch, channels, 1, 1])
            }
            Self::Sum { branch, skip } => run(branch, x.clone()) + run(skip, x),
        }
    }

    /// The same map with absolute weights and no terms, `x -> |W| x`: how far it carries a change.
    /// A layer that is not affine stays what it is.
    pub fn magnitude(&self) -> Self {
        match self {
            Self::Scale { scale, .. } => Self::Scale {
                scale: scale.clone().abs(),
                shift: None,
            },
            Self::Linear { weight, .. } => Self::Linear {
                weight: weight.clone().abs(),
                bias: None,
            },
            Self::Convolution {
                weight,
                stride,
                padding,
                ..
            } => Self::Convolution {
                weight: weight.clone().abs(),
                bias: None,
                stride: *stride,
                padding: *padding,
            },
            other => other.clone(),
        }
    }
}

/// Runs maps `[batch, channel, height, width]` through layers, one after the other.
fn run(layers: &[Layer], x: Tensor<4>) -> Tensor<4> {
    layers.iter().fold(x, |x, layer| layer.apply(x))
}

fn by_channel(values: Tensor<1>) -> Tensor<4> {
    let channels = values.dims()[0];
    values.reshape([1, channels, 1, 1])
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::arch::{Architecture, ConvNet, Mlp, Normalization, ResNet, Toy};
    use crate::input::Input;
    use crate::model::Model;
    use crate::network::Network;
    use crate::{floats, hook};

    fn normalization() -> Normalization {
        Normalization {
            mean: vec![0.4, 0.6],
            std: vec![0.2, 0.3],
        }
    }

    /// A net whose BatchNorms have moved away from the identity.
    fn moved(architecture: Architecture) -> Network {
        let mut network = Network::init(architecture, 3, &Device::flex()).unwrap();
        let entries = network.weights().entries().to_vec();
        for entry in entries {
            let count = entry.shape.iter().product::<usize>();
            let base = if entry.name.ends_with("running_var") {
                0.5
            } else {
                -0.3
            };
            if !entry.trainable || entry.shape.len() == 1 {
                let values = (0..count).map(|i| base + 0.2 * (i % 5) as f32).collect();
                let values = TensorData::new::<f32, _>(values, [count]);
                let values = Tensor::from_data(values, &Device::flex());
                network.weights_mut().set(&entry.name, values);
            }
        }
        network
    }

    #[test]
    fn the_layers_of_every_architecture_give_its_logits() {
        let input = [2, 7, 5];
        let mlp = Mlp {
            input,
            hidden: vec![5, 4],
            classes: 3,
            normalization: Some(normalization()),
            ..Mlp::default()
        };
        let convnet = ConvNet {
            input,
            widths: vec![3, 4],
            depth: 2,
            hidden: vec![6],
            classes: 3,
            batch_norm: true,
            normalization: Some(normalization()),
            ..ConvNet::default()
        };
        let resnet = ResNet {
            input,
            width: 3,
            depth: 10,
            stages: 2,
            classes: 3,
            normalization: Some(normalization()),
        };
        let toy = Toy {
            features: 70,
            hidden: 3,
            ..Toy::default()
        };
        let head = Toy {
            classes: 3,
            ..toy.clone()
        };
        for architecture in [
            Architecture::Mlp(mlp),
            Architecture::Convnet(convnet),
            Architecture::Resnet(resnet),
            Architecture::Toy(toy),
            Architecture::Toy(head),
        ] {
            let network = moved(architecture);
            let values = (0..140).map(|i| (i % 11) as f32 / 10.0).collect();
            let values: Tensor<1> =
                Tensor::from_data(TensorData::new::<f32, _>(values, [140]), &Device::flex());
            let shape = match network.spec().input {
                crate::InputKind::Real { shape } => shape,
                crate::InputKind::Tokens { .. } => unreachable!(),
            };
            let x = values.reshape([2, shape[0], shape[1], shape[2]]);
            let expected = floats(network.run(&Input::Real(x.clone()), &mut hook::Idle));
            let found = floats(run(&network.layers().unwrap(), x));
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                let near = (found - expected).abs() < 1e-4 * (1.0 + expected.abs());
                assert!(near, "{}: {found}, not {expected}", network.spec().name);
            }
        }
    }

    #[test]
    fn a_magnitude_has_absolute_weights_and_no_terms() {
        let device = Device::flex();
        let layer = Layer::Linear {
            weight: Tensor::from_floats([[1.0, -2.0]], &device),
            bias: Some(Tensor::from_floats([5.0], &device)),
        };
        let x = Tensor::<1>::from_floats([3.0, 4.0], &device).reshape([1, 2, 1, 1]);
        assert_eq!(floats(layer.apply(x.clone())), [0.0]);
        assert_eq!(floats(layer.magnitude().apply(x)), [11.0]);
    }
}
