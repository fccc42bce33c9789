//! Structural probes of the trees of balanced brackets.

use anyhow::{Result, bail};
use burn::tensor::Device;
use mr_circuits::{Positions, SavedProbe, TreeMeasure, TreeProbe};
use mr_metrics::stats::{Bootstrap, bca_mean};
use mr_metrics::{Interval, Tree, TreeAgreement, depth_agreement, distance_agreement};
use mr_models::Input;
use mr_models::data::{Brackets, Prompts};
use mr_train::{Activations, Labelled, Sentences, fit_structural, folds, read_sites};

use super::data::Probed;
use super::result::{Found, Line};
use crate::command::LEVEL;
use crate::console::Console;
use crate::opened::Opened;

/// Dimensions of a tree where nothing says how many.
const RANK: usize = 16;

/// Everything that is found at these sites.
pub(super) fn fit(
    opened: &Opened<Probed>,
    sites: &[String],
    measure: TreeMeasure,
    console: &Console,
) -> Result<Found> {
    let settings = &opened.settings.probe;
    let Some(prompts) = opened.data.prompts() else {
        bail!("trees are read off prompts of brackets, not images: give --data brackets");
    };
    if !settings.concept.is_empty() {
        bail!("--concept is of classes: a probe of trees reads none");
    }
    let (words, trees) = bank(prompts)?;
    let folds = folds(&vec![0; words.len()], settings.folds, settings.seed)?;
    // Of the same form, and of another sentence: what does as well there, reads no tree.
    let mut drawn = trees.clone();
    drawn.rotate_left(1);

    let device = &opened.device.device;
    let bar = console.bar("reading", words.len());
    let read = read_sites(
        &opened.subject.network,
        words.len(),
        &|rows| input(&words, rows, device),
        sites,
        Positions::Each,
        &|done| bar.at(done, String::new),
    )?;
    drop(bar);
    let steps = 2 * settings.folds + 1;
    let bar = console.bar("probing", steps * read.len());
    let (mut lines, mut probes) = (Vec::new(), Vec::new());
    for (at, of) in read.iter().enumerate() {
        let mut done = at * steps;
        let mut tick = || {
            done += 1;
            bar.at(done, || of.site.clone());
        };
        let mut judge = |trees: &[Tree]| -> Result<(Vec<f64>, f64)> {
            let mut shares = vec![0.0; trees.len()];
            let mut correlations = Vec::new();
            for fold in 0..settings.folds {
                let (out, kept): (Vec<usize>, Vec<usize>) =
                    (0..trees.len()).partition(|&sentence| folds[sentence] == fold);
                let probe = probe(opened, of, measure, trees, &kept)?;
                for sentence in out {
                    let found = agreement(&probe, of, &trees[sentence], sentence)?;
                    shares[sentence] = found.attachment;
                    correlations.extend(Some(found.spearman).filter(|rho| rho.is_finite()));
                }
                tick();
            }
            let mean = correlations.iter().sum::<f64>() / correlations.len() as f64;
            Ok((shares, mean))
        };
        let (right, spearman) = judge(&trees)?;
        let (by_chance, control_spearman) = judge(&drawn)?;
        let all: Vec<usize> = (0..trees.len()).collect();
        probes.push(SavedProbe::Tree(probe(opened, of, measure, &trees, &all)?));
        tick();
        let bootstrap = Bootstrap {
            resamples: settings.resamples,
            seed: settings.seed,
            level: LEVEL,
        };
        let apart: Vec<f64> = right.iter().zip(&by_chance).map(|(a, b)| a - b).collect();
        let interval = |values: &[f64]| -> Result<Interval> { Ok(bca_mean(values, bootstrap)?) };
        lines.push(Line {
            site: of.site.clone(),
            features: of.samples.width(),
            accuracy: interval(&right)?,
            control: interval(&by_chance)?,
            selectivity: interval(&apart)?,
            log_loss: None,
            spearman: Some([spearman, control_spearman]),
            converged: true,
            raised: Vec::new(),
        });
    }
    let words = prompts.positions();
    Ok(Found {
        kind: measure.name(),
        measured: match measure {
            TreeMeasure::Distance => "uuas",
            TreeMeasure::Depth => "root_accuracy",
        },
        what: "bracket trees".into(),
        chance: match measure {
            TreeMeasure::Distance => chains(&trees)?,
            TreeMeasure::Depth => 1.0 / words as f64,
        },
        lines,
        probes,
    })
}

/// Of each prompt the string that is balanced, and its tree.
fn bank(prompts: &Prompts) -> Result<(Vec<Vec<usize>>, Vec<Tree>)> {
    let (mut words, mut trees) = (Vec::new(), Vec::new());
    if prompts.name() != "brackets" {
        bail!(
            "trees are read off the data set `brackets`, not `{}`, whose trees nobody knows",
            prompts.name()
        );
    }
    for prompt in prompts.prompts() {
        for tokens in [&prompt.clean, &prompt.corrupt] {
            if let Some(parents) = Brackets::parents(tokens) {
                words.push(tokens.clone());
                trees.push(Tree::new(parents)?);
                break;
            }
        }
    }
    Ok((words, trees))
}

fn input(words: &[Vec<usize>], rows: &[usize], device: &Device) -> Input {
    let rows: Vec<Vec<usize>> = rows.iter().map(|&row| words[row].clone()).collect();
    Input::of_tokens(&rows, device).expect("prompts have one length")
}

fn target(tree: &Tree, measure: TreeMeasure) -> Vec<f64> {
    match measure {
        TreeMeasure::Distance => tree.distances(),
        TreeMeasure::Depth => tree.depths(),
    }
}

/// The words of a sentence `[word, channel]`.
fn of_sentence(of: &Labelled, sentence: usize) -> &[f32] {
    let size = of.per_example * of.samples.width();
    &of.samples.values()[sentence * size..(sentence + 1) * size]
}

fn probe(
    opened: &Opened<Probed>,
    of: &Labelled,
    measure: TreeMeasure,
    trees: &[Tree],
    kept: &[usize],
) -> Result<TreeProbe> {
    let settings = &opened.settings.probe;
    let width = of.samples.width();
    let values: Vec<f32> = kept
        .iter()
        .flat_map(|&at| of_sentence(of, at))
        .copied()
        .collect();
    let sentences = Sentences {
        words: Activations::new(values, width)?,
        lengths: vec![of.per_example; kept.len()],
        targets: kept.iter().map(|&at| target(&trees[at], measure)).collect(),
    };
    let mut config = settings.structural.clone();
    config.seed = settings.seed;
    config.rank = config.rank.or(Some(RANK.min(width)));
    Ok(fit_structural(&sentences, &of.site, measure, &config)?)
}

fn agreement(
    probe: &TreeProbe,
    of: &Labelled,
    tree: &Tree,
    sentence: usize,
) -> Result<TreeAgreement> {
    let words = of_sentence(of, sentence);
    let trees = std::slice::from_ref(tree);
    Ok(match probe.measure {
        TreeMeasure::Distance => distance_agreement(trees, &[probe.distances(words)])?,
        TreeMeasure::Depth => depth_agreement(trees, &[probe.depths(words)])?,
    })
}

/// The share of edges that join neighbours: what is found by whoever hangs each word on the one before it.
fn chains(trees: &[Tree]) -> Result<f64> {
    let near = |tree: &Tree| tree.edges().iter().filter(|(a, b)| a + 1 == *b).count();
    let found: usize = trees.iter().map(near).sum();
    let all: usize = trees.iter().map(|tree| tree.edges().len()).sum();
    if all == 0 {
        bail!("sentences of one word have no edges");
    }
    Ok(found as f64 / all as f64)
}
