//! The evaluations of `mr attack`: watched, and gone on with where an earlier run was stopped.

use std::path::PathBuf;

use anyhow::Result;
use mr_attacks::{
    Attack, AttackError, Evaluation, EvaluationConfig, Goal, Journal, Judged, ThreatModel, Watch,
    evaluate_with,
};
use mr_models::data::Dataset;
use serde_json::{Value, json};

use crate::console::Console;
use crate::interrupt;
use crate::progress::Bar;
use crate::settings::Settings;
use crate::subject::{Subject, json};

/// Name of the folder beside a record where the states of evaluations lie.
const STATES: &str = "states";

pub(super) struct Run<'a> {
    pub(super) subject: &'a Subject,
    pub(super) data: &'a Dataset,
    pub(super) goal: &'a Goal,
    pub(super) attacks: &'a [Box<dyn Attack>],
    pub(super) settings: &'a Settings,
    pub(super) state: Option<PathBuf>,
    pub(super) device: &'a str,
    pub(super) console: &'a Console,
}

/// A point of a security curve.
pub(super) struct At {
    pub(super) epsilon: f64,
    pub(super) robust: Vec<bool>,
}

pub(super) struct All {
    pub(super) main: Evaluation,
    /// In rising order of epsilon.
    pub(super) curve: Vec<At>,
}

impl Run<'_> {
    /// The evaluation at the threat's own radius, and those of the curve: of an unbounded threat the
    /// distances say it all.
    pub(super) fn all(&self, threat: &ThreatModel, keep: bool) -> Result<All, AttackError> {
        let main = self.one(threat, keep)?;
        let mut epsilons = self.settings.epsilons.clone();
        epsilons.sort_by(f64::total_cmp);
        epsilons.dedup();
        let mut curve = Vec::new();
        for epsilon in epsilons {
            let there = threat.with_epsilon(epsilon as f32);
            let robust = if threat.is_unbounded() {
                unbroken_within(&main, epsilon as f32)
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
            keep: keep || self.settings.evaluation.keep,
            ..self.settings.evaluation.clone()
        };
        let journal = self.journal(threat, &config)?;
        if journal.is_some() {
            interrupt::catch();
        }
        let mut bar: Option<(String, Bar)> = None;
        evaluate_with(
            self.subject.model(),
            self.data,
            threat,
            self.goal,
            &attacks,
            &config,
            Watch {
                journal: journal.as_ref(),
                progress: &mut |now| {
                    if bar.as_ref().is_none_or(|(attack, _)| attack != now.attack) {
                        let what = format!("{} {} {}", threat.norm, threat.epsilon, now.attack);
                        let fresh = self.console.bar(&what, now.total);
                        bar = Some((now.attack.into(), fresh));
                    }
                    if let Some((_, bar)) = &bar {
                        bar.at(now.done, || {
                            let share = 100.0 * now.robust as f64 / now.examples as f64;
                            format!("robust {share:.1} %")
                        });
                    }
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
        Ok(json!({
            "weights": self.subject.digest(),
            "model": json(self.subject.network.architecture())?,
            "defence": json(&self.subject.defences)?,
            "data": json(&self.settings.data)?,
            "split": self.settings.split,
            "threat": json(threat)?,
            "goal": self.goal.name(),
            "attack": json(&self.settings.attack)?,
            "seed": config.seed,
            "keep": config.keep,
            "passes": config.passes,
            "device": self.device,
        }))
    }
}

/// Which examples are right, and broken by nothing so small.
fn unbroken_within(found: &Evaluation, epsilon: f32) -> Vec<bool> {
    let unbroken = |e: &Judged| e.clean == e.label && e.distance.is_none_or(|d| d > epsilon);
    found.examples.iter().map(unbroken).collect()
}

/// Where states lie: where the user says, else beside the record.
pub(super) fn states(asked: Option<&PathBuf>, settings: &Settings) -> Option<PathBuf> {
    let beside = || settings.out.as_ref().map(|out| out.join(STATES));
    asked.cloned().or_else(beside)
}
