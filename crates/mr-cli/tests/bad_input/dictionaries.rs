//! Dictionaries that are none, and of something else.

use crate::says;
use crate::support::Lab;

#[test]
fn files_that_hold_no_dictionary() {
    let lab = Lab::new();
    lab.net();
    lab.write("empty/cfg.json", "{\"d_in\": 4, \"d_sae\": 6}");
    lab.write("text/cfg.json", "no dictionary");
    for (path, parts) in [
        ("nowhere", ["nowhere", "No such file"]),
        ("net", ["cfg.json", "No such file"]),
        (
            "net/model.safetensors",
            ["holds no dictionary", "no cfg.json of SAELens or sparsify"],
        ),
        (
            "empty",
            [
                "holds no weights beside its cfg.json",
                "sae_weights.safetensors",
            ],
        ),
        ("text", ["text/cfg.json", "expected"]),
    ] {
        says(&lab, &format!("sae import {path}"), &parts);
        says(&lab, &format!("sae export {path} --out out"), &parts);
        let aim = "aim --model net --epsilon 0.1 --objective raise-latent(linear1.hook_out,0)";
        says(&lab, &format!("{aim} --dictionary {path}"), &parts);
    }
}
