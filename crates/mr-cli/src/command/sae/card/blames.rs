//! What carries the change of logits, for records and people.

use anyhow::Result;
use mr_attacks::Blame;
use mr_metrics::ExperimentRecord;
use mr_metrics::stats::median;

use crate::layout::Listing;

/// Medians over adversarial examples of what latents and error carry, as shares of the change.
fn shares(blames: &[Blame]) -> Result<Option<[f64; 3]>> {
    if blames.is_empty() {
        return Ok(None);
    }
    let of = |part: fn(&Blame) -> f32| {
        let all: Vec<f64> = blames
            .iter()
            .map(|blame| f64::from(part(blame) / blame.change))
            .collect();
        median(&all)
    };
    Ok(Some([
        of(|blame| blame.latents)?,
        of(|blame| blame.error)?,
        of(|blame| blame.completeness_error.abs())?,
    ]))
}

pub(super) fn fill(blames: &[Blame], record: &mut ExperimentRecord) -> Result<()> {
    record.number("adversarial_examples", blames.len() as f64);
    if let Some([latents, error, rest]) = shares(blames)? {
        record.number("carried_by_latents.median", latents);
        record.number("carried_by_error.median", error);
        record.number("completeness_error.median", rest);
    }
    Ok(())
}

pub(super) fn tell(blames: &[Blame], listing: &mut Listing) -> Result<()> {
    let Some([latents, error, rest]) = shares(blames)? else {
        return Ok(());
    };
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    listing.line("adversarial examples", blames.len());
    listing.line("carried by latents", percent(latents));
    listing.line("carried by the error", percent(error));
    listing.line("left over", percent(rest));
    Ok(())
}
