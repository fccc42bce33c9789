//! `mr circuit features`: which latents carry what differs between two inputs.

mod support;

use burn::tensor::Device;
use mr_sae::{Sae, SaeConfig, TopK};
use serde_json::{Value, json};
use support::{Lab, channels, number, transformer};

/// A network, channels for latents behind its one ReLU and at its logits, and images with their adversarial ones.
fn images(lab: &Lab) {
    lab.net();
    channels(lab, "hidden", "linear1.hook_out", 16, 1.0);
    channels(lab, "nothing", "linear1.hook_out", 16, 0.0);
    channels(lab, "logits", "linear2.hook_out", 10, 1.0);
    lab.run("attack --model net --epsilon 0.1 --limit 60 --save pair.safetensors");
}

const OF_IMAGES: &str = "circuit features --model net --pair pair.safetensors";

#[test]
fn channels_carry_all_of_a_change_and_do_all_that_the_network_does() {
    let lab = Lab::new();
    images(&lab);
    let told = lab.json(&format!(
        "{OF_IMAGES} --dictionary hidden --steps 50 --top 5 --out run --plot faithful.svg"
    ));
    assert_eq!(told["kind"], "circuit-features");
    let change = number(&told, "change");
    let clean = number(&told, "objective.clean");
    assert!((number(&told, "objective.corrupt") - clean - change).abs() < 1e-6 && change > 0.0);
    assert!(
        number(&told, "linear1.hook_out.error").abs() < 1e-5,
        "nothing is missed"
    );
    let left = number(&told, "linear1.hook_out.completeness_error");
    assert!(left.abs() < 0.02 * change, "{left} of {change}");
    for all in ["faithfulness.all", "faithfulness.all_latents"] {
        assert!((number(&told, all) - 1.0).abs() < 1e-5, "{all}");
    }
    let nodes = told["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 5);
    let effects: Vec<f64> = nodes
        .iter()
        .map(|n| n["effect"].as_f64().unwrap().abs())
        .collect();
    assert!(effects.is_sorted_by(|a, b| a >= b) && effects[4] > 0.0);
    assert_eq!(told["tables"]["nodes"]["rows"].as_array().unwrap().len(), 5);
    assert!(
        told["edges"].as_array().unwrap().is_empty(),
        "there is one site"
    );
    let strongest = &told["series"]["faithfulness.strongest_nodes"];
    assert_eq!(strongest["x"][0], 1.0);
    assert!(told["series"]["faithfulness.random_order"]["low"][0].is_number());
    assert_eq!(lab.read("faithful.svg"), lab.read("run/faithfulness.svg"));
    let kept: Value = serde_json::from_slice(&lab.read("run/features.json")).unwrap();
    assert_eq!(
        kept["nodes"].as_array().unwrap().len() as f64,
        number(&told, "nodes_with_effect")
    );
    lab.run("report run --out report.html");
    let report = String::from_utf8(lab.read("report.html")).unwrap();
    assert!(report.contains("alt=\"plot of circuit-features\""));
    // A dictionary that writes nothing leaves all to the error.
    let told = lab.json(&format!(
        "{OF_IMAGES} --dictionary nothing --steps 50 --ablation zero"
    ));
    assert_eq!(number(&told, "linear1.hook_out.latents"), 0.0);
    assert!((number(&told, "linear1.hook_out.error") - change).abs() < 0.02 * change);
    assert_eq!(told["nodes"][0]["node"]["type"], "error");
    assert_eq!(number(&told, "nodes_for_90"), 1.0, "the error is all");
}

#[test]
fn edges_pass_between_the_dictionaries_of_two_sites() {
    let lab = Lab::new();
    images(&lab);
    let words = format!("{OF_IMAGES} --dictionary logits --dictionary hidden --top 20");
    let told = lab.json(&words);
    assert_eq!(
        told["config"]["sites"],
        json!(["linear1.hook_out", "linear2.hook_out"])
    );
    let edges = told["edges"].as_array().unwrap();
    assert!(!edges.is_empty());
    for edge in edges {
        assert_eq!(edge["from"]["site"], "linear1.hook_out");
        assert_eq!(
            (&edge["to"]["site"], &edge["to"]["type"]),
            (&json!("linear2.hook_out"), &json!("latent"))
        );
    }
    assert_eq!(told["seed"], lab.json(&words)["seed"]);
    // The same command says the same.
    assert_eq!(told["series"], lab.json(&words)["series"]);
}

#[test]
fn latents_of_text_are_asked_as_those_of_images() {
    let lab = Lab::new();
    let device = Device::flex();
    transformer(&lab);
    for block in [0, 1] {
        let sae = Sae::init(SaeConfig::new(8, 24, TopK::new(4)), block, &device).unwrap();
        let about = json!({ "site": format!("blocks.{block}.hook_resid_post") });
        let file = lab.path(&format!("block{block}"));
        sae.save(about.as_object().unwrap(), &file).unwrap();
    }
    let mut command = lab.mr(
        "circuit features --model net.safetensors --dictionary block1 --dictionary block0 --right 2 --wrong 5 --json",
    );
    let output = command
        .args(["--clean", "1 2 3 4", "--corrupt", "1 5 3 4"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    // Nodes with all errors are the network itself.
    assert!(
        (number(&told, "faithfulness.all") - 1.0).abs() < 1e-3,
        "{told}"
    );
    assert!(!told["edges"].as_array().unwrap().is_empty());
}

#[test]
fn mistakes_are_named() {
    let lab = Lab::new();
    images(&lab);
    let fit = "sae train --model net --steps 5 --batch-size 64 --k 4 --width 32";
    lab.run(&format!(
        "{fit} --site linear1.hook_pre --writes linear1.hook_out --out trans"
    ));
    lab.run("train --config net.toml --seed 1 --out other");
    lab.run(&format!("{fit} --site linear1.hook_out --out fitted"));
    for (words, parts) in [
        (
            "--dictionary trans",
            [
                "a transcoder writes linear1.hook_out from linear1.hook_pre",
                "a feature circuit follows",
            ],
        ),
        (
            "--dictionary hidden --dictionary nothing",
            [
                "--dictionary nothing: another one reads linear1.hook_out already",
                "one a site",
            ],
        ),
        (
            "--dictionary hidden --dictionary logits --site linear1.hook_out",
            ["--site linear1.hook_out: 2 dictionaries", "logits"],
        ),
        (
            "--dictionary hidden --ablation none",
            ["--ablation none", "mean, zero"],
        ),
        ("--dictionary hidden --top 0", ["--top 0", "at least 1"]),
        (
            "--dictionary hidden --site linear2.hook_out",
            ["it reads 16 channels", "linear2.hook_out has 10"],
        ),
        ("--dictionary nowhere", ["nowhere", "No such file"]),
        ("--dictionary hidden --objective margi", ["margi", "margin"]),
    ] {
        let error = lab.error(&format!("{OF_IMAGES} {words}"));
        for part in parts {
            assert!(error.contains(part), "{words}: {error}");
        }
    }
    let error =
        lab.error("circuit features --model other --pair pair.safetensors --dictionary fitted");
    assert!(
        error.contains("was fitted to other weights (net)"),
        "{error}"
    );
}
