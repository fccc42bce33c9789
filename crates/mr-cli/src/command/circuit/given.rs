//! What circuits are asked of: a network, a pair of inputs, and a behaviour.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use burn::tensor::{Device, Tensor, TensorData};
use clap::Args;
use mr_circuits::Pair;
use mr_models::data::load_prompts;
use mr_models::{Input, InputKind, Labels, Model, Network, Objective, objective, read_tensors};
use serde_json::{Value, json};

use crate::command::words::Words;
use crate::opened::{Examples, Opened};
use crate::settings::{Common, Layers, Settings};
use crate::subject::{NetworkFlags, Subject, json};

/// Pairs that are drawn of a task where nothing says how many.
const PROMPTS: i64 = 64;

/// Flags that name a clean and a corrupt input, and what is measured on them.
#[derive(Debug, Args)]
#[command(next_help_heading = "Pair")]
pub(super) struct PairFlags {
    /// A clean text, or words of the task that the network learned, or token ids such as "5 2 7"; may be repeated
    #[arg(long, value_name = "TEXT")]
    clean: Vec<String>,
    /// Its counterfactual of the same length, in the order of --clean
    #[arg(long, value_name = "TEXT")]
    corrupt: Vec<String>,
    /// How texts become tokens: a tokenizer.json [default: that of the text or the task that it learned from]
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
    /// A task that draws prompts, their counterfactuals and their answers: repeated, indirect-object, greater-than,
    /// brackets, modular-addition, acronyms, parity [default: the one that the network learned]
    #[arg(long, value_name = "NAME", conflicts_with_all = ["clean", "corrupt", "pair"])]
    data: Option<String>,
    /// Part of the task's prompts: train or test
    #[arg(long, value_name = "PART", conflicts_with_all = ["clean", "corrupt", "pair"])]
    split: Option<String>,
    /// Only the first N images or prompts [default: all images, 64 prompts]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    limit: Option<i64>,
    /// What is measured: an objective as in `mr aim` [default: margin of images, answer-difference of texts]
    #[arg(long, value_name = "EXPRESSION", allow_hyphen_values = true)]
    objective: Option<String>,
}

/// A pair of inputs, and what is measured on it.
pub(super) struct Given {
    pub(super) pair: Pair,
    pub(super) labels: Labels,
    /// By example the first position whose next token can be known, where a task says so.
    pub(super) known_from: Option<Vec<usize>>,
    /// What is measured where nothing says so, if there are answers to measure.
    usual: Option<&'static str>,
    /// What a record says of where it comes from.
    origin: Value,
    name: String,
}

impl Given {
    /// The same with what an objective such as a divergence compares with: the clean run.
    fn referring(mut self, settings: &Settings, network: &Network) -> Result<Self> {
        if let Some(name) = settings.objective.as_deref().or(self.usual) {
            let objective = objective::by_name(name)?;
            objective.fits(network.spec())?;
            self.labels = (self.labels).with_run(network, self.pair.clean(), objective.as_ref())?;
        }
        Ok(self)
    }
}

impl Examples for Given {
    fn name(&self) -> &str {
        &self.name
    }

    fn count(&self) -> usize {
        self.pair.clean().batch()
    }

    fn about(&self, _settings: &Settings) -> Result<Value> {
        Ok(self.origin.clone())
    }
}

impl Opened<Given> {
    /// What is measured.
    pub(super) fn objective(&self) -> Result<Box<dyn Objective>> {
        let named = self.settings.objective.as_deref();
        let Some(name) = named.or(self.data.usual) else {
            bail!("what is measured? give --right and --wrong, or an --objective");
        };
        Ok(objective::by_name(name)?)
    }
}

impl PairFlags {
    /// Opens a network, and the pair that it is asked about. `own` puts the flags of the command itself over
    /// the settings.
    pub(super) fn open(
        &self,
        on: &NetworkFlags,
        common: &Common,
        own: impl FnOnce(&mut Layers) -> Result<()>,
    ) -> Result<Opened<Given>> {
        let own = |layers: &mut Layers| {
            layers.flag("--data", "data.name", self.data.clone())?;
            layers.flag("--limit", "data.limit", self.limit)?;
            layers.beneath("data.limit", PROMPTS);
            layers.flag("--split", "split", self.split.clone())?;
            layers.flag("--objective", "objective", self.objective.clone())?;
            own(layers)
        };
        Opened::network(on, common, own, |settings, subject| {
            let network = &subject.network;
            let device = network.device();
            let given = match &self.pair {
                Some(path) => self.images(path, &device)?,
                None if self.clean.is_empty() && self.corrupt.is_empty() => {
                    prompts(settings, network)?
                }
                None => self.texts(subject, &device)?,
            };
            let spec = network.spec();
            spec.accepts(given.pair.clean()).context("clean")?;
            spec.accepts(given.pair.corrupt()).context("corrupt")?;
            given.referring(settings, network)
        })
    }

    fn images(&self, path: &Path, device: &Device) -> Result<Given> {
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
            let limit = self.limit.and_then(|limit| usize::try_from(limit).ok());
            let count = limit.map_or(shape[0], |limit| limit.min(shape[0]));
            Ok(Input::Real(all.narrow(0, 0, count)))
        };
        let pair = Pair::new(image("clean")?, image("adversarial")?)?;
        let (_, _, labels) = find("label")?;
        let labels = labels.iter().map(|&label| label as usize);
        let labels: Vec<usize> = labels.take(pair.clean().batch()).collect();
        Ok(Given {
            labels: Labels::of_classes(&labels, device),
            known_from: None,
            usual: Some("margin"),
            origin: json!({ "pair": { "file": path, "limit": self.limit } }),
            name: path.display().to_string(),
            pair,
        })
    }

    fn texts(&self, subject: &Subject, device: &Device) -> Result<Given> {
        let network = &subject.network;
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
        let words = Words::of(self.tokenizer.as_deref(), subject)?;
        let tokens = |text: &String| words.encode(text);
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
        let mut given = Given {
            pair,
            labels: Labels::of_classes(&vec![0; batch], device),
            known_from: None,
            usual: None,
            origin: json!({ "pair": {
                "clean": self.clean,
                "corrupt": self.corrupt,
                "right": self.right,
                "wrong": self.wrong,
                "tokenizer": self.tokenizer,
            } }),
            name: "texts".into(),
        };
        if self.right.is_empty() {
            return Ok(given);
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
        given.labels = given.labels.with_answers(Tensor::from_data(data, device));
        given.usual = Some("answer-difference");
        Ok(given)
    }
}

/// The prompts of a task, which have their counterfactuals and answers.
fn prompts(settings: &Settings, network: &Network) -> Result<Given> {
    let (data, device) = (&settings.data, network.device());
    if !data.is_sequences() {
        bail!(
            "`{}` has no counterfactuals: of a network of images give --pair (`mr attack --save` writes one), of \
             one of tokens --clean and --corrupt, or as --data a task such as repeated or indirect-object",
            data.name
        );
    }
    let drawn = load_prompts(data, settings.split)?;
    Ok(Given {
        pair: Pair::new(drawn.clean(&device), drawn.corrupt(&device))?,
        labels: drawn.labels(network.spec().classes, &device)?,
        known_from: Some(drawn.prompts().iter().map(|one| one.known_from).collect()),
        usual: Some("answer-difference"),
        origin: json!({ "data": json(data)?, "split": settings.split }),
        name: drawn.name().to_string(),
    })
}
