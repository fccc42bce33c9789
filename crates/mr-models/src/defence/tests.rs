use burn::tensor::{Device, Tensor, TensorData};
use proptest::prelude::*;

use super::*;
use crate::{
    Architecture, Input, Labels, Mlp, Model, Network, Place, floats, objective, run_with_cache,
    value_and_grad,
};

const IMAGE: [f32; 4] = [0.0, 0.2, 0.6, 1.0];

fn mlp() -> Network {
    let mlp = Mlp {
        input: [1, 2, 2],
        hidden: vec![6],
        classes: 3,
        ..Mlp::default()
    };
    Network::init(Architecture::Mlp(mlp), 1, &Device::flex()).unwrap()
}

fn images(values: &[f32]) -> Input {
    let data = TensorData::new(values.to_vec(), [values.len() / 4, 1, 2, 2]);
    Tensor::<4>::from_data(data, &Device::flex()).into()
}

fn parse(text: &str) -> Result<DefenceConfig, String> {
    text.parse().map_err(|error: ModelError| error.to_string())
}

fn defended(texts: &[&str]) -> Defended<Network> {
    let configs: Vec<DefenceConfig> = texts.iter().map(|text| parse(text).unwrap()).collect();
    Defended::by_config(mlp(), &configs).unwrap()
}

fn applied(text: &str, values: &[f32]) -> Vec<f32> {
    let values = Tensor::<1>::from_floats(values, &Device::flex()).unsqueeze::<3>();
    let defence = parse(text).unwrap().defence().unwrap();
    floats(defence.transform.apply(values, &[0]))
}

/// The margin's gradient at the input, and the logits of that pass.
fn gradient(model: &dyn Model) -> (Vec<f32>, Vec<f32>) {
    let labels = Labels::of_classes(&[0], &Device::flex());
    let places = [Place::Input];
    let found = value_and_grad(model, &images(&IMAGE), &labels, &objective::Margin, &places);
    let found = found.unwrap();
    (floats(found.input().clone()), floats(found.logits))
}

#[test]
fn values_by_hand() {
    let third = 1.0 / 3.0;
    assert_eq!(
        applied("quantize=4", &[-1.0, 0.1, 0.2, 0.4, 0.9, 2.0]),
        [0.0, 0.0, third, third, 1.0, 1.0]
    );
    assert_eq!(applied("bits=1", &[0.49, 0.51]), [0.0, 1.0]);
    assert_eq!(applied("bits=2", &[0.4]), applied("quantize=4", &[0.4]));
    assert_eq!(
        applied("quantize=3,low=-1,high=3", &[-5.0, 0.4, 2.5]),
        [-1.0, 1.0, 3.0]
    );
    assert_eq!(applied("temperature=10", &[1.0, -2.0]), [10.0, -20.0]);
    assert_eq!(applied("round-logits=1", &[1.26, -0.04]), [1.3, 0.0]);
    assert_eq!(applied("softmax", &[3.0, 3.0]), [0.5, 0.5]);
}

#[test]
fn a_step_function_has_no_gradient_and_bpda_that_of_the_step_left_out() {
    // The levels that IMAGE has anyway, so that nothing is rounded away.
    let net = mlp();
    let (plain, logits) = gradient(&net);
    assert!(plain.iter().any(|&v| v != 0.0));
    for step in [
        "quantize=6",
        "bits=3",
        "round-logits=2",
        "quantize=64,site=linear1.hook_out",
    ] {
        let (exact, there) = gradient(&defended(&[step]));
        assert_eq!(exact, [0.0; 4], "{step}");
        let bpda = defended(&[&format!("{step},backward=identity")]);
        let (replaced, same) = gradient(&bpda);
        assert!(replaced.iter().any(|&v| v != 0.0), "{step}");
        assert_eq!(there, same, "{step}: the values are the same to the bit");
        assert_eq!(there, floats(bpda.logits(&images(&IMAGE))), "{step}");
    }
    let (replaced, there) = gradient(&defended(&["quantize=6,backward=identity"]));
    for (a, b) in replaced.iter().zip(&plain).chain(there.iter().zip(&logits)) {
        assert!((a - b).abs() < 1e-6);
    }
}

#[test]
fn a_scale_scales_the_gradient_unless_it_is_replaced() {
    let (plain, _) = gradient(&mlp());
    let (scaled, _) = gradient(&defended(&["temperature=8"]));
    let (replaced, _) = gradient(&defended(&["temperature=8,backward=identity"]));
    for i in 0..4 {
        assert!((scaled[i] - 8.0 * plain[i]).abs() < 1e-5);
        assert!((replaced[i] - plain[i]).abs() < 1e-6);
    }
    let (_, logits) = gradient(&defended(&["softmax"]));
    assert!((logits.iter().sum::<f32>() - 1.0).abs() < 1e-6);
}

#[test]
fn any_step_may_have_any_backward_pass() {
    // f rounds, g(x) = 3 x: the gradient is three times that of the identity.
    let round = |values: Tensor<3>| values.mul_scalar(5.0).round().div_scalar(5.0);
    let of = |bpda: Bpda| {
        let net = Defended::new(mlp(), vec![Defence::new(Stage::Input, bpda)]).unwrap();
        gradient(&net)
    };
    let (identity, logits) = of(Bpda::new(round));
    let (threefold, same) = of(Bpda::new(round).with_backward(|values| values * 3.0));
    assert_eq!(logits, same);
    for (one, three) in identity.iter().zip(&threefold) {
        assert!((3.0 * one - three).abs() < 1e-5);
    }
}

#[test]
fn hooks_see_a_site_as_its_defence_left_it() {
    let net = defended(&["quantize=2,site=linear1.hook_out,high=0.5"]);
    let (_, cache) = run_with_cache(&net, &images(&IMAGE), &["linear1.hook_out"]).unwrap();
    let seen = floats(cache.get("linear1.hook_out").unwrap().clone());
    assert!(seen.iter().all(|&v| v == 0.0 || v == 0.5), "{seen:?}");
}

#[test]
fn noise_is_drawn_by_keys_alone() {
    let net = defended(&["noise=0.3", "noise=0.3"]);
    assert!(net.is_random() && !defended(&["quantize=4"]).is_random());
    let two = images(&[IMAGE, IMAGE].concat());
    let run =
        |input: &Input, keys: &[u64]| floats(net.run_drawn(input, keys, &mut crate::hook::Idle));
    let both = run(&two, &[5, 9]);
    assert_ne!(both[..3], both[3..]);
    assert_eq!(run(&images(&IMAGE), &[9]), both[3..]);
    assert_eq!(run(&two, &[9, 5])[..3], both[3..]);
    // Two defences do not draw the same: their noise has sigma .3 sqrt 2, not .6.
    let values = Tensor::<3>::zeros([1, 1, 4000], &Device::flex());
    let noisy = super::defended::apply(net.defences(), |_| true, values, &[1]);
    let square: f32 = floats(noisy).iter().map(|v| v * v).sum::<f32>() / 4000.0;
    assert!((square - 0.18).abs() < 0.02, "{square}");
}

/// One copy is the noisy network's, as log-probabilities; more of them have a smaller spread.
#[test]
fn smoothing_averages_probabilities_over_copies() {
    let run = |net: &Defended<Network>, key: u64| {
        floats(net.run_drawn(&images(&IMAGE), &[key], &mut crate::hook::Idle))
    };
    let noisy = run(&defended(&["noise=0.4"]), 7);
    let one = run(&defended(&["smoothing=0.4,samples=1"]), 7);
    let sum: f32 = noisy.iter().map(|v| v.exp()).sum();
    for (log, logit) in one.iter().zip(&noisy) {
        assert!((log - (logit - sum.ln())).abs() < 1e-5);
    }
    let many = defended(&["smoothing=0.4,samples=64"]);
    assert!(many.is_random());
    assert_eq!(run(&many, 7), run(&many, 7));
    let spread = |net: &Defended<Network>| {
        let first: Vec<f32> = (0..40).map(|key| run(net, 1000 * key)[0].exp()).collect();
        let mean = first.iter().sum::<f32>() / 40.0;
        first.iter().map(|p| (p - mean).powi(2)).sum::<f32>().sqrt()
    };
    let (few, most) = (
        spread(&defended(&["smoothing=0.4,samples=1"])),
        spread(&many),
    );
    assert!(most < 0.25 * few, "{most} of {few}");
}

/// At the input and at a site, where every copy passes: against differences, with the same draws.
#[test]
fn the_gradient_of_a_smoothed_network_is_that_of_all_copies() {
    let net = defended(&["smoothing=0.2,samples=5"]);
    let labels = Labels::of_classes(&[0], &Device::flex());
    let (input, site) = (images(&IMAGE), "linear1.hook_out");
    let added = |values: Vec<f32>| crate::Tap {
        site: site.into(),
        added: Some(Tensor::from_data(
            TensorData::new(values, [1, 1, 6]),
            &Device::flex(),
        )),
    };
    let at = |values: Vec<f32>, image: &Input| {
        let taps = [added(values)];
        let found = crate::values_at(&net, image, &labels, &objective::CrossEntropy, &taps);
        floats(found.unwrap().0)[0]
    };
    let taps = [added(vec![0.0; 6])];
    let found =
        crate::value_and_grad_at(&net, &input, &labels, &objective::CrossEntropy, true, &taps);
    let found = found.unwrap();
    let step = 1e-2f32;
    for (i, slope) in floats(found.site(site).clone()).into_iter().enumerate() {
        let moved = |by: f32| {
            let mut values = vec![0.0; 6];
            values[i] = by;
            at(values, &input)
        };
        let difference = (moved(step) - moved(-step)) / (2.0 * step);
        assert!(
            (difference - slope).abs() < 2e-3,
            "{i}: {difference} {slope}"
        );
    }
    for (i, slope) in floats(found.input().clone()).into_iter().enumerate() {
        let moved = |by: f32| {
            let mut image = IMAGE;
            image[i] += by;
            at(vec![0.0; 6], &images(&image))
        };
        let difference = (moved(step) - moved(-step)) / (2.0 * step);
        assert!(
            (difference - slope).abs() < 2e-3,
            "{i}: {difference} {slope}"
        );
    }
}

#[test]
fn texts_and_tables_say_the_same() {
    let quantize = Quantize {
        levels: 4,
        high: 2.5,
        site: Some("conv1.hook_out".into()),
        backward: Backward::Identity,
        ..Quantize::default()
    };
    let config = DefenceConfig::Quantize(quantize);
    let text = "quantize=4,site=conv1.hook_out,high=2.5,backward=identity";
    assert_eq!(parse(text).unwrap(), config);
    let table = r#"{"type": "quantize", "levels": 4, "high": 2.5, "site": "conv1.hook_out",
        "backward": "identity"}"#;
    assert_eq!(
        serde_json::from_str::<DefenceConfig>(table).unwrap(),
        config
    );
    let back = serde_json::to_string(&config).unwrap();
    assert_eq!(
        serde_json::from_str::<DefenceConfig>(&back).unwrap(),
        config
    );
    for name in DefenceConfig::names() {
        assert!(parse(name).is_ok(), "{name}");
    }
    for text in [
        "quantize=4",
        "quantize=4,high=2.5,site=conv1.hook_out,backward=identity",
        "noise=0.1",
        "smoothing=0.25",
        "smoothing=0.5,samples=8",
        "temperature=1000.0",
        "round-logits=2",
        "softmax",
        "softmax,backward=identity",
    ] {
        assert_eq!(parse(text).unwrap().to_string(), text);
    }
}

#[test]
fn errors_name_what_is_wrong_and_what_would_do() {
    let said = |text: &str| parse(text).unwrap_err();
    assert_eq!(
        said("quantise=4"),
        "unknown defence `quantise`; did you mean quantize, noise?"
    );
    assert_eq!(
        said("quantize=1"),
        "defence: levels is 1, must be from 2 to 16777216"
    );
    assert!(said("quantize=few").starts_with("defence `quantize=few`: invalid type"));
    assert!(said("quantize=4,level=3").contains("unknown field `level`, expected"));
    assert!(said("quantize=4,backward=none").contains("expected `exact` or `identity`"));
    assert_eq!(
        said("softmax=3"),
        "defence `softmax=3`: softmax takes no number"
    );
    assert!(said("noise=0.1,identity").contains("`identity` must be KEY=VALUE"));
    assert!(said("noise=0").contains("sigma is 0, must be a finite number above 0"));
    assert!(said("smoothing=0.1,samples=0").contains("samples is 0, must be from 1 to 65536"));
    let configs = [parse("noise=1,site=fc9.hook_out").unwrap()];
    let error = Defended::by_config(mlp(), &configs).unwrap_err();
    assert!(error.to_string().contains("unknown site `fc9.hook_out`"));
}

proptest! {
    /// Rounding twice is rounding once, and never goes further than half a level.
    #[test]
    fn quantising_is_idempotent(levels in 2u32..300, values in prop::collection::vec(0f32..=1.0, 1..20)) {
        let text = format!("quantize={levels}");
        let once = applied(&text, &values);
        let half = 0.5 / (levels - 1) as f32 + 1e-6;
        for (a, b) in once.iter().zip(&values) {
            prop_assert!((a - b).abs() <= half && (0.0..=1.0).contains(a));
        }
        prop_assert_eq!(applied(&text, &once), once);
    }
}
