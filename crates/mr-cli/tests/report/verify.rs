//! Verdicts on the screen, as JSON, and as exit codes.

use mr_metrics::finding::{Status, Verdicts};

use crate::{mr, records, refused, said, with_findings};

#[test]
fn each_finding_has_its_block_and_one_that_failed_is_exit_code_1() {
    let folder = records();
    with_findings(folder.path());
    let command = "verify --findings findings.toml --records runs --out deep/er/verdicts.json";
    let (code, text) = said(&mr(folder.path(), command));
    assert_eq!(code, 1, "{text}");
    for line in [
        "REPLICATED  Superposition has phases  (phases)",
        "NOT REPLICATED  Vulnerability tracks superposition  (vulnerability)",
        "INVALID  Dropout lowers the number of effective features  (dropout)",
        "2 of 4 findings replicated, 1 not replicated, 1 invalid",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    }
    // Value, interval, n and threshold stand in columns.
    let sparse: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("check    passed") && line.contains("n=2"))
        .take(2)
        .collect();
    let columns = sparse
        .iter()
        .map(|line| line.find("n=2"))
        .collect::<Vec<_>>();
    assert_eq!(columns[0], columns[1], "{text}");
    assert!(sparse[0].ends_with("within 0.05 of 1"), "{text}");
    assert!(
        text.contains("caution  a check rests on 2 seeds, fewer than the 5"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "colour without a terminal");

    let written = Verdicts::read(&folder.path().join("deep/er/verdicts.json")).unwrap();
    let statuses: Vec<Status> = written.verdicts.iter().map(|v| v.status).collect();
    assert_eq!(
        statuses,
        [
            Status::Replicated,
            Status::NotReplicated,
            Status::Replicated,
            Status::Invalid
        ]
    );
}

#[test]
fn nothing_but_replicated_findings_is_exit_code_0_and_json_is_one_object() {
    let folder = records();
    with_findings(folder.path());
    let path = folder.path().join("findings.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let (first, _) = text
        .split_once("[[finding]]\nid = \"vulnerability\"")
        .unwrap();
    std::fs::write(&path, first).unwrap();
    let command = "verify --findings findings.toml --records runs --out verdicts.json --json";
    let (code, printed) = said(&mr(folder.path(), command));
    assert_eq!(code, 0);
    let printed: Verdicts = serde_json::from_str(&printed).unwrap();
    let written = Verdicts::read(&folder.path().join("verdicts.json")).unwrap();
    assert_eq!(printed, written);
    assert!(written.all_replicated());
}

#[test]
fn bad_input_is_exit_code_2_and_names_what_is_wrong() {
    let folder = records();
    with_findings(folder.path());
    let at = folder.path();
    let verify = |words: &str| refused(&mr(at, &format!("verify {words}")));

    let error = verify("--findings none.toml --records runs");
    assert!(error.contains("none.toml: No such file"), "{error}");
    let error = verify("--findings findings.toml --records nowhere");
    assert!(
        error.contains("cannot search nowhere: No such file"),
        "{error}"
    );
    std::fs::create_dir(at.join("empty")).unwrap();
    let error = verify("--findings findings.toml --records empty");
    assert!(
        error.contains("empty: no record.json in it or below it"),
        "{error}"
    );
    let error = verify("--records runs");
    assert!(error.contains("--findings <FILE>"), "{error}");

    let text = std::fs::read_to_string(at.join("findings.toml")).unwrap();
    std::fs::write(at.join("odd.toml"), text.replace("claim =", "clame =")).unwrap();
    let error = verify("--findings odd.toml --records runs");
    assert!(
        error.contains("odd.toml") && error.contains("unknown field `clame`"),
        "{error}"
    );

    // One damaged record among many is not left out.
    let record = at.join("runs/toy-relu-1-0/record.json");
    let text = std::fs::read_to_string(&record).unwrap();
    std::fs::write(&record, &text[..text.len() / 2]).unwrap();
    let error = verify("--findings findings.toml --records runs --out verdicts.json");
    assert!(
        error.contains("runs/toy-relu-1-0/record.json: the file ends early"),
        "{error}"
    );
    assert!(!at.join("verdicts.json").exists());
}
