//! A chart, before it is drawn.

use mr_metrics::Short;
use mr_metrics::finding::{PlotData, PlotGroup, PlotKind, Scale};

use super::axis::drawable;

/// What is drawn, and how large.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Chart {
    /// Title, labels and points.
    pub(in super::super) data: PlotData,
    /// Scale of y.
    pub(in super::super) y_scale: Scale,
    /// What its intervals are.
    pub(in super::super) intervals: Intervals,
    /// How large it is.
    pub(in super::super) size: Size,
    /// Two groups over the same x that something lies between, the lower one first.
    pub(in super::super) between: Option<[usize; 2]>,
    /// The number of the colour and the dashes of each group, where their places among groups are not those: then colours
    /// mean something, and a legend says what.
    pub(in super::super) inks: Vec<usize>,
}

/// What the ends of an interval are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) enum Intervals {
    /// A bootstrap over seeds, of this confidence level.
    OverSeeds(f64),
    /// The lowest and the highest seed.
    Range,
    /// Those that the record holds, over examples.
    Own,
}

impl Intervals {
    /// What stands under the chart: `Bars are ...`.
    pub(super) fn described(self) -> String {
        match self {
            Self::OverSeeds(level) => {
                format!("{} % bootstrap intervals over seeds", Short(100.0 * level))
            }
            Self::Range => "the range over seeds".into(),
            Self::Own => "the intervals over examples that the record holds".into(),
        }
    }
}

/// Room that a chart takes on a wide page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Size {
    /// The whole column.
    Wide,
    /// One of several side by side.
    Half,
    /// The whole width of a phone.
    Narrow,
}

impl Size {
    pub(super) fn units(self) -> (f64, f64) {
        match self {
            Self::Wide => (720.0, 380.0),
            Self::Half => (400.0, 285.0),
            Self::Narrow => (400.0, 320.0),
        }
    }
}

/// Above this many points a line has no markers, and a band in place of bars.
const MARKED: usize = 16;

/// One point of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mark {
    pub(super) x: f64,
    pub(super) y: f64,
    /// Ends of its interval.
    pub(super) ends: Option<(f64, f64)>,
}

impl Chart {
    /// A chart with a linear y axis.
    pub(in super::super) fn new(data: PlotData, intervals: Intervals, size: Size) -> Self {
        Self {
            data,
            y_scale: Scale::Linear,
            intervals,
            size,
            between: None,
            inks: Vec::new(),
        }
    }

    /// What a group is drawn in.
    pub(super) fn ink(&self, group: usize) -> usize {
        self.inks.get(group).copied().unwrap_or(group)
    }

    /// The points of a group that have a place on both axes; an end of an interval that has none
    /// counts as no interval.
    pub(super) fn marks(&self, group: &PlotGroup) -> Vec<Mark> {
        let end = |ends: &[Option<f64>], index: usize| {
            ends.get(index)
                .copied()
                .flatten()
                .filter(|&end| drawable(end, self.y_scale))
        };
        group
            .x
            .iter()
            .zip(&group.y)
            .enumerate()
            .filter(|(_, (x, y))| drawable(**x, self.data.x_scale) && drawable(**y, self.y_scale))
            .map(|(index, (&x, &y))| Mark {
                x,
                y,
                ends: end(&group.low, index).zip(end(&group.high, index)),
            })
            .collect()
    }

    /// The marks of every group.
    pub(super) fn all_marks(&self) -> Vec<Vec<Mark>> {
        self.data.groups.iter().map(|g| self.marks(g)).collect()
    }

    /// Points that have no place on the axes.
    pub(super) fn lost(&self) -> usize {
        let given: usize = self.data.groups.iter().map(|group| group.x.len()).sum();
        let drawn: usize = self.all_marks().iter().map(Vec::len).sum();
        given - drawn
    }

    /// Whether its lines have so many points that each is not marked.
    pub(super) fn is_dense(&self) -> bool {
        self.data.kind == PlotKind::Line && self.data.groups.iter().any(|g| g.x.len() > MARKED)
    }
}
