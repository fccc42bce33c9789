//! What came out of `mr aim`, for records, programs and people.

use anyhow::Result;
use mr_attacks::{Aim, Aims, ThreatModel};
use mr_metrics::stats::wilson;
use mr_metrics::{ExperimentRecord, Interval, Short};
use mr_models::Objective;

use crate::command::LEVEL;
use crate::layout::{Listing, Percent};
use crate::opened::Opened;
use crate::spread::Spread;

pub(super) struct Moved<'a> {
    pub(super) opened: &'a Opened,
    pub(super) threat: &'a ThreatModel,
    pub(super) objective: &'a dyn Objective,
    pub(super) attack: String,
    pub(super) found: &'a Aims,
}

impl Moved<'_> {
    fn share(&self, of: impl Fn(&Aim) -> bool) -> Result<Interval> {
        let all = &self.found.examples;
        let count = all.iter().filter(|aim| of(aim)).count();
        Ok(wilson(count, all.len(), LEVEL)?)
    }

    /// Each quantity over examples, by name.
    fn spreads(&self) -> Result<[(&'static str, Spread); 5]> {
        let of = |quantity: fn(&Aim) -> f32| Spread::of(self.found.examples.iter().map(quantity));
        Ok([
            ("before", of(|aim| aim.before)?),
            ("after", of(|aim| aim.after)?),
            ("rise", of(Aim::rise)?),
            ("divergence", of(|aim| aim.divergence)?),
            ("distance", of(|aim| aim.distance)?),
        ])
    }

    /// Each share of examples, by name.
    fn shares(&self) -> Result<[(&'static str, Interval); 4]> {
        Ok([
            ("clean_accuracy", self.share(|aim| aim.clean == aim.label)?),
            ("accuracy", self.share(|aim| aim.adversarial == aim.label)?),
            ("predictions_kept", self.share(Aim::keeps_prediction)?),
            ("moved", self.share(|aim| aim.rise() > 0.0)?),
        ])
    }

    /// Puts the results into a record.
    pub(super) fn fill(&self, record: &mut ExperimentRecord) -> Result<()> {
        for (name, spread) in self.spreads()? {
            spread.record(record, name);
        }
        for (name, share) in self.shares()? {
            record.number(name, share);
        }
        let counts = self.found.counts;
        record.number("forwards", counts.forwards as f64);
        record.number("backwards", counts.backwards as f64);
        if self.found.examples.iter().all(|aim| aim.rise() == 0.0) && self.threat.epsilon > 0.0 {
            record.warnings.push(format!(
                "`{}` did not rise on any example: it may be flat at the clean example (shift and kl \
                 are, so that an attack has to start at a random point), or not depend on the {}",
                self.objective.name(),
                self.threat.place
            ));
        }
        Ok(())
    }

    /// The results for a person.
    pub(super) fn listing(&self) -> Result<Listing> {
        let mut listing = Listing::new(format!(
            "{}, {} up {}",
            self.opened.title_under(self.threat),
            self.attack,
            self.objective.name(),
        ));
        let row = |name: &str, cells: [String; 4]| std::iter::once(name.into()).chain(cells);
        listing.row(row("", Spread::NAMES.map(String::from)));
        let spoken = [
            "objective before",
            "objective after",
            "rise",
            "KL of logits (nats)",
            "distance",
        ];
        for (name, (_, spread)) in spoken.iter().zip(self.spreads()?) {
            listing.row(row(name, spread.cells()));
        }
        for (name, share) in self.shares()? {
            listing.line(name.replace('_', " "), Percent(share));
        }
        listing.passes(self.found.counts);
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
            "before",
            "after",
            "KL",
            "distance",
        ];
        listing.row(headings.map(String::from));
        let short = |value: f32| Short(f64::from(value)).to_string();
        for aim in &self.found.examples {
            listing.row([
                aim.index.to_string(),
                aim.label.to_string(),
                aim.clean.to_string(),
                aim.adversarial.to_string(),
                short(aim.before),
                short(aim.after),
                short(aim.divergence),
                short(aim.distance),
            ]);
        }
        listing
    }
}
