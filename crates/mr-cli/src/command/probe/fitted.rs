//! Fits probes and control probes site by site.

use anyhow::Result;
use mr_circuits::{Probe, ProbeKind, SavedProbe, concept_sensitivity};
use mr_metrics::Interval;
use mr_metrics::stats::{Bootstrap, bca_mean, wilson};
use mr_models::Model;
use mr_train::{
    HeldOut, Labelled, control_labels, fit_probe, folds, held_out, read_sites, types_of_inputs,
};

use super::data::Probed;
use super::result::{Found, Line, Raised};
use crate::command::LEVEL;
use crate::console::Console;
use crate::opened::{Examples, Opened};

/// Everything that is found at these sites.
pub(super) fn fit(opened: &Opened<Probed>, sites: &[String], console: &Console) -> Result<Found> {
    let (settings, data) = (&opened.settings.probe, &opened.data);
    let model = &opened.subject.network;
    let (labels, outputs) = data.task(settings)?;
    let folds = folds(&labels, settings.folds, settings.seed)?;
    let (values, width) = data.values();
    let types = types_of_inputs(&values, width, settings.types, settings.seed)?;
    let control = control_labels(&types, &labels, settings.seed);
    let config = settings.fit(data.positions());

    let device = &opened.device.device;
    let bar = console.bar("reading", data.count());
    let read = read_sites(
        model,
        data.count(),
        &|rows| data.input(rows, device),
        sites,
        config.positions,
        &|done| bar.at(done, String::new),
    )?;
    drop(bar);

    let bar = console.bar("probing", 3 * read.len());
    let (mut lines, mut probes) = (Vec::new(), Vec::new());
    for (at, of) in read.iter().enumerate() {
        let step = |done| bar.at(3 * at + done, || of.site.clone());
        let each = |labels: &[usize]| -> Vec<usize> {
            let repeated = labels
                .iter()
                .map(|&label| std::iter::repeat_n(label, of.per_example));
            repeated.flatten().collect()
        };
        let (task, drawn) = (each(&labels), each(&control));
        let held = held_out(of, &task, &folds, &outputs, &config)?;
        step(1);
        let by_chance = held_out(of, &drawn, &folds, &outputs, &config)?;
        step(2);
        let rows: Vec<usize> = (0..task.len()).collect();
        let fitted = fit_probe(of, &task, &rows, &outputs, &config)?;
        let mut line = line(of, &held, &by_chance, settings.resamples, settings.seed)?;
        line.converged &= fitted.converged;
        if !matches!(config.kind, ProbeKind::Logistic | ProbeKind::Cav) {
            // Only logits have one.
            line.log_loss = None;
        }
        if config.kind == ProbeKind::Cav {
            let memorised = fit_probe(of, &drawn, &rows, &outputs, &config)?.probe;
            line.raised = raised(opened, &fitted.probe, &memorised)?;
        }
        step(3);
        lines.push(line);
        probes.push(SavedProbe::Linear(fitted.probe));
    }
    Ok(Found {
        kind: config.kind.name(),
        measured: "accuracy",
        what: match outputs.as_slice() {
            [_, concept] if !settings.concept.is_empty() => concept.clone(),
            outputs => format!("{} classes", outputs.len()),
        },
        chance: chance(&labels, outputs.len()),
        lines,
        probes,
    })
}

fn line(
    of: &Labelled,
    held: &HeldOut,
    control: &HeldOut,
    resamples: usize,
    seed: u64,
) -> Result<Line> {
    let bootstrap = Bootstrap {
        resamples,
        seed,
        level: LEVEL,
    };
    let right = held.by_example(of.per_example);
    let by_chance = control.by_example(of.per_example);
    let apart: Vec<f64> = right.iter().zip(&by_chance).map(|(a, b)| a - b).collect();
    let losses = &held.judged.log_loss;
    Ok(Line {
        site: of.site.clone(),
        features: of.samples.width(),
        accuracy: bca_mean(&right, bootstrap)?,
        control: bca_mean(&by_chance, bootstrap)?,
        selectivity: bca_mean(&apart, bootstrap)?,
        log_loss: Some(losses.iter().sum::<f64>() / losses.len() as f64),
        spearman: None,
        converged: held.converged && control.converged,
        raised: Vec::new(),
    })
}

/// For each class, on its examples, how often the concept raises its logit; and how often a direction that
/// was fitted to the control task does.
fn raised(opened: &Opened<Probed>, concept: &Probe, control: &Probe) -> Result<Vec<Raised>> {
    let (data, model) = (&opened.data, &opened.subject.network);
    let (labels, names) = data.classes();
    let mut found = Vec::new();
    // Answers of prompts have other numbers than the tokens that the model tells.
    let known = if data.prompts().is_some() {
        0
    } else {
        names.len()
    };
    let known = known.min(model.spec().classes);
    for (class, name) in names.iter().enumerate().take(known) {
        let rows: Vec<usize> = (0..labels.len())
            .filter(|&row| labels[row] == class)
            .collect();
        if rows.is_empty() {
            continue;
        }
        let share = |probe: &Probe| -> Result<Interval> {
            let mut up = 0;
            for rows in rows.chunks(opened.settings.evaluation.batch_size.max(1)) {
                let input = data.input(rows, &opened.device.device);
                let slopes = concept_sensitivity(model, &input, class, probe, 1)?.slopes;
                up += slopes.iter().filter(|&&slope| slope > 0.0).count();
            }
            Ok(wilson(up, rows.len(), LEVEL)?)
        };
        found.push(Raised {
            class: name.clone(),
            score: share(concept)?,
            control: share(control)?,
        });
    }
    Ok(found)
}

/// The share of the most frequent label.
fn chance(labels: &[usize], outputs: usize) -> f64 {
    let mut counts = vec![0_usize; outputs];
    for &label in labels {
        counts[label] += 1;
    }
    counts.into_iter().max().unwrap_or(0) as f64 / labels.len() as f64
}
