use mr_models::objective::Margin;

use super::*;
use crate::abstraction::interchange::tests::{encode, net, sum};

/// The eight inputs `(a, b, c)` with their sums as labels. The margin of a right answer is -1/2: the next
/// sum's logit is that much lower.
fn data() -> (Input, Labels, Vec<Vec<usize>>) {
    let device = net().device();
    let all = sum().all_inputs();
    let sums: Vec<usize> = all.iter().map(|row| row.iter().sum()).collect();
    (
        encode(&all, &device),
        Labels::of_classes(&sums, &device),
        all,
    )
}

fn found(parents: &[Claim], seed: u64) -> Scrubbed {
    let (input, labels, _) = data();
    scrub(&net(), &input, &labels, &Margin, parents, 400, seed).unwrap()
}

fn unit(channel: usize, feature: fn(&[usize]) -> usize) -> Claim {
    let (_, _, all) = data();
    let feature = move |example: usize| feature(&all[example]) as u64;
    Claim::new("linear1.hook_out", Region::channel(channel), feature)
}

#[test]
fn a_true_hypothesis_recovers_all_and_an_empty_one_nothing() {
    // Unit 0 is a + b and unit 1 is c, whatever else is random: nothing changes.
    let truth = [unit(0, |row| row[0] + row[1]), unit(1, |row| row[2])];
    let all = found(&truth, 0);
    assert_eq!(all.whole, -0.5);
    assert_eq!((all.scrubbed, all.recovered()), (-0.5, 1.0));
    assert!(all.samples.iter().all(|&value| value == -0.5));

    let nothing = found(&[], 0);
    assert_eq!(nothing.scrubbed, nothing.random);
    assert_eq!(nothing.recovered(), 0.0);
}

#[test]
fn a_half_true_hypothesis_is_worse_and_a_false_one_worse_still() {
    let truth = || unit(1, |row| row[2]);
    // That a alone matters to unit 0, which is a + b.
    let half = found(&[unit(0, |row| row[0]), truth()], 0).recovered();
    let nothing = found(&[unit(0, |_| 0), truth()], 0).recovered();
    assert!(half < 0.95 && nothing < half, "{half}, {nothing}");
    // Unit 2 reaches nothing: claims about it change nothing.
    let more = found(
        &[unit(0, |row| row[0] + row[1]), truth(), unit(2, |_| 0)],
        0,
    );
    assert_eq!(more.recovered(), 1.0);
}

#[test]
fn parents_are_scrubbed_for_their_own_references() {
    // Unit 0 after the nonlinearity gets a + b from the same unit before it.
    let (_, _, all) = data();
    let pre = |feature: fn(&[usize]) -> usize| {
        let all = all.clone();
        let feature = move |example: usize| feature(&all[example]) as u64;
        Claim::new("linear1.hook_pre", Region::channel(0), feature)
    };
    let of = |parent: Claim| {
        let first = unit(0, |row| row[0] + row[1]).from(vec![parent]);
        found(&[first, unit(1, |row| row[2])], 0).recovered()
    };
    assert_eq!(of(pre(|row| row[0] + row[1])), 1.0);
    // What it is computed from is said not to matter: then neither is the sum told.
    assert!(of(pre(|_| 0)) < 0.9);
}

#[test]
fn samples_are_those_of_the_seed_and_more_of_them_leave_those_before() {
    let claims = || [unit(0, |row| row[0]), unit(1, |row| row[2])];
    assert_eq!(found(&claims(), 3), found(&claims(), 3));
    assert_ne!(found(&claims(), 3).samples, found(&claims(), 4).samples);
    let (input, labels, _) = data();
    let few = scrub(&net(), &input, &labels, &Margin, &claims(), 50, 3).unwrap();
    assert_eq!(few.samples, found(&claims(), 3).samples[..50]);
}

#[test]
fn what_cannot_be_scrubbed_is_refused() {
    let (input, labels, _) = data();
    let ask = |claims: &[Claim], count| {
        let found = scrub(&net(), &input, &labels, &Margin, claims, count, 0);
        found.unwrap_err().to_string()
    };
    assert!(ask(&[], 0).contains("0 samples"));
    assert!(ask(&[unit(5, |_| 0)], 10).contains("it has 3"));
    let elsewhere = Claim::new("linear1.hook_ou", Region::default(), |_| 0);
    assert!(ask(&[elsewhere], 10).contains("did you mean"));
}
