//! The flags that say how attacks search.

use anyhow::{Result, bail};
use clap::Args;
use mr_attacks::{AttackConfig, ObjectiveAttack};
use toml::{Table, Value};

use super::threat::length;
use crate::settings::{Layers, Settings};

/// The steps of an attack that follows gradients.
#[derive(Debug, Args)]
#[command(next_help_heading = "Attack")]
pub(super) struct StepFlags {
    /// Gradient steps
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    steps: Option<i64>,
    /// Length of a step [default: 2.5 epsilon / steps]
    #[arg(long, value_name = "R", allow_negative_numbers = true, value_parser = length)]
    step_size: Option<f64>,
    /// How the step length changes: constant, or cosine, which ends in small steps
    #[arg(long, value_name = "NAME")]
    schedule: Option<String>,
    /// Start from a random point of the ball
    #[arg(long, overrides_with = "no_random_start")]
    random_start: bool,
    /// Start from the clean example
    #[arg(long, overrides_with = "random_start")]
    no_random_start: bool,
}

impl StepFlags {
    pub(super) fn apply(&self, layers: &mut Layers) -> Result<()> {
        layers.flag("--steps", "attack.steps", self.steps)?;
        layers.flag("--step-size", "attack.step_size", self.step_size)?;
        layers.flag("--schedule", "attack.schedule", self.schedule.clone())?;
        let start = self.random_start.then_some(true);
        layers.flag("--random-start", "attack.random_start", start)?;
        let start = self.no_random_start.then_some(false);
        layers.flag("--no-random-start", "attack.random_start", start)
    }
}

/// The one attack that `mr aim` and `mr gain` climb with.
#[derive(Debug, Args)]
#[command(next_help_heading = "Attack")]
pub(super) struct SearchFlags {
    /// How to search: pgd, fgsm or another attack that climbs any objective [default: pgd]
    #[arg(long, value_name = "NAME")]
    attack: Option<String>,
    #[command(flatten)]
    steps: StepFlags,
}

impl SearchFlags {
    pub(super) fn apply(&self, layers: &mut Layers) -> Result<()> {
        choose("--attack", self.attack.as_slice(), layers)?;
        pgd_beneath(layers);
        self.steps.apply(layers)
    }
}

/// Sets the attacks to those of a flag, if it names any. One that a file sets up keeps its settings.
pub(super) fn choose(flag: &str, names: &[String], layers: &mut Layers) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let listed = layers.get("attack").and_then(Value::as_array);
    let listed = listed.cloned().unwrap_or_default();
    let named = |name: &String| {
        let is_it = |attack: &&Value| attack.get("type").and_then(Value::as_str) == Some(name);
        listed.iter().find(is_it).cloned().unwrap_or_else(|| {
            let table = [("type".to_string(), name.as_str().into())];
            Value::Table(Table::from_iter(table))
        })
    };
    let chosen: Vec<Value> = names.iter().map(named).collect();
    if chosen == listed {
        return Ok(());
    }
    layers.replace("attack", Value::Array(chosen), flag)
}

/// Where nothing says how to search, PGD does.
pub(super) fn pgd_beneath(layers: &mut Layers) {
    layers.beneath("attack", Value::Array(vec![Table::new().into()]));
    layers.beneath("attack.type", "pgd");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attack_that_is_named_keeps_what_a_file_sets() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        let toml = "[[attack]]\ntype = \"fgsm\"\n[[attack]]\ntype = \"pgd\"\nsteps = 3";
        std::fs::write(&path, toml).unwrap();
        let chosen = |names: &[&str]| {
            let mut layers = Layers::default();
            layers.read(&path).unwrap();
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            choose("--attack", &names, &mut layers).unwrap();
            pgd_beneath(&mut layers);
            Settings::of(layers).unwrap().attack
        };
        let names = |attacks: Vec<AttackConfig>| -> Vec<String> {
            let name = |attack: &AttackConfig| attack.attack().name();
            attacks.iter().map(name).collect()
        };
        assert_eq!(names(chosen(&[])), ["fgsm", "pgd"]);
        assert_eq!(names(chosen(&["ddn", "fgsm"])), ["ddn", "fgsm"]);
        let [AttackConfig::Pgd(pgd)] = &chosen(&["pgd"])[..] else {
            panic!("one attack was named");
        };
        assert_eq!(pgd.steps, 3);
        let mut layers = Layers::default();
        pgd_beneath(&mut layers);
        assert_eq!(names(Settings::of(layers).unwrap().attack), ["pgd"]);
    }
}
