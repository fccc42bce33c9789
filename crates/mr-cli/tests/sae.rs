//! `mr sae`: dictionaries of what is inside a network.

mod support;

use std::path::PathBuf;

use burn::tensor::Device;
use mr_models::{Architecture, Network, NormKind, Transformer, TransformerInput};
use serde_json::Value;
use support::{Lab, channels};

fn golden(name: &str) -> String {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../fixtures/golden", name]
        .iter()
        .collect();
    folder.display().to_string()
}

#[test]
fn files_of_other_libraries_come_in_and_go_out() {
    let lab = Lab::new();
    for (folder, format, kind) in [
        ("saelens5_jumprelu", "SAELens before 6", "jump-relu"),
        ("sparsify_skip", "sparsify", "top-k"),
    ] {
        let path = golden(&format!("dictionaries/{folder}"));
        let words = format!("sae import {path} --out own.safetensors");
        let told = lab.json(&words);
        assert_eq!(told["format"], format);
        assert_eq!(told["dictionary"]["kind"]["type"], kind);
        let again = lab.json("sae import own.safetensors");
        assert_eq!(again["format"], "mech-robust");
        assert_eq!(again["dictionary"], told["dictionary"]);
        assert_eq!(again["about"], told["about"]);
    }
    let path = golden("dictionaries/saelens5_topk");
    lab.run(&format!("sae import {path} --out topk.safetensors"));
    let words = "sae export topk.safetensors --format saelens --out out --site conv1.hook_out --model-name half";
    let told = lab.json(words);
    assert_eq!(told["dictionary"], told["written"]);
    let again = lab.json("sae import out");
    assert_eq!(again["format"], "SAELens 6");
    assert_eq!(again["site"], "conv1.hook_out");
    assert_eq!(again["about"]["model_name"], "half");
    let first = lab.json("sae import topk.safetensors");
    assert_eq!(again["dictionary"], first["dictionary"]);
    lab.run("sae export out --format native --out back.safetensors");
    let [before, after] = ["topk.safetensors", "back.safetensors"]
        .map(|file| mr_models::read_tensors(&lab.path(file)).unwrap().0);
    assert_eq!(before, after, "bit for bit");
}

/// Settings of a fit that takes a moment.
const FIT: &str = "sae train --model net --site linear1.hook_out --width 32 --steps 20 --batch-size 64 \
                   --set sae.length.report=10";

#[test]
fn dictionaries_are_fitted_together_and_once() {
    let lab = Lab::new();
    lab.net();
    let words = format!("{FIT} --kind top-k,jump-relu --k 2,4 --out two --shards shards");
    let told = lab.json(&words);
    let names: Vec<&str> = told["dictionaries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["top-k-2", "top-k-4", "jump-relu-0.3"]);
    let l0 = |name: &str| {
        told["numbers"][format!("{name}.l0")]["value"]
            .as_f64()
            .unwrap()
    };
    assert_eq!((l0("top-k-2"), l0("top-k-4")), (2.0, 4.0));
    assert!(lab.path("shards/activations.json").is_file());
    assert!(lab.path("two/fit.svg").is_file());
    assert!(!lab.path("two/checkpoint.safetensors").exists());
    let held = lab.json("sae import two/top-k-4.safetensors");
    assert_eq!(held["site"], "linear1.hook_out");
    assert_eq!(held["dictionary"]["kind"]["k"], 4);
    let before = lab.read("two/top-k-4.safetensors");
    let again = lab.run(&words);
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(said.contains("two: already fitted"), "{said}");
    // Alone and from memory it is the same dictionary: shards hold the same loads.
    assert_eq!(before, lab.read("two/top-k-4.safetensors"));
    lab.run(&format!("{FIT} --kind top-k --k 4 --out one"));
    assert_eq!(
        lab.json("sae import one")["dictionary"]["kind"]["k"],
        4,
        "one dictionary lies where every command looks for it"
    );
}

#[test]
fn transcoders_and_crosscoders_are_fitted() {
    let lab = Lab::new();
    lab.net();
    let fit = "sae train --model net --width 32 --steps 5 --batch-size 64 --k 4";
    lab.run(&format!(
        "{fit} --site linear1.hook_pre --writes linear1.hook_out --skip --out trans"
    ));
    let held = lab.json("sae import trans");
    assert_eq!(held["dictionary"]["arrangement"]["type"], "transcoder");
    assert_eq!(held["about"]["writes"], "linear1.hook_out");
    lab.run(&format!(
        "{fit} --site linear1.hook_pre,linear1.hook_out --out cross"
    ));
    assert_eq!(lab.json("sae import cross")["dictionary"]["d_in"], 32);
    lab.run(&format!(
        "{fit} --site linear1.hook_out --other net --out models"
    ));
    let held = lab.json("sae import models");
    assert_eq!(held["dictionary"]["arrangement"]["parts"], 2);
    assert_eq!(held["about"]["other_weights"], held["about"]["weights"]);
}

/// A dictionary without any fit, whose decoder is what its seed draws.
fn drawn(lab: &Lab, file: &str, site: &str, [d_in, d_sae]: [usize; 2]) -> Vec<f32> {
    let kind = mr_sae::TopK::new(2);
    let config = mr_sae::SaeConfig::new(d_in, d_sae, kind);
    let sae = mr_sae::Sae::init(config, 5, &Device::flex()).unwrap();
    let about = serde_json::json!({ "site": site });
    sae.save(about.as_object().unwrap(), &lab.path(file))
        .unwrap();
    mr_models::floats(sae.weights().get::<2>("W_dec"))
}

/// A latent's number, and its effects on classes as far as they are told, by name.
fn effects(feature: &Value) -> (usize, Vec<(String, f64)>) {
    let list = |sign: &str| {
        let names = feature[format!("{sign}_str")].as_array().unwrap().clone();
        let values = feature[format!("{sign}_values")]
            .as_array()
            .unwrap()
            .clone();
        let pair = |(name, value): (Value, Value)| {
            (name.as_str().unwrap().to_string(), value.as_f64().unwrap())
        };
        names.into_iter().zip(values).map(pair).collect::<Vec<_>>()
    };
    let number = feature["feature_index"].as_u64().unwrap() as usize;
    (number, [list("pos"), list("neg")].concat())
}

/// What `mr sae features --out shown` wrote for Neuronpedia, which has every field that its converter reads.
fn neuronpedia(lab: &Lab) -> Value {
    let batch: Value =
        serde_json::from_slice(&lab.read("shown/features/neuronpedia/batch-0.json")).unwrap();
    let has = |object: &Value, names: &[&str]| {
        for name in names {
            assert!(object.get(name).is_some(), "{name} in {object}");
        }
    };
    has(
        &batch,
        &["model_id", "layer", "sae_set", "sae_id_suffix", "features"],
    );
    for feature in batch["features"].as_array().unwrap() {
        for table in [
            "neuron_alignment",
            "correlated_neurons",
            "correlated_features",
        ] {
            has(
                feature,
                &[&format!("{table}_indices"), &format!("{table}_l1")],
            );
        }
        has(
            feature,
            &[
                "neuron_alignment_values",
                "correlated_neurons_pearson",
                "correlated_features_pearson",
            ],
        );
        for histogram in ["freq", "logits"] {
            let of = |what: &str| &feature[format!("{histogram}_hist_data_bar_{what}")];
            let lengths = ["values", "heights"].map(|what| of(what).as_array().unwrap().len());
            assert_eq!(lengths[0], lengths[1]);
        }
        has(
            feature,
            &[
                "frac_nonzero",
                "decoder_weights_dist",
                "n_prompts_total",
                "n_tokens_in_prompt",
                "dataset",
            ],
        );
        for one in feature["activations"].as_array().unwrap() {
            has(
                one,
                &[
                    "tokens",
                    "values",
                    "bin_min",
                    "bin_max",
                    "bin_contains",
                    "qualifying_token_index",
                ],
            );
        }
    }
    batch
}

#[test]
fn latents_of_images_are_shown() {
    let lab = Lab::new();
    lab.net();
    // At the logits a latent adds to each what its direction says.
    let decoder = drawn(&lab, "logits.safetensors", "linear2.hook_out", [10, 20]);
    let words = "sae features --model net --dictionary logits.safetensors --limit 100 --logits 10 --out shown";
    let told = lab.json(words);
    assert_eq!(told["numbers"]["l0"]["value"], 2.0);
    let batch = neuronpedia(&lab);
    assert_eq!(
        (batch["model_id"].as_str(), batch["layer"].as_u64()),
        (Some("net"), Some(2))
    );
    let json = batch["features"].as_array().unwrap();
    let names = mr_models::data::load(
        &mr_models::data::DataConfig::default(),
        mr_models::data::Split::Test,
    )
    .unwrap();
    assert_eq!(json.len(), told["latents"].as_array().unwrap().len());
    for feature in json {
        let (latent, effects) = effects(feature);
        assert_eq!(effects.len(), 10);
        for (name, effect) in effects {
            let class = names.class_names().iter().position(|n| *n == name).unwrap();
            let expected = f64::from(decoder[latent * 10 + class]);
            assert!((effect - expected).abs() < 1e-5, "{latent} {name}");
        }
        let first = &feature["activations"][0];
        let peak = first["qualifying_token_index"].as_u64().unwrap() as usize;
        assert_eq!(
            first["values"][peak], first["bin_max"],
            "the strongest example of all"
        );
        assert_eq!(
            (first["bin_min"].as_f64(), first["bin_contains"].as_f64()),
            (Some(-1.0), Some(-1.0))
        );
        assert_eq!(
            (
                feature["n_prompts_total"].as_u64(),
                feature["n_tokens_in_prompt"].as_u64()
            ),
            (Some(100), Some(1))
        );
    }
    // Each sample turns two latents on.
    let total: f64 = json
        .iter()
        .map(|feature| feature["frac_nonzero"].as_f64().unwrap())
        .sum();
    assert!((total - 2.0).abs() < 1e-9, "{total}");
    for page in ["index.html", "latents-000.html"] {
        let html = String::from_utf8(lab.read(&format!("shown/features/{page}"))).unwrap();
        assert!(html.contains("data:image/png;base64,") && !html.contains("<script"));
        assert!(
            !html.contains("http://") && !html.contains("https://"),
            "{page}"
        );
    }
}

/// A transformer of one block without norms, in `net.safetensors`.
fn small_transformer(lab: &Lab) -> Network {
    let of = Transformer {
        input: TransformerInput::Tokens {
            vocabulary: 7,
            context: 8,
            token_types: 0,
        },
        layers: 1,
        d_model: 8,
        heads: 2,
        d_mlp: 12,
        norm: NormKind::None,
        ..Transformer::default()
    };
    let net = Network::init(Architecture::Transformer(of), 3, &Device::flex()).unwrap();
    mr_models::save(
        &net,
        &serde_json::Map::default(),
        &lab.path("net.safetensors"),
    )
    .unwrap();
    net
}

#[test]
fn latents_of_text_are_shown() {
    let lab = Lab::new();
    let net = small_transformer(&lab);
    let unembedding = mr_models::floats(net.weights().get::<2>("unembed.W_U"));
    let site = "blocks.0.hook_resid_post";
    let decoder = drawn(&lab, "stream.safetensors", site, [8, 16]);
    let data = "--data repeated --set data.vocabulary=7 --set data.context=8 --limit 20";
    lab.run(&format!(
        "sae features --model net.safetensors --dictionary stream.safetensors {data} --logits 7 --out shown"
    ));
    let batch = neuronpedia(&lab);
    for feature in batch["features"].as_array().unwrap() {
        let (latent, effects) = effects(feature);
        for (token, effect) in effects {
            let token: usize = token.parse().unwrap();
            let expected: f32 = (0..8)
                .map(|c| decoder[latent * 8 + c] * unembedding[c * 7 + token])
                .sum();
            assert!(
                (effect - f64::from(expected)).abs() < 1e-5,
                "{latent} {token}"
            );
        }
        let tokens = feature["activations"][0]["tokens"].as_array().unwrap();
        let values = feature["activations"][0]["values"].as_array().unwrap();
        assert_eq!(tokens.len(), values.len());
    }
    let html = String::from_utf8(lab.read("shown/features/latents-000.html")).unwrap();
    assert!(html.contains("<mark class=\"peak\""), "{html}");
}

#[test]
fn a_dictionary_of_channels_loses_nothing_and_one_of_nothing_all() {
    let lab = Lab::new();
    lab.net();
    channels(&lab, "whole", "linear1.hook_out", 16, 1.0);
    channels(&lab, "nothing", "linear1.hook_out", 16, 0.0);
    channels(&lab, "half", "linear1.hook_out", 16, 0.5);
    let told = lab.json(
        "sae eval --model net --limit 200 --out judged --plot pareto.svg \
         --dictionary whole --dictionary nothing --dictionary half",
    );
    let [whole, nothing, half] = [0, 1, 2].map(|at| told["dictionaries"][at].clone());
    let near = |of: &Value, name: &str, expected: f64| {
        let found = of[name].as_f64().unwrap();
        assert!(
            (found - expected).abs() < 1e-5,
            "{name}: {found}, not {expected}"
        );
    };
    for (name, expected) in [
        ("explained_variance", 1.0),
        ("fvu", 0.0),
        ("bias", 1.0),
        ("norm_ratio", 1.0),
        ("loss_recovered", 1.0),
        ("loss_recovered_mean", 1.0),
        ("kl", 0.0),
        ("decoder_cosine", 0.0),
    ] {
        near(&whole, name, expected);
    }
    near(&nothing, "loss_recovered", 0.0);
    assert_eq!(nothing["loss_spliced"], nothing["loss_zero"]);
    assert_eq!(whole["accuracy_spliced"], whole["accuracy_clean"]);
    assert_eq!(half["l0"], whole["l0"], "codes are the same");
    near(&half, "bias", 0.5);
    near(&half, "norm_ratio", 0.5);
    let clean = lab.json("eval --model net --limit 200");
    near(&whole, "loss_clean", clean["loss"].as_f64().unwrap());
    near(
        &whole,
        "accuracy_clean",
        clean["clean_accuracy"].as_f64().unwrap(),
    );
    for file in [
        "pareto.svg",
        "judged/pareto.svg",
        "judged/pareto-loss.svg",
        "judged/densities.svg",
    ] {
        assert!(lab.path(file).is_file(), "{file}");
    }
    // Batches of other sizes see the same.
    let some =
        lab.json("sae eval --model net --limit 200 --dictionary whole --no-loss --probe 1,4");
    // Latents that are channels tell what channels tell, and four more than one.
    let [one, four] = [0, 1].map(|at| some["dictionaries"][0]["probes"][at].clone());
    assert_eq!((&one["k"], &four["k"]), (&1.into(), &4.into()));
    assert_eq!(one["f1"], one["f1_of_channels"]);
    assert_eq!(four["f1"], four["f1_of_channels"]);
    assert!(four["f1"].as_f64() > one["f1"].as_f64(), "{one} {four}");
    near(
        &some["dictionaries"][0],
        "effective_features",
        whole["effective_features"].as_f64().unwrap(),
    );
    assert!(some["dictionaries"][0]["kl"].is_null());
}

#[test]
fn dictionaries_of_text_are_judged() {
    let lab = Lab::new();
    small_transformer(&lab);
    drawn(
        &lab,
        "stream.safetensors",
        "blocks.0.hook_resid_post",
        [8, 16],
    );
    let data = "--data repeated --set data.vocabulary=7 --set data.context=8 --limit 20";
    let words = format!("sae eval --model net.safetensors --dictionary stream.safetensors {data}");
    let told = lab.json(&words);
    let found = &told["dictionaries"][0];
    assert_eq!(
        (found["l0"].as_f64(), found["samples"].as_u64()),
        (Some(2.0), Some(160))
    );
    // The logits of an untrained network of such weights are nearly even.
    let clean = found["loss_clean"].as_f64().unwrap();
    assert!((clean - 7f64.ln()).abs() < 0.5, "{clean}");
    assert!(found["kl"].as_f64().unwrap() > 0.0);
}

#[test]
fn features_that_are_known_are_found_where_they_do_not_overlap() {
    let lab = Lab::new();
    let words = "sae bench --regime easy --kind top-k --seeds 2 --steps 1200 --out bench";
    let told = lab.json(words);
    assert_eq!(told["kind"], "sae-bench");
    let number = |name: &str| {
        let value = &told["numbers"][&format!("easy.top-k.{name}")]["value"];
        value.as_f64().unwrap()
    };
    assert!(number("mcc") > 0.9, "{}", number("mcc"));
    assert!(number("recovered") > 0.9, "{}", number("recovered"));
    assert!(
        number("l0") <= 3.0 && number("l0") > 2.9,
        "{}",
        number("l0")
    );
    assert!(lab.path("bench/bench.svg").exists());
    let rows = told["tables"]["easy"]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "a row for each seed");
    assert_ne!(rows[0][3], rows[1][3], "each seed has features of its own");
}
