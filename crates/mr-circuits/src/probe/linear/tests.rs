use burn::tensor::{Device, Tensor};
use mr_models::{Architecture, Input, Intervened, Mlp, Model, Network, floats, values_at};

use super::*;
use crate::probe::concept_sensitivity;

/// Two inputs, two hidden units that copy them, logits `[h0 + 2 h1, -h0]`.
fn net() -> Network {
    let mlp = Mlp {
        input: [2, 1, 1],
        hidden: vec![2],
        classes: 2,
        ..Mlp::default()
    };
    let named = vec![
        ("linear1.weight".into(), vec![2, 2], vec![1., 0., 0., 1.]),
        ("linear1.bias".into(), vec![2], vec![0.0; 2]),
        ("linear2.weight".into(), vec![2, 2], vec![1., 2., -1., 0.]),
        ("linear2.bias".into(), vec![2], vec![0.0; 2]),
    ];
    Network::with_weights(Architecture::Mlp(mlp), named, &Device::flex()).unwrap()
}

fn input() -> Input {
    let values = Tensor::<1>::from_floats([3.0, 4.0, 1.0, 0.5], &Device::flex());
    values.reshape([2, 2, 1, 1]).into()
}

fn probe() -> Probe {
    let names = vec!["no".into(), "yes".into()];
    let (site, weights) = ("linear1.hook_out", vec![0.0, 0.0, 3.0, 4.0]);
    let kind = ProbeKind::Logistic;
    Probe::new(kind, site, Positions::Mean, names, weights, vec![0.0, -5.0]).unwrap()
}

#[test]
fn scores_answers_and_losses_are_those_of_the_formula() {
    let samples = [1.0, 1.0, 1.0, 0.0, 0.0, 1.25];
    let probe = probe();
    assert_eq!(probe.scores(&samples), [0.0, 2.0, 0.0, -2.0, 0.0, 0.0]);
    let judged = probe.judge(&samples, &[1, 1, 0]);
    assert_eq!(judged.predicted, [1, 0, 0]);
    assert_eq!(judged.right, [true, false, true]);
    let lost = (1.0 + 2.0_f64.exp()).ln();
    for (found, expected) in judged.log_loss.iter().zip([lost - 2.0, lost, 2.0_f64.ln()]) {
        assert!((found - expected).abs() < 1e-12, "{judged:?}");
    }
}

#[test]
fn directions_are_against_the_mean_of_the_others() {
    assert_eq!(probe().direction(1), [3.0, 4.0]);
    assert_eq!(probe().direction(0), [-3.0, -4.0]);
    let names = ["a", "b", "c"].map(String::from).to_vec();
    let three = Probe::new(
        ProbeKind::MassMean,
        "s",
        Positions::Mean,
        names,
        vec![1.0, 2.0, 6.0],
        vec![0.0; 3],
    );
    let three = three.unwrap();
    assert_eq!(three.direction(2), [4.5]);
    assert_eq!(
        three.with_means(vec![0.0, 0.0, 1.0]).unwrap().direction(2),
        [1.0]
    );
    assert_eq!(probe().output("yes").unwrap(), 1);
    let error = probe().output("yess").unwrap_err().to_string();
    assert!(error.contains("did you mean yes?"), "{error}");
}

#[test]
fn a_direction_steers_and_is_an_objective() {
    let (net, input) = (net(), input());
    let spec = net.spec();
    // Along [.6, .8]: 3 * .6 + 4 * .8 = 5 and 1.
    let objective = probe().objective(spec, 1, Sense::More).unwrap();
    let labels = mr_models::Labels::of_classes(&[0, 0], &Device::flex());
    let reach = |model: &dyn Model| {
        let (values, _) = values_at(model, &input, &labels, &objective, &[]).unwrap();
        floats(values)
    };
    let near = |found: Vec<f32>, expected: [f32; 2]| {
        let pairs = found.iter().zip(expected);
        assert!(
            pairs.clone().all(|(a, b)| (a - b).abs() < 1e-5),
            "{found:?}"
        );
    };
    near(reach(&net), [5.0, 1.0]);
    let steered = Intervened::new(&net, vec![probe().steer(spec, 1, 2.0).unwrap()]).unwrap();
    near(reach(&steered), [7.0, 3.0]);
    let erased = Intervened::new(&net, vec![probe().erase(spec, 1).unwrap()]).unwrap();
    near(reach(&erased), [0.0, 0.0]);
}

#[test]
fn a_class_rises_along_a_concept_as_its_weights_say() {
    let found = |class| concept_sensitivity(&net(), &input(), class, &probe(), 1).unwrap();
    // [1, 2] . [.6, .8] = 2.2 and [-1, 0] . [.6, .8] = -.6, wherever the units are on.
    let near = |slopes: &[f32], expected: f32| {
        assert!(
            slopes.iter().all(|s| (s - expected).abs() < 1e-6),
            "{slopes:?}"
        );
    };
    near(&found(0).slopes, 2.2);
    near(&found(1).slopes, -0.6);
    assert_eq!((found(0).score(), found(1).score()), (1.0, 0.0));
    let error = concept_sensitivity(&net(), &input(), 2, &probe(), 1).unwrap_err();
    assert!(error.to_string().contains("knows 2 classes"), "{error}");
}

#[test]
fn what_is_no_probe_is_refused() {
    let make = |weights: Vec<f32>| {
        let names = vec!["a".into(), "b".into()];
        let kind = ProbeKind::Linear;
        Probe::new(
            kind,
            "linear1.hook_out",
            Positions::Mean,
            names,
            weights,
            vec![0.0; 2],
        )
    };
    assert!(make(vec![1.0; 3]).is_err());
    assert!(
        make(vec![f32::NAN; 4])
            .unwrap_err()
            .to_string()
            .contains("NaN")
    );
    let equal = make(vec![1.0; 4]).unwrap();
    let error = equal.steer(net().spec(), 0, 1.0).unwrap_err().to_string();
    assert!(error.contains("length 0"), "{error}");
    let error = make(vec![1.0; 6]).unwrap().fits(net().spec()).unwrap_err();
    assert!(error.to_string().contains("reads 3 features"), "{error}");
}
