//! Adam on the host, for what has few parameters.

/// Moments of the gradient (Kingma & Ba 2015, algorithm 1).
#[derive(Debug)]
pub(crate) struct Adam {
    first: Vec<f64>,
    second: Vec<f64>,
    turn: i32,
}

impl Adam {
    pub(crate) fn new(parameters: usize) -> Self {
        Self {
            first: vec![0.0; parameters],
            second: vec![0.0; parameters],
            turn: 0,
        }
    }

    /// One step down the gradient.
    pub(crate) fn step(&mut self, at: &mut [f64], gradient: &[f64], lr: f64) {
        self.turn += 1;
        let unbias = |beta: f64| 1.0 - beta.powi(self.turn);
        let (unbias1, unbias2) = (unbias(0.9), unbias(0.999));
        for (number, &slope) in gradient.iter().enumerate() {
            let (first, second) = (&mut self.first[number], &mut self.second[number]);
            *first = 0.9 * *first + 0.1 * slope;
            *second = 0.999 * *second + 0.001 * slope * slope;
            at[number] -= lr * (*first / unbias1) / ((*second / unbias2).sqrt() + 1e-8);
        }
    }
}

/// A learning rate that falls from `lr` to 0 over so many steps, by a cosine.
pub(crate) fn cosine(lr: f64, step: usize, steps: usize) -> f64 {
    let part = step as f64 / steps.max(1) as f64;
    lr * 0.5 * (1.0 + (std::f64::consts::PI * part).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_is_as_long_as_the_rate() {
        let mut at = [1.0, -1.0, 0.5];
        Adam::new(3).step(&mut at, &[5.0, -0.01, 0.0], 0.1);
        for (found, expected) in at.iter().zip([0.9, -0.9, 0.5]) {
            assert!((found - expected).abs() < 1e-6, "{at:?}");
        }
        assert_eq!(cosine(0.2, 0, 10), 0.2);
        assert!((cosine(0.2, 5, 10) - 0.1).abs() < 1e-12);
    }
}
