//! A network of layers, as circuits see it.

use std::collections::BTreeMap;

use burn::tensor::{Device, Int, Tensor, TensorData};
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

    /// The link over the edges from these writers alone, which `writers` has for each reader; none where there
    /// is no such edge.
    pub(crate) fn over<'a>(
        &self,
        wiring: &Wiring,
        device: &Device,
        writers: impl Fn(usize) -> &'a [usize],
    ) -> Option<Link> {
        let Self { joint, sites, link } = self;
        let rows = sites[1].channels;
        let columns = joint.reaching(joint.readers.start).len();
        let mut factors = vec![0.0; rows * columns];
        for reader in joint.readers.clone() {
            let reaching = joint.reaching(reader);
            for writer in writers(reader).iter().filter(|at| reaching.contains(at)) {
                for channel in wiring.readers[reader].channels.clone() {
                    factors[channel * columns + writer - reaching.start] = 1.0;
                }
            }
        }
        let factors = factors.contains(&1.0).then_some(factors)?;
        let factors = TensorData::new(factors, [rows, columns]);
        Some(link.scaled(&Tensor::from_data(factors, device)))
    }

    /// The values that edges have, as factors `[channel, writer]`; `places` says where they are.
    pub(crate) fn factors(
        &self,
        wiring: &Wiring,
        places: &BTreeMap<Edge, i64>,
        values: &Tensor<1>,
    ) -> Tensor<2> {
        let mut own = Vec::new();
        for reader in self.joint.readers.clone() {
            for _ in wiring.readers[reader].channels.clone() {
                let writers = self.joint.reaching(reader);
                own.extend(writers.map(|writer| places[&Edge { writer, reader }]));
            }
        }
        let rows = self.sites[1].channels;
        let columns = own.len() / rows;
        let own = TensorData::new(own, [rows * columns]);
        let own = Tensor::<1, Int>::from_data(own, &values.device().inner());
        values.clone().select(0, own).reshape([rows, columns])
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

    /// The sites that are read after a site was written to.
    pub(crate) fn read_behind(&self, site: &str) -> Vec<&str> {
        let mut joints = self.joints.iter();
        let from = joints.find(|linked| linked.sites[0].name == site);
        let first = from.map_or(0, |linked| linked.joint.readers.start);
        let behind = self.joints.iter();
        let behind = behind.filter(|linked| linked.joint.readers.start >= first);
        distinct(behind.map(|linked| linked.sites[1].name.as_str()))
    }

    /// The joints that, together, everything passes that passes the layer which reads at a site: those that
    /// end in it, and those from before it that end behind it.
    pub(crate) fn across(&self, site: &str) -> Vec<usize> {
        let joints = || self.joints.iter().enumerate();
        let mut here = joints().filter(|(_, linked)| linked.sites[1].name == site);
        let Some((_, Linked { joint: here, .. })) = here.next() else {
            return Vec::new();
        };
        let across = joints().filter(|(_, linked)| {
            let Joint {
                writers, readers, ..
            } = &linked.joint;
            let goes_around =
                writers.start < here.writers.end && readers.start > here.readers.start;
            readers.start == here.readers.start || goes_around
        });
        across.map(|(at, _)| at).collect()
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
