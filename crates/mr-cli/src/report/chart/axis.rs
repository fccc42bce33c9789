//! Where an axis begins and ends, and what is written at it.

use mr_metrics::Short;
use mr_metrics::finding::Scale;

use super::number::{grouped, number, power};

/// An axis over finite values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    scale: Scale,
    /// First value, before the logarithm.
    low: f64,
    /// Last value.
    high: f64,
    /// Marks, from low to high.
    pub(super) ticks: Vec<Tick>,
}

/// A mark at an axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    pub(super) value: f64,
    /// What is written there; nothing at the marks between.
    pub(super) label: Option<String>,
}

/// Beyond these nothing is drawn: differences would overflow.
const LARGEST: f64 = 1e150;
/// Below this a logarithmic axis would have hundreds of decades.
const SMALLEST: f64 = 1e-150;

/// Whether a value has a place on an axis of this scale.
pub(super) fn drawable(value: f64, scale: Scale) -> bool {
    value.is_finite()
        && value.abs() <= LARGEST
        && match scale {
            Scale::Linear => true,
            Scale::Log => value >= SMALLEST,
        }
}

impl Axis {
    /// An axis on which all of these values have a place, of about `wanted` marks.
    pub(super) fn over(values: impl Iterator<Item = f64>, scale: Scale, wanted: usize) -> Self {
        let ends = values.filter(|&value| drawable(value, scale)).fold(
            None,
            |ends: Option<(f64, f64)>, value| {
                let (low, high) = ends.unwrap_or((value, value));
                Some((low.min(value), high.max(value)))
            },
        );
        match (scale, ends) {
            (Scale::Linear, ends) => linear(ends.unwrap_or((0.0, 1.0)), wanted),
            (Scale::Log, ends) => logarithmic(ends.unwrap_or((0.1, 1.0)), wanted),
        }
    }

    /// The axis of shares from 0 to 1.
    pub(super) fn unit() -> Self {
        linear((0.0, 1.0), 5)
    }

    /// A linear axis that ends at the last of several values, not at the mark behind it.
    pub(super) fn ending_at(mut self, values: impl Iterator<Item = f64>) -> Self {
        let (first, last) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |ends, value| {
            (ends.0.min(value), ends.1.max(value))
        });
        // A mark at the last value may be off by its rounding.
        let reach = last + 1e-9 * (self.high - self.low);
        let marks = self.ticks.iter().filter(|tick| tick.value <= reach);
        if self.scale == Scale::Linear && first < last && last < self.high && marks.count() > 1 {
            self.ticks.retain(|tick| tick.value <= reach);
            self.high = last;
        }
        self
    }

    /// On a logarithmic axis over few values, marks at just these values: `16`, `64`, `256`.
    pub(super) fn marked_at(self, values: impl Iterator<Item = f64>) -> Self {
        const FEW: usize = 8;
        let mut values: Vec<f64> = values.filter(|&v| drawable(v, self.scale)).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        let plain = |&value: &f64| (1e-3..1e5).contains(&value);
        if self.scale == Scale::Linear || values.len() > FEW || !values.iter().all(plain) {
            return self;
        }
        let ticks = values
            .into_iter()
            .map(|value| Tick {
                value,
                label: Some(grouped(&Short(value).to_string())),
            })
            .collect();
        Self { ticks, ..self }
    }

    /// The same axis with other marks.
    pub(super) fn with_ticks(mut self, change: impl FnOnce(&Self, Vec<Tick>) -> Vec<Tick>) -> Self {
        let ticks = std::mem::take(&mut self.ticks);
        self.ticks = change(&self, ticks);
        self
    }

    /// Where a value stands: 0 at the beginning, 1 at the end.
    pub(super) fn place(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log => (value / self.low).ln() / (self.high / self.low).ln(),
        }
    }
}

fn linear((low, high): (f64, f64), wanted: usize) -> Axis {
    let size = low.abs().max(high.abs());
    let (mut low, mut high) = if high - low <= 1e-9 * size {
        let around = if size == 0.0 { 0.5 } else { 0.1 * size };
        (low - around, high + around)
    } else {
        (low, high)
    };
    // A bar of numbers far from 0 is cut off; one that nearly reaches it is shown whole.
    if low > 0.0 && low < 0.4 * high {
        low = 0.0;
    } else if high < 0.0 && high > 0.4 * low {
        high = 0.0;
    }
    let step = nice((high - low) / wanted.max(1) as f64);
    let first = (low / step + 1e-9).floor();
    let last = (high / step - 1e-9).ceil();
    let count = (last - first).max(1.0) as usize;
    let ticks = (0..=count)
        .map(|index| {
            let value = (first + index as f64) * step;
            Tick {
                value,
                label: Some(number(value, step)),
            }
        })
        .collect();
    Axis {
        scale: Scale::Linear,
        low: first * step,
        high: (first + count as f64) * step,
        ticks,
    }
}

/// The next of 1, 2, 2.5, 5 and 10 times a power of ten.
fn nice(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let digits = step / power;
    let nice = [1.0, 2.0, 2.5, 5.0]
        .into_iter()
        .find(|&nice| digits <= nice + 1e-9)
        .unwrap_or(10.0);
    nice * power
}

fn logarithmic((low, high): (f64, f64), wanted: usize) -> Axis {
    let (low, high) = if high / low < 1.0 + 1e-9 {
        (low / 3.0, high * 3.0)
    } else {
        // Points keep a little distance from the ends.
        let margin = (high / low).powf(0.03);
        (low / margin, high * margin)
    };
    let decades = (low.log10().floor() as i32)..=(high.log10().ceil() as i32);
    let span = (high / low).log10();
    let labelled: &[u32] = if span <= 1.0 {
        &[1, 2, 3, 4, 5, 6, 7, 8, 9]
    } else if span <= 2.5 {
        &[1, 2, 5]
    } else {
        &[1]
    };
    let every = (span / wanted.max(1) as f64).ceil().max(1.0) as i32;
    let mut ticks = Vec::new();
    for decade in decades {
        for digit in 1..=9_u32 {
            let value = f64::from(digit) * 10f64.powi(decade);
            if value < low || value > high {
                continue;
            }
            let on = labelled.contains(&digit) && decade.rem_euclid(every) == 0;
            if on || every == 1 {
                ticks.push(Tick {
                    value,
                    label: on.then(|| power(digit, decade)),
                });
            }
        }
    }
    Axis {
        scale: Scale::Log,
        low,
        high,
        ticks,
    }
}

#[cfg(test)]
mod tests {
    use super::{Axis, Scale};

    fn labels(values: &[f64], scale: Scale, wanted: usize) -> Vec<String> {
        Axis::over(values.iter().copied(), scale, wanted)
            .ticks
            .into_iter()
            .filter_map(|tick| tick.label)
            .collect()
    }

    #[test]
    fn linear_marks_are_round_numbers_around_the_values() {
        let linear = |values: &[f64]| labels(values, Scale::Linear, 5);
        assert_eq!(
            linear(&[0.03, 0.98]),
            ["0", "0.2", "0.4", "0.6", "0.8", "1"]
        );
        assert_eq!(linear(&[-1.0, 1.0]), ["−1", "−0.5", "0", "0.5", "1"]);
        assert_eq!(linear(&[96.2, 98.9]), ["96", "97", "98", "99"]);
        assert_eq!(linear(&[0.0, 20_000.0])[4], "20\u{202f}000");
        assert_eq!(linear(&[0.0, 3e7])[1], "1×10⁷");
        assert_eq!(linear(&[0.0, 2.5])[1], "0.5");
        assert_eq!(linear(&[0.0, 1.25])[1], "0.25");
    }

    #[test]
    fn an_axis_may_end_at_its_last_value() {
        let ends = |values: &[f64]| {
            let last = values[values.len() - 1];
            let axis = Axis::over(values.iter().copied(), Scale::Linear, 6);
            let axis = axis.ending_at(values.iter().copied());
            let label = axis.ticks.last().and_then(|tick| tick.label.clone());
            (axis.place(last), label.unwrap())
        };
        assert_eq!(ends(&[0.0, 0.11]), (1.0, "0.1".into()));
        assert_eq!(ends(&[0.0, 0.12]), (1.0, "0.12".into()));
        // A single value keeps an axis around it.
        assert!(ends(&[3.0]).0 < 1.0);
    }

    #[test]
    fn logarithmic_marks_are_labelled_as_densely_as_there_is_room() {
        let log = |values: &[f64]| labels(values, Scale::Log, 6);
        assert_eq!(
            log(&[0.02, 1.0]),
            ["0.02", "0.05", "0.1", "0.2", "0.5", "1"]
        );
        assert_eq!(log(&[1e-6, 1e-1])[..3], ["10⁻⁶", "10⁻⁵", "10⁻⁴"]);
        assert_eq!(log(&[1e-20, 1e20]), ["10⁻¹⁶", "10⁻⁸", "1", "10⁸", "10¹⁶"]);
        assert_eq!(log(&[2.0, 4.0]), ["2", "3", "4"]);
    }

    #[test]
    fn equal_absurd_and_absent_values_still_have_an_axis() {
        for scale in [Scale::Linear, Scale::Log] {
            for values in [
                &[][..],
                &[3.0],
                &[3.0, 3.0],
                &[0.0],
                &[-2.0],
                &[f64::NAN, 1.0],
                &[f64::INFINITY],
                &[1e-300, 1e300],
                &[-1e149, 1e149],
                &[1e9, 1e9 + 1e-7],
            ] {
                let axis = Axis::over(values.iter().copied(), scale, 6);
                assert!((2..=60).contains(&axis.ticks.len()), "{values:?} {axis:?}");
                assert!(axis.ticks.iter().all(|tick| {
                    let place = axis.place(tick.value);
                    (-1e-9..=1.0 + 1e-9).contains(&place)
                }));
            }
        }
        let single = Axis::over([3.0].into_iter(), Scale::Linear, 5);
        assert!((single.place(3.0) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn few_values_on_a_logarithmic_axis_are_its_marks() {
        let marks = |values: &[f64], scale| {
            let axis = Axis::over(values.iter().copied(), scale, 6);
            let axis = axis.marked_at(values.iter().copied());
            axis.ticks
                .into_iter()
                .filter_map(|tick| tick.label)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            marks(&[64.0, 16.0, 256.0, 16.0], Scale::Log),
            ["16", "64", "256"]
        );
        assert_eq!(marks(&[0.025], Scale::Log), ["0.025"]);
        assert_eq!(
            marks(&[1e-6, 1e-2], Scale::Log),
            labels(&[1e-6, 1e-2], Scale::Log, 6)
        );
        assert_eq!(
            marks(&[1.0, 3.0], Scale::Linear),
            labels(&[1.0, 3.0], Scale::Linear, 6)
        );
    }

    #[test]
    fn equal_ratios_are_equally_far_apart_on_a_logarithmic_axis() {
        let axis = Axis::over([0.01, 1.0].into_iter(), Scale::Log, 5);
        let step = axis.place(0.1) - axis.place(0.01);
        assert!((axis.place(1.0) - axis.place(0.1) - step).abs() < 1e-12);
    }
}
