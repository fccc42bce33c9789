//! How an example's step length adapts to what its steps bring.

/// After how many steps a run of so many is reviewed (Croce & Hein 2020, section 3.1): after .22 of
/// them, then at distances that shrink by .03 each time, down to .06.
pub(super) fn checkpoints(steps: usize) -> Vec<usize> {
    let share = |share: f64| ((share * steps as f64) as usize).max(1);
    let (shrink, least) = (share(0.03), share(0.06));
    let mut distance = share(0.22);
    let mut at = distance;
    let mut all = Vec::new();
    while at <= steps {
        all.push(at);
        distance = distance.saturating_sub(shrink).max(least);
        at += distance;
    }
    all
}

/// The same for L1 (Croce & Hein 2021): every .04 of them.
pub(super) fn sparse_checkpoints(steps: usize) -> Vec<usize> {
    let distance = ((0.04 * steps as f64) as usize).max(1);
    (1..=steps / distance).map(|turn| turn * distance).collect()
}

/// One example's step length, and what decides when it shrinks.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    /// Length of the next step.
    pub(super) length: f32,
    /// The largest objective so far.
    pub(super) best: f32,
    /// The largest objective where the goal is reached.
    pub(super) best_reached: f32,
    /// The objective before the last step.
    last: f32,
    /// Steps since the last review that raised the objective.
    rises: usize,
    best_at_review: f32,
    shrank_at_review: bool,
}

impl Pace {
    /// At a start with this objective.
    pub(super) fn new(length: f32, start: f32, compat: bool) -> Self {
        Self {
            length,
            best: start,
            best_reached: f32::NEG_INFINITY,
            last: if compat { 0.0 } else { start },
            rises: 0,
            best_at_review: start,
            // So that the first review asks only whether steps rose.
            shrank_at_review: true,
        }
    }

    /// Takes in the objective after a step; whether it is the largest so far.
    pub(super) fn observe(&mut self, value: f32) -> bool {
        self.rises += usize::from(value > self.last);
        self.last = value;
        let better = value > self.best;
        if better {
            self.best = value;
        }
        better
    }

    /// Takes in the objective where the goal is reached; whether it is the largest of those.
    pub(super) fn observe_reached(&mut self, value: f32) -> bool {
        let better = value > self.best_reached || self.best_reached == f32::NEG_INFINITY;
        if better {
            self.best_reached = value;
        }
        better
    }

    /// The review after `steps` more steps. Where too few of them rose, or the length was the same
    /// and the best is too, the length halves and the search goes back to its best point.
    pub(super) fn review(&mut self, steps: usize, rho: f32) -> bool {
        let too_few = self.rises as f32 <= steps as f32 * rho;
        let stuck = !self.shrank_at_review && self.best_at_review >= self.best;
        let shrinks = too_few || stuck;
        if shrinks {
            self.length /= 2.0;
        }
        self.rises = 0;
        self.best_at_review = self.best;
        self.shrank_at_review = shrinks;
        shrinks
    }
}

/// How sparse an L1 step is, as a share of the coordinates.
#[derive(Debug, Clone)]
pub(super) struct Sparsity {
    /// Share of the coordinates that a step moves.
    pub(super) share: f32,
    /// Coordinates that the best point changes, at the last review.
    support: f32,
    width: f32,
}

/// How much sparser a step is than the best point, and by what an L1 length shrinks.
const REDUCTION: f32 = 1.5;

impl Sparsity {
    /// At a start that changes so many of `width` coordinates; `None` if that says nothing.
    pub(super) fn new(support: Option<f32>, width: usize) -> Self {
        let width = width as f32;
        Self {
            share: support.map_or(0.2, |support| support / width / REDUCTION),
            support: support.unwrap_or(width),
            width,
        }
    }

    /// Where the best point changes clearly fewer coordinates than before, the length is reset and
    /// the search goes back to it; elsewhere the length shrinks, to no less than a tenth of `most`.
    pub(super) fn review(&mut self, pace: &mut Pace, support: f32, most: f32) -> bool {
        let sparser = support / self.support < 0.95;
        let length = if sparser {
            most
        } else {
            pace.length / REDUCTION
        };
        pace.length = length.clamp(most / 10.0, most);
        self.share = support / self.width / REDUCTION;
        self.support = support;
        sparser
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_checkpoints() {
        assert_eq!(checkpoints(100), [22, 41, 57, 70, 80, 87, 93, 99]);
        assert_eq!(checkpoints(50), [11, 21, 30, 38, 45]);
        let of_20: Vec<usize> = [4, 7].into_iter().chain(9..=20).collect();
        assert_eq!(checkpoints(20), of_20);
        assert_eq!(checkpoints(1), [1]);
        assert_eq!(sparse_checkpoints(100)[..3], [4, 8, 12]);
        assert_eq!(sparse_checkpoints(3), [1, 2, 3]);
    }

    fn after(values: &[f32], compat: bool) -> Pace {
        let mut pace = Pace::new(1.0, 0.5, compat);
        for &value in values {
            pace.observe(value);
        }
        pace
    }

    #[test]
    fn a_length_halves_where_three_quarters_or_fewer_rise() {
        // 3 of 4 rise: .75 is not enough.
        let mut pace = after(&[0.6, 0.7, 0.65, 0.8], false);
        assert!(pace.review(4, 0.75));
        assert_eq!((pace.length, pace.best), (0.5, 0.8));
        let mut pace = after(&[0.6, 0.7, 0.75, 0.8], false);
        assert!(!pace.review(4, 0.75));
        // Neither shrunk then nor better since: halves, though every step rises.
        for value in [0.2, 0.3, 0.4, 0.5] {
            pace.observe(value);
        }
        pace.rises = 4;
        assert!(pace.review(4, 0.75));
        // The rule does not fire twice in a row.
        pace.rises = 4;
        assert!(!pace.review(4, 0.75));
    }

    #[test]
    fn compat_compares_the_first_step_with_zero() {
        // Below the start and above 0: a rise only for the authors' code.
        let values = [0.4, 0.5, 0.6, 0.7];
        assert!(after(&values, false).review(4, 0.75));
        assert!(!after(&values, true).review(4, 0.75));
    }

    #[test]
    fn an_l1_length_shrinks_until_the_best_point_gets_sparser() {
        let mut pace = Pace::new(3.0, 0.0, false);
        let mut sparsity = Sparsity::new(None, 100);
        assert_eq!(sparsity.share, 0.2);
        assert!(sparsity.review(&mut pace, 60.0, 3.0));
        assert_eq!((pace.length, sparsity.share), (3.0, 0.6 / 1.5));
        assert!(!sparsity.review(&mut pace, 58.0, 3.0));
        assert_eq!(pace.length, 2.0);
        for _ in 0..9 {
            sparsity.review(&mut pace, 58.0, 3.0);
        }
        assert!((pace.length - 0.3).abs() < 1e-6);
        // A start that changes nothing says nothing.
        let mut none = Sparsity::new(Some(0.0), 100);
        assert!(!none.review(&mut pace, 0.0, 3.0));
        assert_eq!(none.share, 0.0);
    }
}
