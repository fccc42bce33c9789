//! Circuits as files that EAP-IG (Hanna et al. 2024) and MIB (Mueller et al. 2025) read and write.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use mr_models::{Edge, ModelError, ModelSpec, Wiring, write_atomic};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::graph::Circuit;
use super::nodes::Nodes;
use crate::attribution::EdgeScores;
use crate::error::CircuitError;

#[derive(Serialize, Deserialize)]
struct File {
    cfg: Config,
    nodes: Map<String, Value>,
    edges: Map<String, Value>,
}

/// The sizes of a transformer; all 0 for another network, whose nodes have other names.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
struct Config {
    n_layers: usize,
    n_heads: usize,
    parallel_attn_mlp: bool,
    d_model: usize,
}

impl Config {
    fn of(wiring: &Wiring) -> Self {
        let head = |node: &str| -> Option<[usize; 2]> {
            let (layer, head) = node.strip_prefix('a')?.split_once(".h")?;
            Some([layer.parse().ok()?, head.parse().ok()?])
        };
        let heads = || wiring.writers.iter().filter_map(|port| head(&port.node));
        let count = |axis: usize| heads().map(|head| head[axis] + 1).max().unwrap_or(0);
        let n_layers = count(0);
        let reaches_own_mlp = wiring.edge("a0.h0->m0").is_ok();
        let has_mlp = wiring.writers.iter().any(|port| port.node == "m0");
        let width = wiring.writers.first().map_or(0, |port| port.channels.len());
        Self {
            n_layers,
            n_heads: count(1),
            parallel_attn_mlp: n_layers > 0 && has_mlp && !reaches_own_mlp,
            d_model: if n_layers > 0 { width } else { 0 },
        }
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.n_layers == 0 {
            return f.write_str("no transformer with heads");
        }
        write!(
            f,
            "a transformer of {} layers of {} heads, {} wide",
            self.n_layers, self.n_heads, self.d_model
        )?;
        let parallel = " with MLPs beside the heads";
        f.write_str(if self.parallel_attn_mlp { parallel } else { "" })
    }
}

impl Circuit {
    /// The circuit as JSON: `cfg` with the sizes, `nodes` with `in_graph` for each, `edges` with `score`
    /// and `in_graph`.
    ///
    /// # Panics
    /// Never: maps of names to finite numbers are JSON.
    pub fn to_json(&self) -> String {
        let touched = self.nodes();
        let nodes = Nodes::of(self.wiring()).names.into_iter();
        let nodes = nodes.map(|name| {
            // The logits are always there.
            let is_in = touched.contains(&name) || name == "logits";
            (name, serde_json::json!({ "in_graph": is_in }))
        });
        let edges = self.scores().scores.iter().zip(&self.kept);
        let edges = edges.map(|((edge, score), kept)| {
            let value = serde_json::json!({ "score": score, "in_graph": kept });
            (self.wiring().name(*edge), value)
        });
        let file = File {
            cfg: Config::of(self.wiring()),
            nodes: nodes.collect(),
            edges: edges.collect(),
        };
        serde_json::to_string(&file).expect("maps of names to finite numbers are JSON")
    }

    /// Writes [`to_json`](Self::to_json) into a file, whole or not at all.
    ///
    /// # Errors
    /// [`CircuitError::Model`] if it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), CircuitError> {
        write_atomic(path, self.to_json().as_bytes()).map_err(|source| file(path, source))
    }

    /// Reads a circuit of this model, as it or EAP-IG wrote it. Scores of nodes and of neurons are not
    /// read.
    ///
    /// # Errors
    /// [`CircuitError::Model`] if the file cannot be read, is no such JSON, names edges that the model does
    /// not have, leaves some out, or holds a score that is no number; [`CircuitError::Foreign`] if it is of
    /// a network of other sizes; [`CircuitError::Empty`] if no edge is in it.
    pub fn load(path: &Path, spec: &ModelSpec) -> Result<Self, CircuitError> {
        let bytes = std::fs::read(path).map_err(|source| file(path, source))?;
        // What is no text is no JSON either, and told as such.
        let text = String::from_utf8_lossy(&bytes);
        Self::from_json(&text, spec).map_err(|problem| match problem {
            CircuitError::Model(ModelError::Unfit(reason)) => ModelError::Format {
                path: path.into(),
                reason,
            }
            .into(),
            other => other,
        })
    }

    /// Reads the text of [`to_json`](Self::to_json).
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    pub fn from_json(text: &str, spec: &ModelSpec) -> Result<Self, CircuitError> {
        let unfit = |reason: String| CircuitError::from(ModelError::Unfit(reason));
        // Python writes NaN where JSON has no word for it.
        let file: File = serde_json::from_str(text)
            .map_err(|error| unfit(format!("no circuit in the format of EAP-IG: {error}")))?;
        let wiring = &spec.wiring;
        if wiring.writers.is_empty() {
            return Err(CircuitError::Unwired {
                network: spec.name.clone(),
            });
        }
        let config = Config::of(wiring);
        if file.cfg != config {
            return Err(CircuitError::Foreign {
                network: spec.name.clone(),
                reason: format!("it is of {}, the network is {config}", file.cfg),
            });
        }
        let edges = wiring.edges().into_iter();
        let named: Vec<(Edge, String)> = edges.map(|edge| (edge, wiring.name(edge))).collect();
        let names: BTreeSet<&str> = named.iter().map(|(_, name)| name.as_str()).collect();
        if let Some(name) = file
            .edges
            .keys()
            .find(|name| !names.contains(name.as_str()))
        {
            wiring.edge(name)?;
        }
        let read = named.iter().map(|&(edge, ref name)| {
            let of = file.edges.get(name);
            let of = of.ok_or_else(|| unfit(format!("the edge `{name}` is missing")))?;
            let score = of.get("score").and_then(Value::as_f64);
            let score = score.filter(|&score| (score as f32).is_finite());
            let score = score.ok_or_else(|| {
                let found = of.get("score").unwrap_or(&Value::Null);
                unfit(format!(
                    "the score of `{name}` is {found}, must be a finite number"
                ))
            })?;
            let kept = of.get("in_graph").and_then(Value::as_bool);
            let kept =
                kept.ok_or_else(|| unfit(format!("`in_graph` of `{name}` must be true or false")))?;
            Ok(((edge, score as f32), kept))
        });
        let (scores, kept) = read.collect::<Result<(Vec<_>, Vec<_>), CircuitError>>()?;
        let wiring = wiring.clone();
        let circuit = Self::of(EdgeScores { wiring, scores }, kept)?;
        circuit.fits(spec)?;
        Ok(circuit)
    }
}

fn file(path: &Path, source: std::io::Error) -> CircuitError {
    let path = path.into();
    ModelError::File { path, source }.into()
}
