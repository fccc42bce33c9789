//! `mr circuit` from end to end, on a small transformer and on images.

mod support;

use mr_metrics::ExperimentRecord;
use support::{Lab, transformer};

/// `mr circuit` with texts, which hold spaces.
fn asked(lab: &Lab, words: &str, texts: &[&str]) -> std::process::Output {
    let mut command = lab.mr(&format!("circuit {words} --model net.safetensors"));
    command.args(texts).output().unwrap()
}

fn json(lab: &Lab, words: &str, texts: &[&str]) -> serde_json::Value {
    let output = asked(lab, &format!("{words} --json"), texts);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

const PAIR: [&str; 8] = [
    "--clean",
    "1 2 3 4",
    "--corrupt",
    "1 5 3 4",
    "--right",
    "2",
    "--wrong",
    "5",
];

#[test]
fn a_circuit_is_found_saved_drawn_evaluated_and_compared() {
    let lab = Lab::new();
    transformer(&lab);
    let words = "attribute --steps 3 --top 12 --greedy --save a.json --plot a.svg";
    let found = json(&lab, words, &PAIR);
    let kept = found["kept"].as_u64().unwrap();
    assert!((1..=12).contains(&kept), "{found}");
    assert_eq!(found["circuit"].as_array().unwrap().len() as u64, kept);
    assert!(lab.read("a.svg").starts_with(b"<svg"));
    let again = json(
        &lab,
        "discover --tau 1e-4 --journal j.jsonl --save b.json",
        &PAIR,
    );
    let resumed = json(&lab, "discover --tau 1e-4 --journal j.jsonl", &PAIR);
    assert_eq!(resumed["circuit"], again["circuit"]);
    let words = "evaluate --circuit a.json --draws 5 --minimality";
    let evaluated = json(&lab, words, &PAIR);
    let needs = evaluated["minimality"].as_array().unwrap();
    assert_eq!(needs.len() as u64, kept);
    assert_eq!(evaluated["kept"].as_u64(), Some(kept));
    assert_eq!(evaluated["curve"][9]["faithfulness"], 1.0);
    let drawn = json(&lab, "draw --circuit a.json --dot a.dot", &[]);
    assert_eq!(drawn["kept"].as_u64(), Some(kept));
    assert!(lab.read("a.dot").starts_with(b"digraph"));
    let same = json(
        &lab,
        "diff --circuit a.json --circuit b.json --other a.json --other b.json",
        &[],
    );
    assert_eq!(same["jaccard_matched"]["value"], 1.0);
    // Of four pairs two are of a circuit with itself, and the others those of the floor.
    let value = |name: &str| same[name]["value"].as_f64().unwrap();
    let between = f64::midpoint(1.0, value("jaccard_floor"));
    assert!((value("jaccard") - between).abs() < 1e-12, "{same}");
    let three = json(&lab, "diff --circuit a.json --other b.json --top 3", &[]);
    let edges = ["shared", "only_first"].map(|name| three[name].as_array().unwrap().len());
    assert_eq!(edges[0] + edges[1], 3);
    assert!(three.get("jaccard_floor").is_none());
}

/// Every command leaves a record, with its pictures and files beside it.
#[test]
fn runs_leave_a_folder_that_a_report_shows() {
    let lab = Lab::new();
    transformer(&lab);
    lab.run("lens --model net.safetensors --text 3 --out runs/lens");
    let task = "--data repeated --set data.vocabulary=7 --set data.context=8 --limit 9";
    json(&lab, &format!("patch {task} --out runs/patch"), &[]);
    let words = format!("attribute {task} --top 9 --greedy --out runs/attribute");
    let found = json(&lab, &words, &[]);
    json(&lab, &format!("discover {task} --out runs/discover"), &[]);
    let masks = format!("discover {task} --method masks --sparsity 0.5 --steps 5 --unpruned");
    let masks = json(&lab, &format!("{masks} --out runs/masks"), &[]);
    assert_eq!(masks["kept"], 23);
    let circuit = "--circuit runs/attribute/circuit.json";
    let words = format!("evaluate {task} {circuit} --draws 5 --out runs/evaluate");
    json(&lab, &words, &[]);
    json(&lab, &format!("draw {circuit} --out runs/draw"), &[]);
    let other = "--other runs/discover/circuit.json --draws 9 --out runs/diff";
    json(&lab, &format!("diff {circuit} {other}"), &[]);
    for (run, files) in [
        ("lens", &["lens.svg"][..]),
        ("patch", &["patching.svg"]),
        ("attribute", &["circuit.json", "circuit.svg"]),
        ("discover", &["circuit.json", "circuit.svg"]),
        ("masks", &["circuit.json", "circuit.svg"]),
        ("evaluate", &["faithfulness.svg", "random.svg"]),
        ("draw", &["circuit.dot", "circuit.svg"]),
        ("diff", &[]),
    ] {
        let path = lab.path(&format!("runs/{run}/record.json"));
        let record = ExperimentRecord::read(&path).unwrap();
        assert!(!record.numbers.is_empty(), "{run}");
        let held: Vec<&str> = record.artifacts.values().map(String::as_str).collect();
        assert_eq!(held, files, "{run}");
        for file in files {
            assert!(lab.path(&format!("runs/{run}/{file}")).is_file(), "{file}");
        }
    }
    let read = |run: &str| ExperimentRecord::read(&lab.path(&format!("runs/{run}/record.json")));
    let attributed = read("attribute").unwrap();
    assert_eq!(attributed.config["data"]["name"], "repeated");
    assert_eq!(attributed.numbers["kept"].value, found["kept"].as_f64());
    // What heads look at, beside the scores of their edges to the logits.
    let heads = &attributed.tables["heads"];
    assert_eq!((heads.rows.len(), heads.columns.len()), (4, 5));
    assert!(attributed.numbers.contains_key("heads.best_induction"));
    lab.run("report runs --out report.html");
    let page = String::from_utf8(lab.read("report.html")).unwrap();
    assert_eq!(page.matches("data:image/svg+xml").count(), 8, "pictures");
}

/// A discovery that was killed has a journal beside the record that it did not write.
#[test]
fn a_killed_discovery_goes_on_beside_its_record() {
    let lab = Lab::new();
    transformer(&lab);
    let words = "discover --tau 1e-4 --out found";
    let whole = json(&lab, words, &PAIR);
    let journal = String::from_utf8(lab.read("found/acdc.jsonl")).unwrap();
    let lines: Vec<&str> = journal.split_inclusive('\n').collect();
    lab.write("found/acdc.jsonl", lines[..lines.len() / 2].concat());
    std::fs::remove_file(lab.path("found/record.json")).unwrap();
    assert_eq!(json(&lab, words, &PAIR)["circuit"], whole["circuit"]);
    assert_eq!(lab.read("found/acdc.jsonl"), journal.as_bytes());
    // Another threshold is another discovery.
    let other = "discover --tau 1e-3 --out found";
    let output = asked(&lab, other, &PAIR);
    assert_eq!(output.status.code(), Some(2));
    json(&lab, &format!("{other} --overwrite"), &PAIR);
}

/// The attack starts from nothing: a whole circuit differs nowhere, and of a part it finds at least what random
/// points do.
#[test]
fn a_ball_holds_the_worst_input() {
    let lab = Lab::new();
    lab.net();
    lab.run("attack --model net --limit 6 --epsilon 0.1 --save pair.safetensors");
    let given = "--model net --pair pair.safetensors";
    let evaluate = |circuit: &str, more: &str| {
        lab.json(&format!(
            "circuit evaluate {given} --circuit {circuit} --draws 0 --nodes 0 --epsilon 0.1 {more}"
        ))
    };
    let values = |found: &serde_json::Value, name: &str| -> Vec<f64> {
        let values = found["ball"][name].as_array().unwrap();
        values.iter().map(|value| value.as_f64().unwrap()).collect()
    };
    lab.run(&format!("circuit attribute {given} --save whole.json"));
    let whole = evaluate("whole.json", "--steps 3");
    for name in ["clean", "corrupt", "random", "attacked"] {
        assert!(
            values(&whole, name).iter().all(|kl| kl.abs() < 1e-6),
            "{whole}"
        );
    }
    lab.run(&format!(
        "circuit attribute {given} --top 20 --greedy --save part.json"
    ));
    for more in ["--steps 10", "--attack apgd --steps 10 --ablation zero"] {
        let part = evaluate("part.json", more);
        let random = values(&part, "random");
        let attacked = values(&part, "attacked");
        assert_eq!((random.len(), attacked.len()), (6, 6));
        for (at, (attacked, random)) in attacked.iter().zip(&random).enumerate() {
            assert!(attacked > random, "{more}, {at}: {part}");
        }
        let once = evaluate("part.json", more);
        assert_eq!(once["ball"], part["ball"], "the same again");
    }
}

#[test]
fn mistakes_are_named() {
    let lab = Lab::new();
    transformer(&lab);
    let error = |words: &str, texts: &[&str]| {
        let output = asked(&lab, words, texts);
        assert_eq!(output.status.code(), Some(2), "{words}");
        String::from_utf8(output.stderr).unwrap()
    };
    let lengths = error("attribute", &["--clean", "1 2", "--corrupt", "1 2 3"]);
    assert!(
        lengths.contains("the clean one has 2 tokens, the corrupt one 3"),
        "{lengths}"
    );
    let outside = error("attribute", &["--clean", "1 9", "--corrupt", "1 2"]);
    assert!(outside.contains("token 9 of example 0"), "{outside}");
    let text = error("attribute", &["--clean", "a", "--corrupt", "1"]);
    assert!(text.contains("`a` is no token id"), "{text}");
    let nothing = error("attribute", &["--clean", "1 2", "--corrupt", "1 3"]);
    assert!(nothing.contains("--right and --wrong"), "{nothing}");
    lab.write("c.json", "{}");
    let broken = error("draw --circuit c.json --plot c.svg", &[]);
    assert!(
        broken.contains("c.json: no circuit in the format of EAP-IG"),
        "{broken}"
    );
    let ablation = error("discover --ablation none", &PAIR[..4]);
    assert!(ablation.contains("valid: zero, mean"), "{ablation}");
}

/// The first position is the same in both runs, and the second alone differs before any block.
#[test]
fn spots_are_patched_one_after_the_other() {
    let lab = Lab::new();
    transformer(&lab);
    let words = "patch --over positions --of resid_pre --plot p.svg";
    let found = json(&lab, words, &PAIR);
    let spots = found["spots"].as_array().unwrap();
    assert_eq!(spots.len(), 2 * 4, "{found}");
    assert_eq!(spots[0]["restored"], 0.0);
    assert!((spots[1]["restored"].as_f64().unwrap() - 1.0).abs() < 1e-5);
    assert_eq!(spots[1]["spot"], "blocks.0.hook_resid_pre[1]");
    assert!(lab.read("p.svg").starts_with(b"<svg"));
    let heads = json(&lab, "patch --noise", &PAIR);
    assert_eq!(heads["spots"].as_array().unwrap().len(), 4);
    assert_eq!(heads["direction"], "noise");
    // Direct effects of every sender, and ablation, which by another input is noise.
    let paths = json(&lab, "patch --noise --path logits --out paths", &PAIR);
    let senders = paths["spots"].as_array().unwrap();
    assert_eq!(senders.len(), 7, "the input, four heads and two MLPs");
    assert_eq!(senders[0]["spot"], "input");
    assert!(lab.path("paths/patching.svg").is_file());
    let cut = json(&lab, "patch --ablate resample", &PAIR);
    let ends = ["donor", "base"].map(|end| heads[end][0].as_f64().unwrap());
    let cut = cut["spots"].as_array().unwrap().iter();
    for (cut, head) in cut.zip(heads["spots"].as_array().unwrap()) {
        let expected = head["broken"].as_f64().unwrap() * (ends[0] - ends[1]);
        assert!((cut["change"].as_f64().unwrap() - expected).abs() < 1e-5);
    }
    let output = asked(&lab, "patch --over neurons", &PAIR);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said.contains("valid: heads, positions, channels, sites"),
        "{said}"
    );
}

/// The output's own row says what the network says, and direct attribution adds up to the difference.
#[test]
fn a_lens_reads_every_layer() {
    let lab = Lab::new();
    transformer(&lab);
    let lens = |texts: &[&str]| {
        let mut command = lab.mr("lens --json --model net.safetensors");
        command.args(texts).output().unwrap()
    };
    let read = |texts: &[&str]| -> serde_json::Value {
        serde_json::from_slice(&lens(texts).stdout).unwrap()
    };
    let found = read(&["--text", "1 2 3 4", "--plot", "l.svg"]);
    let layers = found["divergence"].as_array().unwrap();
    assert_eq!(layers.len(), found["layers"].as_array().unwrap().len());
    let last = layers.last().unwrap().as_array().unwrap();
    assert_eq!(last.len(), 4);
    assert!(last.iter().all(|kl| kl.as_f64().unwrap().abs() < 1e-6));
    assert!(lab.read("l.svg").starts_with(b"<svg"));
    let output = lens(&["--text", "1 9"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("token 9"), "{said}");
}

/// Every part of the tool takes a vision transformer.
#[test]
fn a_vision_transformer_is_asked_as_any_other() {
    let lab = Lab::new();
    let trained = lab.json(
        "train --arch transformer --layers 1 --limit 400 --steps 60 --batch-size 32 --lr 0.003 --out vit \
         --set model.d_model=16 --set model.heads=2 --set model.d_mlp=32",
    );
    let accuracy = lab.json("eval --model vit --limit 200");
    let accuracy = accuracy["clean_accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.3, "{accuracy} after {trained}");
    lab.run("attack --model vit --limit 20 --epsilon 0.1 --steps 5 --save pair.safetensors");
    let edges =
        "circuit attribute --model vit --pair pair.safetensors --top 10 --greedy --save vit.json";
    assert_eq!(lab.json(edges)["kept"], 10);
    lab.run("circuit evaluate --model vit --pair pair.safetensors --circuit vit.json --draws 3");
    lab.run("circuit damage --model vit --limit 20 --epsilon 0.2 --out damage");
    lab.run(
        "sae train --model vit --site blocks.0.hook_resid_post --k 4 --width 32 --steps 10 --batch-size 64 \
         --limit 20 --out dictionary",
    );
    lab.run("sae eval --model vit --dictionary dictionary --limit 10");
    lab.run("sae features --model vit --dictionary dictionary --limit 10 --out features");
}

/// Of a residual network edges lead through blocks and around them.
#[test]
fn circuits_of_a_residual_network() {
    let lab = Lab::new();
    lab.write(
        "res.toml",
        "[model]\ntype = \"resnet\"\nwidth = 4\ndepth = 6\nstages = 2\n[data]\nlimit = 300",
    );
    lab.run("train --config res.toml --steps 40 --batch-size 32 --lr 0.01 --out res");
    lab.run("attack --model res --limit 12 --epsilon 0.1 --steps 5 --save pair.safetensors");
    let net = "--model res --pair pair.safetensors";
    let edges = lab.json(&format!(
        "circuit attribute {net} --steps 2 --path activations --save all.json"
    ));
    // 4 from the input, 4 x 4 and 4 x 4 + 4 in the first block, 8 x 4 and 8 x 8 + 8 x 4 in the second, 8 to logits.
    assert_eq!(edges["edges"], 4 + 16 + 20 + 32 + 96 + 8);
    let found = lab.json(&format!(
        "circuit attribute {net} --faithful 0.5 --greedy --save res.json --plot res.svg"
    ));
    let kept = found["kept"].as_u64().unwrap();
    assert!(0 < kept && kept < 176, "{kept}");
    lab.run(&format!(
        "circuit evaluate {net} --circuit res.json --draws 2"
    ));
    lab.run(&format!("circuit discover {net} --tau 0.05"));
    lab.run(&format!("circuit patch {net} --path logits"));
    let damage =
        lab.json("circuit damage --model res --limit 12 --epsilon 0.2 --random 2 --out damage");
    let warnings = damage["warnings"].as_array().map_or(0, Vec::len);
    assert_eq!(warnings, 0, "{damage}");
}
