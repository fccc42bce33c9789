//! A folder to run `mr` in, and files to give it.

#![expect(dead_code, reason = "each test binary uses some of it")]

use std::path::PathBuf;
use std::process::Output;

use assert_cmd::Command;
use burn::tensor::{Device, Tensor};
use mr_models::{Architecture, Network, Transformer, TransformerInput, save};
use mr_sae::{Relu, Sae, SaeConfig};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder of its own; `mr` runs in it, so that outputs are named alike in every lab.
pub(crate) struct Lab {
    folder: TempDir,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// `mr` with these words, split at spaces.
    pub(crate) fn mr(&self, words: &str) -> Command {
        let mut command = Command::from_std(self.process(words));
        command.timeout(std::time::Duration::from_mins(2));
        command
    }

    /// The same as a process that can be watched and killed.
    pub(crate) fn process(&self, words: &str) -> std::process::Command {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mr"));
        command
            .args(words.split_whitespace())
            .current_dir(self.folder.path())
            .env("MECH_ROBUST_DATA", self.path("no-data"))
            .env_remove("RUST_LOG");
        command
    }

    /// Runs `mr`, which must succeed.
    pub(crate) fn run(&self, words: &str) -> Output {
        let output = self.mr(words).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "mr {words}: {said}");
        output
    }

    /// The JSON object that `mr` prints, which is all of its stdout.
    pub(crate) fn json(&self, words: &str) -> Value {
        let output = self.run(&format!("{words} --json"));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The one line of error that `mr` ends with, under exit code 2.
    pub(crate) fn error(&self, words: &str) -> String {
        let output = self.mr(words).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "mr {words}: {said}");
        let errors: Vec<&str> = said.lines().filter(|l| l.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "mr {words}: {said}");
        assert_eq!(said.lines().last(), Some(errors[0]), "mr {words}: {said}");
        errors[0].replace(&*self.folder.path().to_string_lossy(), "LAB")
    }

    /// A small network that was trained for a moment, in `net`.
    pub(crate) fn net(&self) {
        self.write("net.toml", NET);
        self.run("train --config net.toml --out net");
    }
}

/// A number of a command's JSON object.
pub(crate) fn number(told: &Value, name: &str) -> f64 {
    let number = &told["numbers"][name]["value"];
    number
        .as_f64()
        .unwrap_or_else(|| panic!("{name} is no number: {told}"))
}

/// A ReLU dictionary whose latents are the channels of a site, times so much: of a site behind a ReLU it misses nothing
/// where that is 1.
pub(crate) fn channels(lab: &Lab, file: &str, site: &str, width: usize, times: f32) {
    let device = Device::flex();
    let sae = Sae::init(SaeConfig::new(width, width, Relu::default()), 0, &device).unwrap();
    let mut weights = sae.weights().clone();
    let one = Tensor::<2>::eye(width, &device).flatten::<1>(0, 1);
    weights.set("W_enc", one.clone());
    weights.set("W_dec", one * times);
    let about = json!({ "site": site, "name": file });
    let sae = sae.with_weights(weights);
    sae.save(about.as_object().unwrap(), &lab.path(file))
        .unwrap();
}

/// A transformer of 7 tokens, saved as `net.safetensors`.
pub(crate) fn transformer(lab: &Lab) {
    let net = Transformer {
        input: TransformerInput::Tokens {
            vocabulary: 7,
            context: 8,
            token_types: 0,
        },
        layers: 2,
        d_model: 8,
        heads: 2,
        d_mlp: 12,
        ..Transformer::default()
    };
    let net = Network::init(Architecture::Transformer(net), 3, &Device::flex()).unwrap();
    let about = serde_json::Map::default();
    save(&net, &about, &lab.path("net.safetensors")).unwrap();
}

/// The settings of [`Lab::net`].
pub(crate) const NET: &str = r#"
[model]
type = "mlp"
hidden = [16]

[data]
name = "fashion-mnist-mini"
limit = 500

[train]
steps = 60
batch_size = 50
"#;

/// An IDX file of these dimensions and values; `kind` is 0x08 for bytes, 0x0d for floats.
pub(crate) fn idx(kind: u8, dims: &[u32], values: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, kind, dims.len() as u8];
    file.extend(dims.iter().flat_map(|dim| dim.to_be_bytes()));
    file.extend_from_slice(values);
    file
}

/// Four 2x2 images of floats, of which one value is `value`.
pub(crate) fn floats_with(value: f32) -> Vec<u8> {
    let mut values = [0.5_f32; 16];
    values[6] = value;
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_be_bytes())
        .collect();
    idx(0x0d, &[4, 2, 2], &bytes)
}
