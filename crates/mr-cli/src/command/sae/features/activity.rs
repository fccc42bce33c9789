//! How active latents are, and on what.

use mr_metrics::MetricError;

/// Bins of a histogram.
const BINS: usize = 64;

/// Activity of one latent.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Activity {
    /// Samples that turn it on.
    pub(super) on: u64,
    sum: f64,
    pub(super) largest: f32,
    pub(super) histogram: Histogram,
    /// The examples that it is most active on, the most active first.
    pub(super) top: Vec<Peak>,
}

/// Where in an example a latent is most active.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Peak {
    pub(super) example: usize,
    pub(super) position: usize,
    pub(super) value: f32,
}

impl Activity {
    /// The mean over the samples that turn it on.
    pub(super) fn mean(&self) -> f64 {
        self.sum / self.on.max(1) as f64
    }

    fn add(&mut self, value: f32) {
        self.on += 1;
        self.sum += f64::from(value);
        self.largest = self.largest.max(value);
        self.histogram.add(value);
    }

    /// Keeps the peak if it is among the most active; of equal ones the earlier example.
    fn keep(&mut self, peak: Peak, most: usize) {
        let at = self.top.partition_point(|other| other.value >= peak.value);
        if at < most {
            self.top.insert(at, peak);
            self.top.truncate(most);
        }
    }
}

/// Numbers above 0 in bins of one width, which doubles whenever a number is too large for them: what it holds in the end does
/// not depend on the order of what was added.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Histogram {
    width: f32,
    counts: Vec<u64>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            width: f32::powi(2.0, -24),
            counts: vec![0; BINS],
        }
    }
}

impl Histogram {
    fn add(&mut self, value: f32) {
        while value >= self.width * BINS as f32 {
            for bin in 0..BINS / 2 {
                self.counts[bin] = self.counts[2 * bin] + self.counts[2 * bin + 1];
            }
            self.counts[BINS / 2..].fill(0);
            self.width *= 2.0;
        }
        let bin = (value / self.width) as usize;
        self.counts[bin.min(BINS - 1)] += 1;
    }

    /// The middle of each bin and its count, up to the last that holds something.
    pub(super) fn bins(&self) -> Vec<(f64, u64)> {
        let last = self.counts.iter().rposition(|&count| count > 0);
        let bins = self.counts[..last.map_or(0, |last| last + 1)].iter();
        let middle = |bin: usize| f64::from(self.width) * (bin as f64 + 0.5);
        bins.enumerate()
            .map(|(bin, &count)| (middle(bin), count))
            .collect()
    }
}

/// Activities of all latents over samples.
pub(super) struct Activities {
    pub(super) latents: Vec<Activity>,
    pub(super) samples: u64,
    most: usize,
}

impl Activities {
    /// Nothing yet, of so many latents, to keep so many examples of each.
    pub(super) fn new(latents: usize, most: usize) -> Self {
        Self {
            latents: vec![Activity::default(); latents],
            samples: 0,
            most,
        }
    }

    /// Adds the codes `[position, latent]` of an example.
    pub(super) fn add(&mut self, example: usize, codes: &[f32]) -> Result<(), MetricError> {
        let count = self.latents.len();
        let mut peaks: Vec<Option<Peak>> = vec![None; count];
        for (position, row) in codes.chunks(count).enumerate() {
            self.samples += 1;
            for (latent, &value) in row.iter().enumerate() {
                if !value.is_finite() {
                    return Err(MetricError::Undefined {
                        what: format!("the activity of latent {latent}"),
                        reason: format!("it is {value} on example {example}, position {position}"),
                    });
                }
                if value == 0.0 {
                    continue;
                }
                self.latents[latent].add(value);
                if peaks[latent].is_none_or(|peak| value > peak.value) {
                    peaks[latent] = Some(Peak {
                        example,
                        position,
                        value,
                    });
                }
            }
        }
        for (latent, peak) in peaks.into_iter().enumerate() {
            if let Some(peak) = peak {
                self.latents[latent].keep(peak, self.most);
            }
        }
        Ok(())
    }

    /// The share of samples that turn a latent on.
    pub(super) fn density(&self, latent: usize) -> f64 {
        self.latents[latent].on as f64 / self.samples.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_active_examples_are_kept_with_their_position() {
        let mut all = Activities::new(2, 2);
        // Latent 0 is on in every example, latent 1 in none.
        all.add(0, &[1.0, 0.0, 3.0, 0.0]).unwrap();
        all.add(1, &[3.0, 0.0, 0.5, 0.0]).unwrap();
        all.add(2, &[0.0, 0.0, 4.0, 0.0]).unwrap();
        let of = |peak: &Peak| (peak.example, peak.position, peak.value);
        let top: Vec<_> = all.latents[0].top.iter().map(of).collect();
        assert_eq!(top, [(2, 1, 4.0), (0, 1, 3.0)]);
        assert_eq!((all.latents[0].on, all.samples), (5, 6));
        assert_eq!(all.density(0), 5.0 / 6.0);
        assert_eq!(all.latents[0].mean(), 11.5 / 5.0);
        assert!(all.latents[1].top.is_empty() && all.latents[1].histogram.bins().is_empty());
        let error = all.add(3, &[f32::NAN, 0.0]).unwrap_err().to_string();
        assert!(
            error.contains("latent 0") && error.contains("example 3"),
            "{error}"
        );
    }

    #[test]
    fn a_histogram_does_not_depend_on_the_order() {
        let values = [0.3, 7.5, 0.01, 120.0, 64.0, 0.3];
        let of = |values: &[f32]| {
            let mut histogram = Histogram::default();
            for &value in values {
                histogram.add(value);
            }
            histogram
        };
        let mut backwards = values;
        backwards.reverse();
        assert_eq!(of(&values), of(&backwards));
        let bins = of(&values).bins();
        assert_eq!(bins.iter().map(|bin| bin.1).sum::<u64>(), 6);
        // 120 needs bins of width 2: the first holds four numbers below it, 7.5 is in the fourth.
        assert_eq!(
            (bins[0], bins[3], bins[32]),
            ((1.0, 3), (7.0, 1), (65.0, 1))
        );
        assert_eq!(bins.last(), Some(&(121.0, 1)));
    }
}
