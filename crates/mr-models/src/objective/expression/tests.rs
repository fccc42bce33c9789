use burn::tensor::{Device, Tensor};
use proptest::prelude::*;

use super::super::{by_name, by_name_with};
use super::*;
use crate::host::floats;
use crate::input::{Input, Labels};
use crate::site::ModelSpec;
use crate::{Architecture, Cache, Mlp, Model, Network};

fn name(text: &str) -> String {
    by_name(text).unwrap().name()
}

fn error(text: &str) -> String {
    by_name(text).err().unwrap().to_string()
}

#[test]
fn a_name_is_the_expression_in_its_plainest_form() {
    for (text, plain) in [
        ("margin", "margin"),
        ("  cross-entropy ", "cross-entropy"),
        ("1 kl", "kl"),
        ("-kl", "-kl"),
        ("+ 2.50*margin", "2.5 margin"),
        ("1e-3 dlr", "0.001 dlr"),
        (
            "raise( conv2.hook_out [:,5] )",
            "raise(conv2.hook_out[:, 5])",
        ),
        ("lower(a[:, :])", "lower(a)"),
        (
            "shift(conv2.hook_out)-10kl",
            "shift(conv2.hook_out) - 10 kl",
        ),
        ("margin - .1 shift(a[3])", "margin - 0.1 shift(a[3])"),
        ("stay(a[0:4, 2])+margin", "stay(a[0:4, 2]) + margin"),
        ("along(a,1,-.5, 2e1)", "along(a, 1, -0.5, 20)"),
        ("against(a[:, 0:2], 0, 1)", "against(a[:, 0:2], 0, 1)"),
        ("logit-difference(3,5)", "logit-difference(3, 5)"),
        ("2last( margin )", "2 last(margin)"),
    ] {
        assert_eq!(name(text), plain);
        assert_eq!(name(plain), plain);
    }
}

#[test]
fn an_error_says_where_and_what_would_do() {
    for (text, message) in [
        (
            "",
            "objective ``, at character 1: expected an objective, found the end",
        ),
        (
            "margin kl",
            "objective `margin kl`, at character 8: expected + or -, found `kl`",
        ),
        (
            "margin + ",
            "objective `margin + `, at character 10: expected an objective, found the end",
        ),
        (
            "2 3 kl",
            "objective `2 3 kl`, at character 3: expected an objective, found `3`",
        ),
        (
            "1.2.3 kl",
            "objective `1.2.3 kl`, at character 1: `1.2.3` is no finite number",
        ),
        (
            "1e99 kl",
            "objective `1e99 kl`, at character 1: `1e99` is no finite number",
        ),
        (
            "margin-kl",
            "objective `margin-kl`, at character 1: `margin-kl` is no objective; a minus after \
             `margin` needs a space before it",
        ),
        ("rais(a)", "unknown objective `rais`; did you mean raise?"),
        (
            "raise",
            "objective `raise`, at character 6: expected ( and a site, such as \
             (conv1.hook_out[:, 5]), found the end",
        ),
        (
            "raise()",
            "objective `raise()`, at character 7: expected a site, found `)`",
        ),
        (
            "raise(a",
            "objective `raise(a`, at character 8: expected ) after the site, found the end",
        ),
        (
            "raise(a[1)",
            "objective `raise(a[1)`, at character 8: this bracket is not closed",
        ),
        (
            "along(a, x)",
            "objective `along(a, x)`, at character 10: expected a number, found `x)`",
        ),
        (
            "logit-difference(1)",
            "objective `logit-difference(1)`, at character 19: expected , and a second class, found \
             `)`",
        ),
    ] {
        assert_eq!(error(text), message);
    }
    assert!(error("é + raise(a[x])").contains("unknown objective `é`"));
    let region = error("kl + raise(a[x])");
    assert!(
        region.contains("at character 13: `[x]` is no region: `x` is no index"),
        "{region}"
    );
}

/// One hidden layer of two units.
fn spec() -> ModelSpec {
    let mlp = Mlp {
        input: [1, 1, 2],
        hidden: vec![2],
        classes: 3,
        ..Mlp::default()
    };
    Network::init(Architecture::Mlp(mlp), 0, &Device::flex())
        .unwrap()
        .spec()
        .clone()
}

#[test]
fn what_a_model_lacks_is_told_when_it_is_fitted() {
    let fits = |text: &str| by_name(text).unwrap().fits(&spec());
    let error = |text: &str| fits(text).unwrap_err().to_string();
    fits("shift(linear1.hook_out) - 10 kl + raise(linear1.hook_out[0, 1])").unwrap();
    fits("along(linear1.hook_out, 3, 4)").unwrap();
    assert!(error("margin + raise(linear1.hook_ou)").contains("did you mean linear1.hook_out"));
    assert!(error("shift(linear1.hook_out[:, 2])").contains("channels 2..3"));
    assert!(error("stay(linear1.hook_out[5])").contains("positions 5..6"));
    assert!(error("logit-difference(0, 3)").contains("class 3 does not exist"));
    assert!(error("along(linear1.hook_out, 1)").contains("of 1 values"));
    assert!(error("along(linear1.hook_out, 0, 0)").contains("of length 0"));
}

/// Values at a site that holds [3, -1] where the clean example's holds [1, 1].
fn value(text: &str) -> f32 {
    let device = Device::flex();
    let objective = by_name(text).unwrap();
    let mut cache = Cache::of(&spec(), &["linear1.hook_out"]).unwrap();
    let rows = |values: [f32; 2]| Tensor::<1>::from_floats(values, &device).reshape([1, 1, 2]);
    let site = spec().site("linear1.hook_out").unwrap().clone();
    cache.record(&site, &rows([3.0, -1.0]));
    let mut labels = Labels::of_classes(&[0], &device);
    labels.activations.insert(site.name, rows([1.0, 1.0]));
    let logits = Tensor::<1>::from_floats([2.0, 1.0, 0.5], &device).reshape([1, 1, 3]);
    floats(objective.value(&logits, &cache, &labels))[0]
}

#[test]
fn values_are_those_of_hand() {
    for (text, expected) in [
        ("raise(linear1.hook_out)", 1.0),
        ("lower(linear1.hook_out[:, 0])", -3.0),
        ("shift(linear1.hook_out)", 8.0),
        ("stay(linear1.hook_out[:, 1])", -4.0),
        // (3 * 3 - 1 * 4) / 5
        ("along(linear1.hook_out, 3, 4)", 1.0),
        ("against(linear1.hook_out[:, 0:1], -2)", 3.0),
        ("margin", -1.0),
        ("-0.5 shift(linear1.hook_out) + 3 margin", -7.0),
    ] {
        assert!(
            (value(text) - expected).abs() < 1e-6,
            "{text}: {}",
            value(text)
        );
    }
}

#[test]
fn a_sum_reads_each_site_once() {
    let sum = by_name("shift(b) + raise(a) - raise(b[:, 2]) - kl").unwrap();
    assert_eq!(sum.sites(), ["a", "b"]);
    assert_eq!(sum.references(), ["b"]);
}

#[test]
fn the_gradient_of_a_sum_is_the_sum_of_gradients() {
    let device = Device::flex();
    let mlp = Mlp {
        input: [1, 1, 2],
        hidden: vec![4],
        classes: 3,
        ..Mlp::default()
    };
    let net = Network::init(Architecture::Mlp(mlp), 1, &device).unwrap();
    let input = Input::Real(Tensor::<1>::from_floats([0.2, 0.9], &device).reshape([1, 1, 1, 2]));
    let labels = Labels::of_classes(&[1], &device);
    let gradient = |text: &str| {
        let objective = by_name(text).unwrap();
        let place = [crate::Place::Input];
        let found = crate::value_and_grad(&net, &input, &labels, objective.as_ref(), &place);
        floats(found.unwrap().input().clone())
    };
    let (margin, raise) = (
        gradient("margin"),
        gradient("raise(linear1.hook_pre[:, 2])"),
    );
    let sum = gradient("2 margin - 0.5 raise(linear1.hook_pre[:, 2])");
    for i in 0..2 {
        assert!((sum[i] - (2.0 * margin[i] - 0.5 * raise[i])).abs() < 1e-6);
    }
}

#[test]
fn terms_that_are_known_elsewhere_read_like_any_other() {
    let more: &MoreTerms<'_> = &|name, inner| {
        let class = inner.parse().map_err(|_| format!("`{inner}` is no class"));
        (name == "logit").then_some(
            class.map(|more| Arc::new(LogitDifference { more, less: 0 }) as Arc<dyn Objective>),
        )
    };
    let read = |text: &str| by_name_with(text, more).map(|objective| objective.name());
    assert_eq!(
        read("2 logit(3) - kl").unwrap(),
        "2 logit-difference(3, 0) - kl"
    );
    let error = |text: &str| read(text).unwrap_err().to_string();
    assert_eq!(
        error("kl + logit(x)"),
        "objective `kl + logit(x)`, at character 11: `x` is no class"
    );
    assert!(error("logits(3)").starts_with("unknown objective `logits`"));
    assert!(error("logit").starts_with("unknown objective `logit`"));
}

fn atom() -> impl Strategy<Value = Arc<dyn Objective>> {
    let sense = prop_oneof![Just(Sense::More), Just(Sense::Less)];
    let range = || proptest::option::of((0usize..9, 0usize..9).prop_map(|(a, b)| a..b));
    let region = (range(), range()).prop_map(|(positions, channels)| Region {
        positions,
        channels,
    });
    let site = "[a-z][a-z0-9_.-]{0,8}";
    let vector = proptest::collection::vec(proptest::num::f32::NORMAL, 0..4);
    prop_oneof![
        Just(Arc::new(CrossEntropy) as Arc<dyn Objective>),
        Just(Arc::new(Margin) as Arc<dyn Objective>),
        Just(Arc::new(Dlr) as Arc<dyn Objective>),
        Just(Arc::new(KlDivergence) as Arc<dyn Objective>),
        Just(Arc::new(SquaredError::default()) as Arc<dyn Objective>),
        (0usize..9, 0usize..9)
            .prop_map(|(more, less)| Arc::new(LogitDifference { more, less }) as _),
        (site, region, sense, vector, 0..3).prop_map(|(site, region, sense, vector, kind)| {
            match kind {
                0 => Arc::new(ActivationLevel {
                    site,
                    region,
                    sense,
                }) as _,
                1 => Arc::new(SiteShift {
                    site,
                    region,
                    sense,
                }) as _,
                _ => Arc::new(Direction {
                    site,
                    region,
                    vector,
                    sense,
                }) as _,
            }
        }),
    ]
}

proptest! {
    #[test]
    fn a_name_reads_as_the_same_objective(
        terms in proptest::collection::vec((proptest::num::f32::NORMAL, atom()), 1..4),
    ) {
        let sum = Sum { terms };
        prop_assert_eq!(name(&sum.name()), sum.name());
    }

    #[test]
    fn no_text_makes_it_panic(text in "[a-z0-9 ,.:()\\[\\]+*-]{0,24}|\\PC{0,12}") {
        let read = by_name(&text).or_else(|_| by_name(&format!("margin - 2 raise({text})")));
        if let Ok(objective) = read {
            prop_assert_eq!(name(&objective.name()), objective.name());
        }
    }
}
