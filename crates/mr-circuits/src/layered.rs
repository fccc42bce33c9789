//! A chain of layers, as circuits see it.

use burn::tensor::Tensor;
use mr_models::{Cache, Edge, Input, Link, Model, Site, Wiring};

use crate::error::CircuitError;

/// The layers of a chain: what joins the nodes of one to those of the next.
#[derive(Debug)]
pub(crate) struct Layered {
    /// In forward order.
    pub(crate) layers: Vec<Layer>,
}

/// The link between two layers.
#[derive(Debug)]
pub(crate) struct Layer {
    /// Where its writers write and where its readers read. The first layer's writers are the input, whose
    /// site only has a name.
    pub(crate) sites: [Site; 2],
    /// What it carries.
    pub(crate) link: Link,
}

impl Layer {
    /// The edges of this layer, with what is summed of `[channel, writer]` for each.
    pub(crate) fn edges(wiring: &Wiring, at: usize, along: &[f32]) -> Vec<(Edge, f32)> {
        let [writers, readers] = wiring.layers()[at].clone();
        let mut edges = Vec::with_capacity(writers.len() * readers.len());
        for reader in readers {
            let channels = wiring.readers[reader].channels.clone();
            for writer in writers.clone() {
                let column = writer - writers.start;
                let parts = channels.clone().map(|c| along[c * writers.len() + column]);
                edges.push((Edge { writer, reader }, parts.sum()));
            }
        }
        edges
    }
}

impl Layered {
    /// Of a model whose wiring is one of layers.
    pub(crate) fn of(model: &dyn Model) -> Result<Self, CircuitError> {
        let spec = model.spec();
        let wiring = &spec.wiring;
        let (links, ranges) = (model.links(), wiring.layers());
        if links.is_empty() || links.len() != ranges.len() {
            return Err(CircuitError::Unwired {
                network: spec.name.clone(),
            });
        }
        let layers = links.into_iter().zip(ranges).enumerate();
        let layers = layers.map(|(at, (link, [writers, readers]))| {
            let read = spec.site(&wiring.readers[readers.start].site)?.clone();
            let written = &wiring.writers[writers.start].site;
            let written = match at {
                0 => Site::vector(written, writers.len()),
                _ => spec.site(written)?.clone(),
            };
            let sites = [written, read];
            Ok(Layer { sites, link })
        });
        let layers = layers.collect::<Result<_, CircuitError>>()?;
        Ok(Self { layers })
    }

    /// The sites that are written to, but for the input.
    pub(crate) fn written(&self) -> Vec<&str> {
        let layers = self.layers.iter().skip(1);
        layers.map(|layer| layer.sites[0].name.as_str()).collect()
    }

    /// By layer, what its writers send `[batch, writer, height, width]`, of the activations of a run.
    pub(crate) fn sent(
        &self,
        input: &Input,
        cache: &Cache,
    ) -> Result<Vec<Tensor<4>>, CircuitError> {
        let layers = self.layers.iter().enumerate();
        let sent = layers.map(|(at, layer)| {
            let [written, _] = &layer.sites;
            let held = if at == 0 {
                input.real()
            } else {
                written.as_map(cache.get(&written.name)?.clone())
            };
            Ok(layer.link.sent(held))
        });
        sent.collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use burn::tensor::{Device, TensorData};
    use mr_models::{Architecture, ConvNet, Mlp, Network, Normalization};

    use super::*;
    use crate::pair::Pair;

    /// Two input channels, three and four maps, five neurons, three classes.
    pub(crate) fn convnet() -> Network {
        let convnet = ConvNet {
            input: [2, 8, 6],
            widths: vec![3, 4],
            hidden: vec![5],
            classes: 3,
            normalization: Some(Normalization {
                mean: vec![0.4, 0.6],
                std: vec![0.5, 0.3],
            }),
            ..ConvNet::default()
        };
        Network::init(Architecture::Convnet(convnet), 1, &Device::flex()).unwrap()
    }

    fn images(step: usize) -> Input {
        let values = (0..192).map(|i| ((i * step) % 17) as f32 / 16.0);
        let values = TensorData::new(values.collect(), [2, 2, 8, 6]);
        Tensor::<4>::from_data(values, &Device::flex()).into()
    }

    pub(crate) fn pair() -> Pair {
        Pair::new(images(5), images(7)).unwrap()
    }

    /// Two inputs, two hidden units that copy them, one logit for each.
    pub(crate) fn copy() -> Network {
        let mlp = Mlp {
            input: [2, 1, 1],
            hidden: vec![2],
            classes: 2,
            ..Mlp::default()
        };
        let identity = vec![1.0, 0.0, 0.0, 1.0];
        let named = vec![
            ("linear1.weight".into(), vec![2, 2], identity.clone()),
            ("linear1.bias".into(), vec![2], vec![0.0; 2]),
            ("linear2.weight".into(), vec![2, 2], identity),
            ("linear2.bias".into(), vec![2], vec![0.0; 2]),
        ];
        Network::with_weights(Architecture::Mlp(mlp), named, &Device::flex()).unwrap()
    }

    pub(crate) fn input(values: [f32; 2]) -> Input {
        let values = Tensor::<1>::from_floats(values, &Device::flex());
        values.reshape([1, 2, 1, 1]).into()
    }
}
