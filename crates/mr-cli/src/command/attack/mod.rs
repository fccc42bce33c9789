//! `mr attack`.

mod flags;
mod result;
mod robustbench;
mod running;
mod samples;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use mr_attacks::{
    Attack, AttackConfig, AttackError, Goal, ThreatModel, Transfer, flags_of_attacks,
    flags_of_model, flags_of_result,
};
use mr_metrics::RecordKind;
use mr_models::data::load;
use mr_models::{Model, Network};
use serde_json::json;

use super::checklist::{self, Asked};
use crate::console::{Console, Outcome};
use crate::interrupt;
use crate::output::{Output, draft};
use crate::settings::Settings;
use crate::subject::{self, Subject, json};

pub(crate) use flags::Arguments;
use result::Attacked;
use running::{Run, states};

/// Examples that are looked at for what should make one doubt the outcome.
const LOOKED_AT: usize = 128;

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let mut layers = arguments.layers()?;
    let (subject, device) = Subject::open(&arguments.model, &mut layers)?;
    if arguments.checklist {
        layers.beneath("data.limit", checklist::EXAMPLES);
    }
    let settings = Settings::of(layers)?;
    let Some(threat) = &settings.threat else {
        bail!("no threat: give --epsilon (and --norm), or a [threat] table");
    };
    if subject.is_autoencoder() {
        bail!(
            "{}: an autoencoder classifies nothing; `mr measure` has the attack on it",
            subject.path
        );
    }
    let data = load(&settings.data, settings.split)?;
    subject.takes(&data)?;
    if arguments.checklist {
        let source = source(arguments, &device.device)?;
        let asked = Asked {
            subject: &subject,
            source,
            data: &data,
            threat,
            settings: &settings,
            device: &device.name,
            overwrite: arguments.common.overwrite,
        };
        return asked.run(console);
    }
    let goal = settings
        .target
        .clone()
        .map_or(Goal::Untargeted, Goal::Targeted);
    let attacks = attacks(arguments, &settings, threat, &device.device)?;
    check(&subject, threat, &goal, &attacks, &settings)?;
    for (flag, path) in [
        ("--save", &arguments.save),
        ("--robustbench", &arguments.robustbench),
    ] {
        if let Some(path) = path {
            writable(flag, path)?;
        }
    }

    let config = json!({
        "data": json(&settings.data)?,
        "split": settings.split,
        "threat": json(threat)?,
        "goal": goal.name(),
        "attack": json(&settings.attack)?,
        "epsilons": settings.epsilons,
        "evaluation": json(&settings.evaluation)?,
        "trained": subject.trained,
    });
    let seed = settings.seed.unwrap_or(0);
    let name = settings.name.as_deref();
    let mut record = draft(RecordKind::Attack, name, config, seed, &device.name);
    let overwrite = arguments.common.overwrite;
    let output = settings.out.as_ref();
    let output = output
        .map(|out| Output::open(out, &record, overwrite))
        .transpose()?;

    let state = states(arguments.state.as_ref(), &settings);
    let run = Run {
        subject: &subject,
        data: &data,
        goal: &goal,
        attacks: &attacks,
        settings: &settings,
        state: state.clone(),
        device: &device.name,
        console,
    };
    let started = Instant::now();
    let mut flags = flags_of_model(subject.model(), &data, LOOKED_AT)?;
    let keep = arguments.save.is_some() || output.is_some();
    let attacked = match run.all(threat, keep) {
        Err(AttackError::Stopped) if interrupt::asked() => {
            if let Some(state) = &state {
                console.note(format!(
                    "stopped; what is finished lies in {}: the same command goes on from there",
                    state.display()
                ));
            }
            return Ok(Outcome::Interrupted);
        }
        attacked => attacked?,
    };
    let members: Vec<AttackConfig> = settings
        .attack
        .iter()
        .flat_map(|attack| attack.members(threat.norm))
        .collect();
    flags.extend(flags_of_attacks(subject.model().spec(), &members));
    flags.extend(flags_of_result(&attacked.main));
    let result = Attacked {
        subject: &subject,
        data: &data,
        threat,
        goal: &goal,
        settings: &settings,
        device: &device.name,
        main: &attacked.main,
        curve: &attacked.curve,
        flags: &flags,
        seconds: started.elapsed().as_secs_f64(),
    };
    result.fill(&mut record)?;
    if let Some(path) = &arguments.save {
        samples::save(path, &subject, &data, threat, &attacked.main)?;
    }
    if let Some(path) = &arguments.robustbench {
        robustbench::write(path, &subject, &data, threat, &attacked.main)?;
    }
    if let Some(output) = &output {
        let file = output.path(samples::FILE);
        if samples::save_few(&file, &data, threat, &attacked.main)? {
            record
                .artifacts
                .insert("samples".into(), samples::FILE.into());
        }
        output.write(&record)?;
        if arguments.state.is_none() {
            // Nothing is left to go on with.
            let _ = state.map(std::fs::remove_dir_all);
        }
    }
    console.say(result.listing()?);
    if arguments.per_example {
        console.say(result.examples());
    }
    for warning in &record.warnings {
        console.warn(warning);
    }
    if console.is_json() {
        console.object(&result.object(arguments.per_example)?)?;
    }
    Ok(Outcome::Done)
}

/// The network that attacks are transferred from, if there is one.
fn source(arguments: &Arguments, device: &burn::tensor::Device) -> Result<Option<Network>> {
    let Some(path) = &arguments.transfer_from else {
        return Ok(None);
    };
    let arch = arguments.model.arch.as_deref();
    let saved = subject::load(&subject::locate(path)?, arch, None, device);
    Ok(Some(saved.context("--transfer-from")?.network))
}

/// The attacks that run one after the other: the members of ensembles, from another network if they
/// are to be transferred.
fn attacks(
    arguments: &Arguments,
    settings: &Settings,
    threat: &ThreatModel,
    device: &burn::tensor::Device,
) -> Result<Vec<Box<dyn Attack>>> {
    let members = settings
        .attack
        .iter()
        .flat_map(|attack| attack.members(threat.norm));
    let Some(source) = source(arguments, device)? else {
        return Ok(members.map(mr_attacks::AttackConfig::boxed).collect());
    };
    let source: std::sync::Arc<dyn Model> = std::sync::Arc::new(source);
    let attacks = members.map(|attack| -> Box<dyn Attack> {
        Box::new(Transfer {
            source: source.clone(),
            attack: attack.boxed().into(),
        })
    });
    Ok(attacks.collect())
}

/// Finds out before anything is written or computed whether all of it fits the network.
fn check(
    subject: &Subject,
    threat: &ThreatModel,
    goal: &Goal,
    attacks: &[Box<dyn Attack>],
    settings: &Settings,
) -> Result<(), AttackError> {
    let spec = subject.model().spec();
    threat.fits(spec)?;
    for &epsilon in &settings.epsilons {
        threat.with_epsilon(epsilon as f32).fits(spec)?;
    }
    goal.fits(spec.classes)?;
    attacks
        .iter()
        .try_for_each(|attack| attack.fits(spec, threat))
}

/// Finds out before the attack whether its results can be written.
pub(super) fn writable(flag: &str, path: &Path) -> Result<()> {
    let context = || format!("{flag} {}: cannot write there", path.display());
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder).with_context(context)?;
    tempfile::tempfile_in(folder).with_context(context)?;
    Ok(())
}
