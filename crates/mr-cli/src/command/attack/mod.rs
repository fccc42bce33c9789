//! `mr attack`.

mod flags;
mod result;
mod samples;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use mr_attacks::{
    Attack, AttackError, Evaluation, EvaluationConfig, Goal, ThreatModel, Watch, evaluate_with,
};
use mr_metrics::RecordKind;
use mr_models::Model;
use mr_models::data::{Dataset, load};
use serde_json::json;

use crate::console::{Console, Outcome};
use crate::output::{Output, draft};
use crate::settings::Settings;
use crate::subject::{Subject, json};

pub(crate) use flags::Arguments;
use result::Attacked;

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let mut layers = arguments.layers()?;
    let (subject, device) = Subject::open(&arguments.model, &mut layers)?;
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
    let goal = settings
        .target
        .clone()
        .map_or(Goal::Untargeted, Goal::Targeted);
    check(&subject, threat, &goal, &settings)?;
    if let Some(path) = &arguments.save {
        writable(path)?;
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

    let run = Run {
        subject: &subject,
        data: &data,
        goal: &goal,
        settings: &settings,
        console,
    };
    let started = Instant::now();
    let keep = arguments.save.is_some() || output.is_some();
    let attacked = run.all(threat, keep)?;
    let result = Attacked {
        subject: &subject,
        data: &data,
        threat,
        goal: &goal,
        settings: &settings,
        device: &device.name,
        main: &attacked.main,
        curve: &attacked.curve,
        seconds: started.elapsed().as_secs_f64(),
    };
    result.fill(&mut record)?;
    if let Some(path) = &arguments.save {
        samples::save(path, &subject, &data, threat, &attacked.main)?;
    }
    if let Some(output) = &output {
        let file = output.path(samples::FILE);
        if samples::save_few(&file, &data, threat, &attacked.main)? {
            record
                .artifacts
                .insert("samples".into(), samples::FILE.into());
        }
        output.write(&record)?;
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

/// Finds out before anything is written or computed whether all of it fits the network.
fn check(
    subject: &Subject,
    threat: &ThreatModel,
    goal: &Goal,
    settings: &Settings,
) -> Result<(), AttackError> {
    let spec = subject.network.spec();
    threat.fits(spec)?;
    for &epsilon in &settings.epsilons {
        threat.with_epsilon(epsilon as f32).fits(spec)?;
    }
    goal.fits(spec.classes)?;
    for attack in &settings.attack {
        attack.attack().fits(spec, threat)?;
    }
    Ok(())
}

struct Run<'a> {
    subject: &'a Subject,
    data: &'a Dataset,
    goal: &'a Goal,
    settings: &'a Settings,
    console: &'a Console,
}

struct All {
    main: Evaluation,
    /// By epsilon, in rising order.
    curve: Vec<(f64, Evaluation)>,
}

impl Run<'_> {
    fn all(&self, threat: &ThreatModel, keep: bool) -> Result<All, AttackError> {
        let main = self.one(threat, keep)?;
        let mut epsilons = self.settings.epsilons.clone();
        epsilons.sort_by(f64::total_cmp);
        epsilons.dedup();
        let mut curve = Vec::new();
        for epsilon in epsilons {
            let there = threat.with_epsilon(epsilon as f32);
            let found = if there == *threat {
                Evaluation {
                    points: None,
                    ..main.clone()
                }
            } else {
                self.one(&there, false)?
            };
            curve.push((epsilon, found));
        }
        Ok(All { main, curve })
    }

    fn one(&self, threat: &ThreatModel, keep: bool) -> Result<Evaluation, AttackError> {
        let attacks: Vec<&dyn Attack> = self
            .settings
            .attack
            .iter()
            .map(mr_attacks::AttackConfig::attack)
            .collect();
        let config = EvaluationConfig {
            keep: keep || self.settings.evaluation.keep,
            ..self.settings.evaluation.clone()
        };
        let what = format!("{} {}", threat.norm, threat.epsilon);
        let bar = self.console.bar(&what, self.data.len());
        evaluate_with(
            &self.subject.network,
            self.data,
            threat,
            self.goal,
            &attacks,
            &config,
            Watch {
                journal: None,
                progress: &mut |now| {
                    bar.at(now.done, || {
                        format!(
                            "{} robust {:.1} %",
                            now.attack,
                            100.0 * now.robust as f64 / now.examples as f64
                        )
                    });
                    true
                },
            },
        )
    }
}

/// Finds out before the attack whether its examples can be written.
pub(super) fn writable(path: &Path) -> Result<()> {
    let context = || format!("--save {}: cannot write there", path.display());
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder).with_context(context)?;
    tempfile::tempfile_in(folder).with_context(context)?;
    Ok(())
}
