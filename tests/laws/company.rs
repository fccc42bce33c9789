//! What becomes of an example depends on nothing but the example: not on what else is in its batch, not
//! on where it stands, not on threads. Bit by bit.

use std::ops::ControlFlow;

use burn::tensor::Device;
use mr_attacks::{
    Apgd, Attack, AttackConfig, Bim, CarliniWagner, Corruption, CorruptionKind, Ddn, DeepFool,
    Evaluation, EvaluationConfig, Fab, Fgsm, Fmn, Goal, HopSkipJump, MiFgsm, MinimalBy, Norm, Pgd,
    Search, SpatialFamily, Square, Targets, ThreatModel, Transformation, Transformed, evaluate,
    evaluate_transformations,
};
use mr_models::data::{DataConfig, Dataset, Split, load};
use mr_models::{
    Architecture, ConvNet, Mlp, Model, Network, Place, ResNet, Toy, floats, objective,
    value_and_grad,
};
use mr_train::{TrainConfig, Trainer};

fn mlp() -> Architecture {
    Architecture::Mlp(Mlp {
        hidden: vec![37, 20],
        ..Mlp::default()
    })
}

/// The LeNet5 with fewer filters.
fn convnet() -> Architecture {
    Architecture::Convnet(ConvNet {
        widths: vec![4, 6],
        hidden: vec![20],
        ..ConvNet::default()
    })
}

fn resnet() -> Architecture {
    Architecture::Resnet(ResNet {
        input: [1, 28, 28],
        width: 4,
        depth: 6,
        stages: 2,
        ..ResNet::default()
    })
}

fn clothes(count: usize) -> Dataset {
    load(&DataConfig::default(), Split::Test)
        .unwrap()
        .take(count)
        .unwrap()
}

/// Logits and the gradients at the input and the first site, example by example.
fn passed(net: &Network, data: &Dataset, rows: &[usize]) -> Vec<Vec<f32>> {
    let device = net.device();
    let input = data.input(rows, &device);
    let labels = data.labels_of(rows, &device);
    let site = &net.spec().sites[0].name;
    let places = [Place::Input, Place::site(site)];
    let at = value_and_grad(net, &input, &labels, &objective::CrossEntropy, &places).unwrap();
    let parts = [
        floats(at.logits.clone()),
        floats(at.input().clone()),
        floats(at.site(site).clone()),
        floats(net.logits(&input)),
    ];
    let each = |i: usize| {
        parts.iter().flat_map(move |part| {
            let width = part.len() / rows.len();
            part[i * width..(i + 1) * width].to_vec()
        })
    };
    (0..rows.len()).map(|i| each(i).collect()).collect()
}

/// On one thread, as attacks compute, and on several.
#[test]
fn logits_and_gradients_are_an_examples_own() {
    let clothes = clothes(35);
    let wide = ResNet {
        input: [1, 28, 28],
        width: 16,
        depth: 10,
        ..ResNet::default()
    };
    let toy = Toy {
        features: 784,
        classes: 10,
        ..Toy::default()
    };
    let vectors: Vec<f32> = (0..35).flat_map(|i| clothes.image(i)).collect();
    let names = clothes.class_names().to_vec();
    let labels = clothes.labels().to_vec();
    let vectors = Dataset::of_floats("vectors", [784, 1, 1], names, vectors, labels).unwrap();
    for (architecture, data) in [
        (mlp(), &clothes),
        (Architecture::Mlp(Mlp::default()), &clothes),
        (convnet(), &clothes),
        (Architecture::lenet5(), &clothes),
        (resnet(), &clothes),
        (Architecture::Resnet(wide), &clothes),
        (Architecture::Toy(toy), &vectors),
    ] {
        let said = format!("{architecture:?}");
        let net = Network::init(architecture, 3, &Device::flex()).unwrap();
        let all: Vec<usize> = (0..data.len()).collect();
        let whole = passed(&net, data, &all);
        for size in [1, 2, 7, 16, 33] {
            for rows in all.chunks(size) {
                let part = passed(&net, data, rows);
                for (&row, found) in rows.iter().zip(part) {
                    assert!(found == whole[row], "{row} in {size}: {said}");
                }
            }
        }
        let backwards: Vec<usize> = all.iter().rev().copied().collect();
        for (row, found) in backwards.iter().zip(passed(&net, data, &backwards)) {
            assert!(found == whole[*row], "{row} backwards: {said}");
        }
        let one = rayon::ThreadPoolBuilder::new().num_threads(1);
        let alone = one.build().unwrap().install(|| passed(&net, data, &all));
        assert!(alone == whole, "one thread: {said}");
    }
}

/// A net that has learned a little, so that there is something to break.
fn learned(architecture: Architecture) -> Network {
    let train = load(&DataConfig::default(), Split::Train)
        .unwrap()
        .take(600)
        .unwrap();
    let net = Network::init(architecture, 0, &Device::flex()).unwrap();
    let config = TrainConfig {
        epochs: Some(6),
        batch_size: 25,
        ..TrainConfig::default()
    };
    let trained = Trainer::new(config, net, &train)
        .unwrap()
        .run(&mut |_| ControlFlow::Continue(()))
        .unwrap();
    trained.network
}

struct Attacked<'a> {
    net: &'a Network,
    threat: ThreatModel,
    goal: Goal,
    attack: &'a dyn Attack,
}

impl Attacked<'_> {
    fn run(&self, data: &Dataset, batch_size: usize, threads: usize) -> Evaluation {
        let config = EvaluationConfig {
            seed: 7,
            batch_size,
            threads,
            keep: true,
            ..EvaluationConfig::default()
        };
        let attacks = [self.attack];
        evaluate(self.net, data, &self.threat, &self.goal, &attacks, &config).unwrap()
    }

    /// Decisions, distances, adversarial points and how many passes they took.
    fn agree(&self, data: &Dataset, what: &str) {
        let whole = self.run(data, data.len(), 1);
        let broken = whole.clean_accuracy() - whole.robust_accuracy();
        assert!(broken > 0.02, "{what}: nothing was broken");
        let some_left = whole.robust_accuracy() > 0.0;
        assert!(
            some_left || self.threat.is_unbounded(),
            "{what}: all was broken"
        );
        for batch_size in [1, 7, 100] {
            for threads in [1, 2, 4] {
                let found = self.run(data, batch_size, threads);
                assert!(found == whole, "{what}: {batch_size} on {threads}");
            }
        }
        let order = data.order(5, 0);
        let shuffled = data.subset(&order).unwrap();
        let found = self.run(&shuffled, 7, 2);
        let (points, expected) = (found.points.unwrap(), whole.points.unwrap());
        for (i, &row) in order.iter().enumerate() {
            assert_eq!(found.examples[i], whole.examples[row], "{what} shuffled");
            let at = |i: usize| i * 784..(i + 1) * 784;
            assert!(points[at(i)] == expected[at(row)], "{what} shuffled");
        }
    }
}

/// FGSM, and PGD with a random start and restarts, in every norm.
fn attacks_agree(architecture: Architecture) {
    let data = clothes(110);
    let net = learned(architecture);
    let fgsm = Fgsm::default();
    let pgd = Pgd {
        steps: 3,
        restarts: 2,
        ..Pgd::default()
    };
    for (norm, epsilon) in [(Norm::Linf, 0.03), (Norm::L2, 0.5), (Norm::L1, 5.0)] {
        for attack in [&fgsm as &dyn Attack, &pgd] {
            let attacked = Attacked {
                net: &net,
                threat: ThreatModel::new(norm, epsilon),
                goal: Goal::Untargeted,
                attack,
            };
            attacked.agree(&data, &format!("{norm} {}", attack.name()));
        }
    }
    let targeted = Attacked {
        net: &net,
        threat: ThreatModel::new(Norm::L2, 1.5),
        goal: Goal::Targeted(Targets::Random),
        attack: &pgd,
    };
    targeted.agree(&data, "targeted");
}

/// Auto-PGD on every objective of `AutoAttack`, and PGD's kin, in every norm that they know.
#[test]
fn climbers_on_an_mlp() {
    let data = clothes(110);
    let net = learned(mlp());
    let short = |attack| Apgd {
        steps: 8,
        restarts: 2,
        ..attack
    };
    let targeted = Apgd {
        targets: 2,
        steps: 5,
        ..Apgd::default()
    };
    for (norm, epsilon) in [(Norm::Linf, 0.03), (Norm::L2, 0.5), (Norm::L1, 5.0)] {
        for attack in [
            &short(Apgd::default()) as &dyn Attack,
            &short(Apgd::dlr()),
            &targeted,
            &Bim::default(),
            &MiFgsm::default(),
        ] {
            let attacked = Attacked {
                net: &net,
                threat: ThreatModel::new(norm, epsilon),
                goal: Goal::Untargeted,
                attack,
            };
            attacked.agree(&data, &format!("{norm} {}", attack.name()));
        }
    }
}

/// Square, which asks the net about windows alone, in every norm that it knows.
#[test]
fn square_on_a_convnet() {
    let data = clothes(110);
    let net = learned(convnet());
    let square = Square {
        queries: 12,
        restarts: 2,
        ..Square::default()
    };
    for (norm, epsilon) in [(Norm::Linf, 0.05), (Norm::L2, 1.5), (Norm::L1, 15.0)] {
        let attacked = Attacked {
            net: &net,
            threat: ThreatModel::new(norm, epsilon),
            goal: Goal::Untargeted,
            attack: &square,
        };
        attacked.agree(&data, &format!("{norm} square"));
    }
}

#[test]
fn attacks_on_an_mlp() {
    attacks_agree(mlp());
}

#[test]
fn attacks_on_a_convnet() {
    attacks_agree(convnet());
}

#[test]
fn attacks_on_a_resnet_with_batchnorm() {
    attacks_agree(resnet());
}

/// Searches for the smallest perturbation, without a ball and in one.
#[test]
fn smallest_perturbations() {
    let net = learned(mlp());
    let data = clothes(40);
    let fab = |targets| Fab {
        targets,
        steps: 6,
        restarts: 2,
        ..Fab::default()
    };
    let deepfool = DeepFool {
        steps: 8,
        ..DeepFool::default()
    };
    let carlini_wagner = CarliniWagner {
        searches: 4,
        steps: 15,
        learning_rate: Some(0.1),
        initial_constant: 1.0,
        ..CarliniWagner::default()
    };
    let ddn = Ddn {
        steps: 20,
        ..Ddn::default()
    };
    let fmn = Fmn {
        steps: 20,
        ..Fmn::default()
    };
    let by_pgd = MinimalBy {
        attack: Box::new(AttackConfig::Pgd(Pgd {
            steps: 3,
            ..Pgd::default()
        })),
        steps: 4,
        ..MinimalBy::default()
    };
    let attacks: [(&dyn Attack, &[Norm]); 7] = [
        (&fab(0), &[Norm::Linf, Norm::L1]),
        (&fab(2), &[Norm::L2]),
        (&deepfool, &[Norm::L2, Norm::Linf]),
        (&carlini_wagner, &[Norm::L2]),
        (&ddn, &[Norm::L2]),
        (&fmn, &[Norm::Linf, Norm::L1, Norm::L0]),
        (&by_pgd, &[Norm::Linf, Norm::L2]),
    ];
    for (attack, norms) in attacks {
        for &norm in norms {
            let radius = match norm {
                Norm::Linf => 0.02,
                Norm::L2 => 0.3,
                Norm::L1 => 3.0,
                Norm::L0 => 5.0,
            };
            for epsilon in [radius, f32::INFINITY] {
                let attacked = Attacked {
                    net: &net,
                    threat: ThreatModel::new(norm, epsilon),
                    goal: Goal::Untargeted,
                    attack,
                };
                attacked.agree(&data, &format!("{norm} {epsilon} {}", attack.name()));
            }
        }
    }
}

#[test]
fn hop_skip_jump() {
    let net = learned(mlp());
    let attack = HopSkipJump {
        steps: 3,
        initial_evaluations: 20,
        ..HopSkipJump::default()
    };
    for (norm, epsilon) in [(Norm::L2, 2.0), (Norm::Linf, 0.2)] {
        let attacked = Attacked {
            net: &net,
            threat: ThreatModel::new(norm, epsilon),
            goal: Goal::Untargeted,
            attack: &attack,
        };
        attacked.agree(&clothes(30), &format!("{norm} hop-skip-jump"));
    }
}

/// Every corruption, and rotations drawn by example.
#[test]
fn transformations() {
    let net = learned(mlp());
    let data = clothes(60);
    let corruptions = CorruptionKind::of_channels(1).into_iter();
    let corruptions: Vec<Corruption> = corruptions.map(|kind| Corruption::new(kind, 3)).collect();
    let turns = SpatialFamily {
        search: Search::Random(4),
        ..SpatialFamily::default()
    };
    let turns = turns.members().unwrap();
    let members: Vec<&dyn Transformation> = corruptions
        .iter()
        .map(|corruption| corruption as &dyn Transformation)
        .chain(turns.iter().map(|turn| turn as &dyn Transformation))
        .collect();
    let run =
        |data: &Dataset, worst_only: bool, batch_size: usize, threads: usize| -> Transformed {
            let config = EvaluationConfig {
                seed: 7,
                batch_size,
                threads,
                ..EvaluationConfig::default()
            };
            let quiet = &mut |_: mr_attacks::Progress<'_>| true;
            evaluate_transformations(&net, data, &members, worst_only, &config, quiet).unwrap()
        };
    let whole = run(&data, false, 60, 1);
    assert!(whole.robust_accuracy() < whole.clean_accuracy());
    assert!(whole.robust_accuracy() > 0.0);
    for (batch_size, threads) in [(1, 2), (7, 1), (7, 4), (100, 2)] {
        assert!(
            run(&data, false, batch_size, threads) == whole,
            "{batch_size} on {threads}"
        );
    }
    let order = data.order(5, 0);
    let shuffled = run(&data.subset(&order).unwrap(), true, 7, 2);
    for (found, &row) in shuffled.examples.iter().zip(&order) {
        assert_eq!(found, &whole.examples[row]);
    }
}
