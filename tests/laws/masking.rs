//! The checklist catches models that hide their gradients, and passes those that do not; what a step
//! without a gradient withstands falls once its backward pass is replaced.

use std::ops::ControlFlow;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use mr_attacks::{
    Attack, Checklist, ChecklistConfig, EvaluationConfig, Examined, Goal, Norm, Pgd, ThreatModel,
    Verdict, evaluate, run_checklist,
};
use mr_models::data::{DataConfig, Dataset, Split, load};
use mr_models::{
    Architecture, Bpda, ConvNet, Defence, DefenceConfig, Defended, Mlp, Model, Network, Stage,
    Transform,
};
use mr_train::{TrainConfig, Trainer};

const EPSILON: f32 = 0.05;

fn mlp() -> Architecture {
    Architecture::Mlp(Mlp {
        hidden: vec![48],
        ..Mlp::default()
    })
}

fn convnet() -> Architecture {
    Architecture::Convnet(ConvNet {
        widths: vec![4, 8],
        hidden: vec![32],
        ..ConvNet::default()
    })
}

fn clothes(split: Split, count: usize) -> Dataset {
    load(&DataConfig::default(), split)
        .unwrap()
        .take(count)
        .unwrap()
}

/// A net that has learned a little, on clean or on adversarial examples.
fn learned(architecture: Architecture, adversarial: bool) -> Network {
    let train = clothes(Split::Train, 1000);
    let net = Network::init(architecture, 0, &Device::flex()).unwrap();
    let mut config = TrainConfig {
        epochs: Some(8),
        batch_size: 25,
        ..TrainConfig::default()
    };
    if adversarial {
        let loss = serde_json::json!({
            "type": "adversarial",
            "threat": { "norm": "Linf", "epsilon": EPSILON },
            "attack": { "type": "pgd", "steps": 3 },
        });
        config.loss = serde_json::from_value(loss).unwrap();
    }
    let trained = Trainer::new(config, net, &train)
        .unwrap()
        .run(&mut |_| ControlFlow::Continue(()))
        .unwrap();
    trained.network
}

fn defended(net: &Network, texts: &[&str]) -> Defended<Network> {
    let configs: Vec<DefenceConfig> = texts.iter().map(|text| text.parse().unwrap()).collect();
    Defended::by_config(net.clone(), &configs).unwrap()
}

fn checked(model: &dyn Model, source: Option<&Network>, count: usize) -> Checklist {
    let data = clothes(Split::Test, count);
    let source = source.map(|net| Arc::new(net.clone()) as Arc<dyn Model>);
    let threat = ThreatModel::new(Norm::Linf, EPSILON);
    let examined = Examined {
        model,
        source: source.as_ref(),
        data: &data,
        threat: &threat,
    };
    let config = ChecklistConfig {
        queries: 200,
        samples: 50,
        eot: 8,
        ..ChecklistConfig::default()
    };
    run_checklist(examined, &config, None, &mut |_| true).unwrap()
}

/// A model may not even be suspected.
fn passes(architecture: Architecture) {
    for adversarial in [false, true] {
        let net = learned(architecture.clone(), adversarial);
        let checklist = checked(&net, None, 80);
        assert_eq!(checklist.verdict, Verdict::Pass, "{checklist:#?}");
        assert!(checklist.right > 40);
        let judged = checklist
            .items
            .iter()
            .filter(|item| item.verdict == Verdict::Pass);
        assert_eq!(judged.count(), 11, "all but transfer");
    }
}

#[test]
fn honest_perceptrons_pass() {
    passes(mlp());
}

#[test]
fn honest_convnets_pass() {
    passes(convnet());
}

/// Random before the network and inside it: where the mean over draws has a gradient that leads
/// somewhere and draws decide little, nothing is masked.
#[test]
fn honestly_random_models_pass() {
    let net = learned(convnet(), false);
    let texts = ["noise=0.01", "noise=0.05,site=conv1.hook_out"];
    let checklist = checked(&defended(&net, &texts), Some(&net), 40);
    assert_eq!(checklist.verdict, Verdict::Pass, "{checklist:#?}");
    let random = checklist.item("randomness").unwrap();
    assert!(random.evidence["largest_difference"] > 1e-4, "{random:?}");
}

/// Each kind fails the items that it has to, among others.
#[test]
fn planted_masking_is_caught() {
    let net = learned(convnet(), false);
    let site = "quantize=8,site=conv1.hook_out,high=2";
    for (texts, items) in [
        (
            &["quantize=4"][..],
            &["gradients", "ascent", "unbounded", "black box", "transfer"][..],
        ),
        (
            &[site],
            &["gradients", "ascent", "unbounded", "black box", "transfer"],
        ),
        (
            &["temperature=1000"],
            &["gradients", "unbounded", "black box", "transfer"],
        ),
        (
            &["temperature=1000", "softmax"],
            &["gradients", "unbounded", "transfer"],
        ),
        (
            &["round-logits=0"],
            &["gradients", "ascent", "unbounded", "transfer"],
        ),
        // The net was not made for so much noise: draws decide what it predicts.
        (&["noise=0.3"], &["randomness"]),
        // Averaging does not help where there is nothing to average.
        (
            &["noise=0.01", "quantize=4"],
            &["gradients", "ascent", "transfer"],
        ),
    ] {
        fails(&defended(&net, texts), &net, items, &texts.join(" "));
    }
    let softmax = checked(&defended(&net, &["softmax"]), None, 30);
    assert_eq!(
        softmax.item("outputs").unwrap().verdict,
        Verdict::Suspicious
    );
    // A gradient there is, and it is the true one, but it leads nowhere.
    let shattered = Defence::new(Stage::Input, Shattered);
    let shattered = Defended::new(net.clone(), vec![shattered]).unwrap();
    fails(
        &shattered,
        &net,
        &["unbounded", "black box", "transfer"],
        "shattered",
    );
}

fn fails(model: &dyn Model, source: &Network, items: &[&str], what: &str) {
    let checklist = checked(model, Some(source), 60);
    assert_eq!(checklist.verdict, Verdict::Fail, "{what}");
    for name in items {
        let item = checklist.item(name).unwrap();
        assert_eq!(item.verdict, Verdict::Fail, "{what}: {item:#?}");
    }
}

/// A wave on every pixel, of height .01 and slope 20.
struct Shattered;

fn wave(values: Tensor<3>) -> Tensor<3> {
    values.clone() + (values * 2000.0).sin() * 0.01
}

impl Transform for Shattered {
    fn apply(&self, values: Tensor<3>, _keys: &[u64]) -> Tensor<3> {
        wave(values)
    }
}

/// Clean accuracy, and robust accuracy before plain projected gradient descent.
fn accuracies(model: &dyn Model) -> [f64; 2] {
    let data = clothes(Split::Test, 100);
    let threat = ThreatModel::new(Norm::Linf, EPSILON);
    let config = EvaluationConfig::default();
    let pgd = Pgd::default();
    let found = evaluate(model, &data, &threat, &Goal::Untargeted, &[&pgd], &config).unwrap();
    [found.clean_accuracy(), found.robust_accuracy()]
}

/// Steps without a gradient withstand almost everything, down to chance hits of the random start; with
/// the identity for their backward pass the same attack takes a fifth of the accuracy and more.
#[test]
fn bpda_breaks_what_a_step_hides() {
    let net = learned(mlp(), false);
    let undefended = accuracies(&net);
    assert!(undefended[0] - undefended[1] > 0.25, "{undefended:?}");
    for step in [
        "quantize=8",
        "bits=2",
        "quantize=8,site=linear1.hook_out,high=4",
        "round-logits=1",
    ] {
        let [clean, masked] = accuracies(&defended(&net, &[step]));
        let bpda = format!("{step},backward=identity");
        let [same, broken] = accuracies(&defended(&net, &[&bpda]));
        assert_eq!(clean, same, "{step}: the model is the same");
        assert!(
            clean - masked <= 0.05,
            "{step}: {masked} of {clean} are left"
        );
        assert!(
            masked - broken >= 0.18,
            "{step}: {broken} of {masked} are left"
        );
    }
    let with = |defence: Defence| accuracies(&Defended::new(net.clone(), vec![defence]).unwrap());
    let [_, masked] = with(Defence::new(Stage::Input, Shattered));
    let [_, broken] = with(Defence::new(Stage::Input, Bpda::new(wave)));
    assert!(masked - broken >= 0.18, "{broken} of {masked} are left");
}

/// Before noise, a step along the gradient of one draw does less than one along the mean over draws
/// (expectation over transformation). Many steps average over draws of their own.
#[test]
fn averages_over_draws_see_through_noise() {
    let net = learned(convnet(), false);
    let data = clothes(Split::Test, 100);
    let threat = ThreatModel::new(Norm::Linf, EPSILON);
    let noisy = defended(&net, &["noise=0.2"]);
    let robust = |eot: usize| {
        let attack = Pgd {
            eot,
            steps: 1,
            step_size: Some(EPSILON),
            random_start: false,
            ..Pgd::default()
        };
        // An evaluation judges by one draw of the noise: the mean over several.
        let each = (0..5).map(|seed| {
            let config = EvaluationConfig {
                seed,
                ..EvaluationConfig::default()
            };
            let attacks: [&dyn Attack; 1] = [&attack];
            let found = evaluate(&noisy, &data, &threat, &Goal::Untargeted, &attacks, &config);
            found.unwrap().robust_accuracy()
        });
        each.sum::<f64>() / 5.0
    };
    let (single, mean) = (robust(1), robust(20));
    assert!(single - mean > 0.02, "{single} before, {mean} after");
}
