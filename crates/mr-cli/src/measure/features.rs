//! Sites: how many features their activations hold, and how many dimensions they use.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail};
use mr_metrics::superposition::{Spectrum, effective_number};
use mr_metrics::{ExperimentRecord, Number};
use mr_models::data::Dataset;
use mr_models::{Model, Workers};
use mr_train::{Activations, DictionaryConfig, DictionaryStats, fit_tied};

use crate::console::Console;
use crate::settings::Settings;
use crate::subject::Subject;

/// Samples that a spectrum takes at a time.
const CHUNK: usize = 4096;

/// One dictionary that is to be fitted.
struct Job {
    site: usize,
    lambda: f32,
    seed: u64,
}

pub(super) fn measure(
    subject: &Subject,
    data: &Dataset,
    settings: &Settings,
    sites: &[String],
    record: &mut ExperimentRecord,
    console: &Console,
) -> Result<()> {
    let config = &settings.measure;
    if !config.effective_features && !config.spectrum {
        return Ok(());
    }
    let bar = console.bar("activations", sites.len());
    let mut activations = Vec::with_capacity(sites.len());
    for site in sites {
        bar.at(activations.len(), || site.clone());
        let of = Activations::of_site(&subject.network, data, site, config.samples, config.seed);
        activations.push(of.with_context(|| format!("measure: site `{site}`"))?);
    }
    drop(bar);
    if config.spectrum {
        let bar = console.bar("spectrum", sites.len());
        for (done, (site, activations)) in sites.iter().zip(&activations).enumerate() {
            bar.at(done, || site.clone());
            spectrum(subject, site, activations, record)?;
        }
    }
    if config.effective_features {
        effective_features(subject, settings, sites, &activations, record, console)?;
    }
    Ok(())
}

fn spectrum(
    subject: &Subject,
    site: &str,
    activations: &Activations,
    record: &mut ExperimentRecord,
) -> Result<()> {
    let device = subject.network.device();
    let mut spectrum = Spectrum::new(activations.width());
    let rows: Vec<usize> = (0..activations.count()).collect();
    for rows in rows.chunks(CHUNK) {
        spectrum.add(activations.select(rows, &device))?;
    }
    for (name, value) in [
        ("effective_rank", spectrum.effective_rank()?),
        ("participation_ratio", spectrum.participation_ratio()?),
        ("units", activations.width() as f64),
        ("samples", activations.count() as f64),
    ] {
        record.number(&format!("spectrum.{site}.{name}"), value);
    }
    Ok(())
}

fn effective_features(
    subject: &Subject,
    settings: &Settings,
    sites: &[String],
    activations: &[Activations],
    record: &mut ExperimentRecord,
    console: &Console,
) -> Result<()> {
    let config = &settings.measure;
    if config.dictionaries == 0 {
        bail!("measure.dictionaries is 0, must be at least 1");
    }
    let lambdas = if config.lambdas.is_empty() {
        vec![config.dictionary.lambda]
    } else {
        config.lambdas.clone()
    };
    let mut jobs = Vec::new();
    for site in 0..sites.len() {
        for &lambda in &lambdas {
            for more in 0..config.dictionaries as u64 {
                let seed = config.dictionary.seed.wrapping_add(config.seed);
                let seed = seed.wrapping_add(more);
                jobs.push(Job { site, lambda, seed });
            }
        }
    }
    let device = subject.network.device();
    let bar = console.bar("dictionaries", jobs.len());
    let done = AtomicUsize::new(0);
    let workers = Workers::new(settings.evaluation.threads);
    let fitted = workers.map(jobs.len(), |job| {
        let Job { site, lambda, seed } = jobs[job];
        let dictionary = DictionaryConfig {
            seed,
            lambda,
            ..config.dictionary.clone()
        };
        bar.at(done.load(Ordering::Relaxed), || sites[site].clone());
        let fitted = fit_tied(&activations[site], &dictionary, &device);
        bar.at(done.fetch_add(1, Ordering::Relaxed) + 1, || {
            sites[site].clone()
        });
        fitted.map(|fitted| fitted.stats)
    });
    let fitted = fitted.context("measure.dictionary")?;
    let mut groups = fitted.chunks(config.dictionaries);
    for (site, activations) in sites.iter().zip(activations) {
        for (i, lambda) in lambdas.iter().enumerate() {
            let group = groups.next().expect("a group per site and penalty");
            let prefix = format!("effective_features.{site}");
            if i == 0 {
                put(group, activations.width(), &prefix, record)?;
            }
            if lambdas.len() > 1 {
                let prefix = format!("{prefix}.lambda_{lambda}");
                put(group, activations.width(), &prefix, record)?;
            }
        }
    }
    Ok(())
}

/// The means over the dictionaries of one site and penalty.
fn put(
    group: &[DictionaryStats],
    units: usize,
    prefix: &str,
    record: &mut ExperimentRecord,
) -> Result<()> {
    let features: Vec<f64> = group
        .iter()
        .map(|stats| effective_number(&stats.activity))
        .collect::<Result<_, _>>()?;
    let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / group.len() as f64;
    let f = mean(&mut features.iter().copied());
    for (name, value) in [
        ("F", f),
        ("psi", f / units as f64),
        (
            "explained",
            mean(&mut group.iter().map(|stats| stats.explained)),
        ),
        ("l0", mean(&mut group.iter().map(|stats| stats.l0))),
        (
            "dead",
            mean(&mut group.iter().map(|stats| stats.dead as f64)),
        ),
        (
            "squared_error",
            mean(&mut group.iter().map(|stats| stats.squared_error)),
        ),
    ] {
        let number = Number {
            n: Some(group.len()),
            ..Number::from(value)
        };
        record.number(&format!("{prefix}.{name}"), number);
    }
    Ok(())
}
