//! The wiring of layers, each of which reads what earlier ones write.

use std::ops::Range;

use crate::site::Site;
use crate::wiring::{Joined, Joint, Port, Wiring};

/// The wiring of layers, made from the input on. Nodes are the channels of the input, of maps and of vectors,
/// and the logits.
pub(super) struct Graph<'a> {
    sites: &'a [Site],
    writers: Vec<Port>,
    readers: Vec<Port>,
    joints: Vec<Joint>,
    layers: usize,
}

/// What a layer reads through one linear map.
pub(super) struct Source {
    writers: Range<usize>,
    own: bool,
}

impl Source {
    /// Each of the layer's channels reads all of these writers.
    pub(super) fn all(writers: Range<usize>) -> Self {
        let own = false;
        Self { writers, own }
    }

    /// Each of the layer's channels reads the writer at its own place.
    pub(super) fn own(writers: Range<usize>) -> Self {
        let own = true;
        Self { writers, own }
    }
}

impl<'a> Graph<'a> {
    /// Of a network with these sites; and the channels of the input, as writers.
    pub(super) fn from_input(channels: usize, sites: &'a [Site]) -> (Self, Range<usize>) {
        let port = |channel| {
            let node = match channels {
                1 => "input".into(),
                _ => format!("input.c{channel}"),
            };
            Port::new(node, "input".into(), channel..channel + 1, [0, 0])
        };
        let graph = Self {
            sites,
            writers: (0..channels).map(port).collect(),
            readers: Vec::new(),
            joints: Vec::new(),
            layers: 0,
        };
        (graph, 0..channels)
    }

    /// The next layer, which reads the sum of its sources at `NAME.hook_pre` and writes at `NAME.hook_out`;
    /// its channels, as writers.
    pub(super) fn layer(&mut self, name: &str, sources: Vec<Source>) -> Range<usize> {
        self.layers += 1;
        let (readers, writers) = (self.ports(name, "hook_pre"), self.ports(name, "hook_out"));
        self.join(readers, sources);
        let first = self.writers.len();
        self.writers.extend(writers);
        first..self.writers.len()
    }

    /// The wiring, whose logits read these writers at the last site.
    pub(super) fn logits(mut self, writers: Range<usize>) -> Wiring {
        let site = self.sites.last().expect("a network has logits");
        let at = [site.stage, self.layers + 1];
        let port = Port::new("logits".into(), site.name.clone(), 0..site.channels, at);
        self.join(vec![port], vec![Source::all(writers)]);
        Wiring {
            writers: self.writers,
            readers: self.readers,
            joined: Joined::Layers(self.joints),
        }
    }

    /// The channels of a layer, at one of its sites.
    fn ports(&self, layer: &str, part: &str) -> Vec<Port> {
        let site = self.site(&format!("{layer}.{part}"));
        let letter = if site.grid.is_some() { 'c' } else { 'n' };
        let ports = (0..site.channels).map(|channel| {
            let node = format!("{layer}.{letter}{channel}");
            let at = [site.stage, self.layers];
            Port::new(node, site.name.clone(), channel..channel + 1, at)
        });
        ports.collect()
    }

    fn site(&self, name: &str) -> &'a Site {
        let mut sites = self.sites.iter();
        let found = sites.find(|site| site.name == name);
        found.expect("a layer has the sites of its name")
    }

    fn join(&mut self, readers: Vec<Port>, sources: Vec<Source>) {
        let first = self.readers.len();
        self.readers.extend(readers);
        let joints = sources.into_iter().map(|Source { writers, own }| Joint {
            writers,
            readers: first..self.readers.len(),
            own,
        });
        self.joints.extend(joints);
    }
}

/// The wiring of a chain of all layers that have sites `NAME.hook_pre` and `NAME.hook_out`.
pub(super) fn chain(input_channels: usize, sites: &[Site]) -> Wiring {
    let (mut graph, mut held) = Graph::from_input(input_channels, sites);
    for site in sites {
        if let Some(layer) = site.name.strip_suffix(".hook_pre") {
            held = graph.layer(layer, vec![Source::all(held)]);
        }
    }
    graph.logits(held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_reaches_the_next_layer_alone() {
        let sites = [
            Site::map("conv1.hook_pre", 2, 4, 4),
            Site::map("conv1.hook_out", 2, 4, 4),
            Site::vector("linear1.hook_pre", 3).in_stage(1),
            Site::vector("linear1.hook_out", 3).in_stage(1),
            Site::vector("linear2.hook_out", 10).in_stage(2),
        ];
        let wiring = chain(1, &sites);
        let names: Vec<String> = wiring
            .edges()
            .into_iter()
            .map(|edge| {
                assert!(wiring.reaches(edge));
                let name = wiring.name(edge);
                assert_eq!(wiring.edge(&name).unwrap(), edge);
                name
            })
            .collect();
        let expected = [
            "input->conv1.c0",
            "input->conv1.c1",
            "conv1.c0->linear1.n0",
            "conv1.c1->linear1.n0",
            "conv1.c0->linear1.n1",
            "conv1.c1->linear1.n1",
            "conv1.c0->linear1.n2",
            "conv1.c1->linear1.n2",
            "linear1.n0->logits",
            "linear1.n1->logits",
            "linear1.n2->logits",
        ];
        assert_eq!(names, expected);
        let joined = wiring.joints().iter();
        let joined = joined.map(|joint| [joint.writers.clone(), joint.readers.clone()]);
        let expected = [[0..1, 0..2], [1..3, 2..5], [3..6, 5..6]];
        assert_eq!(joined.collect::<Vec<_>>(), expected);
        assert_eq!(wiring.readers[5].channels, 0..10);
        assert!(wiring.edge("input->linear1.n0").is_err());
        assert!(wiring.edge("input->logits").is_err());
        assert_eq!(chain(3, &sites).writers[2].node, "input.c2");
    }
}
