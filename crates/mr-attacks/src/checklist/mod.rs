//! Whether a robust accuracy can be believed: the checks for gradient masking of Athalye, Carlini &
//! Wagner 2018 ("Obfuscated gradients give a false sense of security", section 3.1) and Carlini et al.
//! 2019 ("On evaluating adversarial robustness"), run and judged.
//!
//! Each item is one function, which says what it asks, what it measured and what that means. Only
//! examples that the model gets right are looked at. Limits are those of judgement, not of proof: a
//! model that passes may still be attacked better, a model that fails has been attacked badly.
//!
//! Before a random model every item but `outputs` averages over draws ([`ChecklistConfig::eot`]):
//! `randomness` compares single draws with averages of them; `gradients`, `finite differences` and
//! `ascent` look at averages, the differences with the same draws at both ends; the attacks of the
//! other items climb averages (`transfer`, which climbs another model, does not need to), and a point
//! breaks an example where most draws say so. So an honestly random model is judged like the mean over
//! its draws, and what it hides behind single draws is seen.

mod ascent;
mod bench;
mod curve;
mod differences;
mod gradients;
mod outputs;
mod points;
mod randomness;
mod restarts;
mod single_step;
mod verdict;
mod without_gradients;

use std::sync::Arc;

use mr_models::data::Dataset;
use mr_models::{Model, Place};
use serde::{Deserialize, Serialize};

pub use verdict::{Checklist, Item, Verdict};

use crate::error::AttackError;
use crate::journal::Journal;
use crate::threat::{Norm, ThreatModel};
use bench::Bench;

/// What a checklist looks at.
#[derive(Clone, Copy)]
pub struct Examined<'a> {
    /// The model.
    pub model: &'a dyn Model,
    /// A model to transfer examples from: the same without its defence, or one trained alike.
    pub source: Option<&'a Arc<dyn Model>>,
    /// Labelled examples; around 100 that the model gets right are enough to tell.
    pub data: &'a Dataset,
    /// The threat that robustness is claimed for, with a finite epsilon.
    pub threat: &'a ThreatModel,
}

/// How much a checklist tries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChecklistConfig {
    /// Seed of every random draw.
    pub seed: u64,
    /// Examples that one thread holds at a time; does not change the result.
    pub batch_size: usize,
    /// Threads, 0 for all; does not change the result.
    pub threads: usize,
    /// Steps of projected gradient descent, the attack whose gradients are in question.
    pub steps: usize,
    /// Restarts more that should change little.
    pub restarts: u32,
    /// Queries per example of Square, which follows the margin without its gradient.
    pub queries: usize,
    /// Random points of the ball per example.
    pub samples: usize,
    /// Passes of a random model that values and gradients are averaged over (expectation over
    /// transformation, Athalye et al. 2018), and that say by majority whether a point breaks an
    /// example; 20 as in `AutoAttack` for random models. A model that is not random gets one.
    pub eot: usize,
}

impl Default for ChecklistConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            batch_size: 128,
            threads: 0,
            steps: 40,
            restarts: 4,
            queries: 400,
            samples: 100,
            eot: 20,
        }
    }
}

impl ChecklistConfig {
    fn check(&self) -> Result<(), AttackError> {
        let counts = [
            ("batch_size", self.batch_size),
            ("steps", self.steps),
            ("restarts", self.restarts as usize),
            ("queries", self.queries),
            ("samples", self.samples),
            ("eot", self.eot),
        ];
        match counts.iter().find(|(_, count)| *count == 0) {
            Some((what, _)) => Err(AttackError::setting(what, 0, "at least 1")),
            None => Ok(()),
        }
    }
}

/// How far a checklist has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stand<'a> {
    /// The item at work.
    pub item: &'a str,
    /// The items that are done.
    pub done: &'a [Item],
    /// How many items there are.
    pub total: usize,
}

/// What the journal of a checklist says of itself.
const FORMAT: &str = "mech-robust-checklist";

/// What it holds.
#[derive(Serialize, Deserialize)]
struct Finished {
    items: Vec<Item>,
}

/// A question and the function that answers it.
struct Entry {
    name: &'static str,
    question: &'static str,
    /// Whether it attacks within the ball, so that a radius of 0 leaves nothing to ask.
    in_ball: bool,
    check: fn(&mut Bench<'_>, Item) -> Result<Item, AttackError>,
}

const ITEMS: [Entry; 12] = [
    Entry {
        name: "outputs",
        question: "are the outputs logits, and not probabilities?",
        in_ball: false,
        check: outputs::check,
    },
    Entry {
        name: "randomness",
        question: "do passes over the same example agree, or at least their averages?",
        in_ball: false,
        check: randomness::check,
    },
    Entry {
        name: "gradients",
        question: "are gradients neither zero nor exploding?",
        in_ball: false,
        check: gradients::check,
    },
    Entry {
        name: "finite differences",
        question: "does the margin change as its gradient says?",
        in_ball: false,
        check: differences::check,
    },
    Entry {
        name: "ascent",
        question: "does the loss rise with the steps of the attack?",
        in_ball: true,
        check: ascent::check,
    },
    Entry {
        name: "single step",
        question: "do many steps find what a single step finds?",
        in_ball: true,
        check: single_step::check,
    },
    Entry {
        name: "unbounded",
        question: "does an attack without a bound break every example?",
        in_ball: false,
        check: curve::unbounded,
    },
    Entry {
        name: "epsilon curve",
        question: "does robust accuracy fall with epsilon, to chance or below?",
        in_ball: true,
        check: curve::check,
    },
    Entry {
        name: "restarts",
        question: "do more restarts change little?",
        in_ball: true,
        check: restarts::check,
    },
    Entry {
        name: "random points",
        question: "do gradients find what random points of the ball find?",
        in_ball: true,
        check: without_gradients::points,
    },
    Entry {
        name: "black box",
        question: "do gradients find what a search without gradients finds?",
        in_ball: true,
        check: without_gradients::search,
    },
    Entry {
        name: "transfer",
        question: "do gradients find what transfers from another model?",
        in_ball: true,
        check: without_gradients::transfer,
    },
];

/// Runs the checklist. `progress` is told before and within each item; where it says `false` the run
/// stops. With a journal, items that an earlier run finished are taken from there, and come out as if
/// they had run now.
///
/// # Errors
/// [`AttackError`] if model, data, threat and settings do not go together; [`AttackError::Stopped`];
/// [`AttackError::Journal`].
pub fn run_checklist(
    examined: Examined<'_>,
    config: &ChecklistConfig,
    journal: Option<&Journal>,
    progress: &mut (dyn FnMut(Stand<'_>) -> bool + Send),
) -> Result<Checklist, AttackError> {
    config.check()?;
    if examined.threat.is_unbounded() {
        return Err(AttackError::setting(
            "epsilon",
            examined.threat.epsilon,
            "finite: the checklist compares attacks inside a ball",
        ));
    }
    let finished = journal.map(|journal| journal.read::<Finished>(FORMAT));
    let finished = finished.transpose()?.flatten();
    let finished = finished.map_or(Vec::new(), |finished| finished.items);
    let mut bench = Bench::new(examined, config, finished, progress)?;
    for entry in &ITEMS[bench.items().len().min(ITEMS.len())..] {
        bench.begin(entry.name)?;
        let item = Item::new(entry.name, entry.question);
        let item = if bench.count() == 0 {
            item.judged(Verdict::NotApplicable, "the model gets no example right")
        } else if entry.in_ball && examined.threat.epsilon == 0.0 {
            item.judged(Verdict::NotApplicable, "epsilon is 0: there is no ball")
        } else {
            (entry.check)(&mut bench, item)?
        };
        tracing::debug!("{}: {:?}", item.name, item.evidence);
        bench.end(item);
        if let Some(journal) = journal {
            let items = bench.items().to_vec();
            journal.write(FORMAT, Finished { items })?;
        }
    }
    let right = bench.count();
    Ok(Checklist::of(
        bench.into_items(),
        examined.data.len(),
        right,
    ))
}

/// The threat with the radius of the whole box: nothing but the box holds an attack. At a site, where
/// there is no box, a hundred times the radius.
fn whole(threat: &ThreatModel, width: usize) -> ThreatModel {
    let [low, high] = threat.bounds;
    let (range, width) = (high - low, width as f32);
    let epsilon = match (&threat.place, threat.norm) {
        (_, Norm::L0) => width,
        (Place::Site(_), _) => 100.0 * threat.epsilon,
        (Place::Input, Norm::Linf) => range,
        (Place::Input, Norm::L2) => range * width.sqrt(),
        (Place::Input, Norm::L1) => range * width,
    };
    threat.with_epsilon(epsilon)
}

#[cfg(test)]
mod tests;
