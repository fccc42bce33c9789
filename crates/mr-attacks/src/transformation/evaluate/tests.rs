use burn::tensor::Device;
use mr_models::{Architecture, Hook, InputKind, Mlp, ModelSpec, Network, Wiring};

use super::super::{Corruption, CorruptionKind, Spatial, SpatialFamily};
use super::*;

/// Says 1 where the top left pixel is above a half, else 0.
struct Corner {
    spec: ModelSpec,
}

impl Corner {
    fn new() -> Self {
        let spec = ModelSpec {
            name: "corner".into(),
            input: InputKind::Real { shape: [1, 2, 2] },
            classes: 2,
            sites: Vec::new(),
            wiring: Wiring::default(),
        };
        Self { spec }
    }
}

impl Model for Corner {
    fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    fn device(&self) -> Device {
        Device::flex()
    }

    fn run(&self, input: &Input, _hook: &mut dyn Hook) -> Tensor<3> {
        let image = input.real();
        let batch = image.dims()[0];
        let corner = image
            .slice([0..batch, 0..1, 0..1, 0..1])
            .reshape([batch, 1, 1]);
        Tensor::cat(vec![corner.ones_like() - corner.clone(), corner], 2)
    }
}

fn corners() -> Dataset {
    let values = vec![
        1.0, 0.0, 0.0, 0.0, // white at the top left, told so
        1.0, 1.0, 1.0, 1.0, // white everywhere, told so
        0.0, 1.0, 1.0, 1.0, // black there, told so
        1.0, 1.0, 1.0, 1.0, // white, told it were black
    ];
    let names = vec!["black".into(), "white".into()];
    Dataset::of_floats("corners", [1, 2, 2], names, values, vec![1, 1, 0, 0]).unwrap()
}

fn turn(degrees: f32) -> Spatial {
    Spatial::Fixed {
        degrees,
        down: 0.0,
        right: 0.0,
    }
}

fn tried(worst_only: bool) -> Transformed {
    let (zero, quarter, half) = (turn(0.0), turn(90.0), turn(180.0));
    let members: [&dyn Transformation; 3] = [&zero, &quarter, &half];
    let config = EvaluationConfig::default();
    let quiet = &mut |_: Progress<'_>| true;
    evaluate_transformations(
        &Corner::new(),
        &corners(),
        &members,
        worst_only,
        &config,
        quiet,
    )
    .unwrap()
}

/// A quarter turn brings the top right pixel to the top left, half a turn the bottom right one.
#[test]
fn accuracies_of_members_and_of_the_worst() {
    let all = tried(false);
    assert_eq!(all.clean_accuracy(), 0.75);
    assert_eq!(all.robust_mask(), [false, true, false, false]);
    assert_eq!(all.examples[0].broken_by, Some(turn(90.0).name()));
    assert_eq!(all.examples[3].broken_by, None);
    let right: Vec<usize> = all.members.iter().map(|m| m.right).collect();
    assert_eq!(right, [3, 1, 1]);
    assert_eq!(all.mean_accuracy(), Some(5.0 / 12.0));
    assert_eq!(all.counts.forwards, 16);
}

#[test]
fn for_the_worst_alone_nothing_broken_is_tried_again() {
    let worst = tried(true);
    assert_eq!(worst.robust_mask(), tried(false).robust_mask());
    let examples: Vec<usize> = worst.members.iter().map(|m| m.examples).collect();
    assert_eq!(examples, [3, 3, 1]);
    assert_eq!(worst.mean_accuracy(), None);
    assert_eq!(worst.counts.forwards, 11);
}

#[test]
fn progress_is_told_and_can_stop() {
    let turn = turn(10.0);
    let config = EvaluationConfig {
        batch_size: 3,
        threads: 1,
        ..EvaluationConfig::default()
    };
    let mut told = Vec::new();
    let model = Corner::new();
    evaluate_transformations(&model, &corners(), &[&turn], false, &config, &mut |p| {
        told.push((p.done, p.total, p.robust));
        true
    })
    .unwrap();
    assert_eq!(told, [(3, 4, 4), (4, 4, 3)]);
    let stop = &mut |_: Progress<'_>| false;
    let stopped = evaluate_transformations(&model, &corners(), &[&turn], false, &config, stop);
    assert!(matches!(stopped, Err(AttackError::Stopped)));
}

#[test]
fn what_does_not_fit_is_refused() {
    let model = Corner::new();
    let config = EvaluationConfig::default();
    let refused = |members: &[&dyn Transformation]| {
        let quiet = &mut |_: Progress<'_>| true;
        let found = evaluate_transformations(&model, &corners(), members, false, &config, quiet);
        found.unwrap_err().to_string()
    };
    let fog = Corruption::new(CorruptionKind::Fog, 6);
    assert!(refused(&[&fog]).contains("severity is 6"));
    let turn = turn(1.0);
    assert!(refused(&[&turn, &turn]).contains("is given twice"));
    let net = Network::init(Architecture::Mlp(Mlp::default()), 0, &Device::flex()).unwrap();
    let members = SpatialFamily::default().members().unwrap();
    let quiet = &mut |_: Progress<'_>| true;
    let found = evaluate_transformations(&net, &corners(), &[&members[0]], false, &config, quiet);
    assert!(found.unwrap_err().to_string().contains("[1, 2, 2]"));
}
