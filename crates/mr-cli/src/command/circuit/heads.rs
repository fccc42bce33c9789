//! What heads look at, beside what they were found to do.

use anyhow::Result;
use mr_circuits::head_scores;
use mr_metrics::{ExperimentRecord, Table};
use mr_models::{Input, Network};

/// The attention from which on a head is an induction head: more than it gives to all else.
const MOST: f32 = 0.5;

/// Puts into a record what every head looks at, its effect on the logits, and how many of the n induction heads
/// are among the n heads of the largest effects. Nothing where there is no head, or one has no effect.
pub(super) fn compared(
    network: &Network,
    input: &Input,
    effect: impl Fn(&str) -> Option<f32>,
    record: &mut ExperimentRecord,
) -> Result<()> {
    let Input::Tokens(_) = input else {
        return Ok(());
    };
    let scores = head_scores(network, input)?;
    let name = |layer: usize, head: usize| format!("a{layer}.h{head}");
    let effects = scores
        .iter()
        .map(|score| effect(&name(score.layer, score.head)));
    let Some(effects) = effects.collect::<Option<Vec<f32>>>() else {
        return Ok(());
    };
    let Some(best) = scores.iter().map(|score| score.induction).reduce(f32::max) else {
        return Ok(());
    };
    record.number("heads.best_induction", f64::from(best));
    let is_one = |at: &usize| scores[*at].induction > MOST;
    let mut order: Vec<usize> = (0..scores.len()).collect();
    let count = order.iter().filter(|at| is_one(at)).count();
    record.number("heads.induction", count as f64);
    order.sort_by(|&a, &b| effects[b].abs().total_cmp(&effects[a].abs()));
    if count > 0 {
        let both = order[..count].iter().filter(|at| is_one(at)).count();
        record.number("heads.agreement", both as f64 / count as f64);
    }
    let row = |&at: &usize| {
        let score = &scores[at];
        let values = [
            score.induction,
            score.previous,
            score.duplicate,
            effects[at],
        ];
        let values = values.into_iter().map(serde_json::Value::from);
        let name = name(score.layer, score.head).into();
        std::iter::once(name).chain(values).collect()
    };
    let table = Table {
        columns: ["head", "induction", "previous", "duplicate", "effect"]
            .map(String::from)
            .into(),
        rows: order.iter().map(row).collect(),
    };
    record.tables.insert("heads".into(), table);
    Ok(())
}
