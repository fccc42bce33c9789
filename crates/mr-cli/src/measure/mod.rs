//! What `mr measure` measures, and the names of its numbers.
//!
//! | of | numbers |
//! |---|---|
//! | a toy's W | `superposition.` `features_per_dimension`, `dimensions_per_feature`, `strong_features`, `dimensionality_median`, `capacity_median`, `interference_median`, `coherence_max`, `coherence_mean`, `sum_squared_norms`, `F_w`, `F_w_per_dimension`, `F_w_by_norm`; series `superposition.norms`, `.dimensionality`, `.interference` by feature, strongest first |
//! | a toy autoencoder | `vulnerability.one_direction`, `vulnerability.worst_per_sample`: V, the damage in units of that to a model without superposition at the same density and lambda; each with `_per_lambda2`, `_raw`, `_control_raw`, `_clean`, `_attacked`, `_lambda` |
//! | a toy classifier | the same pieces of its cross-entropy without V and `_control_raw`, and `_accuracy` |
//! | a classifier | `clean_accuracy`; `saliency.alignment`, `saliency.cosine`, `saliency.undefined` |
//! | a classifier, where `[threat]` and `[attack]` are set | `robust_accuracy`; `robust_at.EPSILON` for each of `epsilons` |
//! | each site | `effective_features.SITE.` `F`, `psi`, `explained`, `l0`, `dead`, `squared_error`; with several lambdas also `effective_features.SITE.lambda_0.01.F` and so on |
//! | each site | `spectrum.SITE.` `effective_rank`, `participation_ratio`, `units`, `samples` |
//!
//! `_median`s are over features whose norm exceeds `strong`.

mod classifier;
mod config;
mod features;
mod robust;
mod toy;

use anyhow::Result;
use mr_metrics::ExperimentRecord;
use mr_models::{Architecture, Model};

pub(crate) use config::MeasureConfig;

use crate::console::Console;
use crate::opened::Opened;
use crate::subject::Subject;

/// Measures everything that the settings ask for and the network has. The sites whose activations
/// are looked at are checked by [`sites`] first.
pub(crate) fn measure(
    opened: &Opened,
    sites: &[String],
    record: &mut ExperimentRecord,
    console: &Console,
) -> Result<()> {
    let (subject, data, settings) = (&opened.subject, &opened.data, &opened.settings);
    if let Architecture::Toy(toy) = subject.network.architecture() {
        toy::measure(subject, toy, data, &settings.measure, record)?;
    }
    if !subject.is_autoencoder() {
        classifier::measure(subject, data, settings, record, console)?;
        if settings.threat.is_some() && !settings.attack.is_empty() {
            robust::measure(opened, record, console)?;
        }
    }
    features::measure(subject, data, settings, sites, record, console)
}

/// The sites whose activations are looked at, each of which the network has.
pub(crate) fn sites(subject: &Subject, config: &MeasureConfig) -> Result<Vec<String>> {
    let spec = subject.network.spec();
    if !config.sites.is_empty() {
        for name in &config.sites {
            spec.site(name)?;
        }
        return Ok(config.sites.clone());
    }
    if matches!(subject.network.architecture(), Architecture::Toy(_)) {
        return Ok(vec!["hook_hidden".into()]);
    }
    let (_, inner) = spec.sites.split_last().unzip();
    let inner = inner.unwrap_or_default().iter();
    let names = inner.map(|site| site.name.clone());
    Ok(names.filter(|name| name.ends_with("hook_out")).collect())
}
