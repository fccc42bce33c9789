//! Classifiers: clean accuracy, and how far saliency maps look like images.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use mr_metrics::{Alignment, AlignmentSummary, ExperimentRecord, Number, accuracy, alignments_of};
use mr_models::data::Dataset;
use mr_models::{
    Labels, Model, ModelError, Objective, Place, Workers, floats, objective, predictions,
    value_and_grad,
};

use crate::command::LEVEL;
use crate::console::Console;
use crate::settings::Settings;
use crate::subject::Subject;

pub(super) fn measure(
    subject: &Subject,
    data: &Dataset,
    settings: &Settings,
    record: &mut ExperimentRecord,
    console: &Console,
) -> Result<()> {
    let config = &settings.measure;
    if !config.accuracy && !config.saliency {
        return Ok(());
    }
    let size = settings.evaluation.batch_size;
    let network = &subject.network;
    let device = network.device();
    let margin = objective::Margin;
    if config.saliency {
        margin.fits(network.spec())?;
    }
    let bar = console.bar("saliency", data.len());
    let done = AtomicUsize::new(0);
    let workers = Workers::new(settings.evaluation.threads);
    let parts = workers.map(data.len().div_ceil(size), |batch| {
        let rows: Vec<usize> = (batch * size..data.len().min((batch + 1) * size)).collect();
        let input = data.input(&rows, &device);
        let predicted: Vec<usize> = predictions(&network.logits(&input))
            .iter()
            .map(|row| row[0])
            .collect();
        let right: Vec<bool> = rows
            .iter()
            .zip(&predicted)
            .map(|(&row, &predicted)| data.labels()[row] == predicted)
            .collect();
        let mut gradients = Vec::new();
        if config.saliency {
            // The margin of the top logit is that of the predicted class, up to its sign.
            let labels = Labels::of_classes(&predicted, &device);
            let found = value_and_grad(network, &input, &labels, &margin, &[Place::Input])?;
            gradients = floats(found.input().clone());
        }
        let before = done.fetch_add(rows.len(), Ordering::Relaxed);
        bar.at(before + rows.len(), String::new);
        Ok::<_, ModelError>((right, floats(input.real()), gradients))
    });
    let parts = parts?;
    let mut right = Vec::with_capacity(data.len());
    let mut aligned: Vec<Option<Alignment>> = Vec::new();
    for (more, images, gradients) in parts {
        right.extend(more);
        if config.saliency {
            let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<_>>();
            let width = data.shape().iter().product();
            aligned.extend(alignments_of(&wide(images), &wide(gradients), width)?);
        }
    }
    if config.accuracy {
        record.number("clean_accuracy", accuracy(&right, LEVEL)?);
    }
    if config.saliency {
        let defined = aligned.iter().flatten().count();
        let summary = AlignmentSummary::of(&aligned).ok();
        for (name, value) in [
            ("alignment", summary.map(|summary| summary.alpha)),
            ("cosine", summary.map(|summary| summary.cosine)),
            ("undefined", Some((aligned.len() - defined) as f64)),
        ] {
            let number = Number {
                value,
                n: Some(aligned.len()),
                ..Number::default()
            };
            record.number(&format!("saliency.{name}"), number);
        }
        if defined == 0 {
            record
                .warnings
                .push("no image has a saliency map: every gradient of the margin is zero".into());
        }
    }
    Ok(())
}
