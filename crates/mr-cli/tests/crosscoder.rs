//! `mr sae eval` of crosscoders: what two activations share.

mod support;

use burn::tensor::{Device, Tensor};
use mr_models::{Model, Network};
use mr_sae::{Arrangement, Relu, Sae, SaeConfig};
use serde_json::Value;
use support::Lab;

/// Channels of the site that networks are compared at.
const WIDTH: usize = 16;
const SITE: &str = "linear1.hook_out";

/// Trains `net`, and saves it without its most active unit as `without`; which one that is.
fn networks(lab: &Lab) -> usize {
    lab.net();
    let device = Device::flex();
    let saved = mr_models::load(&lab.path("net/model.safetensors"), None, &device).unwrap();
    let net = saved.network;
    let config = mr_models::data::DataConfig::default();
    let data = mr_models::data::load(&config, mr_models::data::Split::Test).unwrap();
    let rows: Vec<usize> = (0..100).collect();
    let (_, cache) = mr_models::run_with_cache(&net, &data.input(&rows, &device), &[SITE]).unwrap();
    let mass = mr_models::floats(cache.get(SITE).unwrap().clone().sum_dim(0));
    let unit = (0..WIDTH)
        .max_by(|&a, &b| mass[a].total_cmp(&mass[b]))
        .unwrap();
    let mut weights = net.weights().clone();
    for name in ["linear1.weight", "linear1.bias"] {
        let entry = net
            .weights()
            .entries()
            .iter()
            .find(|entry| entry.name == name);
        let mut values = mr_models::floats(entry.unwrap().values.clone());
        let each = values.len() / WIDTH;
        values[unit * each..(unit + 1) * each].fill(0.0);
        weights.set(name, Tensor::from_floats(values.as_slice(), &device));
    }
    let of = net.architecture().clone();
    let without = Network::with_weights(of, weights.to_host(), &device).unwrap();
    mr_models::save(&without, &saved.about, &lab.path("without.safetensors")).unwrap();
    assert!(net.spec().site(SITE).unwrap().channels == WIDTH);
    unit
}

/// A crosscoder between `net` and another that reads the units of the first and writes them to both, but for one.
fn units(lab: &Lab, other: &str, not: Option<usize>, file: &str) {
    // A moment's fit says of which networks it is.
    let fit =
        "sae train --model net --site linear1.hook_out --steps 1 --batch-size 16 --k 2 --width 16";
    lab.run(&format!("{fit} --other {other} --out fitted-{file}"));
    let about = lab.json(&format!("sae import fitted-{file}"))["about"].clone();
    let config = SaeConfig::new(2 * WIDTH, WIDTH, Relu::default());
    let config = config.arranged(Arrangement::Crosscoder { parts: 2 });
    let device = Device::flex();
    let sae = Sae::init(config, 0, &device).unwrap();
    let mut weights = sae.weights().clone();
    let (mut encoder, mut decoder) = (vec![0.0; 2 * WIDTH * WIDTH], vec![0.0; 2 * WIDTH * WIDTH]);
    for unit in 0..WIDTH {
        encoder[unit * WIDTH + unit] = 1.0;
        decoder[unit * 2 * WIDTH + unit] = 1.0;
        decoder[unit * 2 * WIDTH + WIDTH + unit] = f32::from(u8::from(not != Some(unit)));
    }
    weights.set("W_enc", Tensor::from_floats(encoder.as_slice(), &device));
    weights.set("W_dec", Tensor::from_floats(decoder.as_slice(), &device));
    let sae = sae.with_weights(weights);
    sae.save(about.as_object().unwrap(), &lab.path(file))
        .unwrap();
}

fn near(of: &Value, name: &str, expected: f64) {
    let found = of[name]
        .as_f64()
        .unwrap_or_else(|| panic!("{name} in {of}"));
    assert!(
        (found - expected).abs() < 1e-5,
        "{name}: {found}, not {expected}"
    );
}

#[test]
fn equal_networks_share_every_latent_and_a_planted_one_is_the_firsts_alone() {
    let lab = Lab::new();
    let unit = networks(&lab);
    units(&lab, "net", None, "equal");
    units(&lab, "without.safetensors", Some(unit), "planted");
    let eval = "sae eval --model net --limit 100 --out judged --overwrite --dictionary";
    let told = lab.json(&format!("{eval} equal --other net --plot shared.svg"));
    let equal = &told["dictionaries"][0];
    near(equal, "explained_variance.first", 1.0);
    near(equal, "explained_variance.second", 1.0);
    near(equal, "only.first", 0.0);
    near(equal, "only.second", 0.0);
    near(equal, "shared_cosine.mean", 1.0);
    let latents = equal["shared_latents"].as_array().unwrap();
    assert_eq!(
        equal["shared"],
        latents.len() as f64,
        "all that are ever on"
    );
    for latent in latents {
        near(latent, "relative_norm", 0.5);
        near(latent, "cosine", 1.0);
    }
    assert!(equal["kl"].is_null(), "no network's loss is judged");
    let curve = told["series"].as_object().unwrap();
    let (name, norms) = curve
        .iter()
        .find(|(name, _)| name.ends_with("relative_norms"))
        .unwrap();
    assert_eq!(norms["y"][10], latents.len() as f64, "{name}");
    assert_eq!(lab.read("shared.svg"), lab.read("judged/shared.svg"));

    let told = lab.json(&format!("{eval} planted --other without.safetensors"));
    let planted = &told["dictionaries"][0];
    near(planted, "explained_variance.first", 1.0);
    near(planted, "explained_variance.second", 1.0);
    near(planted, "only.first", 1.0);
    near(planted, "only.second", 0.0);
    let latents = planted["shared_latents"].as_array().unwrap();
    let own: Vec<&Value> = latents
        .iter()
        .filter(|one| one["cosine"].is_null())
        .collect();
    assert_eq!(own.len(), 1);
    assert_eq!(
        (own[0]["latent"].as_u64(), own[0]["relative_norm"].as_f64()),
        (Some(unit as u64), Some(0.0))
    );
}

#[test]
fn a_fit_to_two_equal_networks_shares_its_latents() {
    let lab = Lab::new();
    lab.net();
    lab.run(
        "sae train --model net --other net --site linear1.hook_out --steps 150 --batch-size 256 --k 4 --width 32 \
         --lr 0.01 --out both",
    );
    let told = lab.json("sae eval --model net --other net --limit 100 --dictionary both");
    let equal = &told["dictionaries"][0];
    near(equal, "only.first", 0.0);
    near(equal, "only.second", 0.0);
    assert!(
        equal["shared_cosine.median"].as_f64().unwrap() > 0.8,
        "{equal}"
    );
    assert!(
        equal["explained_variance.second"].as_f64().unwrap() > 0.8,
        "{equal}"
    );
}

#[test]
fn crosscoders_of_layers_are_judged_layer_by_layer_and_mistakes_are_named() {
    let lab = Lab::new();
    networks(&lab);
    let fit = "sae train --model net --steps 5 --batch-size 64 --k 4 --width 32";
    lab.run(&format!(
        "{fit} --site linear1.hook_pre,linear1.hook_out --out layers"
    ));
    lab.run(&format!(
        "{fit} --site linear1.hook_out --other without.safetensors --out both"
    ));
    lab.run(&format!("{fit} --site linear1.hook_out --out one"));
    let eval = "sae eval --model net --limit 50 --dictionary";
    let told = lab.json(&format!("{eval} layers"));
    let layers = &told["dictionaries"][0];
    for site in ["linear1.hook_pre", "linear1.hook_out"] {
        assert!(layers[format!("explained_variance.{site}")].is_number());
        assert!(layers[format!("only.{site}")].is_number());
    }
    let warned = told["warnings"].to_string();
    assert!(warned.contains("several activations"), "{warned}");
    for (words, parts) in [
        ("both", ["a crosscoder of two networks", "--other"]),
        (
            "both --other net",
            ["its second network has other weights", "--transfer"],
        ),
        (
            "one --other net",
            [
                "--other",
                "none of these dictionaries is a crosscoder of two networks",
            ],
        ),
        ("both --other nowhere", ["--other", "nowhere"]),
    ] {
        let error = lab.error(&format!("{eval} {words}"));
        for part in parts {
            assert!(error.contains(part), "{words}: {error}");
        }
    }
    lab.run(&format!("{eval} both --other net --transfer"));
}
