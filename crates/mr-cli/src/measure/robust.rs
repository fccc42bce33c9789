//! Classifiers: how many examples stay right under attack, so that one record holds both robustness
//! and what it is to be compared with.

use anyhow::Result;
use mr_attacks::{Attack, AttackConfig, Goal, ThreatModel, Watch, evaluate_with};
use mr_metrics::{ExperimentRecord, accuracy};
use mr_models::data::Dataset;

use crate::command::LEVEL;
use crate::console::Console;
use crate::settings::Settings;
use crate::subject::Subject;

/// Robust accuracy under the settings' attacks at each of their epsilons, and at the threat's own.
pub(super) fn measure(
    subject: &Subject,
    data: &Dataset,
    threat: &ThreatModel,
    settings: &Settings,
    record: &mut ExperimentRecord,
    console: &Console,
) -> Result<()> {
    let attacks: Vec<&dyn Attack> = settings.attack.iter().map(AttackConfig::attack).collect();
    let some = data.take(settings.measure.attacked)?;
    let at = |epsilon: f32| -> Result<_> {
        let there = threat.with_epsilon(epsilon);
        let bar = console.bar(&format!("{} {epsilon}", threat.norm), some.len());
        let found = evaluate_with(
            &subject.network,
            &some,
            &there,
            &Goal::Untargeted,
            &attacks,
            &settings.evaluation,
            Watch {
                journal: None,
                progress: &mut |now| {
                    bar.at(now.done, || now.attack.into());
                    true
                },
            },
        )?;
        Ok(accuracy(&found.robust_mask(), LEVEL)?)
    };
    record.number("robust_accuracy", at(threat.epsilon)?);
    for &epsilon in &settings.epsilons {
        record.number(&format!("robust_at.{epsilon}"), at(epsilon as f32)?);
    }
    Ok(())
}
