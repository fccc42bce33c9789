//! A small optimizer.

/// Adam (Kingma & Ba 2015) on the host, for a few thousand numbers.
#[derive(Debug)]
pub(crate) struct Adam {
    mean: Vec<f32>,
    square: Vec<f32>,
    steps: i32,
    rate: f32,
}

impl Adam {
    pub(crate) fn new(count: usize, rate: f32) -> Self {
        Self {
            mean: vec![0.0; count],
            square: vec![0.0; count],
            steps: 0,
            rate,
        }
    }

    /// One step down these slopes.
    pub(crate) fn step(&mut self, values: &mut [f32], slopes: &[f32]) {
        self.steps += 1;
        let moments = self.mean.iter_mut().zip(&mut self.square);
        for ((value, slope), (mean, square)) in values.iter_mut().zip(slopes).zip(moments) {
            *mean = 0.9 * *mean + 0.1 * slope;
            *square = 0.999 * *square + 0.001 * slope * slope;
            let unbiased = *mean / (1.0 - 0.9_f32.powi(self.steps));
            let scale = (*square / (1.0 - 0.999_f32.powi(self.steps))).sqrt();
            *value -= self.rate * unbiased / (scale + 1e-8);
        }
    }
}
