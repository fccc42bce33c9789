//! The nodes of a wiring, and which of its writers and readers are whose.

use std::collections::BTreeMap;

use mr_models::Wiring;

/// Nodes in forward order; the input and the logits are nodes too.
#[derive(Debug, Clone)]
pub(crate) struct Nodes {
    /// Their names.
    pub(crate) names: Vec<String>,
    /// By node, where it stands between the input and the logits: nodes of one order are side by side.
    pub(crate) orders: Vec<usize>,
    /// By writer, its node.
    pub(crate) writers: Vec<usize>,
    /// By reader, its node.
    pub(crate) readers: Vec<usize>,
}

impl Nodes {
    pub(crate) fn of(wiring: &Wiring) -> Self {
        let mut ports: Vec<_> = wiring.writers.iter().chain(&wiring.readers).collect();
        // Stable: of one order they stay as the network lists them.
        ports.sort_by_key(|port| port.order());
        let mut index = BTreeMap::new();
        let (mut names, mut orders) = (Vec::new(), Vec::new());
        for port in ports {
            index.entry(port.node.as_str()).or_insert_with(|| {
                names.push(port.node.clone());
                orders.push(port.order());
                names.len() - 1
            });
        }
        let writers = wiring.writers.iter();
        let readers = wiring.readers.iter();
        Self {
            writers: writers.map(|port| index[port.node.as_str()]).collect(),
            readers: readers.map(|port| index[port.node.as_str()]).collect(),
            names,
            orders,
        }
    }

    /// Whether a node reads nothing: an input, where paths begin.
    pub(crate) fn is_input(&self, node: usize) -> bool {
        !self.readers.contains(&node)
    }

    /// Whether a node writes nothing: the logits, where paths end.
    pub(crate) fn is_output(&self, node: usize) -> bool {
        !self.writers.contains(&node)
    }
}
