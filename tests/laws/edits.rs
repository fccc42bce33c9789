//! Every rewrite does what it says, and attacks go through it.

use burn::tensor::{Device, Tensor};
use mr_attacks::{EvaluationConfig, Goal, Norm, Pgd, ThreatModel, evaluate};
use mr_models::data::{DataConfig, Dataset, Split, load};
use mr_models::{
    Architecture, Edit, Input, Intervened, Mlp, Model, Network, Place, Region, Rewrite, floats,
    predictions,
};

const SITE: &str = "linear1.hook_out";

/// Two inputs, copied by two hidden units, copied by two logits.
fn copies() -> Network {
    let mlp = Mlp {
        input: [2, 1, 1],
        hidden: vec![2],
        classes: 2,
        ..Mlp::default()
    };
    let identity = vec![1.0, 0.0, 0.0, 1.0];
    let named = vec![
        ("linear1.weight".into(), vec![2, 2], identity.clone()),
        ("linear1.bias".into(), vec![2], vec![0.0; 2]),
        ("linear2.weight".into(), vec![2, 2], identity),
        ("linear2.bias".into(), vec![2], vec![0.0; 2]),
    ];
    Network::with_weights(Architecture::Mlp(mlp), named, &Device::flex()).unwrap()
}

/// The logits of (3, 4) and (1, 2) with one edit.
fn edited(rewrite: Rewrite, region: Region) -> Vec<f32> {
    let input = Tensor::<1>::from_floats([3.0, 4.0, 1.0, 2.0], &Device::flex());
    let input = Input::Real(input.reshape([2, 2, 1, 1]));
    let edit = Edit::at(SITE, rewrite).within(region);
    // Through its file form and back, to the same edit.
    let text = serde_json::to_string(&edit).unwrap();
    assert_eq!(serde_json::from_str::<Edit>(&text).unwrap(), edit);
    let net = Intervened::new(copies(), vec![edit]).unwrap();
    floats(net.logits(&input))
}

#[test]
fn rewrites_by_hand() {
    let all = Region::default();
    assert_eq!(edited(Rewrite::Zero, all.clone()), [0.0; 4]);
    assert_eq!(
        edited(Rewrite::Zero, Region::channel(1)),
        [3.0, 0.0, 1.0, 0.0]
    );
    let values = vec![5.0, 6.0];
    assert_eq!(
        edited(Rewrite::Mean { values }, all.clone()),
        [5.0, 6.0, 5.0, 6.0]
    );
    let patch = Rewrite::Patch {
        examples: 2,
        values: vec![7.0, 8.0],
    };
    assert_eq!(edited(patch, Region::channel(0)), [7.0, 4.0, 8.0, 2.0]);
    let donors = vec![1, 0];
    assert_eq!(
        edited(Rewrite::Resample { donors }, all.clone()),
        [1.0, 2.0, 3.0, 4.0]
    );
    let add = Rewrite::Add {
        direction: vec![1.0, -1.0],
        strength: 2.0,
    };
    assert_eq!(edited(add, all.clone()), [5.0, 2.0, 3.0, 0.0]);
    assert_eq!(
        edited(Rewrite::Scale { factor: -1.0 }, Region::position(0)),
        [-3.0, -4.0, -1.0, -2.0]
    );
    // Along (3, 4) / 5: (3, 4) is all of it; (1, 2) has 11 / 5 of it.
    let project = |keep| Rewrite::Project {
        direction: vec![3.0, 4.0],
        keep,
    };
    let kept = edited(project(true), all.clone());
    let removed = edited(project(false), all);
    for (i, expected) in [3.0, 4.0, 1.32, 1.76].into_iter().enumerate() {
        let clean = [3.0, 4.0, 1.0, 2.0][i];
        assert!((kept[i] - expected).abs() < 1e-6, "{kept:?}");
        assert!(
            (removed[i] - (clean - expected)).abs() < 1e-6,
            "{removed:?}"
        );
    }
}

#[test]
fn what_does_not_fit_is_refused_before_anything_runs() {
    let refuse = |edit: Edit| {
        Intervened::new(copies(), vec![edit])
            .unwrap_err()
            .to_string()
    };
    let error = refuse(Edit::at("linear1.hook_outt", Rewrite::Zero));
    assert!(error.contains("did you mean linear1.hook_out"), "{error}");
    let error = refuse(Edit::at(SITE, Rewrite::Zero).within(Region::channel(2)));
    assert!(error.contains("it has 2"), "{error}");
    let error = refuse(Edit::at(SITE, Rewrite::Mean { values: vec![1.0] }));
    assert!(error.contains("1 values given, 2 needed"), "{error}");
    let direction = vec![0.0, 0.0];
    let error = refuse(Edit::at(
        SITE,
        Rewrite::Project {
            direction,
            keep: true,
        },
    ));
    assert!(error.contains("the direction is zero"), "{error}");
    let direction = vec![0.0, f32::NAN];
    let strength = 1.0;
    let error = refuse(Edit::at(
        SITE,
        Rewrite::Add {
            direction,
            strength,
        },
    ));
    assert!(error.contains("not finite"), "{error}");
}

fn clothes() -> Dataset {
    load(&DataConfig::default(), Split::Test)
        .unwrap()
        .take(60)
        .unwrap()
}

fn robust(model: &dyn Model, place: Place, epsilon: f32) -> mr_attacks::Evaluation {
    let data = clothes();
    let threat = ThreatModel::new(Norm::L2, epsilon).at(place);
    let pgd = Pgd {
        steps: 10,
        ..Pgd::default()
    };
    let config = EvaluationConfig {
        keep: true,
        ..EvaluationConfig::default()
    };
    evaluate(model, &data, &threat, &Goal::Untargeted, &[&pgd], &config).unwrap()
}

#[test]
fn an_attack_on_an_edited_net_goes_through_the_edit() {
    let mlp = Mlp {
        hidden: vec![16],
        ..Mlp::default()
    };
    let net = Network::init(Architecture::Mlp(mlp), 0, &Device::flex()).unwrap();
    let zero = Edit::at(SITE, Rewrite::Zero);
    let deaf = Intervened::new(&net, vec![zero]).unwrap();
    // Whatever the input, the logits are the last bias: nothing can be attacked.
    let found = robust(&deaf, Place::Input, 5.0);
    assert_eq!(found.clean_accuracy(), found.robust_accuracy());
    assert!(found.clean_accuracy() > 0.0);
    let found = robust(&net, Place::Input, 5.0);
    assert!(found.robust_accuracy() < found.clean_accuracy());
}

#[test]
fn a_latent_attack_moves_a_site_and_leaves_the_input_alone() {
    let mlp = Mlp {
        hidden: vec![16],
        ..Mlp::default()
    };
    let net = Network::init(Architecture::Mlp(mlp), 0, &Device::flex()).unwrap();
    let found = robust(&net, Place::site(SITE), 0.5);
    assert!(found.robust_accuracy() < found.clean_accuracy());
    let points = found.points.unwrap();
    assert_eq!(points.len(), 60 * 16);
    let data = clothes();
    for (i, (example, delta)) in found.examples.iter().zip(points.chunks(16)).enumerate() {
        // The input is what it was: the change at the site alone makes the prediction.
        let steering = Rewrite::Add {
            direction: delta.to_vec(),
            strength: 1.0,
        };
        let steered = Intervened::new(&net, vec![Edit::at(SITE, steering)]).unwrap();
        let logits = steered.logits(&data.input(&[i], &Device::flex()));
        assert_eq!(predictions(&logits)[0][0], example.adversarial);
        let length = delta.iter().map(|v| v * v).sum::<f32>().sqrt();
        match (&example.attack, example.distance) {
            (Some(_), Some(distance)) => {
                assert!((length - distance).abs() < 1e-5);
                assert!(length <= 0.5 + 1e-5 && length > 0.0);
            }
            _ => assert_eq!(length, 0.0, "{example:?}"),
        }
    }
}
