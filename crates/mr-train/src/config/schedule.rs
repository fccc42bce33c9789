//! How the learning rate changes over a run.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::error::{TrainError, above_0};

/// How the learning rate changes over a run. A setting that the named kind has no use for is not
/// read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleConfig {
    /// The shape of the curve after the warm-up.
    pub kind: ScheduleKind,
    /// Steps over which the rate rises linearly to its top; 0 for none.
    pub warmup: usize,
    /// `cosine`: share of the top rate that the curve ends at.
    pub floor: f64,
    /// `step`: where the rate falls, as shares of the run.
    pub milestones: Vec<f64>,
    /// `step`: what it falls to at each milestone, as a share of what it was.
    pub factor: f64,
}

/// The shape of a learning rate's curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// Always the same.
    #[default]
    Constant,
    /// Falls along half a cosine (Loshchilov & Hutter 2017, without restarts).
    Cosine,
    /// Falls by a factor at each milestone.
    Step,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self {
            kind: ScheduleKind::Constant,
            warmup: 0,
            floor: 0.0,
            milestones: vec![0.5, 0.75],
            factor: 0.1,
        }
    }
}

impl ScheduleConfig {
    pub(crate) fn validate(&self) -> Result<(), TrainError> {
        if !(0.0..=1.0).contains(&self.floor) {
            return Err(TrainError::setting(
                "schedule.floor",
                self.floor,
                "in [0, 1]",
            ));
        }
        above_0("schedule.factor", self.factor)?;
        match self.milestones.iter().find(|at| !(0.0..=1.0).contains(*at)) {
            None => Ok(()),
            Some(at) => Err(TrainError::setting(
                "schedule.milestones",
                at,
                "shares of the run, each in [0, 1]",
            )),
        }
    }

    /// The share of the top rate at a step of a run of `total` steps.
    pub fn share(&self, step: usize, total: usize) -> f64 {
        if step < self.warmup {
            return (step + 1) as f64 / self.warmup as f64;
        }
        match self.kind {
            ScheduleKind::Constant => 1.0,
            ScheduleKind::Cosine => {
                let length = total.saturating_sub(self.warmup).max(1);
                let done = (step - self.warmup) as f64 / length as f64;
                self.floor + (1.0 - self.floor) * 0.5 * (1.0 + (PI * done).cos())
            }
            ScheduleKind::Step => {
                // A milestone may fall between steps, or by rounding just beside one.
                let now = step as f64 + 1e-6;
                let passed = |at: &&f64| **at * total as f64 <= now;
                let count = self.milestones.iter().filter(passed).count();
                self.factor.powi(count as i32)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_up_rises_to_the_top_and_the_curve_starts_there() {
        let schedule = ScheduleConfig {
            kind: ScheduleKind::Cosine,
            warmup: 4,
            ..ScheduleConfig::default()
        };
        let shares: Vec<f64> = (0..14).map(|step| schedule.share(step, 14)).collect();
        assert_eq!(shares[..5], [0.25, 0.5, 0.75, 1.0, 1.0]);
        assert!((shares[9] - 0.5).abs() < 1e-12, "half way down");
        assert!(shares.windows(2).skip(4).all(|pair| pair[1] < pair[0]));
        // A warm-up that is longer than the run never falls.
        assert_eq!(schedule.share(2, 3), 0.75);
    }

    #[test]
    fn nothing_changes_by_default() {
        let schedule = ScheduleConfig::default();
        assert!((0..10).all(|step| schedule.share(step, 10) == 1.0));
    }

    #[test]
    fn milestones_outside_the_run_are_refused() {
        let schedule = ScheduleConfig {
            milestones: vec![0.5, 30.0],
            ..ScheduleConfig::default()
        };
        assert_eq!(
            schedule.validate().unwrap_err().to_string(),
            "schedule.milestones is 30, must be shares of the run, each in [0, 1]"
        );
    }
}
