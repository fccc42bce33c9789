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
