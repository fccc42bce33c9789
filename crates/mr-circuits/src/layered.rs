//! A network of layers, as circuits see it.

use burn::tensor::Tensor;
use mr_models::{Cache, Edge, Input, Joint, Link, Model, Site, Wiring};

use crate::error::CircuitError;

/// What joins the nodes of layers.
#[derive(Debug)]
pub(crate) struct Layered {
    /// In the order of the wiring.
    pub(crate) joints: Vec<Linked>,
}

/// One linear map between two layers.
#[derive(Debug)]
pub(crate) struct Linked {
    /// Which nodes it joins.
    pub(crate) joint: Joint,
    /// Where its writers write and where its readers read. An input only has a name there.
    pub(crate) sites: [Site; 2],
    /// What it carries.
    pub(crate) link: Link,
}

/// The name of the input in place of a site.
const INPUT: &str = "input";

impl Linked {
    /// The edges of this map, with what is summed of `[channel, writer]` for each.
    pub(crate) fn edges(&self, wiring: &Wiring, along: &[f32]) -> Vec<(Edge, f32)> {
        let mut edges = Vec::new();
        for reader in self.joint.readers.clone() {
            let channels = &wiring.readers[reader].channels;
            let writers = self.joint.reaching(reader);
            let count = writers.len();
            for (column, writer) in writers.enumerate() {
                let parts = channels.clone().map(|c| along[c * count + column]);
                edges.push((Edge { writer, reader }, parts.sum()));
            }
        }
        edges
    }

    /// Whether its writers are the channels of the input.
    pub(crate) fn is_from_input(&self) -> bool {
        self.sites[0].name == INPUT
    }

    /// What its writers send `[batch, writer, height, width]`, of the activations of a run.
    pub(crate) fn sent(&self, input: &Input, cache: &Cache) -> Result<Tensor<4>, CircuitError> {
        let [written, _] = &self.sites;
        let held = if self.is_from_input() {
            input.real()
        } else {
            written.as_map(cache.get(&written.name)?.clone())
        };
        Ok(self.link.sent(held))
    }
}

impl Layered {
    /// Of a model whose wiring is one of layers.
    pub(crate) fn of(model: &dyn Model) -> Result<Self, CircuitError> {
        let spec = model.spec();
        let wiring = &spec.wiring;
        let (links, joints) = (model.links(), wiring.joints());
        if links.is_empty() || links.len() != joints.len() {
            return Err(CircuitError::Unwired {
                network: spec.name.clone(),
            });
        }
        let joints = joints.iter().zip(links).map(|(joint, link)| {
            let written = &wiring.writers[joint.writers.start].site;
            let written = if written == INPUT {
                Site::vector(written, joint.writers.len())
            } else {
                spec.site(written)?.clone()
            };
            let read = spec.site(&wiring.readers[joint.readers.start].site)?;
            Ok(Linked {
                joint: joint.clone(),
                sites: [written, read.clone()],
                link,
            })
        });
        let joints = joints.collect::<Result<_, CircuitError>>()?;
        Ok(Self { joints })
    }

    /// The sites that are written to, but for the input.
    pub(crate) fn written(&self) -> Vec<&str> {
        let written = self.joints.iter().filter(|linked| !linked.is_from_input());
        distinct(written.map(|linked| linked.sites[0].name.as_str()))
    }

    /// The sites that are read.
    pub(crate) fn read(&self) -> Vec<&str> {
        distinct(
            self.joints
                .iter()
                .map(|linked| linked.sites[1].name.as_str()),
        )
    }

    /// Whether everything passes the layer that reads at a site: no map from before it ends behind it.
    pub(crate) fn is_whole(&self, site: &str) -> bool {
        let mut here = self.joints.iter();
        let here = here.find(|linked| linked.sites[1].name == site);
        here.is_none_or(|Linked { joint: here, .. }| {
            let mut all = self.joints.iter().map(|linked| &linked.joint);
            !all.any(|other| {
                other.writers.start < here.writers.end && other.readers.start > here.readers.start
            })
        })
    }

    /// By joint, what its writers send `[batch, writer, height, width]`, of the activations of a run.
    pub(crate) fn sent(
        &self,
        input: &Input,
        cache: &Cache,
    ) -> Result<Vec<Tensor<4>>, CircuitError> {
        let joints = self.joints.iter();
        joints.map(|linked| linked.sent(input, cache)).collect()
    }

    /// Every edge, in the order of the wiring, with what is summed of `[channel, writer]` for it, by joint.
    pub(crate) fn edges(&self, wiring: &Wiring, along: &[Vec<f32>]) -> Vec<(Edge, f32)> {
        let joints = self.joints.iter().zip(along);
        let mut edges: Vec<_> = joints
            .flat_map(|(linked, along)| linked.edges(wiring, along))
            .collect();
        edges.sort_by_key(|(edge, _)| (edge.reader, edge.writer));
        edges
    }
}

/// Names without those that came before, in their order.
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found = Vec::new();
    for name in names {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

#[cfg(test)]
pub(crate) mod tests {
    use burn::tensor::{Device, TensorData};
    use mr_models::{Architecture, ConvNet, Mlp, Network, Normalization, ResNet};

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

    /// Two input channels, a stem and a block of two maps, a block of four that changes the shape, three
    /// classes; with normalisations that do something.
    pub(crate) fn resnet() -> Network {
        let resnet = ResNet {
            input: [2, 8, 6],
            width: 2,
            depth: 6,
            stages: 2,
            classes: 3,
            normalization: Some(Normalization {
                mean: vec![0.4, 0.6],
                std: vec![0.5, 0.3],
            }),
        };
        let mut net = Network::init(Architecture::Resnet(resnet), 4, &Device::flex()).unwrap();
        for (at, entry) in net.weights().entries().to_vec().into_iter().enumerate() {
            if let &[channels] = entry.shape.as_slice() {
                let values = (0..channels).map(|i| 0.4 + 0.1 * ((at + 3 * i) % 7) as f32);
                let values = TensorData::new(values.collect(), [channels]);
                let values = Tensor::<1>::from_data(values, &Device::flex());
                net.weights_mut().set(&entry.name, values);
            }
        }
        net
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
