//! `mr probe` from end to end.

mod support;

use mr_metrics::ExperimentRecord;
use support::{Lab, number};

#[test]
fn every_layer_is_probed_and_drawn_with_its_control_task() {
    let lab = Lab::new();
    lab.net();
    let words = "probe --model net --limit 120 --folds 3 --set probe.resamples=200";
    let found = lab.json(&format!("{words} --out probed --plot accuracy.svg"));
    let accuracy = number(&found, "linear1.hook_out.accuracy");
    let control = number(&found, "linear1.hook_out.control_accuracy");
    let selectivity = number(&found, "linear1.hook_out.selectivity");
    assert!(accuracy > 2.0 * number(&found, "chance"), "{found}");
    assert!((accuracy - control - selectivity).abs() < 1e-9 && selectivity > 0.0);
    let drawn = String::from_utf8(lab.read("accuracy.svg")).unwrap();
    assert!(drawn.contains(">linear1.hook_out</text>") && drawn.contains(">control task</text>"));
    assert_eq!(lab.read("probed/probe.svg"), drawn.as_bytes());
    let record = ExperimentRecord::read(&lab.path("probed/record.json")).unwrap();
    assert_eq!(record.series["accuracy"].x.len(), 1);
    // Threads change nothing.
    let again = lab.json(&format!("{words} --threads 1"));
    assert_eq!(again["numbers"], found["numbers"]);
    let page = lab.run("report --records probed --out report.html");
    assert!(page.status.success());
    let page = String::from_utf8(lab.read("report.html")).unwrap();
    assert!(page.contains("linear1.hook_out.selectivity"));
}

#[test]
fn a_saved_concept_loads_again_and_is_refused_elsewhere() {
    let lab = Lab::new();
    lab.net();
    for kind in ["linear", "mean-difference", "mass-mean", "cav"] {
        let words = format!(
            "probe --model net --limit 120 --concept 1 --kind {kind} --site linear1.hook_out --folds 3"
        );
        let fitted = lab.json(&format!(
            "{words} --save one.safetensors --set probe.resamples=100"
        ));
        let loaded = lab.json("probe --model net --limit 120 --concept 1 --load one.safetensors");
        // The same examples, now by the probe that was fitted to all of them.
        let seen = number(&loaded, "linear1.hook_out.accuracy");
        assert!(seen > 0.85, "{kind}: {seen}");
        assert!(
            seen >= number(&fitted, "linear1.hook_out.accuracy") - 0.02,
            "{kind}"
        );
        if kind == "cav" {
            assert_eq!(fitted["tables"]["tcav"]["columns"][2], "score");
        }
    }
    let error = lab.error("probe --model net --limit 120 --load one.safetensors");
    assert!(error.contains("name its concept with --concept"), "{error}");
    lab.run("train --arch mlp --set model.hidden=[8] --epochs 1 --limit 50 --seed 9 --out other");
    let error = lab.error("probe --model other --limit 120 --concept 1 --load one.safetensors");
    assert!(error.contains("was fitted on another network"), "{error}");
}

#[test]
fn bad_words_are_answered() {
    let lab = Lab::new();
    lab.net();
    for (words, said) in [
        ("--site linear1.hook_ou", "did you mean linear1.hook_out"),
        ("--kind cav", "name its classes with --concept"),
        ("--concept Sandall", "did you mean Sandal?"),
        (
            "--set probe.positions=middle",
            "must be mean, each, all, last or an index",
        ),
        ("--positions 3", "it has 1, counted from 0"),
        ("--lambda -1", "lambda is -1"),
        ("--folds 1", "folds is 1"),
        ("--limit 10 --set probe.types=50", "types is 50"),
        ("--load nothing.safetensors", "nothing.safetensors"),
    ] {
        let error = lab.error(
            &format!("probe --model net --limit 60 {words}")
                .replace("--limit 60 --limit 10", "--limit 10"),
        );
        assert!(error.contains(said), "{words}: {error}");
    }
}

#[test]
fn prompts_are_probed_for_their_answers_and_brackets_for_their_trees() {
    let lab = Lab::new();
    lab.run(
        "train --arch transformer --data brackets --layers 1 --limit 200 --set data.context=10 \
         --set model.d_model=16 --set model.heads=2 --set model.d_mlp=32 --steps 20 --batch-size 20 --out net",
    );
    let words = "probe --model net --site resid_post.0 --folds 3 --set probe.resamples=100";
    let site = "blocks.0.hook_resid_post";
    let answers = lab.json(&format!("{words} --limit 80 --set probe.types=10"));
    assert_eq!(
        answers["tables"]["probes"]["rows"][0][1], 16,
        "the last position alone"
    );
    assert!(number(&answers, &format!("{site}.accuracy")) > 0.3);
    for (kind, measured) in [("distance", "uuas"), ("depth", "root_accuracy")] {
        let found = lab.json(&format!(
            "{words} --limit 40 --kind {kind} --rank 6 --set probe.structural.steps=150 --save {kind}.safetensors"
        ));
        // Which bracket it is and where it stands are in the stream: the tree is told in part.
        let own = number(&found, &format!("{site}.spearman"));
        let control = number(&found, &format!("{site}.control_spearman"));
        assert!(own > control && own > 0.3, "{kind}: {own} and {control}");
        assert!(number(&found, &format!("{site}.{measured}")) > 0.0);
        let error = lab.error(&format!(
            "probe --model net --limit 40 --load {kind}.safetensors"
        ));
        assert!(error.contains("holds a probe of trees"), "{error}");
    }
    let error = lab.error("probe --model net --kind distance --rank 17");
    assert!(error.contains("rank is 17, must be 1 to 16"), "{error}");
}
