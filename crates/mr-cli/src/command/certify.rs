//! `mr certify`.

use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;
use mr_attacks::{Certificates, CertifierConfig, Norm, certify};
use mr_metrics::stats::wilson;
use mr_metrics::{Interval, RecordKind, Short};
use mr_models::data::load;
use serde_json::{Value, json};
use toml::Table;

use super::LEVEL;
use crate::console::{Console, Outcome};
use crate::layout::{Listing, Percent, plural};
use crate::output::{Output, draft};
use crate::settings::{Common, DataFlags, Layers, RunFlags, Settings};
use crate::subject::{ModelFlags, Subject, json};

/// Prove how many examples no attack can break
///
/// Bounds (ibp, crown) are on the network's own logits and pay for its rounding: certified accuracy is
/// at most what any attack leaves. Smoothing certifies another classifier, the network's vote under
/// Gaussian noise; each of its certificates holds with probability 1 - alpha.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr certify --model runs/ibp --epsilon 0.1
  mr certify --model runs/mlp --method crown --norm l2 --epsilon 0.5 --limit 1000 --json
  mr certify --model runs/noisy --method smoothing --sigma 0.25 --n 10000 --epsilon 0.5 --limit 100
  mr certify --config certify.toml --model runs/ibp --out runs/ibp-certified")]
pub(crate) struct Arguments {
    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    data: DataFlags,
    #[command(flatten)]
    method: MethodFlags,
    #[command(flatten)]
    running: RunFlags,
    #[command(flatten)]
    common: Common,
    /// Add what is proven of each example to the result
    #[arg(long, help_heading = "Output")]
    per_example: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Certificate")]
struct MethodFlags {
    /// How to prove: ibp (any classifier), crown (mlp), smoothing (any classifier) [default: ibp]
    #[arg(long, value_name = "NAME")]
    method: Option<String>,
    /// Norm of the perturbation: linf, l2, l1; smoothing knows l0 too [default: linf, of smoothing l2]
    #[arg(long, value_name = "NORM")]
    norm: Option<String>,
    /// Largest perturbation, in pixel units of [0, 1]
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    epsilon: Option<f64>,
    /// Smoothing: standard deviation of the noise, in pixel units [default: 0.25]
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    sigma: Option<f64>,
    /// Smoothing: noisy copies that a class's probability is estimated from [default: 1000]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    n: Option<i64>,
    /// Smoothing: noisy copies that pick the class [default: 100]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    n0: Option<i64>,
    /// Smoothing: how probable a wrong certificate may be [default: 0.001]
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    alpha: Option<f64>,
}

impl MethodFlags {
    fn apply(&self, layers: &mut Layers) -> Result<()> {
        if let Some(name) = &self.method
            && layers.text("certify.type") != Some(name)
        {
            let mut table = Table::new();
            table.insert("type".into(), name.clone().into());
            layers.replace("certify", table.into(), "--method")?;
        }
        layers.beneath("certify.type", "ibp");
        layers.flag("--sigma", "certify.sigma", self.sigma)?;
        layers.flag("--n", "certify.n", self.n)?;
        layers.flag("--n0", "certify.n0", self.n0)?;
        layers.flag("--alpha", "certify.alpha", self.alpha)?;
        // A norm that is none is told with its valid names when the threat is read.
        let norm = self.norm.as_ref().map(|name| match name.parse::<Norm>() {
            Ok(norm) => norm.to_string(),
            Err(_) => name.clone(),
        });
        layers.flag("--norm", "threat.norm", norm)?;
        layers.flag("--epsilon", "threat.epsilon", self.epsilon)?;
        let smoothing = layers.text("certify.type") == Some("smoothing");
        if layers.get("threat").is_some() {
            layers.beneath("threat.norm", if smoothing { "L2" } else { "Linf" });
        }
        Ok(())
    }
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let mut layers = arguments.common.layers()?;
    arguments.data.apply(&mut layers)?;
    arguments.method.apply(&mut layers)?;
    arguments.running.apply(&mut layers)?;
    let (subject, device) = Subject::open(&arguments.model, &mut layers)?;
    let settings = Settings::of(layers)?;
    let (Some(threat), Some(method)) = (&settings.threat, &settings.certify) else {
        bail!("no threat: give --epsilon (and --norm), or a [threat] table");
    };
    subject.undefended("a certificate")?;
    let certifier = method.certifier();
    if subject.is_autoencoder() {
        bail!("{}: an autoencoder classifies nothing", subject.path);
    }
    let data = load(&settings.data, settings.split)?;
    subject.takes(&data)?;
    certifier.fits(&subject.network, threat)?;

    let config = json!({
        "data": json(&settings.data)?,
        "split": settings.split,
        "threat": json(threat)?,
        "certify": json(method)?,
        "evaluation": json(&settings.evaluation)?,
        "trained": subject.trained,
    });
    let seed = settings.seed.unwrap_or(0);
    let name = settings.name.as_deref();
    let mut record = draft(RecordKind::Certify, name, config, seed, &device.name);
    let overwrite = arguments.common.overwrite;
    let output = settings.out.as_ref();
    let output = output
        .map(|out| Output::open(out, &record, overwrite))
        .transpose()?;

    let started = Instant::now();
    let bar = console.bar(certifier.name(), data.len());
    let found = certify(
        &subject.network,
        &data,
        threat,
        certifier,
        &settings.evaluation,
        &mut |now| {
            bar.at(now.done, || {
                let share = 100.0 * now.certified as f64 / now.done as f64;
                format!("certified {share:.1} %")
            });
            true
        },
    )?;
    drop(bar);
    let proven = Proven::of(&found, method)?;
    let seconds = started.elapsed().as_secs_f64();

    record.number("clean_accuracy", proven.clean);
    record.number("certified_accuracy", proven.certified);
    let mut object = json!({
        "n": data.len(),
        "clean_accuracy": proven.clean.value,
        "clean_interval": proven.clean.ends(),
        "certified_accuracy": proven.certified.value,
        "certified_interval": proven.certified.ends(),
        "level": LEVEL,
        "norm": threat.norm,
        "epsilon": json(&threat.epsilon)?,
        "method": certifier.name(),
        "certify": json(method)?,
        "data": data.name(),
        "model": subject.path,
        "seed": settings.evaluation.seed,
        "device": device.name,
        "seconds": seconds,
    });
    let mut listing = Listing::new(format!(
        "{} on {} ({}), {} {} by {}",
        subject.path,
        data.name(),
        plural(data.len(), "example"),
        threat.norm,
        threat.epsilon,
        certifier.name()
    ));
    listing.line("clean accuracy", Percent(proven.clean));
    listing.line("certified accuracy", Percent(proven.certified));
    for (name, value) in proven.more {
        record.number(name, value);
        object[name] = value.into();
        listing.line(name.replace('_', " "), Short(value));
    }
    listing.line("time", format!("{seconds:.1} s"));
    if let Some(output) = &output {
        output.write(&record)?;
        object["out"] = json!(settings.out);
    }
    console.say(listing);
    if arguments.per_example {
        object["examples"] = json(&found.examples)?;
        console.say(examples(&found));
    }
    console.object(&object)?;
    Ok(Outcome::Done)
}

struct Proven {
    clean: Interval,
    certified: Interval,
    /// What the method has besides, by name.
    more: Vec<(&'static str, f64)>,
}

impl Proven {
    fn of(found: &Certificates, method: &CertifierConfig) -> Result<Self> {
        let share = |mask: Vec<bool>| {
            let count = mask.iter().filter(|&&set| set).count();
            wilson(count, mask.len(), LEVEL)
        };
        let n = found.examples.len() as f64;
        let mut more = Vec::new();
        if matches!(method, CertifierConfig::Smoothing(_)) {
            let abstained = found.examples.iter().filter(|one| one.clean.is_none());
            more.push(("abstained", abstained.count() as f64 / n));
            // The average certified radius (Zhai et al. 2020): 0 where the class is wrong.
            let right = found.examples.iter().filter(|e| e.clean == Some(e.label));
            let radius: f64 = right.filter_map(|one| one.radius).sum();
            more.push(("average_radius", radius / n));
        }
        Ok(Self {
            clean: share(found.clean_mask())?,
            certified: share(found.certified_mask())?,
            more,
        })
    }
}

/// What is proven of each example, for a person.
fn examples(found: &Certificates) -> Listing {
    let mut listing = Listing::new("examples");
    let words = ["index", "label", "clean", "certified", "margin", "radius"];
    listing.row(words.map(String::from));
    for one in &found.examples {
        let dash = || "-".to_string();
        let short = |value: Option<f64>| value.map_or_else(dash, |v| Short(v).to_string());
        listing.row([
            one.index.to_string(),
            one.label.to_string(),
            one.clean.map_or_else(dash, |class| class.to_string()),
            Value::from(one.certified).to_string(),
            short(one.margin.map(f64::from)),
            short(one.radius),
        ]);
    }
    listing
}
