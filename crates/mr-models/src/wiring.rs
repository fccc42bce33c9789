//! What writes and what reads: the graph that circuits are made of.

use std::fmt;
use std::ops::Range;

use crate::error::{ModelError, hint};

/// The writers and the readers of a network, and so its edges.
///
/// Of a residual stream every writer reaches every later reader: the stream at a reader is the sum of
/// what the writers before it wrote (Elhage et al. 2021), but for terms that are the same for every
/// input. Nodes and edges have the names of EAP-IG: `input`, `a0.h1` for head 1 of block 0, `m0` for its
/// MLP, `logits`; `input->a0.h1<q>`, `a0.h1->m0`, `m0->logits`.
///
/// Of layers a writer reaches the readers that a linear map takes it to ([`Joint`]), through the part of that
/// map that takes it ([`Link`](crate::Link)). Nodes are the input's channels (`input`, or `input.c0`,
/// `input.c1`, ... where there are several), the channels of maps (`conv1.c3`), neurons (`linear1.n7`) and all
/// logits together (`logits`); edges are `input->conv1.c0`, `conv1.c3->conv2.c5`, `linear1.n7->logits`. What is
/// between two linear maps, such as ReLU and pooling, is within a node. In a chain there is one map from each
/// layer to the next; a block of a residual net (`layer1.0.c3`) reads the sum of two, of its own inner layer
/// (`layer1.0.conv1.c2`) and of the block before it.
///
/// A network of neither kind has no edges, such as one that normalises its residual stream, where it is no
/// sum.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wiring {
    /// What writes, in forward order.
    pub writers: Vec<Port>,
    /// What reads, in forward order.
    pub readers: Vec<Port>,
    /// How what is written comes to be read.
    pub joined: Joined,
}

/// How what is written comes to be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Joined {
    /// By a residual stream: a reader gets the sum of what was written before it.
    #[default]
    Stream,
    /// By linear maps, which [`Model::links`](crate::Model::links) has in this order: a reader gets the sum of
    /// what those that end in it give.
    Layers(Vec<Joint>),
}

/// Which nodes one linear map joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joint {
    /// The writers that it takes: indices of one site's, all of them.
    pub writers: Range<usize>,
    /// The readers that it gives to: indices of one site's, all of them.
    pub readers: Range<usize>,
    /// Whether each writer reaches the reader at its own place alone, as where a skip passes a map on as it is.
    pub own: bool,
}

impl Joint {
    /// The writers that reach one of its readers.
    pub fn reaching(&self, reader: usize) -> Range<usize> {
        if self.own {
            let at = self.writers.start + reader - self.readers.start;
            at..at + 1
        } else {
            self.writers.clone()
        }
    }

    fn joins(&self, edge: Edge) -> bool {
        self.readers.contains(&edge.reader) && self.reaching(edge.reader).contains(&edge.writer)
    }
}

/// Where a node writes or reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// The node: `input`, `a0.h1`, `m0`, `conv1.c3`, `linear1.n7` or `logits`.
    pub node: String,
    /// As what a head reads; `None` for writers and every other node.
    pub slot: Option<Slot>,
    /// The site that holds what is written or read; `input` for the channels of an input that a linear map
    /// reads, which is no site.
    pub site: String,
    /// The channels of that site that are this node's: one vector of the stream's width, or one channel
    /// of a layer. Where heads share keys and values, they share these channels too.
    pub channels: Range<usize>,
    /// The stage of the network that the site is in.
    pub stage: usize,
    /// A writer reaches readers of higher order alone: all of them, along a residual stream.
    order: usize,
}

impl Port {
    pub(crate) fn new(node: String, site: String, channels: Range<usize>, at: [usize; 2]) -> Self {
        let [stage, order] = at;
        Self {
            node,
            slot: None,
            site,
            channels,
            stage,
            order,
        }
    }

    /// Where it stands in the network: a writer reaches readers of higher order alone, and what has one
    /// order is side by side.
    pub fn order(&self) -> usize {
        self.order
    }

    pub(crate) fn reading(self, slot: Slot) -> Self {
        Self {
            slot: Some(slot),
            ..self
        }
    }
}

/// The node, and as what it reads: `a0.h1<q>`.
impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.node)?;
        match self.slot {
            Some(slot) => write!(f, "<{slot}>"),
            None => Ok(()),
        }
    }
}

/// As what a head reads the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Slot {
    /// Queries.
    Q,
    /// Keys.
    K,
    /// Values.
    V,
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Q => "q",
            Self::K => "k",
            Self::V => "v",
        })
    }
}

/// An edge, by the indices of its writer and its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Edge {
    /// Index into [`Wiring::writers`].
    pub writer: usize,
    /// Index into [`Wiring::readers`].
    pub reader: usize,
}

impl Wiring {
    /// Whether what this writer writes is part of what this reader reads.
    ///
    /// # Panics
    /// If there are no such ports.
    pub fn reaches(&self, edge: Edge) -> bool {
        let (writer, reader) = (&self.writers[edge.writer], &self.readers[edge.reader]);
        match &self.joined {
            Joined::Stream => writer.order < reader.order,
            Joined::Layers(joints) => joints.iter().any(|joint| joint.joins(edge)),
        }
    }

    /// Every edge, reader by reader, and writer by writer of each.
    pub fn edges(&self) -> Vec<Edge> {
        let to = |reader| move |writer| Edge { writer, reader };
        match &self.joined {
            Joined::Stream => {
                let readers = self.readers.iter().enumerate();
                let edges = readers.flat_map(|(reader, port)| {
                    let before = |writer: &Port| writer.order < port.order;
                    (0..self.writers.partition_point(before)).map(to(reader))
                });
                edges.collect()
            }
            Joined::Layers(joints) => {
                let edges = joints.iter().flat_map(|joint| {
                    let readers = joint.readers.clone();
                    readers.flat_map(|reader| joint.reaching(reader).map(to(reader)))
                });
                let mut edges: Vec<Edge> = edges.collect();
                edges.sort_unstable_by_key(|edge| (edge.reader, edge.writer));
                edges
            }
        }
    }

    /// Which nodes each linear map joins; none of a residual stream.
    pub fn joints(&self) -> &[Joint] {
        match &self.joined {
            Joined::Stream => &[],
            Joined::Layers(joints) => joints,
        }
    }

    /// An edge's name, such as `input->a0.h1<q>`.
    ///
    /// # Panics
    /// If there are no such ports.
    pub fn name(&self, edge: Edge) -> String {
        let (writer, reader) = (&self.writers[edge.writer], &self.readers[edge.reader]);
        format!("{writer}->{reader}")
    }

    /// The edge of this name.
    ///
    /// # Errors
    /// [`ModelError::UnknownName`] with near matches.
    pub fn edge(&self, name: &str) -> Result<Edge, ModelError> {
        let unknown = || {
            let names: Vec<String> = self.edges().iter().map(|&edge| self.name(edge)).collect();
            ModelError::UnknownName {
                kind: "edge",
                name: name.into(),
                hint: hint(name, names.iter().map(String::as_str)),
            }
        };
        let (from, to) = name.split_once("->").ok_or_else(unknown)?;
        let find = |ports: &[Port], name: &str| {
            let mut ports = ports.iter();
            ports.position(|port| port.to_string() == name)
        };
        let edge = find(&self.writers, from)
            .zip(find(&self.readers, to))
            .map(|(writer, reader)| Edge { writer, reader });
        edge.filter(|&edge| self.reaches(edge)).ok_or_else(unknown)
    }
}
