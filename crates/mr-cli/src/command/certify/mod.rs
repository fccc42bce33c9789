//! `mr certify`.

mod bracket;
mod flags;

use anyhow::{Result, bail};
use mr_attacks::{
    Attack, AttackConfig, Certificates, Certifier, CertifierConfig, ThreatModel, certify,
};
use mr_metrics::{Interval, RecordKind, Short, accuracy};
use mr_models::Model;
use serde_json::{Value, json};

use super::LEVEL;
use crate::console::{Console, Outcome};
use crate::layout::{Listing, Percent};
use crate::opened::{Opened, Told};
use crate::output::writable;
use crate::subject::json;
use bracket::Bracket;
pub(crate) use flags::Arguments;

/// Name of the plot that lies beside a record with a curve.
const PLOT: &str = "certified.svg";

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let opened = Opened::of(&arguments.on, &arguments.running, |layers| {
        arguments.apply(layers)
    })?;
    let asked = Asked::of(&opened)?;
    opened.subject.undefended("a certificate")?;
    opened.classifies()?;
    asked.fit()?;
    writable("--plot", arguments.plot.as_ref())?;
    let mut begun = opened.begin(RecordKind::Certify, asked.config()?)?;

    let found = asked.certificates(asked.threat, console)?;
    let proven = Proven::of(&found, asked.method)?;
    let bracket = Bracket::of(&asked, &found, console)?;
    bracket.fill(&mut begun.record)?;

    let threat = asked.threat;
    let name = asked.certifier.name();
    let mut object = json!({
        "n": opened.data.len(),
        "clean_accuracy": proven.clean.value,
        "clean_interval": proven.clean.ends(),
        "certified_accuracy": proven.certified.value,
        "certified_interval": proven.certified.ends(),
        "level": LEVEL,
        "norm": threat.norm,
        "epsilon": json(&threat.epsilon)?,
        "method": name,
        "certify": json(asked.method)?,
        "data": opened.data.name(),
        "model": opened.subject.path,
        "seed": opened.settings.evaluation.seed,
        "device": opened.device.name,
    });
    let title = format!("{} by {name}", opened.title_under(threat));
    let mut listing = Listing::new(title);
    begun.record.number("clean_accuracy", proven.clean);
    begun.record.number("certified_accuracy", proven.certified);
    listing.line("clean accuracy", Percent(proven.clean));
    listing.line("certified accuracy", Percent(proven.certified));
    for (name, value) in proven.more {
        begun.record.number(name, value);
        object[name] = value.into();
        listing.line(name.replace('_', " "), Short(value));
    }
    bracket.tell(&mut listing, &mut object);
    if arguments.plot.is_some() || !opened.settings.epsilons.is_empty() {
        let title = format!("{}, certified by {name}", opened.title());
        let drawn = bracket.plot(&title, proven.clean.value);
        begun.draw(PLOT, &drawn, arguments.plot.as_ref())?;
    }
    if arguments.per_example {
        object["examples"] = json(&found.examples)?;
    }
    let told = Told {
        listing,
        examples: arguments.per_example.then(|| examples(&found)),
        object,
    };
    begun.finish(told, console)
}

/// What is to be proven, and what is tried against it.
struct Asked<'a> {
    opened: &'a Opened,
    threat: &'a ThreatModel,
    method: &'a CertifierConfig,
    certifier: &'a dyn Certifier,
    /// In the order that they run; none where nothing is attacked.
    attacks: Vec<Box<dyn Attack>>,
    /// Every radius that is looked at, in rising order.
    epsilons: Vec<f64>,
}

impl<'a> Asked<'a> {
    fn of(opened: &'a Opened) -> Result<Self> {
        let settings = &opened.settings;
        let threat = opened.threat()?;
        let Some(method) = &settings.certify else {
            bail!("no method: give --method, or a [certify] table");
        };
        let members = settings.attack.iter();
        let members = members.flat_map(|attack| attack.members(threat.norm));
        let mut epsilons = settings.epsilons.clone();
        if !epsilons.iter().any(|&e| e as f32 == threat.epsilon) {
            // The decimal that the number was written as, not the nearest float32.
            epsilons.extend(json(&threat.epsilon)?.as_f64());
        }
        epsilons.sort_by(f64::total_cmp);
        epsilons.dedup();
        Ok(Self {
            opened,
            threat,
            method,
            certifier: method.certifier(),
            attacks: members.map(AttackConfig::boxed).collect(),
            epsilons,
        })
    }

    /// Finds out before anything is computed whether all of it fits the network.
    fn fit(&self) -> Result<()> {
        let network = &self.opened.subject.network;
        self.certifier.fits(network, self.threat)?;
        if matches!(self.method, CertifierConfig::Smoothing(_)) && !self.attacks.is_empty() {
            bail!(
                "smoothing certifies the network's vote under noise, and an attack would be on the \
                 network itself: leave --attack and the [attack] table out"
            );
        }
        for &epsilon in &self.epsilons {
            let there = self.threat.with_epsilon(epsilon as f32);
            self.certifier.fits(network, &there)?;
            for attack in &self.attacks {
                attack.fits(network.spec(), &there)?;
            }
        }
        Ok(())
    }

    /// What the settings have besides data and network.
    fn config(&self) -> Result<Value> {
        let settings = &self.opened.settings;
        let mut config = json!({
            "threat": json(self.threat)?,
            "certify": json(self.method)?,
            "evaluation": json(&settings.evaluation)?,
        });
        if !settings.epsilons.is_empty() {
            config["epsilons"] = json!(settings.epsilons);
        }
        if !settings.attack.is_empty() {
            config["attack"] = json(&settings.attack)?;
        }
        Ok(config)
    }

    fn certificates(&self, threat: &ThreatModel, console: &Console) -> Result<Certificates> {
        let data = &self.opened.data;
        let what = format!("{} {}", self.certifier.name(), threat.epsilon);
        let bar = console.bar(&what, data.len());
        let found = certify(
            &self.opened.subject.network,
            data,
            threat,
            self.certifier,
            &self.opened.settings.evaluation,
            &mut |now| {
                bar.share(now.done, "certified", now.certified, now.done);
                true
            },
        )?;
        Ok(found)
    }
}

struct Proven {
    clean: Interval,
    certified: Interval,
    /// What the method has besides, by name.
    more: Vec<(&'static str, f64)>,
}

impl Proven {
    fn of(found: &Certificates, method: &CertifierConfig) -> Result<Self> {
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
            clean: accuracy(&found.clean_mask(), LEVEL)?,
            certified: accuracy(&found.certified_mask(), LEVEL)?,
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
