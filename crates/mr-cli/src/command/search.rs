//! Attacks and norms by name, and the flags of the one attack that `mr aim` and `mr gain` climb with.

use anyhow::{Result, bail};
use clap::Args;
use mr_attacks::{AttackConfig, ObjectiveAttack};
use toml::{Table, Value};

use crate::settings::{Layers, Settings};

#[derive(Debug, Args)]
#[command(next_help_heading = "Attack")]
pub(super) struct SearchFlags {
    /// How to search: pgd, fgsm or another attack that climbs any objective [default: pgd]
    #[arg(long, value_name = "NAME")]
    attack: Option<String>,
    /// Gradient steps
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    steps: Option<i64>,
    /// Length of a step [default: 2.5 epsilon / steps]
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    step_size: Option<f64>,
    /// How the step length changes: constant, or cosine, which ends in small steps
    #[arg(long, value_name = "NAME")]
    schedule: Option<String>,
    /// Start from the clean example, where shift and kl are flat
    #[arg(long)]
    no_random_start: bool,
}

impl SearchFlags {
    pub(super) fn apply(&self, layers: &mut Layers) -> Result<()> {
        if let Some(name) = &self.attack
            && layers.text("attack.type") != Some(name)
        {
            layers.replace("attack", named(name), "--attack")?;
        }
        layers.beneath("attack", Value::Array(vec![Table::new().into()]));
        layers.beneath("attack.type", "pgd");
        layers.flag("--steps", "attack.steps", self.steps)?;
        layers.flag("--step-size", "attack.step_size", self.step_size)?;
        layers.flag("--schedule", "attack.schedule", self.schedule.clone())?;
        let start = self.no_random_start.then_some(false);
        layers.flag("--no-random-start", "attack.random_start", start)
    }
}

/// The one attack of the settings, which has to climb any objective.
pub(super) fn climber(settings: &Settings) -> Result<&dyn ObjectiveAttack> {
    let [attack] = settings.attack.as_slice() else {
        bail!(
            "{} attacks are set; aiming takes one: name it with --attack",
            settings.attack.len()
        );
    };
    let Some(climber) = attack.climber() else {
        let climbs = |name: &&&str| {
            AttackConfig::by_name(name).is_ok_and(|attack| attack.climber().is_some())
        };
        let valid: Vec<&str> = AttackConfig::NAMES.iter().filter(climbs).copied().collect();
        bail!(
            "{} cannot be aimed at an objective; valid: {}",
            attack.attack().name(),
            valid.join(", ")
        );
    };
    Ok(climber)
}

/// An attack as a file would name it.
pub(super) fn named(name: &str) -> Value {
    let mut table = Table::new();
    table.insert("type".into(), name.into());
    Value::Table(table)
}

/// `linf` as files write it.
pub(super) fn norm(name: &str) -> String {
    match name.to_ascii_lowercase().as_str() {
        "linf" => "Linf".into(),
        "l2" => "L2".into(),
        "l1" => "L1".into(),
        "l0" => "L0".into(),
        _ => name.into(),
    }
}
