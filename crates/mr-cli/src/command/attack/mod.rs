//! `mr attack`.

mod flags;
mod result;
mod robustbench;
mod running;
mod samples;

use std::sync::Arc;

use anyhow::Result;
use mr_attacks::{
    Attack, AttackConfig, AttackError, Goal, Transfer, flags_of_attacks, flags_of_model,
    flags_of_result,
};
use mr_metrics::RecordKind;
use mr_models::{Model, Network};
use serde_json::json;

use super::checklist;
use crate::console::{Console, Outcome};
use crate::interrupt;
use crate::opened::{Opened, Told};
use crate::output::writable;
use crate::subject::{digest, json};

pub(crate) use flags::Arguments;
use result::Attacked;
pub(crate) use running::Run;
pub(super) use running::states;
pub(super) use samples::save;

/// Examples that are looked at for what should make one doubt the outcome.
const LOOKED_AT: usize = 128;

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let opened = Opened::of(&arguments.on, &arguments.running, |layers| {
        arguments.apply(layers)
    })?;
    let (settings, subject, data) = (&opened.settings, &opened.subject, &opened.data);
    let threat = opened.threat()?;
    opened.classifies()?;
    let from = arguments.transfer_from.as_ref();
    let source = opened.other("--transfer-from", from)?;
    if arguments.checklist {
        return checklist::ask(&opened, source, from, arguments.state.as_ref(), console);
    }
    let goal = settings
        .target
        .clone()
        .map_or(Goal::Untargeted, Goal::Targeted);
    let transfer = source.as_ref().map(digest);
    let attacks = attacks(&opened, source)?;
    check(&opened, &goal, &attacks)?;
    writable("--save", arguments.save.as_ref())?;
    writable("--robustbench", arguments.robustbench.as_ref())?;

    let mut config = json!({
        "threat": json(threat)?,
        "goal": goal.name(),
        "attack": json(&settings.attack)?,
        "epsilons": settings.epsilons,
        "evaluation": json(&settings.evaluation)?,
    });
    if let Some(from) = from {
        config["transfer_from"] = json!(from);
    }
    let mut begun = opened.begin(RecordKind::Attack, config)?;
    let state = states(arguments.state.as_ref(), settings);
    let run = Run {
        opened: &opened,
        data,
        goal: &goal,
        attacks: &attacks,
        transfer,
        state: state.clone(),
        epsilons: &settings.epsilons,
        keep: arguments.save.is_some() || begun.output.is_some(),
        console,
    };
    let mut flags = flags_of_model(subject.model(), data, LOOKED_AT)?;
    let found = match run.all(threat) {
        Err(AttackError::Stopped) if interrupt::asked() => {
            if let Some(state) = &state {
                console.note(format!(
                    "stopped; what is finished lies in {}: the same command goes on from there",
                    state.display()
                ));
            }
            return Ok(Outcome::Interrupted);
        }
        found => found?,
    };
    let members: Vec<AttackConfig> = members(&opened)?.collect();
    flags.extend(flags_of_attacks(subject.model().spec(), &members));
    flags.extend(flags_of_result(&found.main));
    let result = Attacked {
        opened: &opened,
        threat,
        goal: &goal,
        main: &found.main,
        curve: &found.curve,
        flags: &flags,
    };
    result.fill(&mut begun.record)?;
    if let Some(path) = &arguments.save {
        save(path, &opened, threat, found.main.points.as_deref())?;
    }
    if let Some(path) = &arguments.robustbench {
        robustbench::write(path, &opened, threat, &found.main)?;
    }
    if let Some(output) = &begun.output
        && samples::save_few(&output.path(samples::FILE), data, threat, &found.main)?
    {
        let name = samples::FILE.to_string();
        begun.record.artifacts.insert("samples".into(), name);
    }
    let told = Told {
        listing: result.listing()?,
        examples: arguments.per_example.then(|| result.examples()),
        object: result.object(arguments.per_example)?,
    };
    let outcome = begun.finish(told, console)?;
    if begun.output.is_some() && arguments.state.is_none() {
        // Nothing is left to go on with.
        let _ = state.map(std::fs::remove_dir_all);
    }
    Ok(outcome)
}

/// The attacks that run one after the other: the members of ensembles.
fn members(opened: &Opened) -> Result<impl Iterator<Item = AttackConfig> + use<'_>> {
    let norm = opened.threat()?.norm;
    let attacks = opened.settings.attack.iter();
    Ok(attacks.flat_map(move |attack| attack.members(norm)))
}

/// Those attacks, from another network if they are to be transferred.
fn attacks(opened: &Opened, source: Option<Network>) -> Result<Vec<Box<dyn Attack>>> {
    let members = members(opened)?;
    let Some(source) = source else {
        return Ok(members.map(AttackConfig::boxed).collect());
    };
    let source: Arc<dyn Model> = Arc::new(source);
    let attacks = members.map(|attack| -> Box<dyn Attack> {
        Box::new(Transfer {
            source: source.clone(),
            attack: attack.boxed().into(),
        })
    });
    Ok(attacks.collect())
}

/// Finds out before anything is written or computed whether all of it fits the network.
fn check(opened: &Opened, goal: &Goal, attacks: &[Box<dyn Attack>]) -> Result<()> {
    let spec = opened.subject.model().spec();
    let threat = opened.threat()?;
    threat.fits(spec)?;
    for &epsilon in &opened.settings.epsilons {
        threat.with_epsilon(epsilon as f32).fits(spec)?;
    }
    goal.fits(spec.classes)?;
    for attack in attacks {
        attack.fits(spec, threat)?;
    }
    Ok(())
}
