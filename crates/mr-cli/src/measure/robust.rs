//! Classifiers: how many examples stay right under attack, so that one record holds both robustness
//! and what it is to be compared with.

use anyhow::Result;
use mr_attacks::{Attack, AttackConfig, Goal};
use mr_metrics::{ExperimentRecord, accuracy};

use crate::command::{LEVEL, Run};
use crate::console::Console;
use crate::opened::Opened;

/// Robust accuracy under the settings' attacks at the threat's own epsilon, and at each of a curve.
pub(super) fn measure(
    opened: &Opened,
    record: &mut ExperimentRecord,
    console: &Console,
) -> Result<()> {
    let threat = opened.threat()?;
    let attacks = opened.settings.attack.iter();
    let members = attacks.flat_map(|attack| attack.members(threat.norm));
    let attacks: Vec<Box<dyn Attack>> = members.map(AttackConfig::boxed).collect();
    let run = Run {
        opened,
        data: &opened.data.take(opened.settings.measure.attacked)?,
        goal: &Goal::Untargeted,
        attacks: &attacks,
        transfer: None,
        state: None,
        epsilons: &opened.settings.epsilons,
        keep: false,
        console,
    };
    let found = run.all(threat)?;
    let robust = accuracy(&found.main.robust_mask(), LEVEL)?;
    record.number("robust_accuracy", robust);
    for at in found.curve {
        let robust = accuracy(&at.robust, LEVEL)?;
        record.number(&format!("robust_at.{}", at.epsilon), robust);
    }
    Ok(())
}
