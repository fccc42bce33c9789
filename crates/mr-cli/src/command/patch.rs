//! `mr patch`.

use anyhow::{Context, Result, bail};
use clap::Args;
use mr_attacks::{Attack, AttackError, LaidPatch, Patch, fit_patch};
use mr_metrics::RecordKind;
use toml::{Table, Value};

use super::fitted::{Fit, FitFlags, Fitted, stopped, watch};
use crate::console::{Console, Outcome};
use crate::interrupt;
use crate::opened::Opened;
use crate::settings::{Layers, RunFlags};
use crate::subject::{SubjectFlags, json};

/// Name of the patch in its folder and of the tensor in its file.
const NAME: &str = "patch";

/// Fit one patch for all images, and judge it on others
///
/// Fitted to the training part (Brown et al. 2017, without their rotations and scales), judged on the
/// test part: at its place, or at places drawn for each image. --out keeps it: patch.safetensors, and as
/// a picture patch.png.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr patch --model runs/half
  mr patch --model runs/half --size 5x5 --target 3 --fit-limit 2000 --limit 1000 --json
  mr patch --model runs/half --size 6 --at 0,0 --out runs/half-patch
  mr patch --model runs/half --size 6 --places 10")]
pub(crate) struct Arguments {
    #[command(flatten)]
    on: SubjectFlags,
    #[command(flatten)]
    patch: PatchFlags,
    #[command(flatten)]
    fit: FitFlags,
    #[command(flatten)]
    running: RunFlags,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Patch")]
struct PatchFlags {
    /// Rows and columns, or the side of a square [default: 8x8]
    #[arg(long, value_name = "ROWSxCOLUMNS")]
    size: Option<String>,
    /// Row and column of its top left corner [default: anywhere, drawn for each image]
    #[arg(long, value_name = "ROW,COLUMN")]
    at: Option<String>,
    /// Places that are tried for each image, of which the worst counts [default: 1]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    places: Option<i64>,
}

impl PatchFlags {
    fn apply(&self, layers: &mut Layers) -> Result<()> {
        if let Some(text) = &self.size {
            let [rows, columns] = match text.split_once('x') {
                Some((rows, columns)) => [rows, columns],
                None => [text.as_str(); 2],
            };
            let size = numbers([rows, columns]);
            let size = size.with_context(|| format!("--size {text}: must be as 5x8, or as 6"))?;
            layers.put("patch.size", size.to_vec().into(), "--size")?;
        }
        if let Some(text) = &self.at {
            let corner = text.split_once(',');
            let corner = corner.and_then(|(row, column)| numbers([row, column]).ok());
            let Some([top, left]) = corner else {
                bail!("--at {text}: must be a row and a column, as 0,4");
            };
            let corner = [("top", top), ("left", left)];
            let corner = corner.map(|(key, value)| (key.to_string(), Value::Integer(value)));
            let at = Value::Table(Table::from_iter(corner));
            let place = Table::from_iter([("at".to_string(), at)]);
            layers.put("patch.place", place.into(), "--at")?;
        }
        layers.flag("--places", "patch.places", self.places)
    }
}

fn numbers(texts: [&str; 2]) -> Result<[i64; 2]> {
    let [first, second] = texts.map(|text| text.trim().parse());
    Ok([first?, second?])
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let opened = Opened::of(&arguments.on, &arguments.running, |layers| {
        arguments.patch.apply(layers)?;
        arguments.fit.apply(layers)
    })?;
    let model = opened.subject.model();
    let wanted = &opened.settings.patch;
    let blank = Patch::blank(wanted.size, wanted.place, model.spec())?;
    let threat = blank.threat(model.spec())?;
    let laid = |patch| LaidPatch {
        patch,
        places: wanted.places,
    };
    // What could not be judged is not fitted.
    laid(blank.clone()).fits(model.spec(), &threat)?;
    let fit = Fit::of(&opened)?;
    let begun = fit.begin(&opened, RecordKind::Patch, ("patch", json(wanted)?))?;
    let found = fit_patch(
        model,
        &fit.seen,
        blank,
        &fit.goal,
        &fit.config,
        &mut watch(console),
    );
    let patch = match found {
        Err(AttackError::Stopped) if interrupt::asked() => return Ok(stopped(console)),
        found => found?,
    };
    let (shape, values) = (patch.shape, patch.values.clone());
    let attack = laid(patch);
    let fitted = Fitted {
        attack: &attack,
        threat: &threat,
        name: NAME,
        shape: shape.into(),
        picture: Some((shape, values.clone())),
        values,
    };
    fit.finish(&opened, begun, &fitted, console)
}
