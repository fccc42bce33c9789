//! What came out of an attack, for records, programs and people.

use anyhow::Result;
use mr_attacks::{Evaluation, Flag, Goal, ThreatModel};
use mr_metrics::stats::{median, wilson};
use mr_metrics::{ExperimentRecord, Interval, Number, Series, Short, accuracy};
use serde_json::{Value, json};

use super::running::At;
use crate::command::LEVEL;
use crate::layout::{Listing, Percent, numbered};
use crate::opened::Opened;
use crate::subject::json;

pub(super) struct Attacked<'a> {
    pub(super) opened: &'a Opened,
    pub(super) threat: &'a ThreatModel,
    pub(super) goal: &'a Goal,
    pub(super) main: &'a Evaluation,
    /// By epsilon, in rising order.
    pub(super) curve: &'a [At],
    /// Reasons to doubt the outcome.
    pub(super) flags: &'a [Flag],
}

impl Attacked<'_> {
    fn clean(&self) -> Result<Interval> {
        Ok(accuracy(&self.main.clean_mask(), LEVEL)?)
    }

    fn robust(&self) -> Result<Interval> {
        Ok(accuracy(&self.main.robust_mask(), LEVEL)?)
    }

    /// Share of the examples which are right when clean that were broken.
    fn success(&self) -> Result<Option<Interval>> {
        let right = self.main.examples.iter().filter(|e| e.clean == e.label);
        let broken: Vec<bool> = right.map(|e| e.success).collect();
        if broken.is_empty() {
            return Ok(None);
        }
        Ok(Some(accuracy(&broken, LEVEL)?))
    }

    /// Median distance of the adversarial examples that were found.
    fn distance(&self) -> Option<f64> {
        let found = self.main.examples.iter().filter(|e| e.attack.is_some());
        let found: Vec<f64> = found.filter_map(|e| e.distance).map(f64::from).collect();
        median(&found).ok()
    }

    fn points(&self) -> Result<Vec<(f64, Interval)>> {
        let points = self.curve.iter();
        points
            .map(|at| Ok((at.epsilon, accuracy(&at.robust, LEVEL)?)))
            .collect()
    }

    /// The attacks by name, `pgd+fgsm` if there are several.
    fn attacks(&self) -> String {
        let attacks = self.opened.settings.attack.iter();
        let names: Vec<String> = attacks.map(|attack| attack.attack().name()).collect();
        names.join("+")
    }

    /// Share of all examples that is right and unbroken after each attack.
    fn attempts(&self) -> Result<Vec<(String, Interval)>> {
        let count = self.main.examples.len();
        let attempts = &self.main.attempts;
        let names = numbered(attempts.iter().map(|attempt| attempt.attack.as_str()));
        let named = names.into_iter().zip(attempts);
        named
            .map(|(name, attempt)| Ok((name, wilson(attempt.robust, count, LEVEL)?)))
            .collect()
    }

    /// Puts the results into a record.
    pub(super) fn fill(&self, record: &mut ExperimentRecord) -> Result<()> {
        record.number("clean_accuracy", self.clean()?);
        record.number("robust_accuracy", self.robust()?);
        let success = self.success()?.map_or_else(Number::default, Number::from);
        record.number("success_rate", success);
        let distance = Number {
            value: self.distance(),
            ..Number::default()
        };
        record.number(
            "median_distance",
            distance.with_unit(self.threat.norm.to_string()),
        );
        let counts = self.main.counts;
        record.number("forwards", counts.forwards as f64);
        record.number("backwards", counts.backwards as f64);
        let attempts = self.attempts()?;
        if attempts.len() > 1 {
            for (attempt, robust) in attempts {
                record.number(&format!("robust_after.{attempt}"), robust);
            }
        }
        let flags = self.flags.iter().map(ToString::to_string);
        record.warnings.extend(flags);
        let points = self.points()?;
        if !points.is_empty() {
            let label = format!("epsilon ({})", self.threat.norm);
            record.curve("security_curve", Series::of_intervals(label, &points))?;
        }
        for pair in points.windows(2) {
            if pair[1].1.value > pair[0].1.value {
                record.warnings.push(format!(
                    "robust accuracy rises from {} at epsilon {} to {} at {}: the attack failed at \
                     the larger one",
                    Short(pair[0].1.value),
                    pair[0].0,
                    Short(pair[1].1.value),
                    pair[1].0
                ));
            }
        }
        Ok(())
    }

    /// The results for a program.
    pub(super) fn object(&self, per_example: bool) -> Result<Value> {
        let (clean, robust, success) = (self.clean()?, self.robust()?, self.success()?);
        let counts = self.main.counts;
        let mut object = json!({
            "n": self.opened.data.len(),
            "clean_accuracy": clean.value,
            "clean_interval": clean.ends(),
            "robust_accuracy": robust.value,
            "robust_interval": robust.ends(),
            "success_rate": success.map(|success| success.value),
            "success_interval": success.and_then(|success| success.ends()),
            "median_distance": self.distance(),
            "level": LEVEL,
            "norm": self.threat.norm,
            "epsilon": json(&self.threat.epsilon)?,
            "place": self.threat.place,
            "goal": self.goal.name(),
            "attack": self.attacks(),
            "attacks": json(&self.opened.settings.attack)?,
            "data": self.opened.data.name(),
            "model": self.opened.subject.path,
            "defence": json(&self.opened.subject.defences)?,
            "seed": self.opened.settings.evaluation.seed,
            "device": self.opened.device.name,
            "forwards": counts.forwards,
            "backwards": counts.backwards,
        });
        let points = self.points()?;
        if !points.is_empty() {
            let points = points.iter().map(|(epsilon, robust)| {
                json!({
                    "epsilon": epsilon,
                    "robust_accuracy": robust.value,
                    "robust_interval": robust.ends(),
                })
            });
            object["curve"] = points.collect();
        }
        let attempts = self.main.attempts.iter();
        object["attempts"] = attempts.map(json).collect::<Result<_>>()?;
        object["flags"] = json(&self.flags)?;
        if per_example {
            object["examples"] = json(&self.main.examples)?;
        }
        Ok(object)
    }

    /// The results for a person.
    pub(super) fn listing(&self) -> Result<Listing> {
        let mut listing = Listing::new(format!(
            "{}, {}, {}",
            self.opened.title_under(self.threat),
            self.attacks(),
            self.goal.name(),
        ));
        listing.line("clean accuracy", Percent(self.clean()?));
        listing.line("robust accuracy", Percent(self.robust()?));
        let attempts = self.attempts()?;
        if attempts.len() > 1 {
            for (attempt, robust) in attempts {
                listing.line(format!("  after {attempt}"), Percent(robust));
            }
        }
        if let Some(success) = self.success()? {
            listing.line("success rate", Percent(success));
        }
        if let Some(distance) = self.distance() {
            listing.line("median distance", Short(distance));
        }
        for (epsilon, robust) in self.points()? {
            listing.line(format!("robust at {epsilon}"), Percent(robust));
        }
        listing.passes(self.main.counts);
        Ok(listing)
    }

    /// What became of each example, for a person.
    pub(super) fn examples(&self) -> Listing {
        let mut listing = Listing::new("");
        let headings = [
            "index",
            "label",
            "clean",
            "adversarial",
            "success",
            "distance",
        ];
        listing.row(headings.map(String::from));
        for one in &self.main.examples {
            listing.row([
                one.index.to_string(),
                one.label.to_string(),
                one.clean.to_string(),
                one.adversarial.to_string(),
                one.success.to_string(),
                one.distance
                    .map_or("-".into(), |d| Short(f64::from(d)).to_string()),
            ]);
        }
        listing
    }
}
