//! What the edges between two layers carry.

use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor};

use crate::layer::Layer;

/// The linear map between the nodes of one layer and those of a later one. An edge carries the part of it
/// that takes one channel and gives another.
#[derive(Debug, Clone)]
pub struct Link {
    /// What still happens within the writers: the normalisation of an input, pooling.
    within: Vec<Layer>,
    /// A convolution, a linear map, or a factor for each channel or for all of them, without terms.
    map: Layer,
}

impl Link {
    /// Of layers, each of which works within channels or joins them linearly, or sums two ways of such; none
    /// where one does neither. Of two ways, the links of the first come first.
    pub(crate) fn of_layers(layers: Vec<Layer>, device: &Device) -> Vec<Self> {
        Self::through(layers, Vec::new(), device).unwrap_or_default()
    }

    /// The links of layers after some that happen within the writers of the first.
    fn through(layers: Vec<Layer>, mut within: Vec<Layer>, device: &Device) -> Option<Vec<Self>> {
        let mut links = Vec::new();
        for layer in layers {
            match layer {
                Layer::Sum { branch, skip } => {
                    let before = std::mem::take(&mut within);
                    links.extend(Self::to_sum(branch, before.clone(), device)?);
                    links.extend(Self::to_sum(skip, before, device)?);
                }
                Layer::Relu => within.clear(),
                Layer::Convolution { .. } | Layer::Linear { .. } => links.push(Self {
                    within: std::mem::take(&mut within),
                    map: without_terms(layer),
                }),
                Layer::Scale { .. } | Layer::MaxPool { .. } | Layer::MeanPool => within.push(layer),
            }
        }
        Some(links)
    }

    /// The links of one way to a sum: normalisations before the sum are part of the last map.
    fn to_sum(mut way: Vec<Layer>, within: Vec<Layer>, device: &Device) -> Option<Vec<Self>> {
        let is_map =
            |layer: &Layer| matches!(layer, Layer::Convolution { .. } | Layer::Linear { .. });
        let scales = way.split_off(way.iter().rposition(is_map).map_or(0, |last| last + 1));
        let mut links = Self::through(way, within.clone(), device)?;
        let passed = |within| Self {
            within,
            map: Layer::Scale {
                scale: Tensor::ones([1], device),
                shift: None,
            },
        };
        let mut last = links.pop().unwrap_or_else(|| passed(within));
        for layer in scales {
            let Layer::Scale { scale, .. } = layer else {
                return None;
            };
            last.map = scaled_by_channel(last.map, scale);
        }
        links.push(last);
        Some(links)
    }

    /// What the writers send on, `[batch, writer, height, width]`, of what they hold
    /// `[batch, writer, height, width]`: an input before its normalisation, a layer after its
    /// nonlinearity.
    pub fn sent(&self, held: Tensor<4>) -> Tensor<4> {
        self.within.iter().fold(held, |x, layer| layer.apply(x))
    }

    /// What the readers get of it, `[batch, reader, height, width]`, but for terms that are the same for
    /// every input.
    pub fn received(&self, sent: Tensor<4>) -> Tensor<4> {
        self.map.apply(sent)
    }

    /// The link with the part from each writer to each channel that is read scaled by its factor
    /// `[channel, writer]`: 0 where it is cut. Where each channel is read from the writer at its own place,
    /// that is the one writer there is, `[channel, 1]`.
    ///
    /// # Panics
    /// If there are not that many.
    #[must_use]
    pub fn scaled(&self, factors: &Tensor<2>) -> Self {
        let map = match self.map.clone() {
            Layer::Convolution {
                weight,
                stride,
                padding,
                ..
            } => Layer::Convolution {
                weight: weight * factors.clone().unsqueeze_dims(&[2, 3]),
                bias: None,
                stride,
                padding,
            },
            Layer::Linear { weight, .. } => {
                let [channels, width] = weight.dims();
                let writers = factors.dims()[1];
                let parts = weight.reshape([channels, writers, width / writers]);
                let scaled = parts * factors.clone().unsqueeze_dim::<3>(2);
                Layer::Linear {
                    weight: scaled.reshape([channels, width]),
                    bias: None,
                }
            }
            Layer::Scale { scale, .. } => Layer::Scale {
                scale: scale * factors.clone().squeeze_dim(1),
                shift: None,
            },
            _ => unreachable!("{LINEAR}"),
        };
        Self {
            within: self.within.clone(),
            map,
        }
    }

    /// What each edge carries, along a direction: the part of [`received`](Self::received) that came from
    /// one writer to one channel, times the direction `[batch, channel, height, width]`, summed over the
    /// batch and the map. `[channel, writer]`, as [`scaled`](Self::scaled) takes factors.
    ///
    /// As the sum of `direction . W sent` is linear in W, with slope dW, the share of a weight is `W dW`: all
    /// edges cost what one step of training this layer would.
    ///
    /// # Panics
    /// If the shapes are not those of the layer.
    pub fn along(&self, sent: Tensor<4>, direction: Tensor<4>) -> Tensor<2> {
        let writers = sent.dims()[1];
        match &self.map {
            Layer::Convolution {
                weight,
                stride,
                padding,
                ..
            } => {
                let options = ConvOptions::new([*stride; 2], [*padding; 2], [1, 1], 1);
                let leaf = weight.clone().autodiff().require_grad();
                let received = conv2d(sent, leaf.clone(), None, options);
                let mut gradients = (received * direction).sum().backward();
                let slope = leaf.grad_remove(&mut gradients);
                let share =
                    weight.clone() * slope.expect("what is received depends on each weight");
                share.sum_dim(3).sum_dim(2).squeeze_dims(&[2, 3])
            }
            Layer::Linear { weight, .. } => {
                // The slope of a linear map is the product of what goes in and what comes out.
                let [batch, _, _, _] = direction.dims();
                let [channels, width] = weight.dims();
                let rows = sent.reshape([batch, width]);
                let out = direction.reshape([batch, channels]);
                let share = weight.clone() * out.transpose().matmul(rows);
                let share = share.reshape([channels, writers, width / writers]);
                share.sum_dim(2).squeeze_dim(2)
            }
            Layer::Scale { .. } => {
                let shares = self.received(sent) * direction;
                let shares = shares.sum_dim(3).sum_dim(2).sum_dim(0);
                shares.reshape([writers, 1])
            }
            _ => unreachable!("{LINEAR}"),
        }
    }
}

const LINEAR: &str = "a link's map is a convolution, a linear map or a factor for each channel";

fn without_terms(layer: Layer) -> Layer {
    match layer {
        Layer::Convolution {
            weight,
            stride,
            padding,
            ..
        } => Layer::Convolution {
            weight,
            bias: None,
            stride,
            padding,
        },
        Layer::Linear { weight, .. } => Layer::Linear { weight, bias: None },
        other => other,
    }
}

/// A link's map, and then a factor for each channel.
fn scaled_by_channel(map: Layer, factors: Tensor<1>) -> Layer {
    match map {
        Layer::Convolution {
            weight,
            bias,
            stride,
            padding,
        } => {
            let [channels] = factors.dims();
            Layer::Convolution {
                weight: weight * factors.reshape([channels, 1, 1, 1]),
                bias,
                stride,
                padding,
            }
        }
        Layer::Linear { weight, bias } => Layer::Linear {
            weight: weight * factors.unsqueeze_dim(1),
            bias,
        },
        Layer::Scale { scale, shift } => Layer::Scale {
            scale: scale * factors,
            shift,
        },
        _ => unreachable!("{LINEAR}"),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;
    use crate::arch::{Architecture, ConvNet, Mlp, Normalization, ResNet};
    use crate::hook::run_with_cache;
    use crate::input::Input;
    use crate::model::Model;
    use crate::network::Network;
    use crate::wiring::Joint;
    use crate::{Intervened, floats};

    fn ramp<const D: usize>(shape: [usize; D], step: usize) -> Tensor<D> {
        let count = shape.iter().product();
        let values = (0..count).map(|i| ((i * step) % 13) as f32 / 6.0 - 1.0);
        Tensor::from_data(TensorData::new(values.collect(), shape), &Device::flex())
    }

    fn close(found: Tensor<4>, expected: Tensor<4>) {
        assert_eq!(found.dims(), expected.dims());
        let far = floats((found - expected).abs().max())[0];
        assert!(far < 1e-4, "{far}");
    }

    /// A chain of maps, one of vectors, and two blocks of which the second changes the shape.
    fn nets() -> [Network; 3] {
        let input = [2, 9, 7];
        let normalization = Some(Normalization {
            mean: vec![0.4, 0.6],
            std: vec![0.2, 0.3],
        });
        let convnet = ConvNet {
            input,
            widths: vec![3, 4],
            depth: 2,
            hidden: vec![6],
            classes: 3,
            batch_norm: true,
            normalization: normalization.clone(),
            ..ConvNet::default()
        };
        let mlp = Mlp {
            input,
            hidden: vec![5, 4],
            classes: 3,
            normalization: normalization.clone(),
            ..Mlp::default()
        };
        let resnet = ResNet {
            input,
            width: 3,
            depth: 6,
            stages: 2,
            classes: 3,
            normalization,
        };
        [
            Architecture::Convnet(convnet),
            Architecture::Mlp(mlp),
            Architecture::Resnet(resnet),
        ]
        .map(|architecture| {
            let mut net = Network::init(architecture, 3, &Device::flex()).unwrap();
            // Normalisations that do something.
            for entry in net.weights().entries().to_vec() {
                if let &[channels] = entry.shape.as_slice() {
                    let values = ramp([channels], 3) * 0.2 + 0.7;
                    net.weights_mut().set(&entry.name, values);
                }
            }
            net
        })
    }

    /// What nodes read is the sum of what comes over the links that end in them, and a term that every input
    /// gets.
    #[test]
    fn links_give_what_is_read_but_for_terms() {
        for net in nets() {
            let spec = net.spec();
            let wiring = &spec.wiring;
            let links = Intervened::new(&net, vec![]).unwrap().links();
            let joints = wiring.joints();
            assert_eq!(links.len(), joints.len());
            let inputs = [ramp([2, 2, 9, 7], 5), ramp([2, 2, 9, 7], 4)];
            let at = |site: &str, input: &Tensor<4>| {
                if site == "input" {
                    return input.clone();
                }
                let input = Input::Real(input.clone());
                let (_, cache) = run_with_cache(&net, &input, &[site]).unwrap();
                let site = spec.site(site).unwrap();
                site.as_map(cache.get(&site.name).unwrap().clone())
            };
            let change = |site: &str, of: &dyn Fn(Tensor<4>) -> Tensor<4>| {
                of(at(site, &inputs[0])) - of(at(site, &inputs[1]))
            };
            let sent = |at: usize| {
                let joint: &Joint = &joints[at];
                change(&wiring.writers[joint.writers.start].site, &|held| {
                    links[at].sent(held)
                })
            };
            for (at, joint) in joints.iter().enumerate() {
                let readers = &joint.readers;
                let read = change(&wiring.readers[readers.start].site, &|read| read);
                let parts = (0..joints.len())
                    .filter(|&other| joints[other].readers == *readers)
                    .map(|other| links[other].received(sent(other)));
                close(parts.reduce(|all, part| all + part).unwrap(), read.clone());

                let (link, sent) = (&links[at], sent(at));
                let [_, channels, height, width] = read.dims();
                let direction = ramp([2, channels, height, width], 7);
                let along = link.along(sent.clone(), direction.clone());
                let each = joint.reaching(readers.start).len();
                assert_eq!(along.dims(), [channels, each]);
                // One edge alone.
                let (writer, channel) = (each - 1, channels / 2);
                let factors = Tensor::zeros([channels, each], &Device::flex());
                let one = Tensor::ones([1, 1], &Device::flex());
                let factors = factors.slice_assign([channel..channel + 1, writer..writer + 1], one);
                let alone = link.scaled(&factors).received(sent);
                let expected = floats((alone * direction).sum())[0];
                let found = floats(along)[channel * each + writer];
                assert!((found - expected).abs() < 1e-4, "{found} for {expected}");
            }
        }
    }

    #[test]
    fn a_skip_that_changes_nothing_joins_each_channel_to_itself() {
        let [_, _, net] = nets();
        let wiring = &net.spec().wiring;
        let edges = wiring.edges();
        let names: Vec<String> = edges.iter().map(|&edge| wiring.name(edge)).collect();
        let into = |reader: &str| -> Vec<&str> {
            let names = names.iter().filter_map(|name| name.split_once("->"));
            names
                .filter(|(_, to)| *to == reader)
                .map(|(from, _)| from)
                .collect()
        };
        let inner = [
            "layer1.0.conv1.c0",
            "layer1.0.conv1.c1",
            "layer1.0.conv1.c2",
        ];
        assert_eq!(into("layer1.0.c1"), [&["conv1.c1"][..], &inner].concat());
        assert_eq!(into("layer2.0.c4").len(), 3 + 6);
        assert_eq!(into("logits").len(), 6);
        // Stem, two blocks, logits.
        assert_eq!(edges.len(), 6 + (9 + 9 + 3) + (18 + 36 + 18) + 6);
        for (edge, name) in edges.iter().zip(&names) {
            assert!(wiring.reaches(*edge));
            assert_eq!(wiring.edge(name).unwrap(), *edge);
        }
        assert!(wiring.edge("conv1.c0->layer1.0.c1").is_err());
        assert!(wiring.edge("conv1.c0->layer2.0.c1").is_err());
    }
}
