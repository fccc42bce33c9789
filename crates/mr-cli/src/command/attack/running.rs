//! The evaluations of `mr attack`: watched, and gone on with where an earlier run was stopped.

use std::path::PathBuf;

use anyhow::Result;
use mr_attacks::{
    Attack, AttackError, Evaluation, EvaluationConfig, Goal, Journal, ThreatModel, Watch,
    evaluate_with,
};
use mr_models::data::Dataset;
use serde_json::{Value, json};

use crate::console::Console;
use crate::interrupt;
use crate::opened::Opened;
use crate::progress::Bars;
use crate::settings::Settings;
use crate::subject::{digest, json};

/// Name of the folder beside a record where the states of evaluations lie.
const STATES: &str = "states";

/// Attacks on a network, at one radius or at several.
pub(crate) struct Run<'a> {
    pub(crate) opened: &'a Opened,
    /// The examples that are attacked, which may be a part of those that were opened.
    pub(crate) data: &'a Dataset,
    pub(crate) goal: &'a Goal,
    pub(crate) attacks: &'a [Box<dyn Attack>],
    /// The weights of the network that attacks are transferred from, if there is one.
    pub(crate) transfer: Option<String>,
    /// Where what is finished is kept, if it is.
    pub(crate) state: Option<PathBuf>,
    /// The radii of a curve.
    pub(crate) epsilons: &'a [f64],
    /// Whether to keep the adversarial examples.
    pub(crate) keep: bool,
    pub(crate) console: &'a Console,
}

/// A point of a security curve.
pub(crate) struct At {
    pub(crate) epsilon: f64,
    pub(crate) robust: Vec<bool>,
}

/// The evaluation of a threat, and its curve.
pub(crate) struct All {
    pub(crate) main: Evaluation,
    /// In rising order of epsilon.
    pub(crate) curve: Vec<At>,
}

impl Run<'_> {
    /// The evaluation at the threat's own radius, and those of the curve: of an unbounded threat the
    /// distances say it all.
    pub(crate) fn all(&self, threat: &ThreatModel) -> Result<All, AttackError> {
        let main = self.one(threat, self.keep)?;
        let mut epsilons = self.epsilons.to_vec();
        epsilons.sort_by(f64::total_cmp);
        epsilons.dedup();
        let mut curve = Vec::new();
        for epsilon in epsilons {
            let there = threat.with_epsilon(epsilon as f32);
            let robust = if threat.is_unbounded() {
                main.robust_within(epsilon as f32)
            } else if there == *threat {
                main.robust_mask()
            } else {
                self.one(&there, false)?.robust_mask()
            };
            curve.push(At { epsilon, robust });
        }
        Ok(All { main, curve })
    }

    fn one(&self, threat: &ThreatModel, keep: bool) -> Result<Evaluation, AttackError> {
        let attacks: Vec<&dyn Attack> = self.attacks.iter().map(|attack| &**attack).collect();
        let config = EvaluationConfig {
            keep: keep || self.opened.settings.evaluation.keep,
            ..self.opened.settings.evaluation.clone()
        };
        let journal = self.journal(threat, &config)?;
        if journal.is_some() {
            interrupt::catch();
        }
        let about = format!("{} {}", threat.norm, threat.epsilon);
        let mut bars = Bars::new(self.console, about);
        evaluate_with(
            self.opened.subject.model(),
            self.data,
            threat,
            self.goal,
            &attacks,
            &config,
            Watch {
                journal: journal.as_ref(),
                progress: &mut |now| {
                    bars.at(now);
                    !interrupt::asked()
                },
            },
        )
    }

    /// The state of this evaluation, if it is to have one.
    fn journal(
        &self,
        threat: &ThreatModel,
        config: &EvaluationConfig,
    ) -> Result<Option<Journal>, AttackError> {
        let Some(folder) = &self.state else {
            return Ok(None);
        };
        let run = self.fingerprint(threat, config);
        let run = run.map_err(|error| AttackError::Data(format!("{error:#}")))?;
        let file = format!("{}-{}.json", threat.norm, threat.epsilon);
        Ok(Some(Journal::new(folder.join(file), run)))
    }

    /// What an evaluation's outcome depends on.
    fn fingerprint(&self, threat: &ThreatModel, config: &EvaluationConfig) -> Result<Value> {
        let Opened {
            subject, settings, ..
        } = self.opened;
        Ok(json!({
            "weights": digest(&subject.network),
            "model": json(subject.network.architecture())?,
            "defence": json(&subject.defences)?,
            "transfer_from": self.transfer,
            "data": json(&settings.data)?,
            "split": settings.split,
            "threat": json(threat)?,
            "goal": self.goal.name(),
            "attack": json(&settings.attack)?,
            "seed": config.seed,
            "keep": config.keep,
            "passes": config.passes,
            "device": self.opened.device.name,
        }))
    }
}

/// Where states lie: where the user says, else beside the record.
pub(crate) fn states(asked: Option<&PathBuf>, settings: &Settings) -> Option<PathBuf> {
    let beside = || settings.out.as_ref().map(|out| out.join(STATES));
    asked.cloned().or_else(beside)
}
