//! One check's outcome in the pieces that a table shows.

use mr_metrics::Short;
use mr_metrics::finding::Outcome;

/// `0.498 [0.481, 0.513]`; empty where no single number was judged.
pub(crate) fn observed(outcome: &Outcome) -> String {
    outcome.observed.map_or(String::new(), |observed| {
        let value = Short(observed.value);
        match observed.ends() {
            Some([low, high]) => format!("{value} [{}, {}]", Short(low), Short(high)),
            None => value.to_string(),
        }
    })
}

/// What was demanded, which the outcome's sentence ends with.
pub(crate) fn demand_of(outcome: &Outcome) -> Option<&str> {
    outcome.sentence.rsplit_once(DEMANDED).map(|parts| parts.1)
}

/// What was seen: the outcome's sentence without the demand.
pub(super) fn seen(outcome: &Outcome) -> &str {
    outcome
        .sentence
        .rsplit_once(DEMANDED)
        .map_or(outcome.sentence.as_str(), |parts| parts.0)
}

const DEMANDED: &str = "; demanded: ";

#[cfg(test)]
mod tests {
    use mr_metrics::Interval;
    use mr_metrics::finding::{Outcome, OutcomeResult};

    use super::{demand_of, observed, seen};

    #[test]
    fn a_sentence_comes_apart() {
        let mut outcome = Outcome {
            name: "check".into(),
            informative: false,
            result: OutcomeResult::Passed,
            sentence: "the mean of numbers.a over 1 seed is 2; demanded: at least 1".into(),
            observed: Some(Interval::point(2.0, 0.95, 1)),
            p: None,
        };
        assert_eq!(observed(&outcome), "2");
        assert_eq!(demand_of(&outcome), Some("at least 1"));
        assert_eq!(seen(&outcome), "the mean of numbers.a over 1 seed is 2");
        outcome.sentence = "no record was given".into();
        outcome.observed = None;
        assert_eq!(observed(&outcome), "");
        assert_eq!(demand_of(&outcome), None);
        assert_eq!(seen(&outcome), outcome.sentence);
    }
}
