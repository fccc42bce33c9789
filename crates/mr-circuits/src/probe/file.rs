//! Probes as safetensors files, which say what they read.

use std::path::Path;

use mr_models::{ModelSpec, read_tensors, write_tensors};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Positions, Probe, ProbeKind, TreeMeasure, TreeProbe};
use crate::error::CircuitError;

/// The metadata key under which a file says what probe it holds.
const CONFIG: &str = "mech-robust-probe";
/// Version of that entry.
const VERSION: u64 = 1;

/// The network that a probe was fitted on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Name of its architecture, such as `convnet`.
    pub architecture: String,
    /// A digest of its weights: other weights have another.
    pub weights: String,
}

/// A probe in a file: one of outputs, or one of trees.
#[derive(Debug, Clone, PartialEq)]
pub enum SavedProbe {
    /// A linear read-out.
    Linear(Probe),
    /// A structural probe.
    Tree(TreeProbe),
}

#[derive(Serialize, Deserialize)]
struct Config {
    version: u64,
    site: String,
    origin: Origin,
    reads: Reads,
    about: Map<String, Value>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Reads {
    Linear {
        kind: ProbeKind,
        positions: Positions,
        outputs: Vec<String>,
    },
    Tree {
        measure: TreeMeasure,
    },
}

impl SavedProbe {
    /// The site that it reads.
    pub fn site(&self) -> &str {
        match self {
            Self::Linear(probe) => &probe.site,
            Self::Tree(probe) => &probe.site,
        }
    }

    /// Checks that a model has the site, as wide as the probe reads it.
    ///
    /// # Errors
    /// [`CircuitError::Model`] for an unknown site, [`CircuitError::Probe`] for one of another size.
    pub fn fits(&self, spec: &ModelSpec) -> Result<(), CircuitError> {
        match self {
            Self::Linear(probe) => probe.fits(spec),
            Self::Tree(probe) => probe.fits(spec),
        }
    }

    /// Saves it with the network that it was fitted on and whatever else is worth knowing. Written whole
    /// or not at all.
    ///
    /// # Errors
    /// [`CircuitError::Model`] if the file cannot be written.
    ///
    /// # Panics
    /// Never: the configuration has text keys only.
    pub fn save(
        &self,
        origin: &Origin,
        about: &Map<String, Value>,
        path: &Path,
    ) -> Result<(), CircuitError> {
        let (reads, tensors) = match self {
            Self::Linear(probe) => {
                let shape = vec![probe.outputs.len(), probe.width()];
                let bias = vec![probe.outputs.len()];
                let mut tensors = vec![
                    ("bias".into(), bias, probe.bias().to_vec()),
                    ("weight".into(), shape.clone(), probe.weights().to_vec()),
                ];
                if let Some(means) = probe.means() {
                    tensors.push(("means".into(), shape, means.to_vec()));
                }
                let reads = Reads::Linear {
                    kind: probe.kind,
                    positions: probe.positions,
                    outputs: probe.outputs.clone(),
                };
                (reads, tensors)
            }
            Self::Tree(probe) => {
                let shape = vec![probe.rank(), probe.channels()];
                let measure = probe.measure;
                let map = ("map".into(), shape, probe.map().to_vec());
                (Reads::Tree { measure }, vec![map])
            }
        };
        let config = Config {
            version: VERSION,
            site: self.site().into(),
            origin: origin.clone(),
            reads,
            about: about.clone(),
        };
        let config = serde_json::to_string(&config).expect("its keys are text");
        Ok(write_tensors(path, &tensors, &[(CONFIG, &config)])?)
    }

    /// Loads a probe, with the network that it was fitted on and what was said about it.
    ///
    /// # Errors
    /// [`CircuitError::ProbeFile`] if the file holds no probe that this build reads,
    /// [`CircuitError::Model`] if it cannot be read.
    pub fn load(path: &Path) -> Result<(Self, Origin, Map<String, Value>), CircuitError> {
        let format = |reason: String| CircuitError::ProbeFile {
            path: path.into(),
            reason,
        };
        let (tensors, metadata) = read_tensors(path)?;
        let text = metadata
            .get(CONFIG)
            .ok_or_else(|| format("holds no probe: its metadata name none".into()))?;
        let config: Config = serde_json::from_str(text)
            .map_err(|error| format(format!("its `{CONFIG}` entry is not readable: {error}")))?;
        if config.version != VERSION {
            let found = config.version;
            return Err(format(format!(
                "holds a probe of version {found}, this build reads version {VERSION}"
            )));
        }
        let tensor = |name: &str| tensors.iter().find(|(found, _, _)| found == name);
        let needed = |name: &str| tensor(name).ok_or_else(|| format(format!("lacks `{name}`")));
        let site = config.site;
        let probe = match config.reads {
            Reads::Linear {
                kind,
                positions,
                outputs,
            } => {
                let weights = needed("weight")?.2.clone();
                let bias = needed("bias")?.2.clone();
                let probe = Probe::new(kind, site, positions, outputs, weights, bias);
                let probe = match tensor("means") {
                    Some((_, _, means)) => probe.and_then(|probe| probe.with_means(means.clone())),
                    None => probe,
                };
                probe.map(Self::Linear)
            }
            Reads::Tree { measure } => {
                let (_, shape, map) = needed("map")?;
                let channels = shape.last().copied().unwrap_or(0);
                TreeProbe::new(measure, site, channels, map.clone()).map(Self::Tree)
            }
        };
        let probe = probe.map_err(|error| format(error.to_string()))?;
        Ok((probe, config.origin, config.about))
    }

    /// Loads a probe that was fitted on this very network.
    ///
    /// # Errors
    /// Those of [`load`](Self::load), and [`CircuitError::ProbeFile`] if it was fitted on another network
    /// or its site is of another size.
    pub fn load_for(path: &Path, spec: &ModelSpec, own: &Origin) -> Result<Self, CircuitError> {
        let (probe, origin, _) = Self::load(path)?;
        let refused = |reason: String| CircuitError::ProbeFile {
            path: path.into(),
            reason,
        };
        if origin != *own {
            return Err(refused(format!(
                "was fitted on another network: a {} with weights {}, not a {} with weights {}",
                origin.architecture, origin.weights, own.architecture, own.weights
            )));
        }
        probe
            .fits(spec)
            .map_err(|error| refused(error.to_string()))?;
        Ok(probe)
    }
}

#[cfg(test)]
mod tests {
    use mr_models::{Architecture, Mlp, Model, Network};

    use super::*;

    fn origin(weights: &str) -> Origin {
        Origin {
            architecture: "mlp".into(),
            weights: weights.into(),
        }
    }

    fn net(hidden: usize) -> Network {
        let mlp = Mlp {
            input: [2, 1, 1],
            hidden: vec![hidden],
            classes: 2,
            ..Mlp::default()
        };
        Network::init(Architecture::Mlp(mlp), 0, &burn::tensor::Device::flex()).unwrap()
    }

    fn probe(site: &str) -> SavedProbe {
        let names = vec!["a".into(), "b".into()];
        let weights = vec![1.0, 2.0, 0.1, -4.0];
        let kind = ProbeKind::MassMean;
        let probe = Probe::new(
            kind,
            site,
            Positions::Only(0),
            names,
            weights,
            vec![0.5, 0.0],
        );
        SavedProbe::Linear(probe.unwrap().with_means(vec![1.0; 4]).unwrap())
    }

    #[test]
    fn a_saved_probe_loads_to_the_same_bits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("probe.safetensors");
        let map = vec![0.1, 0.2, 0.3, 0.4, 0.5, 0.6];
        let tree = TreeProbe::new(TreeMeasure::Depth, "s", 3, map).unwrap();
        for saved in [probe("linear1.hook_out"), SavedProbe::Tree(tree)] {
            let mut about = Map::new();
            about.insert("accuracy".into(), 0.75.into());
            saved.save(&origin("1"), &about, &path).unwrap();
            let loaded = SavedProbe::load(&path).unwrap();
            assert_eq!(loaded, (saved, origin("1"), about));
        }
    }

    #[test]
    fn a_probe_of_another_model_or_site_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("probe.safetensors");
        let saved = probe("linear1.hook_out");
        saved.save(&origin("1"), &Map::new(), &path).unwrap();
        let load = |net: &Network, origin: &Origin| SavedProbe::load_for(&path, net.spec(), origin);
        assert_eq!(load(&net(2), &origin("1")).unwrap(), saved);
        let error = load(&net(2), &origin("2")).unwrap_err().to_string();
        assert!(error.contains("another network"), "{error}");
        let error = load(&net(3), &origin("1")).unwrap_err().to_string();
        assert!(error.contains("reads 2 features"), "{error}");
        probe("conv1.hook_out")
            .save(&origin("1"), &Map::new(), &path)
            .unwrap();
        let error = load(&net(2), &origin("1")).unwrap_err().to_string();
        assert!(error.contains("unknown site `conv1.hook_out`"), "{error}");
        mr_models::save(&net(2), &Map::new(), &path).unwrap();
        let error = SavedProbe::load(&path).unwrap_err().to_string();
        assert!(error.contains("holds no probe"), "{error}");
    }
}
