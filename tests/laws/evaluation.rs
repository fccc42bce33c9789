//! An evaluation changes no net, counts only what is inside the threat, and refuses what is senseless.

use burn::tensor::{Device, Tensor, TensorData};
use mr_attacks::{
    Attack, AttackConfig, AttackError, Counts, Direction, Evaluation, EvaluationConfig, Fgsm, Goal,
    Judged, Norm, Pgd, Schedule, Targets, ThreatModel, Victim, evaluate,
};
use mr_models::data::{DataConfig, Dataset, Split, load};
use mr_models::objective::CrossEntropy;
use mr_models::{
    Architecture, ConvNet, InputKind, Mlp, Model, ModelSpec, Network, floats, load as load_net,
    predictions, save,
};
use proptest::prelude::*;
use serde_json::Map;

use crate::nets::{all, close};

fn clothes(count: usize) -> Dataset {
    load(&DataConfig::default(), Split::Test)
        .unwrap()
        .take(count)
        .unwrap()
}

fn radius(norm: Norm) -> f32 {
    match norm {
        Norm::Linf => 0.03,
        Norm::L2 => 0.5,
        Norm::L1 => 5.0,
        Norm::L0 => 20.0,
    }
}

fn run(
    model: &dyn Model,
    data: &Dataset,
    norm: Norm,
    goal: &Goal,
    attacks: &[&dyn Attack],
    (batch_size, threads): (usize, usize),
) -> Evaluation {
    let config = EvaluationConfig {
        seed: 7,
        batch_size,
        threads,
        keep: true,
        ..EvaluationConfig::default()
    };
    let threat = ThreatModel::new(norm, radius(norm));
    evaluate(model, data, &threat, goal, attacks, &config).unwrap()
}

/// Loaded from a file and attacked at once, a net with running statistics computes what it computed
/// before, which is what PyTorch computes.
#[test]
fn batchnorm_nets_do_not_change_when_they_are_attacked() {
    let device = Device::flex();
    let folder = tempfile::tempdir().unwrap();
    let mut checked = 0;
    for golden in all() {
        let is_statistic = |entry: &mr_models::Entry| entry.name.ends_with("running_mean");
        let net = golden.network(&device);
        if !net.weights().entries().iter().any(is_statistic) {
            continue;
        }
        let path = folder.path().join(&golden.file);
        save(&net, &Map::new(), &path).unwrap();
        let net = load_net(&path, None, &device).unwrap().network;
        let before = net.weights().to_host();
        let InputKind::Real { shape } = net.spec().input else {
            panic!("{} takes tokens", golden.file)
        };
        let values = golden.tensor("input").1.clone();
        let names = (0..net.spec().classes).map(|i| i.to_string()).collect();
        let labels = golden.labels.clone();
        let data = Dataset::of_floats(&golden.file, shape, names, values, labels).unwrap();
        run(
            &net,
            &data,
            Norm::Linf,
            &Goal::Untargeted,
            &[&Pgd::default()],
            (3, 1),
        );
        let logits = floats(net.logits(&golden.input(&device)));
        close(&golden.file, &logits, &golden.tensor("logits").1, 1e-5);
        assert_eq!(net.weights().to_host(), before, "{}", golden.file);
        let untouched = golden.network(&device);
        assert_eq!(logits, floats(untouched.logits(&golden.input(&device))));
        checked += 1;
    }
    assert_eq!(checked, 3);
}

#[test]
fn an_example_that_is_wrong_already_is_broken_at_distance_zero_and_costs_one_pass() {
    let data = clothes(40);
    let net = Network::init(Architecture::Mlp(Mlp::default()), 1, &Device::flex()).unwrap();
    let wrong: Vec<usize> = {
        let found = run(&net, &data, Norm::Linf, &Goal::Untargeted, &[], (40, 1));
        let clean = found.clean_mask();
        (0..data.len()).filter(|&i| !clean[i]).collect()
    };
    let wrong = data.subset(&wrong).unwrap();
    let pgd = Pgd::default();
    let found = run(
        &net,
        &wrong,
        Norm::Linf,
        &Goal::Untargeted,
        &[&pgd],
        (16, 2),
    );
    assert!(
        found
            .examples
            .iter()
            .all(|e| e.success && e.distance == Some(0.0))
    );
    assert_eq!(found.counts.forwards, wrong.len() as u64);
    assert_eq!(found.counts.backwards, 0);
    assert_eq!(found.robust_accuracy(), 0.0);
}

/// Goes uphill, to a point far outside or to none at all.
struct Boaster(f32);

impl Attack for Boaster {
    fn name(&self) -> String {
        "boaster".into()
    }

    fn fits(&self, _spec: &ModelSpec, _threat: &ThreatModel) -> Result<(), AttackError> {
        Ok(())
    }

    fn run(&self, victim: &Victim<'_>) -> Result<Tensor<2>, AttackError> {
        let uphill = victim
            .climb(&CrossEntropy, victim.origin())?
            .gradient
            .sign();
        Ok(uphill * self.0)
    }
}

/// What an attack proposes is brought back before it is judged.
#[test]
fn a_boasting_attack_gains_nothing_beyond_the_threat() {
    let data = clothes(60);
    let net = Network::init(Architecture::Mlp(Mlp::default()), 1, &Device::flex()).unwrap();
    let config = EvaluationConfig {
        keep: true,
        ..EvaluationConfig::default()
    };
    let goal = Goal::Untargeted;
    for norm in [Norm::Linf, Norm::L2, Norm::L1] {
        let epsilon = 2.0 * radius(norm);
        let threat = ThreatModel::new(norm, epsilon);
        let mut gained = 0;
        for boast in [f32::NAN, f32::INFINITY, 30.0] {
            let boaster = Boaster(boast);
            let found = evaluate(&net, &data, &threat, &goal, &[&boaster], &config).unwrap();
            gained += found.examples.iter().filter(|e| e.attack.is_some()).count();
            for (i, point) in found.points.unwrap().chunks(784).enumerate() {
                let far = distance(norm, &data.image(i), point);
                let reach = f64::from(epsilon) * (1.0 + 1e-5);
                assert!(far <= reach, "{norm} {boast}: {far}");
                assert!(
                    point.iter().all(|v| (0.0..=1.0).contains(v)),
                    "{norm} {boast}"
                );
            }
        }
        assert!(gained > 0, "{norm}: a boast counts as far as it goes");
    }
}

#[test]
fn bad_settings_are_named() {
    let net = Network::init(Architecture::Mlp(Mlp::default()), 1, &Device::flex()).unwrap();
    let data = clothes(4);
    let refuse = |threat: ThreatModel, attack: &dyn Attack, batch_size| -> AttackError {
        let config = EvaluationConfig {
            batch_size,
            ..EvaluationConfig::default()
        };
        evaluate(&net, &data, &threat, &Goal::Untargeted, &[attack], &config).unwrap_err()
    };
    let linf = |epsilon| ThreatModel::new(Norm::Linf, epsilon);
    let pgd = Pgd::default();
    for (error, says) in [
        (refuse(linf(-0.1), &pgd, 8), "epsilon is -0.1"),
        (refuse(linf(f32::NAN), &pgd, 8), "epsilon is NaN"),
        (refuse(linf(0.1), &pgd, 0), "batch_size is 0"),
        (
            refuse(linf(0.1).at(mr_models::Place::site("linear1")), &pgd, 8),
            "unknown site `linear1`; did you mean",
        ),
        (
            refuse(
                linf(0.1),
                &Pgd {
                    steps: 0,
                    ..pgd.clone()
                },
                8,
            ),
            "steps is 0",
        ),
        (
            refuse(
                linf(0.1),
                &Fgsm {
                    objective: "dlrr".into(),
                },
                8,
            ),
            "unknown objective `dlrr`; did you mean dlr",
        ),
    ] {
        assert!(error.to_string().contains(says), "{error}");
    }
}

fn nets() -> impl Strategy<Value = Architecture> {
    let mlp = (1_usize..12).prop_map(|width| {
        Architecture::Mlp(Mlp {
            hidden: vec![width],
            ..Mlp::default()
        })
    });
    let convnet = (1_usize..4).prop_map(|width| {
        Architecture::Convnet(ConvNet {
            widths: vec![width, 2],
            hidden: vec![5],
            ..ConvNet::default()
        })
    });
    prop_oneof![mlp, convnet]
}

fn objectives() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["cross-entropy", "margin", "dlr"]).prop_map(String::from)
}

prop_compose! {
    fn pgds()(
        steps in 1_usize..5,
        step_size in prop::option::of(0.01_f32..3.0),
        schedule in prop_oneof![Just(Schedule::Constant), Just(Schedule::Cosine)],
        direction in prop_oneof![
            Just(Direction::Steepest),
            Just(Direction::Gradient),
            Just(Direction::Sign),
        ],
        momentum in prop_oneof![Just(0.0_f32), 0.0_f32..=1.0],
        random_start in any::<bool>(),
        restarts in 1_u32..3,
        objective in objectives(),
        stop_early in any::<bool>(),
    ) -> Pgd {
        Pgd {
            steps, step_size, schedule, direction, momentum, random_start, restarts, objective,
            eot: 1, stop_early,
        }
    }
}

fn attacks() -> impl Strategy<Value = AttackConfig> {
    prop_oneof![
        objectives().prop_map(|objective| AttackConfig::Fgsm(Fgsm { objective })),
        pgds().prop_map(AttackConfig::Pgd),
    ]
}

fn goals() -> impl Strategy<Value = Goal> {
    prop_oneof![
        Just(Goal::Untargeted),
        Just(Goal::Targeted(Targets::Random)),
    ]
}

fn distance(norm: Norm, origin: &[f32], point: &[f32]) -> f64 {
    let changes = origin
        .iter()
        .zip(point)
        .map(|(&o, &p)| (f64::from(p) - f64::from(o)).abs());
    match norm {
        Norm::Linf => changes.fold(0.0, f64::max),
        Norm::L2 => changes.map(|change| change * change).sum::<f64>().sqrt(),
        Norm::L1 => changes.sum(),
        Norm::L0 => changes.filter(|&change| change > 0.0).count() as f64,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Measured and run anew, from the points that were kept and nothing else.
    #[test]
    fn success_implies_inside_the_threat(
        seed in 0_u64..1000,
        architecture in nets(),
        attack in attacks(),
        goal in goals(),
        norm in prop_oneof![Just(Norm::Linf), Just(Norm::L2), Just(Norm::L1)],
        epsilon in prop_oneof![Just(0.0_f32), 0.0_f32..2.0],
    ) {
        let net = Network::init(architecture, seed, &Device::flex()).unwrap();
        let data = clothes(12);
        let config = EvaluationConfig { seed, keep: true, ..EvaluationConfig::default() };
        let threat = ThreatModel::new(norm, epsilon);
        let found =
            evaluate(&net, &data, &threat, &goal, &[attack.attack()], &config).unwrap();
        let points = found.points.unwrap();
        let shape = [data.len(), 1, 28, 28];
        let input = TensorData::new(points.clone(), shape);
        let input = Tensor::<4>::from_data(input, &Device::flex()).into();
        let predicted = predictions(&net.logits(&input));
        for (i, example) in found.examples.iter().enumerate() {
            let point = &points[i * 784..(i + 1) * 784];
            let origin = data.image(i);
            prop_assert_eq!(predicted[i][0], example.adversarial);
            prop_assert_eq!(example.success, example.distance.is_some());
            if example.attack.is_none() {
                prop_assert_eq!(point, &origin[..]);
                continue;
            }
            prop_assert!(example.success && epsilon > 0.0);
            prop_assert!(example.adversarial != example.label);
            prop_assert!(point.iter().all(|v| (0.0..=1.0).contains(v)));
            // A float32 sum of 784 changes is off by 1e-5 of itself at most.
            let far = distance(norm, &origin, point);
            prop_assert!(far <= f64::from(epsilon) * (1.0 + 1e-5) + 1e-6, "{far} > {epsilon}");
            let said = f64::from(example.distance.unwrap());
            prop_assert!((said - far).abs() <= 1e-5 * far + 1e-6, "{said} for {far}");
        }
    }
}

/// Four examples: robust, broken at .1 and at .3, and wrong from the start.
#[test]
fn a_security_curve_counts_distances() {
    let judged = |label, distance: Option<f32>| Judged {
        index: 0,
        label,
        clean: 0,
        adversarial: 1,
        success: distance.is_some(),
        distance,
        attack: None,
    };
    let found = Evaluation {
        examples: vec![
            judged(0, None),
            judged(0, Some(0.1)),
            judged(0, Some(0.3)),
            judged(1, Some(0.0)),
        ],
        attempts: Vec::new(),
        counts: Counts::default(),
        points: None,
    };
    for (radius, second, third) in [
        (0.0, true, true),
        (0.09, true, true),
        (0.1, false, true),
        (0.2, false, true),
        (0.3, false, false),
        (f32::INFINITY, false, false),
    ] {
        assert_eq!(found.robust_within(radius), [true, second, third, false]);
    }
}
