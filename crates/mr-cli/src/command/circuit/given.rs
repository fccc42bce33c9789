//! What circuits are asked of: a network, a pair of inputs, and a behaviour.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use burn::tensor::{Device, Tensor, TensorData};
use clap::Args;
use mr_circuits::{Ablation, Circuit, Pair};
use mr_models::{
    Input, InputKind, Labels, Model, Network, Objective, Tokenizer, objective, read_tensors,
};

use crate::device;
use crate::subject;

/// Flags that name a network.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub(super) struct NetworkFlags {
    /// Weights as safetensors, or a folder that `mr train` made
    #[arg(long, value_name = "FILE|DIR")]
    model: PathBuf,
    /// What bare PyTorch-named weights are the weights of; see `mr models`
    #[arg(long, value_name = "NAME")]
    arch: Option<String>,
    /// Compute on this device; see `mr devices`
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
}

impl NetworkFlags {
    pub(super) fn open(&self) -> Result<(Network, Device)> {
        let device = device::open(self.device.as_deref())?.device;
        let path = subject::locate(&self.model)?;
        let saved = subject::load(&path, self.arch.as_deref(), None, &device)?;
        Ok((saved.network, device))
    }

    pub(super) fn title(&self) -> String {
        self.model.display().to_string()
    }
}

/// Flags that name a clean and a corrupt input, and what is measured on them.
#[derive(Debug, Args)]
#[command(next_help_heading = "Pair")]
pub(super) struct PairFlags {
    /// A clean text, or token ids such as "5 2 7" without a tokenizer; may be repeated
    #[arg(long, value_name = "TEXT")]
    clean: Vec<String>,
    /// Its counterfactual of the same length, in the order of --clean
    #[arg(long, value_name = "TEXT")]
    corrupt: Vec<String>,
    /// How texts become tokens: a tokenizer.json
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
    /// The right next token of each clean text, as text or id: with --wrong the objective is their logit
    /// difference at the last position
    #[arg(long, value_name = "TOKEN", requires = "wrong")]
    right: Vec<String>,
    /// The wrong next token of each clean text
    #[arg(long, value_name = "TOKEN", requires = "right")]
    wrong: Vec<String>,
    /// Clean and adversarial images: what `mr attack --save` wrote
    #[arg(long, value_name = "FILE", conflicts_with_all = ["clean", "corrupt"])]
    pair: Option<PathBuf>,
    /// Only the first N images
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// What is measured: an objective as in `mr aim` [default: margin of images, answer-difference of texts]
    #[arg(long, value_name = "EXPRESSION", allow_hyphen_values = true)]
    objective: Option<String>,
}

/// A pair of inputs and what is measured on it.
pub(super) struct Given {
    pub(super) pair: Pair,
    pub(super) labels: Labels,
    pub(super) objective: Box<dyn Objective>,
}

impl PairFlags {
    pub(super) fn read(&self, network: &Network, device: &Device) -> Result<Given> {
        let (pair, labels, usual) = match &self.pair {
            Some(path) => self.images(path, device)?,
            None => self.texts(network, device)?,
        };
        network.spec().accepts(pair.clean()).context("clean")?;
        network.spec().accepts(pair.corrupt()).context("corrupt")?;
        let name = match (&self.objective, usual) {
            (Some(name), _) => name.as_str(),
            (None, Some(name)) => name,
            (None, None) => {
                bail!("what is measured? give --right and --wrong, or an --objective")
            }
        };
        Ok(Given {
            pair,
            labels,
            objective: objective::by_name(name)?,
        })
    }

    /// The pair alone, where nothing but the network's own output is measured.
    pub(super) fn pair(&self, network: &Network, device: &Device) -> Result<Pair> {
        let (pair, _, _) = match &self.pair {
            Some(path) => self.images(path, device)?,
            None => self.texts(network, device)?,
        };
        Ok(pair)
    }

    fn images(&self, path: &Path, device: &Device) -> Result<(Pair, Labels, Option<&'static str>)> {
        let (tensors, _) = read_tensors(path).context("--pair")?;
        let find = |name: &str| {
            let found = tensors.iter().find(|(known, _, _)| known == name);
            found.with_context(|| {
                format!(
                    "--pair {}: no `{name}`: it holds clean, adversarial and label, as `mr attack --save` \
                     writes them",
                    path.display()
                )
            })
        };
        let image = |name: &str| -> Result<Input> {
            let (_, shape, values) = find(name)?;
            let shape: [usize; 4] = shape.as_slice().try_into().map_err(|_| {
                anyhow::anyhow!("--pair {}: `{name}` holds no images", path.display())
            })?;
            let data = TensorData::new(values.clone(), shape);
            let all = Tensor::<4>::from_data(data, device);
            let count = self.limit.map_or(shape[0], |limit| limit.min(shape[0]));
            Ok(Input::Real(all.narrow(0, 0, count)))
        };
        let pair = Pair::new(image("clean")?, image("adversarial")?)?;
        let (_, _, labels) = find("label")?;
        let labels = labels.iter().map(|&label| label as usize);
        let labels: Vec<usize> = labels.take(pair.clean().batch()).collect();
        Ok((pair, Labels::of_classes(&labels, device), Some("margin")))
    }

    fn texts(
        &self,
        network: &Network,
        device: &Device,
    ) -> Result<(Pair, Labels, Option<&'static str>)> {
        if self.clean.is_empty() || self.clean.len() != self.corrupt.len() {
            bail!(
                "{} --clean and {} --corrupt: give as many of both, or a --pair of images",
                self.clean.len(),
                self.corrupt.len()
            );
        }
        if let InputKind::Real { .. } = network.spec().input {
            bail!("this network takes images: give --pair instead of --clean and --corrupt");
        }
        let tokenizer = self.tokenizer.as_deref().map(Tokenizer::open).transpose()?;
        let tokens = |text: &String| -> Result<Vec<usize>> {
            match &tokenizer {
                Some(tokenizer) => Ok(tokenizer.encode(text)?),
                None => ids(text),
            }
        };
        let all =
            |texts: &[String]| -> Result<Vec<Vec<usize>>> { texts.iter().map(tokens).collect() };
        let clean = all(&self.clean).context("--clean")?;
        let corrupt = all(&self.corrupt).context("--corrupt")?;
        for (at, (a, b)) in clean.iter().zip(&corrupt).enumerate() {
            if a.len() != b.len() {
                bail!(
                    "text {at}: the clean one has {} tokens, the corrupt one {}: they must have equally many",
                    a.len(),
                    b.len()
                );
            }
        }
        let batch = clean.len();
        let length = clean[0].len();
        let pair = Pair::new(
            Input::of_tokens(&clean, device).context("--clean")?,
            Input::of_tokens(&corrupt, device).context("--corrupt")?,
        )?;
        let labels = Labels::of_classes(&vec![0; batch], device);
        if self.right.is_empty() {
            return Ok((pair, labels, None));
        }
        let classes = network.spec().classes;
        let mut answers = vec![0.0; batch * length * classes];
        for (flag, given, sign) in [
            ("--right", &self.right, 1.0),
            ("--wrong", &self.wrong, -1.0),
        ] {
            if given.len() != batch {
                bail!(
                    "{} {flag} for {batch} texts: give one for each",
                    given.len()
                );
            }
            for (at, text) in given.iter().enumerate() {
                let token = *tokens(text)
                    .context(flag)?
                    .last()
                    .with_context(|| format!("{flag}: no token"))?;
                if token >= classes {
                    bail!(
                        "{flag} {text}: token {token}, the network knows 0 to {}",
                        classes - 1
                    );
                }
                answers[(at * length + length - 1) * classes + token] = sign;
            }
        }
        let data = TensorData::new(answers, [batch, length, classes]);
        let labels = labels.with_answers(Tensor::from_data(data, device));
        Ok((pair, labels, Some("answer-difference")))
    }
}

fn ids(text: &str) -> Result<Vec<usize>> {
    let ids = text.split_whitespace().map(|id| {
        id.parse::<usize>().with_context(|| {
            format!("`{id}` is no token id: give ids such as \"5 2 7\", or a --tokenizer")
        })
    });
    ids.collect()
}

/// What a cut edge carries, by name.
pub(super) fn ablation(name: &str, pair: &Pair) -> Result<Ablation> {
    Ok(match name {
        "zero" => Ablation::Zero,
        "mean" => Ablation::Mean(pair.corrupt().clone()),
        "positional-mean" => Ablation::PositionalMean(pair.corrupt().clone()),
        "resample" => Ablation::Resample(pair.corrupt().clone()),
        other => bail!("--ablation {other}: valid: zero, mean, positional-mean, resample"),
    })
}

/// The strongest edges of a circuit, for a person.
pub(super) fn strongest(circuit: &Circuit, count: usize) -> Vec<(String, f32)> {
    let mut edges: Vec<_> = circuit.scored().collect();
    edges.sort_by(|(_, a), (_, b)| b.abs().total_cmp(&a.abs()));
    let named = edges.into_iter().take(count);
    named
        .map(|(edge, score)| (circuit.wiring().name(edge), score))
        .collect()
}
