//! What `mr sae train` fits.

use anyhow::{Context, Result, bail};
use mr_models::ModelError;
use mr_sae::{Arrangement, BatchTopK, Gated, JumpRelu, Kind, Matryoshka, Relu, SaeConfig, TopK};
use mr_train::{FitConfig, FitLength, Plan, Positions};
use serde::{Deserialize, Deserializer, Serialize};
use toml::{Table, Value};

/// The kinds by name.
const KINDS: [&str; 6] = [
    "relu",
    "gated",
    "top-k",
    "batch-top-k",
    "jump-relu",
    "matryoshka",
];
/// Active latents where nothing says how many.
const K: f64 = 32.0;

/// The `[sae]` table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SaeSettings {
    /// Seed of initial weights, of the order of samples and of what is drawn anew.
    pub(crate) seed: u64,
    /// The sites that are read: one, or those that a crosscoder has in common.
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) reads: Vec<String>,
    /// The site that a transcoder writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) writes: Option<String>,
    /// Whether a transcoder has a linear map beside it.
    pub(crate) skip: bool,
    /// Whether the decoder's transpose encodes.
    pub(crate) tied: bool,
    /// Latents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) width: Option<usize>,
    /// Latents per channel that is read, where no width is set.
    pub(crate) expansion: usize,
    /// Names of kinds, or tables of their settings; a dictionary is fitted for each.
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) kind: Vec<Value>,
    /// Active latents; of kinds that have a `k` a dictionary is fitted for each.
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) k: Vec<f64>,
    /// What activity costs; of kinds without a `k` a dictionary is fitted for each.
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) sparsity: Vec<f32>,
    /// Active latents that kinds without a `k` are to have; a dictionary is fitted for each, and what activity costs follows.
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) l0: Vec<f32>,
    /// Which positions are samples.
    pub(crate) positions: Positions,
    /// Samples that are shuffled together.
    pub(crate) buffer: usize,
    /// How long all are fitted.
    pub(crate) length: FitLength,
    /// How each is fitted, where its kind's recipe is not to say.
    pub(crate) fit: Fit,
}

impl Default for SaeSettings {
    fn default() -> Self {
        Self {
            seed: 0,
            reads: Vec::new(),
            writes: None,
            skip: false,
            tied: false,
            width: None,
            expansion: 8,
            kind: vec!["top-k".into()],
            k: Vec::new(),
            sparsity: Vec::new(),
            l0: Vec::new(),
            positions: Positions::default(),
            buffer: 65_536,
            length: FitLength::default(),
            fit: Fit::default(),
        }
    }
}

/// What activity costs, and the number of active latents that the cost is to lead to.
struct Paid {
    sparsity: f32,
    l0: Option<f32>,
}

/// Some settings of a [`FitConfig`]: those that are not set are the recipe's.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Fit(Table);

impl<'de> Deserialize<'de> for Fit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = Table::deserialize(deserializer)?;
        FitConfig::deserialize(Value::Table(table.clone()))
            .map_err(|error| serde::de::Error::custom(error.message()))?;
        Ok(Self(table))
    }
}

/// A list, or its only element.
fn one_or_many<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: serde::de::DeserializeOwned,
{
    let list = match Value::deserialize(deserializer)? {
        Value::Array(list) => list,
        one => vec![one],
    };
    let read = |value: Value| {
        let read = value.try_into::<T>();
        read.map_err(|error| serde::de::Error::custom(error.message()))
    };
    list.into_iter().map(read).collect()
}

impl SaeSettings {
    /// The dictionaries that are to be fitted, of sites of these widths, named by kind and k or sparsity where there are
    /// several.
    pub(crate) fn plans(&self, widths: &[usize]) -> Result<Vec<Plan>> {
        let (d_in, arrangement) = self.arrangement(widths)?;
        let d_sae = match self.width {
            Some(width) => width,
            None if self.expansion == 0 => bail!("expansion is 0, must be at least 1"),
            None => d_in.saturating_mul(self.expansion),
        };
        let mut plans = Vec::new();
        for kind in &self.kind {
            let table = named(kind)?;
            let name = table["type"].as_str().unwrap_or_default().to_string();
            if has_k(&name) {
                let own = table.get("k").and_then(number);
                let usual = K.min((d_sae / 2).max(1) as f64);
                for k in own.map_or_else(|| several(&self.k, usual), |k| vec![k]) {
                    let config = SaeConfig::new(d_in, d_sae, with_k(&table, k, d_sae)?);
                    plans.push((format!("{name}-{k}"), config, None));
                }
            } else {
                let kind = kind_of(table)?;
                for (said, paid) in self.paid(usual_sparsity(&kind, d_in))? {
                    let config = SaeConfig::new(d_in, d_sae, kind.clone());
                    plans.push((format!("{name}-{said}"), config, Some(paid)));
                }
            }
        }
        if !self.l0.is_empty() && plans.iter().all(|(.., paid)| paid.is_none()) {
            bail!("l0: no kind without a k is fitted; a k says itself how many latents are active");
        }
        let plan = |(name, config, paid): (String, SaeConfig, Option<Paid>)| {
            let dictionary = config.arranged(arrangement);
            dictionary.check()?;
            let mut fit = self.fit(&dictionary)?;
            if let Some(Paid { sparsity, l0 }) = paid {
                fit.sparsity = sparsity;
                fit.l0 = l0.or(fit.l0);
            }
            Ok(Plan {
                name,
                dictionary,
                fit,
            })
        };
        plans.into_iter().map(plan).collect()
    }

    /// What dictionaries without a k are asked for, each with what names it.
    fn paid(&self, usual: f32) -> Result<Vec<(String, Paid)>> {
        let sparsities = several(&self.sparsity, usual);
        if self.l0.is_empty() {
            let of = |sparsity: f32| (sparsity.to_string(), Paid { sparsity, l0: None });
            return Ok(sparsities.into_iter().map(of).collect());
        }
        let [sparsity] = sparsities[..] else {
            bail!(
                "sparsity: {} with l0: give one, which the coefficient begins at",
                sparsities.len()
            );
        };
        let of = |&l0: &f32| {
            let paid = Paid {
                sparsity,
                l0: Some(l0),
            };
            (format!("l0-{l0}"), paid)
        };
        Ok(self.l0.iter().map(of).collect())
    }

    fn arrangement(&self, widths: &[usize]) -> Result<(usize, Arrangement)> {
        let d_in = widths[0];
        match (self.writes.is_some(), widths.len()) {
            (true, _) if self.tied => bail!("tied: a transcoder reads and writes different sites"),
            (true, 2) => {
                let (d_out, skip) = (widths[1], self.skip);
                Ok((d_in, Arrangement::Transcoder { d_out, skip }))
            }
            (true, count) => bail!("{} sites are read: a transcoder reads one", count - 1),
            _ if self.skip => {
                bail!("skip: only a transcoder has a linear map beside it: name the site it writes")
            }
            (false, 1) if self.tied => Ok((d_in, Arrangement::Tied)),
            (false, 1) => Ok((d_in, Arrangement::Autoencoder)),
            (false, _) if self.tied => bail!("tied: a crosscoder has an encoder of its own"),
            (false, parts) => {
                if let Some(other) = widths.iter().find(|&&width| width != d_in) {
                    bail!("sites of {d_in} and {other} channels: a crosscoder's have equally many");
                }
                Ok((d_in * parts, Arrangement::Crosscoder { parts }))
            }
        }
    }

    /// How a dictionary is fitted: the recipe of its kind under what is set.
    fn fit(&self, config: &SaeConfig) -> Result<FitConfig> {
        let mut table = recipe(config, self.length.steps);
        if !self.l0.is_empty() && table.contains_key("sparsity_warmup") {
            let warmup = self.length.steps / 10 * 3;
            table.insert("sparsity_warmup".into(), Value::Integer(warmup as i64));
        }
        for (key, value) in &self.fit.0 {
            table.insert(key.clone(), value.clone());
        }
        let mut fit: FitConfig = Value::Table(table).try_into().context("[sae.fit]")?;
        fit.seed = self.seed;
        Ok(fit)
    }
}

fn several<T: Copy>(given: &[T], usual: T) -> Vec<T> {
    if given.is_empty() {
        vec![usual]
    } else {
        given.to_vec()
    }
}

fn has_k(name: &str) -> bool {
    matches!(name, "top-k" | "batch-top-k" | "matryoshka")
}

fn number(value: &Value) -> Option<f64> {
    value
        .as_float()
        .or_else(|| value.as_integer().map(|whole| whole as f64))
}

/// The table of a kind that a name or a table names.
fn named(kind: &Value) -> Result<Table> {
    let mut table = match kind {
        Value::String(name) => Table::from_iter([("type".to_string(), name.as_str().into())]),
        Value::Table(table) => table.clone(),
        other => bail!(
            "{other} is no kind of dictionary; valid: {}",
            KINDS.join(", ")
        ),
    };
    if table.get("type").and_then(Value::as_str) == Some("jump-relu") {
        // The recipe's, for activations of one scale: a narrow rectangle sees too few samples for thresholds to follow what
        // activity costs.
        for (key, usual) in [
            ("threshold", Value::Float(0.1)),
            ("bandwidth", Value::Float(0.5)),
            ("to_input", Value::Boolean(true)),
        ] {
            table.entry(key).or_insert(usual);
        }
    }
    match table.get("type").and_then(Value::as_str) {
        Some(name) if KINDS.contains(&name) => Ok(table),
        Some(name) => Err(ModelError::unknown("kind of dictionary", name, KINDS).into()),
        None => bail!(
            "a kind of dictionary needs a `type`; valid: {}",
            KINDS.join(", ")
        ),
    }
}

fn kind_of(table: Table) -> Result<Kind> {
    let read = Value::Table(table).try_into::<Kind>();
    read.map_err(|error| anyhow::anyhow!("the kind of dictionary: {}", error.message()))
}

/// A kind with so many active latents. A number that none can have is left for the dictionary to refuse.
fn with_k(table: &Table, k: f64, d_sae: usize) -> Result<Kind> {
    let name = table["type"].as_str().unwrap_or_default();
    let mut table = table.clone();
    let whole = k.fract() == 0.0 && (0.0..1e15).contains(&k);
    if name == "top-k" && !whole {
        bail!("k is {k}, must be a whole number of a top-k dictionary");
    }
    let k = if name == "top-k" {
        Value::Integer(k as i64)
    } else {
        Value::Float(k)
    };
    table.insert("k".into(), k);
    if name == "matryoshka" && !table.contains_key("widths") {
        let mut widths: Vec<i64> = [16, 8, 4, 2].map(|part| (d_sae / part) as i64).into();
        widths.retain(|&width| width > 0);
        widths.dedup();
        table.insert("widths".into(), widths.into());
    }
    kind_of(table)
}

/// What activity costs where nothing says so, in units of activations whose norm is the root of their channels: a round
/// number.
fn usual_sparsity(kind: &Kind, d_in: usize) -> f32 {
    let cost = match kind {
        Kind::JumpRelu(_) => 0.02 * d_in as f32,
        _ => 0.2 * (d_in as f32).sqrt(),
    };
    format!("{cost:.0e}").parse().unwrap_or(cost)
}

/// What suits a kind: activations of one scale, a centre, a rate that rises and falls, and help for dead latents.
fn recipe(config: &SaeConfig, steps: usize) -> Table {
    let mut table = Table::new();
    let mut set = |key: &str, value: Value| table.insert(key.into(), value);
    set("normalize", true.into());
    set("warmup", Value::Integer((steps / 20) as i64));
    set("decay", Value::Integer((steps / 5) as i64));
    if config.is_tied() {
        set("unit_norm", false.into());
    } else {
        set("centre", "geometric-median".into());
    }
    let revival = |name: &str, coefficient: f64| {
        let mut table = Table::new();
        table.insert("type".into(), name.into());
        table.insert("coefficient".into(), coefficient.into());
        Value::Table(table)
    };
    match &config.kind {
        Kind::TopK(TopK { .. })
        | Kind::BatchTopK(BatchTopK { .. })
        | Kind::Matryoshka(Matryoshka { .. }) => {
            set("revival", revival("aux-k", 1.0));
        }
        Kind::JumpRelu(JumpRelu { .. }) => {
            set("sparsity_warmup", Value::Integer((steps / 4) as i64));
            set("revival", revival("pre-activation", 3e-6));
        }
        Kind::Relu(Relu { .. }) | Kind::Gated(Gated { .. }) => {
            set("sparsity_warmup", Value::Integer((steps / 20) as i64));
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plans(toml: &str, widths: &[usize]) -> Result<Vec<Plan>> {
        toml::from_str::<SaeSettings>(toml)?.plans(widths)
    }

    fn error(toml: &str, widths: &[usize]) -> String {
        format!("{:#}", plans(toml, widths).unwrap_err())
    }

    #[test]
    fn several_kinds_and_sparsities_are_as_many_dictionaries() {
        let found = plans(
            "kind = [\"top-k\", \"relu\"]\nk = [4, 8]\nsparsity = 0.5\nwidth = 64",
            &[16],
        )
        .unwrap();
        let names: Vec<&str> = found.iter().map(|plan| plan.name.as_str()).collect();
        assert_eq!(names, ["top-k-4", "top-k-8", "relu-0.5"]);
        assert_eq!(found[1].dictionary, SaeConfig::new(16, 64, TopK::new(8)));
        assert_eq!(found[2].fit.sparsity, 0.5);
        assert!(found[0].fit.normalize && found[0].fit.warmup == 500);
    }

    #[test]
    fn an_l0_is_a_dictionary_of_each_kind_that_has_none_of_its_own() {
        let found = plans(
            "kind = [\"relu\", \"top-k\"]\nl0 = [4, 8.5]\nk = 4\nsparsity = 0.5",
            &[16],
        )
        .unwrap();
        let names: Vec<&str> = found.iter().map(|plan| plan.name.as_str()).collect();
        assert_eq!(names, ["relu-l0-4", "relu-l0-8.5", "top-k-4"]);
        assert_eq!((found[1].fit.l0, found[1].fit.sparsity), (Some(8.5), 0.5));
        assert_eq!(
            (found[2].fit.l0, found[1].fit.sparsity_warmup),
            (None, 3000)
        );
        assert!(error("l0 = 4", &[16]).contains("no kind without a k"));
        let several = error("kind = \"relu\"\nl0 = 4\nsparsity = [1, 2]", &[16]);
        assert!(several.starts_with("sparsity: 2 with l0"), "{several}");
    }

    #[test]
    fn what_is_set_goes_over_the_recipe() {
        let found = plans(
            "k = 4\nseed = 3\n[fit]\nnormalize = false\n[length]\nsteps = 40",
            &[16],
        )
        .unwrap();
        let fit = &found[0].fit;
        assert_eq!((fit.normalize, fit.warmup, fit.seed), (false, 2, 3));
        let text = toml::from_str::<SaeSettings>("[fit]\nnormalise = false").unwrap_err();
        assert!(
            text.message().contains("unknown field `normalise`"),
            "{text}"
        );
    }

    #[test]
    fn jump_relu_has_a_rectangle_that_reaches_samples() {
        let kind = |toml: &str| plans(toml, &[16]).unwrap()[0].dictionary.kind.clone();
        let usual = JumpRelu {
            threshold: 0.1,
            bandwidth: 0.5,
            to_input: true,
            ..JumpRelu::default()
        };
        assert_eq!(kind("kind = \"jump-relu\""), usual.into());
        let own = JumpRelu {
            bandwidth: 2.0,
            ..usual
        };
        let set = "kind = { type = \"jump-relu\", bandwidth = 2.0 }";
        assert_eq!(kind(set), own.into());
    }

    #[test]
    fn sites_decide_the_arrangement() {
        let of = |toml: &str, widths: &[usize]| plans(toml, widths).unwrap()[0].dictionary.clone();
        assert_eq!(of("", &[8]).arrangement, Arrangement::Autoencoder);
        assert_eq!(
            of("tied = true\nkind = \"relu\"", &[8]).arrangement,
            Arrangement::Tied
        );
        let cross = of("", &[8, 8]);
        assert_eq!((cross.d_in, cross.d_sae), (16, 128));
        assert_eq!(cross.arrangement, Arrangement::Crosscoder { parts: 2 });
        let trans = of("writes = \"b\"\nskip = true", &[8, 5]);
        assert_eq!(
            trans.arrangement,
            Arrangement::Transcoder {
                d_out: 5,
                skip: true
            }
        );
        assert!(error("", &[8, 5]).contains("equally many"));
        assert!(error("skip = true", &[8]).contains("only a transcoder"));
    }

    #[test]
    fn what_no_dictionary_can_be_is_said() {
        assert!(error("kind = \"topk\"", &[8]).contains("did you mean top-k"));
        assert_eq!(
            error("k = 65", &[8]),
            "k is 65, must be from 1 to d_sae, which is 64"
        );
        assert!(error("k = 0", &[8]).starts_with("k is 0"));
        assert!(error("k = 2.5", &[8]).contains("whole number"));
        assert!(error("width = 0", &[8]).starts_with("d_sae is 0"));
        assert!(error("expansion = 0", &[8]).contains("at least 1"));
    }
}
