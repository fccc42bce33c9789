//! `mr universal`.

use anyhow::Result;
use clap::Args;
use mr_attacks::{AttackError, Fixed, Place, fit_universal};
use mr_metrics::RecordKind;
use mr_models::InputKind;

use super::fitted::{Fit, FitFlags, Fitted, stopped, watch};
use super::threat::ThreatFlags;
use crate::console::{Console, Outcome};
use crate::interrupt;
use crate::opened::Opened;
use crate::settings::RunFlags;
use crate::subject::{SubjectFlags, json};

/// Name of the perturbation in its folder and of the tensor in its file.
const NAME: &str = "perturbation";

/// Fit one perturbation for all examples, and judge it on others
///
/// Fitted to the training part (Moosavi-Dezfooli et al. 2017, by the ascent of Shafahi et al. 2020),
/// judged on the test part. --out keeps it: perturbation.safetensors, and as a picture
/// perturbation.png, where grey is no change.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr universal --model runs/half --epsilon 0.1
  mr universal --model runs/half --norm l2 --epsilon 3 --fit-limit 2000 --limit 1000 --json
  mr universal --model runs/half --epsilon 0.2 --target 3 --epochs 10 --out runs/half-universal
  mr universal --model runs/half --place conv2.hook_out --norm l2 --epsilon 5")]
pub(crate) struct Arguments {
    #[command(flatten)]
    on: SubjectFlags,
    #[command(flatten)]
    threat: ThreatFlags,
    #[command(flatten)]
    fit: FitFlags,
    #[command(flatten)]
    running: RunFlags,
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let opened = Opened::of(&arguments.on, &arguments.running, |layers| {
        arguments.threat.apply(layers)?;
        arguments.fit.apply(layers)
    })?;
    let threat = opened.threat()?;
    let fit = Fit::of(&opened)?;
    let begun = fit.begin(&opened, RecordKind::Universal, ("threat", json(threat)?))?;
    let model = opened.subject.model();
    let found = fit_universal(
        model,
        &fit.seen,
        threat,
        &fit.goal,
        &fit.config,
        &mut watch(console),
    );
    let values = match found {
        Err(AttackError::Stopped) if interrupt::asked() => return Ok(stopped(console)),
        found => found?,
    };
    let (shape, picture) = match (&threat.place, model.spec().input) {
        (Place::Input, InputKind::Real { shape }) => (shape.into(), Some((shape, grey(&values)))),
        (Place::Site(name), _) => {
            let site = model.spec().site(name)?;
            (vec![site.positions, site.channels], None)
        }
        (Place::Input, InputKind::Tokens { .. }) => (vec![values.len()], None),
    };
    let attack = Fixed {
        perturbation: values.clone().into(),
    };
    let fitted = Fitted {
        attack: &attack,
        threat,
        name: NAME,
        shape,
        values,
        picture,
    };
    fit.finish(&opened, begun, &fitted, console)
}

/// Changes as shades: grey for none, black and white for the largest.
fn grey(values: &[f32]) -> Vec<f32> {
    let largest = values
        .iter()
        .fold(0.0f32, |most, value| most.max(value.abs()));
    let scale = if largest > 0.0 { 0.5 / largest } else { 0.0 };
    values.iter().map(|value| 0.5 + scale * value).collect()
}

#[cfg(test)]
mod tests {
    use super::grey;

    #[test]
    fn shades_of_a_perturbation() {
        assert_eq!(grey(&[0.0, 0.2, -0.1]), [0.5, 1.0, 0.25]);
        assert_eq!(grey(&[0.0]), [0.5]);
    }
}
