//! What `mr universal` and `mr patch` share: something laid over every example, fitted to some and judged
//! on others.

use anyhow::{Context, Result};
use clap::Args;
use mr_attacks::{
    Attack, AttackError, Evaluation, EvaluationConfig, FitConfig, FitProgress, Goal, ThreatModel,
    Watch, evaluate_with,
};
use mr_metrics::{ExperimentRecord, RecordKind, accuracy};
use mr_models::data::{DataConfig, Dataset, Split, load};
use mr_models::{write_atomic, write_tensors};
use serde_json::{Value, json};

use super::LEVEL;
use crate::console::{Console, Outcome};
use crate::interrupt;
use crate::layout::{Listing, Percent, plural};
use crate::opened::{Begun, Opened, Told};
use crate::output::Output;
use crate::report::png;
use crate::settings::Layers;
use crate::subject::json;

/// Training examples that are fitted to unless it is said how many.
const FIT_LIMIT: i64 = 5000;

#[derive(Debug, Args)]
#[command(next_help_heading = "Fit")]
pub(super) struct FitFlags {
    /// Fit to the first N examples of the training part [default: 5000]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    fit_limit: Option<i64>,
    /// Times that every one of them is seen [default: 5]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    epochs: Option<i64>,
    /// Length of the first step; it falls to 0 [default: a tenth of epsilon, a twentieth for a patch]
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    step_size: Option<f64>,
    /// What to climb: cross-entropy, margin, dlr, kl, squared-error [default: cross-entropy]
    #[arg(long, value_name = "NAME")]
    objective: Option<String>,
    /// Class that every example shall get: a number, next or random [default: any wrong one]
    #[arg(long, value_name = "CLASS")]
    target: Option<String>,
}

impl FitFlags {
    pub(super) fn apply(&self, layers: &mut Layers) -> Result<()> {
        layers.flag("--fit-limit", "fit_limit", self.fit_limit)?;
        layers.flag("--epochs", "fit.epochs", self.epochs)?;
        layers.flag("--step-size", "fit.step_size", self.step_size)?;
        layers.flag("--objective", "fit.objective", self.objective.clone())?;
        layers.flag("--target", "target", self.target.clone())?;
        layers.beneath("fit_limit", FIT_LIMIT);
        Ok(())
    }
}

/// What a perturbation is fitted to, and what for.
pub(super) struct Fit {
    /// The first examples of the training part.
    pub(super) seen: Dataset,
    pub(super) goal: Goal,
    pub(super) config: FitConfig,
}

/// What was fitted.
pub(super) struct Fitted<'a> {
    /// Lays it over examples.
    pub(super) attack: &'a dyn Attack,
    pub(super) threat: &'a ThreatModel,
    /// What files of it are called.
    pub(super) name: &'a str,
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
    /// The same as a picture of values in `[0, 1]`, where it is one.
    pub(super) picture: Option<([usize; 3], Vec<f32>)>,
}

impl Fit {
    pub(super) fn of(opened: &Opened) -> Result<Self> {
        opened.classifies()?;
        let settings = &opened.settings;
        let seen = DataConfig {
            limit: settings.fit_limit,
            ..settings.data.clone()
        };
        let seen = load(&seen, Split::Train).context("the data to fit to")?;
        opened.subject.takes(&seen)?;
        let goal = settings.target.clone();
        Ok(Self {
            seen,
            goal: goal.map_or(Goal::Untargeted, Goal::Targeted),
            config: FitConfig {
                threads: settings.evaluation.threads,
                ..settings.fit.clone()
            },
        })
    }

    /// Drafts the record and opens its folder. `own` is what is fitted: a threat or a patch.
    pub(super) fn begin<'a>(
        &self,
        opened: &'a Opened,
        kind: RecordKind,
        own: (&str, Value),
    ) -> Result<Begun<'a>> {
        let settings = &opened.settings;
        let mut config = json!({
            "fit": json(&self.config)?,
            "fit_limit": settings.fit_limit,
            "goal": self.goal.name(),
            "evaluation": json(&settings.evaluation)?,
        });
        config[own.0] = own.1;
        let mut begun = opened.begin(kind, config)?;
        if settings.split == Split::Train {
            let warnings = &mut begun.record.warnings;
            warnings.push("judged on the part that it was fitted to; --split test is not".into());
        }
        interrupt::catch();
        Ok(begun)
    }

    /// Judges what was fitted, and leaves it in the folder.
    pub(super) fn finish(
        &self,
        opened: &Opened,
        mut begun: Begun<'_>,
        fitted: &Fitted<'_>,
        console: &Console,
    ) -> Result<Outcome> {
        let found = match self.judge(opened, fitted, console) {
            Err(AttackError::Stopped) if interrupt::asked() => return Ok(stopped(console)),
            found => found?,
        };
        let clean = accuracy(&found.clean_mask(), LEVEL)?;
        let robust = accuracy(&found.robust_mask(), LEVEL)?;
        let right = found.examples.iter().filter(|e| e.clean == e.label);
        let broken: Vec<bool> = right.map(|e| e.success).collect();
        let record = &mut begun.record;
        record.number("clean_accuracy", clean);
        record.number("robust_accuracy", robust);
        let mut listing = Listing::new(opened.title_under(fitted.threat));
        listing.line("fitted to", plural(self.seen.len(), "training example"));
        listing.line("clean accuracy", Percent(clean));
        listing.line("robust accuracy", Percent(robust));
        if !broken.is_empty() {
            let success = accuracy(&broken, LEVEL)?;
            record.number("success_rate", success);
            listing.line("broken of those right", Percent(success));
        }
        if let Some(output) = &begun.output {
            save(output, &mut begun.record, fitted)?;
        }
        let mut object = begun.object();
        object["fitted_to"] = self.seen.len().into();
        let told = Told {
            listing,
            examples: None,
            object,
        };
        begun.finish(told, console)
    }

    fn judge(
        &self,
        opened: &Opened,
        fitted: &Fitted<'_>,
        console: &Console,
    ) -> Result<Evaluation, AttackError> {
        let bar = console.bar("judged", opened.data.len());
        let config = EvaluationConfig {
            keep: false,
            ..opened.settings.evaluation.clone()
        };
        let watch = Watch {
            journal: None,
            progress: &mut |now| {
                bar.share(now.done, "robust", now.robust, now.examples);
                !interrupt::asked()
            },
        };
        evaluate_with(
            opened.subject.model(),
            &opened.data,
            fitted.threat,
            &self.goal,
            &[fitted.attack],
            &config,
            watch,
        )
    }
}

/// Tells of the progress of a fit.
pub(super) fn watch(console: &Console) -> impl FnMut(FitProgress) -> bool {
    let mut bar = None;
    move |now| {
        let bar = bar.get_or_insert_with(|| console.bar("fit", now.total));
        bar.at(now.done, || format!("reached {:.1} %", 100.0 * now.reached));
        !interrupt::asked()
    }
}

/// What is said where Ctrl-C ended a fit or its judgement.
pub(super) fn stopped(console: &Console) -> Outcome {
    console.note("stopped; nothing is kept");
    Outcome::Interrupted
}

/// Writes it as numbers and, where it is one, as a picture.
fn save(output: &Output, record: &mut ExperimentRecord, fitted: &Fitted<'_>) -> Result<()> {
    let name = fitted.name;
    let file = format!("{name}.safetensors");
    let tensor = (name.into(), fitted.shape.clone(), fitted.values.clone());
    write_tensors(&output.path(&file), &[tensor], &[])?;
    record.artifacts.insert(name.into(), file);
    let picture = fitted.picture.as_ref();
    if let Some(bytes) = picture.and_then(|(shape, values)| png::encoded(values, *shape)) {
        let file = format!("{name}.png");
        let path = output.path(&file);
        write_atomic(&path, &bytes).with_context(|| path.display().to_string())?;
        record.artifacts.insert("picture".into(), file);
    }
    Ok(())
}
