//! Made-up records, laid out as `mr` lays them out. None of their numbers was measured; they only
//! look as if they were, so that a report of them looks like one.

use std::path::Path;

use mr_metrics::stats::wilson;
use mr_metrics::{ExperimentRecord, RecordKind, Series};
use mr_models::data::{DataConfig, Split, load};
use mr_models::write_tensors;
use serde_json::{Value, json};

/// Densities of the toys and their features per dimension.
const TOYS: [(f64, f64); 6] = [
    (1.0, 0.99),
    (0.5, 1.79),
    (0.2, 2.85),
    (0.1, 4.45),
    (0.05, 6.06),
    (0.02, 7.0),
];
const EPSILONS: [f64; 6] = [0.0, 0.02, 0.05, 0.1, 0.15, 0.2];

/// A number in -1..1 that looks random and is the same every time.
fn noise(key: u64) -> f64 {
    let mut x = key.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (x ^ (x >> 31)) as f64 / u64::MAX as f64 * 2.0 - 1.0
}

fn draft(kind: RecordKind, name: &str, config: Value, seed: u64) -> ExperimentRecord {
    let mut record = ExperimentRecord::new(kind, name, config, seed, "flex");
    record.command = [
        "mr",
        &kind.to_string(),
        "--config",
        "made-up.toml",
        "--seed",
    ]
    .into_iter()
    .map(String::from)
    .chain([seed.to_string(), "--out".into(), format!("runs/{name}")])
    .collect();
    record.versions.insert("mr".into(), "0.1.0".into());
    record.versions.insert("burn".into(), "0.22.1".into());
    record
}

/// A measured toy model of superposition.
pub(crate) fn toy(density: f64, fpd: f64, activation: &str, seed: u64) -> ExperimentRecord {
    let name = format!("toy-{activation}-{density}-{seed}");
    let config = json!({
        "data": {"name": "sparse-features", "features": 50, "density": density, "seed": seed},
        "measure": {"samples": 10_000},
        "trained": {
            "name": name,
            "seed": seed,
            "step": 10_000,
            "model": {"type": "toy", "features": 50, "hidden": 10, "activation": activation},
            "data": {"name": "sparse-features", "features": 50, "density": density, "seed": seed},
            "train": {"seed": seed, "steps": 10_000, "loss": {"type": "reconstruction"}},
        },
    });
    let mut record = draft(RecordKind::Measure, &name, config, seed);
    let near = |value: f64, key: u64| value * (1.0 + 0.02 * noise(seed * 31 + key));
    let relu = activation == "relu";
    let fpd = if relu { near(fpd, 1) } else { near(1.0, 1) };
    let exact = if density == 0.5 { 0.5 } else { 1.0 / fpd };
    record.number("fpd", fpd);
    record.number("dimensionality_median", near(exact, 2));
    record.number("interference", near((fpd - 0.99).max(0.0) * 0.12, 3));
    record.number(
        "vulnerability",
        if relu {
            near(0.72 * fpd.max(1.39), 4)
        } else {
            near(1.0, 5)
        },
    );
    record.number("raw", near(0.165 * density.sqrt(), 6));
    record
}

fn network(hidden: usize, robust: bool, seed: u64) -> Value {
    let loss = if robust {
        json!({
            "type": "adversarial", "mix": "full",
            "threat": {"norm": "Linf", "epsilon": 0.1}, "attack": {"type": "pgd", "steps": 7},
        })
    } else {
        json!({"type": "cross-entropy"})
    };
    json!({
        "model": {"type": "mlp", "input": [1, 28, 28], "hidden": [hidden], "classes": 10},
        "data": {"name": "fashion-mnist-mini"},
        "train": {
            "seed": seed, "epochs": 10, "batch_size": 128, "loss": loss,
            "optimizer": {"type": "adamw", "lr": 0.001},
        },
    })
}

fn label(hidden: usize, robust: bool, seed: u64) -> String {
    let way = if robust { "robust" } else { "standard" };
    format!("mlp-{hidden}-{way}-{seed}")
}

/// A trained image model.
pub(crate) fn trained(hidden: usize, robust: bool, seed: u64) -> ExperimentRecord {
    let name = label(hidden, robust, seed);
    let mut record = draft(
        RecordKind::Train,
        &name,
        network(hidden, robust, seed),
        seed,
    );
    let steps: Vec<f64> = (1..=100).map(|step| f64::from(step) * 8.0).collect();
    let floor = if robust {
        0.85
    } else {
        0.02 + 1.0 / hidden as f64
    };
    let losses = steps.iter().map(|step| {
        let jitter = 1.0 + 0.06 * noise(seed * 1009 + *step as u64 + hidden as u64);
        (floor + (2.3 - floor) * (-step / 110.0).exp()) * jitter
    });
    let losses = losses.collect();
    record
        .curve("loss", Series::new("step", steps, losses))
        .unwrap();
    let clean = if robust { 0.78 } else { 0.87 };
    let judged: Vec<_> = (1..=10)
        .map(|epoch| {
            let share =
                clean - 0.3 * (-f64::from(epoch) / 2.0).exp() + 0.01 * noise(seed + epoch as u64);
            (
                f64::from(epoch) * 78.0,
                wilson((share * 1000.0) as usize, 1000, 0.95).unwrap(),
            )
        })
        .collect();
    record
        .curve(
            "validation.clean_accuracy",
            Series::of_intervals("step", &judged),
        )
        .unwrap();
    record
        .artifacts
        .insert("model".into(), "model.safetensors".into());
    record
}

/// An attacked image model.
pub(crate) fn attacked(hidden: usize, robust: bool, seed: u64) -> ExperimentRecord {
    let mut trained = network(hidden, robust, seed);
    trained["name"] = json!(label(hidden, robust, seed));
    trained["seed"] = json!(seed);
    trained["step"] = json!(780 + seed);
    let config = json!({
        "data": {"name": "fashion-mnist-mini"},
        "split": "test",
        "threat": {"norm": "Linf", "epsilon": 0.1, "bounds": [0.0, 1.0], "place": "input"},
        "goal": "untargeted",
        "attack": [{"type": "pgd", "steps": 40}],
        "epsilons": EPSILONS,
        "evaluation": {"seed": seed, "batch_size": 128},
        "trained": trained,
    });
    let name = format!("attack-{}", label(hidden, robust, seed));
    let mut record = draft(RecordKind::Attack, &name, config, seed);
    let (clean, scale) = if robust { (0.79, 0.26) } else { (0.87, 0.022) };
    let share = |epsilon: f64| {
        let wide = scale * (1.0 + (hidden as f64).log2() / 20.0);
        let share =
            clean * (-(epsilon / wide).powf(1.4)).exp() + 0.012 * noise(seed * 7 + hidden as u64);
        wilson((share.clamp(0.0, 1.0) * 2000.0) as usize, 2000, 0.95).unwrap()
    };
    let points: Vec<_> = EPSILONS
        .iter()
        .map(|&epsilon| (epsilon, share(epsilon)))
        .collect();
    record.number("clean_accuracy", points[0].1);
    record.number("robust_accuracy", points[3].1);
    record
        .curve(
            "security_curve",
            Series::of_intervals("epsilon (Linf)", &points),
        )
        .unwrap();
    record
        .warnings
        .push("a made-up warning, to be seen once for many records".into());
    record
}

/// Samples of an attack, with real images and made-up perturbations and predictions.
pub(crate) fn samples(path: &Path, robust: bool) {
    let data = load(&DataConfig::named("fashion-mnist-mini"), Split::Test).unwrap();
    let few = 8;
    let clean: Vec<f32> = (0..few).flat_map(|example| data.image(example)).collect();
    let adversarial: Vec<f32> = clean
        .iter()
        .enumerate()
        .map(|(pixel, value)| {
            let key = if robust { pixel / 5 } else { pixel };
            (value + 0.1 * noise(key as u64).signum() as f32).clamp(0.0, 1.0)
        })
        .collect();
    let images = |name: &str, values: Vec<f32>| (name.to_string(), vec![few, 1, 28, 28], values);
    let classes = |name: &str, shift: usize| {
        let values = (0..few).map(|example| ((data.labels()[example] + shift) % 10) as f32);
        (name.to_string(), vec![few], values.collect::<Vec<f32>>())
    };
    let tensors = [
        images("adversarial", adversarial),
        images("clean", clean),
        classes("adversarial_prediction", 2),
        classes("clean_prediction", 0),
        classes("label", 0),
    ];
    write_tensors(path, &tensors, &[]).unwrap();
}

/// Writes every made-up record below a folder, and samples beside those of the first seed.
pub(crate) fn write_all(folder: &Path, seeds: u64) {
    let write = |record: &ExperimentRecord| {
        record
            .write(&folder.join(&record.name).join("record.json"))
            .unwrap();
    };
    for seed in 0..seeds {
        for (density, fpd) in TOYS {
            write(&toy(density, fpd, "relu", seed));
            write(&toy(density, fpd, "linear", seed));
        }
        for hidden in [32, 256] {
            for robust in [false, true] {
                write(&trained(hidden, robust, seed));
                let mut record = attacked(hidden, robust, seed);
                if seed == 0 {
                    record
                        .artifacts
                        .insert("samples".into(), "samples.safetensors".into());
                }
                write(&record);
                // One set of samples is missing, as if it had been deleted.
                if seed == 0 && !(hidden == 256 && robust) {
                    samples(
                        &folder.join(&record.name).join("samples.safetensors"),
                        robust,
                    );
                }
            }
        }
    }
}
