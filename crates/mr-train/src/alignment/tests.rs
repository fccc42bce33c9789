use mr_circuits::{CausalModel, interchange};
use mr_models::{Architecture, Mlp, Network};

use super::*;

/// `a + b + c` of bits as in a hand-made net, but with its hidden units mixed: along `u = (1, 1, 0)` and
/// `w = (0, 0, 1)` of the hidden site they hold `a + b` and `c`; the direction `(1, -1, 0)` holds `a`, and is
/// read by nothing. Constants keep every unit above 0.
fn net() -> Network {
    let mlp = Mlp {
        input: [3, 1, 1],
        hidden: vec![3],
        classes: 4,
        ..Mlp::default()
    };
    let hidden = vec![2., 1., 0., 0., 1., 0., 0., 0., 1.];
    let out: Vec<f32> = (0..4)
        .flat_map(|k| [0.5, 0.5, 1.0].map(|v| v * 4.0 * k as f32))
        .collect();
    // Logits 4 (k s - k^2 / 2) for s = a + b + c; the constants add 3/2 to s.
    let bias = (0..4).map(|k| 4.0 * (-0.5 * (k * k) as f32 - 1.5 * k as f32));
    let named = vec![
        ("linear1.weight".into(), vec![3, 3], hidden),
        ("linear1.bias".into(), vec![3], vec![0.5, 0.5, 1.0]),
        ("linear2.weight".into(), vec![4, 3], out),
        ("linear2.bias".into(), vec![4], bias.collect()),
    ];
    Network::with_weights(Architecture::Mlp(mlp), named, &Device::flex()).unwrap()
}

fn sum() -> CausalModel {
    let add = |values: &[usize]| values[0] + values[1];
    CausalModel::default()
        .input("a", 2)
        .and_then(|model| model.input("b", 2))
        .and_then(|model| model.input("c", 2))
        .and_then(|model| model.computed("ab", 3, &["a", "b"], add))
        .and_then(|model| model.computed("abc", 4, &["ab", "c"], add))
        .unwrap()
}

fn encode(rows: &[Vec<usize>], device: &Device) -> Input {
    let values: Vec<f32> = rows.iter().flatten().map(|&value| value as f32).collect();
    let values = Tensor::<1>::from_floats(values.as_slice(), device);
    values.reshape([rows.len(), 3, 1, 1]).into()
}

fn fit(
    variables: &[(&str, usize)],
    config: &AlignmentConfig,
) -> Result<FittedAlignment, TrainError> {
    let causal = sum();
    let task = Task {
        causal: &causal,
        encode: &encode,
    };
    let variables: Vec<(String, usize)> = variables
        .iter()
        .map(|(name, size)| ((*name).into(), *size))
        .collect();
    let drawn = causal.draw(variables.len(), 256, 0);
    let whole = Region::default();
    fit_alignment(
        &net(),
        &task,
        "linear1.hook_out",
        &whole,
        &variables,
        &drawn,
        config,
    )
}

fn accuracy(alignment: &[Aligned]) -> f64 {
    let causal = sum();
    let task = Task {
        causal: &causal,
        encode: &encode,
    };
    let unseen = causal.draw(alignment.len(), 300, 1);
    interchange(&net(), &task, alignment, &unseen)
        .unwrap()
        .accuracy()
}

#[test]
fn the_net_adds() {
    let causal = sum();
    let all = causal.all_inputs();
    let answers = mr_models::predictions(&net().logits(&encode(&all, &Device::flex())));
    for (row, answer) in all.iter().zip(answers) {
        assert_eq!(answer, [causal.output(row).unwrap()]);
    }
}

#[test]
fn two_variables_are_found_in_mixed_units() {
    let found = fit(&[("ab", 1), ("c", 1)], &AlignmentConfig::default()).unwrap();
    assert_eq!(accuracy(&found.alignment), 1.0);
    let (first, last) = (found.losses[0], found.losses[19]);
    assert!(last < 0.5 * first, "{:?}", found.losses);
    let basis = |at: usize| {
        found.alignment[at]
            .subspace
            .as_ref()
            .unwrap()
            .basis()
            .to_vec()
    };
    // What is read of a + b is along (1, 1, 0), and c along (0, 0, 1): what is added to them is not read.
    let (sum, c) = (basis(0), basis(1));
    let product: f32 = sum.iter().zip(&c).map(|(a, b)| a * b).sum();
    assert!(product.abs() < 1e-5, "at right angles: {sum:?}, {c:?}");
    assert!(
        (sum[0] + sum[1]).abs() > 1.0 && c[2].abs() > 0.8,
        "{sum:?}, {c:?}"
    );
}

#[test]
fn where_there_is_no_room_nothing_is_found() {
    // A direction cannot hold a + b and c both ways round.
    let found = fit(
        &[("c", 1)],
        &AlignmentConfig {
            steps: 0,
            ..AlignmentConfig::default()
        },
    );
    let untrained = accuracy(&found.unwrap().alignment);
    assert!(untrained < 0.9, "{untrained}");
}

#[test]
fn the_same_seed_gives_the_same_bits_in_any_pool() {
    let fit = |seed| {
        let config = AlignmentConfig {
            steps: 20,
            seed,
            ..AlignmentConfig::default()
        };
        fit(&[("ab", 2)], &config).unwrap()
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build();
    assert_eq!(fit(0), pool.unwrap().install(|| fit(0)));
    assert_ne!(fit(0), fit(1));
}

#[test]
fn what_does_not_fit_is_refused() {
    let plain = AlignmentConfig::default();
    let said = |variables: &[(&str, usize)]| fit(variables, &plain).unwrap_err().to_string();
    assert!(said(&[("ab", 4)]).contains("at most 3"));
    assert!(said(&[("ab", 0)]).contains("1 or more"));
    assert!(said(&[("abd", 1)]).contains("unknown variable `abd`"));
}
