//! What writes to a residual stream and what reads from it: the graph that circuits are made of.

use std::fmt;
use std::ops::Range;

use crate::error::{ModelError, hint};

/// The writers and the readers of a network's residual stream, and so its edges: the stream at a reader
/// is the sum of what the writers before it wrote (Elhage et al. 2021), but for terms that are the same
/// for every input. A network without such a stream has none; neither has one that normalises the
/// stream itself, where it is no sum.
///
/// Nodes and edges have the names of EAP-IG: `input`, `a0.h1` for head 1 of block 0, `m0` for its MLP,
/// `logits`; `input->a0.h1<q>`, `a0.h1->m0`, `m0->logits`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wiring {
    /// What writes, in forward order.
    pub writers: Vec<Port>,
    /// What reads, in forward order.
    pub readers: Vec<Port>,
}

/// Where a node writes or reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// The node: `input`, `a0.h1`, `m0` or `logits`.
    pub node: String,
    /// As what a head reads; `None` for writers and every other node.
    pub slot: Option<Slot>,
    /// The site that holds what is written or read.
    pub site: String,
    /// The channels of that site that are this node's: one vector of the stream's width. Where heads
    /// share keys and values, they share these channels too.
    pub channels: Range<usize>,
    /// The stage of the network that the site is in.
    pub stage: usize,
    /// A writer reaches the readers of higher order.
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
        self.writers[edge.writer].order < self.readers[edge.reader].order
    }

    /// Every edge, reader by reader.
    pub fn edges(&self) -> Vec<Edge> {
        let pairs = (0..self.readers.len()).flat_map(|reader| {
            let writers = 0..self.writers.len();
            writers.map(move |writer| Edge { writer, reader })
        });
        pairs.filter(|&edge| self.reaches(edge)).collect()
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
