//! What the edges between two layers carry.

use burn::tensor::Tensor;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;

use crate::layer::Layer;

/// The linear map between the nodes of one layer and those of the next. An edge carries the part of it
/// that takes one channel and gives another.
#[derive(Debug, Clone)]
pub struct Link {
    /// What still happens within the writers: the normalisation of an input, pooling.
    within: Vec<Layer>,
    /// A convolution or a linear map, without terms.
    map: Layer,
}

impl Link {
    /// Of layers, each of which works within channels or joins them linearly; none where one does
    /// neither.
    pub(crate) fn of_chain(layers: Vec<Layer>) -> Vec<Self> {
        let mut links = Vec::new();
        let mut within = Vec::new();
        for layer in layers {
            match layer {
                Layer::Sum { .. } => return Vec::new(),
                Layer::Relu => within.clear(),
                Layer::Convolution { .. } | Layer::Linear { .. } => links.push(Self {
                    within: std::mem::take(&mut within),
                    map: without_terms(layer),
                }),
                Layer::Scale { .. } | Layer::MaxPool { .. } | Layer::MeanPool => within.push(layer),
            }
        }
        links
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
    /// `[channel, writer]`: 0 where it is cut.
    ///
    /// # Panics
    /// If there are not that many.
    #[must_use]
    pub fn scaled(&self, factors: &Tensor<2>) -> Self {
        let map = match &self.map {
            Layer::Convolution {
                weight,
                stride,
                padding,
                ..
            } => Layer::Convolution {
                weight: weight.clone() * factors.clone().unsqueeze_dims(&[2, 3]),
                bias: None,
                stride: *stride,
                padding: *padding,
            },
            Layer::Linear { weight, .. } => {
                let [channels, width] = weight.dims();
                let writers = factors.dims()[1];
                let parts = weight.clone().reshape([channels, writers, width / writers]);
                let scaled = parts * factors.clone().unsqueeze_dim::<3>(2);
                Layer::Linear {
                    weight: scaled.reshape([channels, width]),
                    bias: None,
                }
            }
            other => other.clone(),
        };
        Self {
            within: self.within.clone(),
            map,
        }
    }

    /// What each edge carries, along a direction: the part of [`received`](Self::received) that came from
    /// one writer to one channel, times the direction `[batch, channel, height, width]`, summed over the
    /// batch and the map. `[channel, writer]`.
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
            _ => unreachable!("a link's map is a convolution or a linear map"),
        }
    }
}

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

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::arch::{Architecture, ConvNet, Mlp, Normalization};
    use crate::hook::run_with_cache;
    use crate::input::Input;
    use crate::model::Model;
    use crate::network::Network;
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

    fn nets() -> [Network; 2] {
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
            normalization,
            ..Mlp::default()
        };
        [Architecture::Convnet(convnet), Architecture::Mlp(mlp)]
            .map(|architecture| Network::init(architecture, 3, &Device::flex()).unwrap())
    }

    /// What a layer reads is what the one before it sends, through the link, and a term that every input
    /// gets.
    #[test]
    fn links_give_what_is_read_but_for_terms() {
        for net in nets() {
            let wiring = &net.spec().wiring;
            let (links, layers) = (
                Intervened::new(&net, vec![]).unwrap().links(),
                wiring.layers(),
            );
            assert_eq!(links.len(), layers.len());
            let inputs = [ramp([2, 2, 9, 7], 5), ramp([2, 2, 9, 7], 4)];
            for (link, [writers, readers]) in links.iter().zip(layers) {
                let at = |site: &str, input: &Tensor<4>| {
                    if site == "input" {
                        return input.clone();
                    }
                    let input = Input::Real(input.clone());
                    let (_, cache) = run_with_cache(&net, &input, &[site]).unwrap();
                    let site = net.spec().site(site).unwrap();
                    site.as_map(cache.get(&site.name).unwrap().clone())
                };
                let change = |site: &str, of: &dyn Fn(Tensor<4>) -> Tensor<4>| {
                    of(at(site, &inputs[0])) - of(at(site, &inputs[1]))
                };
                let written = &wiring.writers[writers.start].site;
                let sent = change(written, &|held| link.sent(held));
                let read = change(&wiring.readers[readers.start].site, &|read| read);
                close(link.received(sent.clone()), read.clone());

                let [_, channels, height, width] = read.dims();
                let direction = ramp([2, channels, height, width], 7);
                let along = link.along(sent.clone(), direction.clone());
                assert_eq!(along.dims(), [channels, writers.len()]);
                // One edge alone.
                let (writer, channel) = (writers.len() - 1, channels / 2);
                let factors = Tensor::zeros([channels, writers.len()], &Device::flex());
                let one = Tensor::ones([1, 1], &Device::flex());
                let factors = factors.slice_assign([channel..channel + 1, writer..writer + 1], one);
                let alone = link.scaled(&factors).received(sent);
                let expected = floats((alone * direction).sum())[0];
                let found = floats(along)[channel * writers.len() + writer];
                assert!((found - expected).abs() < 1e-4, "{found} for {expected}");
            }
        }
    }
}
