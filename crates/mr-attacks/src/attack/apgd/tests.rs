//! Settings, and what they do, on nets small enough to reason about.

use burn::tensor::Device;
use mr_models::{
    Architecture, Hook, Input, InputKind, Labels, Mlp, Model, ModelSpec, Network, Wiring, floats,
    objective,
};

use super::*;
use crate::goal::{Goal, Targets};
use crate::victim::Meter;

fn mlp(classes: usize) -> Network {
    let mlp = Mlp {
        input: [1, 2, 3],
        hidden: vec![8],
        classes,
        ..Mlp::default()
    };
    Network::init(Architecture::Mlp(mlp), 2, &Device::flex()).unwrap()
}

/// Where an attack leads from points of .5, of which each is taken for a class of its own, and the
/// passes that it took.
struct Case<'a> {
    net: &'a dyn Model,
    threat: ThreatModel,
    goal: Goal,
}

impl Case<'_> {
    fn run(&self, attack: &Apgd, count: usize) -> (Vec<f32>, Vec<bool>, (u64, u64)) {
        let device = self.net.device();
        let InputKind::Real {
            shape: [channels, height, width],
        } = self.net.spec().input
        else {
            panic!("a net of real values")
        };
        let input = Tensor::<4>::ones([count, channels, height, width], &device) * 0.5;
        let input = Input::Real(input);
        let truth: Vec<usize> = mr_models::predictions(&self.net.logits(&input)).concat();
        let mut labels = Labels::of_classes(&truth, &device);
        let examples: Vec<u64> = (0..count as u64).collect();
        let classes = self.net.spec().classes;
        if let Some(targets) = self.goal.targets(&truth, &examples, classes, 0) {
            labels = labels.with_target(mr_models::class_tensor(&targets, &device));
        }
        let meter = Meter::default();
        let given = (input, labels);
        let victim = Victim::new(
            self.net,
            &self.threat,
            &self.goal,
            given,
            examples,
            0,
            &meter,
        );
        attack.fits(self.net.spec(), &self.threat).unwrap();
        let points = attack.run(&victim).unwrap();
        let counts = meter.counts();
        let reached = victim.reached(&victim.logits(&points));
        (floats(points), reached, (counts.forwards, counts.backwards))
    }
}

fn linf(epsilon: f32) -> ThreatModel {
    ThreatModel::new(Norm::Linf, epsilon)
}

#[test]
fn names_say_what_is_climbed() {
    let named = |objective: Option<&str>, targets| {
        let objective = objective.map(Into::into);
        let attack = Apgd {
            objective,
            targets,
            ..Apgd::default()
        };
        attack.name()
    };
    assert_eq!(named(None, 0), "apgd-ce");
    assert_eq!(named(Some("dlr"), 0), "apgd-dlr");
    assert_eq!(named(None, 9), "apgd-t");
    assert_eq!(named(Some("dlr"), 9), "apgd-t");
    assert_eq!(named(Some("cross-entropy"), 9), "apgd-t-ce");
    assert_eq!(named(Some("margin"), 0), "apgd-margin");
}

#[test]
fn dlr_falls_back_where_classes_are_too_few() {
    let on = |attack: &Apgd, classes| attack.objective_on(mlp(classes).spec()).to_string();
    assert_eq!(on(&Apgd::dlr(), 2), "cross-entropy");
    assert_eq!(on(&Apgd::dlr(), 3), "dlr");
    assert_eq!(on(&Apgd::targeted(), 3), "cross-entropy");
    assert_eq!(on(&Apgd::targeted(), 4), "dlr");
    for classes in [1, 2, 3, 4] {
        let net = mlp(classes);
        for attack in [Apgd::default(), Apgd::dlr(), Apgd::targeted()] {
            let attack = Apgd { steps: 3, ..attack };
            for goal in [Goal::Untargeted, Goal::Targeted(Targets::Next)] {
                let threat = linf(0.1);
                let case = Case {
                    net: &net,
                    threat,
                    goal,
                };
                let (points, _, _) = case.run(&attack, 1);
                assert!(points.iter().all(|p| (p - 0.5).abs() <= 0.1 + 1e-6));
            }
        }
    }
}

#[test]
fn bad_settings_are_refused() {
    let net = mlp(3);
    let refused = |attack: Apgd, threat: ThreatModel| {
        let error = attack.fits(net.spec(), &threat).unwrap_err();
        error.to_string()
    };
    let with = |change: fn(&mut Apgd)| {
        let mut attack = Apgd::default();
        change(&mut attack);
        refused(attack, linf(0.1))
    };
    assert!(with(|a| a.steps = 0).contains("steps is 0"));
    assert!(with(|a| a.restarts = 0).contains("restarts is 0"));
    assert!(with(|a| a.eot = 0).contains("eot is 0"));
    assert!(with(|a| a.rho = -0.1).contains("rho is -0.1"));
    assert!(with(|a| a.rho = f32::NAN).contains("rho is NaN"));
    assert!(with(|a| a.objective = Some("ce".into())).contains("unknown objective"));
    let l0 = ThreatModel::new(Norm::L0, 3.0);
    assert!(refused(Apgd::default(), l0).contains("Linf, L2, L1, not L0"));
    let unbounded = ThreatModel::unbounded(Norm::L2);
    assert!(refused(Apgd::default(), unbounded).contains("finite epsilon"));
}

#[test]
fn radius_zero_changes_nothing() {
    let net = mlp(4);
    for norm in [Norm::Linf, Norm::L2, Norm::L1] {
        for attack in [Apgd::default(), Apgd::targeted()] {
            let attack = Apgd { steps: 8, ..attack };
            let case = Case {
                net: &net,
                threat: ThreatModel::new(norm, 0.0),
                goal: Goal::Untargeted,
            };
            let (points, reached, _) = case.run(&attack, 1);
            assert_eq!(points, [0.5; 6], "{norm}");
            assert_eq!(reached, [false]);
        }
    }
}

#[test]
fn the_balls_of_an_l1_run_use_every_step() {
    let of = |steps, norm| {
        let attack = Apgd {
            steps,
            ..Apgd::default()
        };
        attack.stages(norm)
    };
    assert_eq!(of(100, Norm::L1), [(3.0, 30), (2.0, 30), (1.0, 40)]);
    assert_eq!(of(5, Norm::L1), [(3.0, 2), (2.0, 2), (1.0, 1)]);
    assert_eq!(of(2, Norm::L1), [(1.0, 2)]);
    assert_eq!(of(100, Norm::L2), [(1.0, 100)]);
}

#[test]
fn a_start_lies_on_the_surface() {
    let net = mlp(3);
    for (norm, epsilon) in [(Norm::Linf, 0.1), (Norm::L2, 0.2), (Norm::L1, 0.3)] {
        let threat = ThreatModel::new(norm, epsilon);
        let device = Device::flex();
        let input = Input::Real(Tensor::<4>::ones([2, 1, 2, 3], &device) * 0.5);
        let labels = Labels::of_classes(&[0, 0], &device);
        let meter = Meter::default();
        let given = (input, labels);
        let goal = Goal::Untargeted;
        let victim = Victim::new(&net, &threat, &goal, given, vec![0, 1], 0, &meter);
        let start = Apgd::default().random_start(&victim, 0);
        let start = threat.project(victim.origin(), start);
        for distance in floats(threat.distance(victim.origin(), &start)) {
            assert!((distance - epsilon).abs() < 1e-6, "{norm}: {distance}");
        }
    }
}

/// Steps, restarts and targets cost what they should: a forward pass more than steps, and a backward
/// pass less than forward ones.
#[test]
fn passes_are_counted() {
    let net = mlp(4);
    let case = Case {
        net: &net,
        threat: linf(1e-4),
        goal: Goal::Untargeted,
    };
    let attack = Apgd {
        steps: 5,
        restarts: 2,
        ..Apgd::default()
    };
    let (_, reached, counts) = case.run(&attack, 3);
    assert_eq!(reached, [false; 3]);
    assert_eq!(counts, (2 * 6 * 3, 2 * 5 * 3));
    // All three wrong classes, and the clean pass that ranks them.
    let attack = Apgd {
        targets: 7,
        ..attack
    };
    let (_, _, counts) = case.run(&attack, 3);
    assert_eq!(counts, (3 * 2 * 6 * 3 + 3, 3 * 2 * 5 * 3));
}

/// Two classes: `z_1 - z_0 = x - .5 + noise`, with noise that the key draws: .4, or with odds
/// of 1/3 -.4.
struct Noisy {
    spec: ModelSpec,
}

impl Noisy {
    fn new() -> Self {
        let spec = ModelSpec {
            name: "noisy".into(),
            input: InputKind::Real { shape: [1, 1, 1] },
            classes: 2,
            sites: Vec::new(),
            wiring: Wiring::default(),
        };
        Self { spec }
    }
}

impl Model for Noisy {
    fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    fn device(&self) -> Device {
        Device::flex()
    }

    fn run(&self, input: &Input, hook: &mut dyn Hook) -> Tensor<3> {
        let keys = vec![1; input.batch()];
        self.run_drawn(input, &keys, hook)
    }

    fn is_random(&self) -> bool {
        true
    }

    fn run_drawn(&self, input: &Input, keys: &[u64], _hook: &mut dyn Hook) -> Tensor<3> {
        let noise: Vec<f32> = keys
            .iter()
            .map(|key| if key % 3 == 0 { -0.4 } else { 0.4 })
            .collect();
        let noise = Tensor::<1>::from_floats(noise.as_slice(), &self.device());
        let x: Tensor<3> = input.real().flatten(2, 3);
        let more = x - 0.5 + noise.reshape([keys.len(), 1, 1]);
        Tensor::cat(vec![more.zeros_like(), more], 2)
    }
}

#[test]
fn an_average_of_passes_is_that_of_its_passes_and_decides_by_majority() {
    let net = Noisy::new();
    let device = Device::flex();
    let threat = linf(0.5);
    let goal = Goal::Untargeted;
    let meter = Meter::default();
    let victim = || {
        let input = Input::Real(Tensor::<4>::ones([2, 1, 1, 1], &device) * 0.3);
        let labels = Labels::of_classes(&[0, 0], &device);
        Victim::new(&net, &threat, &goal, (input, labels), vec![4, 9], 0, &meter)
    };
    let margin = objective::Margin;
    let single = victim();
    let mut sum = [0.0; 2];
    let mut hits = [0; 2];
    for _ in 0..64 {
        let pass = single.climb(&margin, single.origin()).unwrap();
        for (i, value) in floats(pass.values).into_iter().enumerate() {
            sum[i] += value / 64.0;
            hits[i] += usize::from(pass.reached[i]);
        }
    }
    let averaged = victim();
    let mean = averaged.climb_mean(&margin, averaged.origin(), 64).unwrap();
    for (i, value) in floats(mean.values).into_iter().enumerate() {
        assert!((value - sum[i]).abs() < 1e-5, "{value} {sum:?}");
        assert!((value + 0.2 - 0.4 / 3.0).abs() < 0.2, "{value}");
        assert!(hits[i] > 0, "a single pass is misled");
        assert_eq!(mean.reached[i], 2 * hits[i] > 64);
    }
    assert_eq!(floats(mean.gradient), [1.0, 1.0]);
    let scores = victim();
    let scores = scores.score_mean(&margin, scores.origin(), 64).unwrap();
    for (i, value) in scores.values.iter().enumerate() {
        assert!((value - sum[i]).abs() < 1e-5);
        assert_eq!(scores.reached[i], mean.reached[i]);
    }
    // 64 passes of two examples, three times.
    assert_eq!(meter.counts().forwards, 3 * 64 * 2);
}

/// One pass takes a lucky draw for a success; the average goes on until most draws are.
#[test]
fn an_attack_on_a_random_model_is_not_fooled_by_one_draw() {
    let net = Noisy::new();
    let case = Case {
        net: &net,
        threat: linf(0.45),
        goal: Goal::Untargeted,
    };
    let apgd = |eot| Apgd {
        steps: 10,
        random_start: false,
        eot,
        ..Apgd::default()
    };
    // The true class is 1: below .1 whatever is drawn is misclassified.
    let safe = |points: &[f32]| points.iter().filter(|&&x| x < 0.1).count();
    let (lucky, _, _) = case.run(&apgd(1), 30);
    let (sure, _, _) = case.run(&apgd(101), 30);
    assert!((10..30).contains(&safe(&lucky)), "{lucky:?}");
    assert_eq!(safe(&sure), 30, "{sure:?}");
}

#[test]
fn an_internal_objective_ends_at_its_largest_value() {
    // One step of length 2 epsilon reaches the corner that a linear objective is largest in.
    let net = Noisy::new();
    let threat = linf(0.2);
    let device = Device::flex();
    let input = Input::Real(Tensor::<4>::ones([1, 1, 1, 1], &device) * 0.5);
    let goal = Goal::Untargeted;
    let meter = Meter::default();
    let given = (input, Labels::of_classes(&[1], &device));
    let victim = Victim::new(&net, &threat, &goal, given, vec![0], 0, &meter);
    let apgd = Apgd {
        steps: 6,
        stop_early: false,
        eot: 50,
        ..Apgd::default()
    };
    let up = objective::LogitDifference { more: 1, less: 0 };
    let found = floats(apgd.run_on(&victim, &up).unwrap())[0];
    assert!(found > 0.5, "{found}");
}
