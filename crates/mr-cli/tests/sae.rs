//! `mr sae`: dictionaries of what is inside a network.

mod support;

use std::path::PathBuf;

use support::Lab;

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
