//! Robust accuracy between what is proven and what an attack leaves, over the radius.

use anyhow::Result;
use mr_attacks::{Certificates, CertifierConfig, Goal, Norm};
use mr_metrics::finding::{PlotData, PlotGroup, PlotKind, Scale};
use mr_metrics::{ExperimentRecord, Interval, Series, accuracy};
use serde_json::{Value, json};

use super::Asked;
use crate::command::{LEVEL, Run};
use crate::console::Console;
use crate::layout::{Listing, Percent};
use crate::report::band;

/// Certified and attacked accuracy at each radius.
pub(super) struct Bracket {
    norm: Norm,
    /// The threat's own radius.
    own: f32,
    /// In rising order of the radius.
    points: Vec<Point>,
    /// Examples that were broken against a certificate.
    contradicted: usize,
}

struct Point {
    epsilon: f64,
    certified: Interval,
    /// What the attacks left, where there were any.
    attacked: Option<Interval>,
}

impl Bracket {
    /// `found` are the certificates of the threat's own radius.
    pub(super) fn of(asked: &Asked<'_>, found: &Certificates, console: &Console) -> Result<Self> {
        let mut certified = Vec::with_capacity(asked.epsilons.len());
        for &epsilon in &asked.epsilons {
            certified.push(mask(asked, epsilon as f32, found, console)?);
        }
        let attacked = attacked(asked, console)?;
        let mut points = Vec::with_capacity(certified.len());
        let mut contradicted = vec![false; found.examples.len()];
        for (at, (&epsilon, certified)) in asked.epsilons.iter().zip(&certified).enumerate() {
            let attacked = attacked.get(at);
            for (example, robust) in attacked.into_iter().flatten().enumerate() {
                contradicted[example] |= certified[example] && !robust;
            }
            points.push(Point {
                epsilon,
                certified: accuracy(certified, LEVEL)?,
                attacked: attacked.map(|mask| accuracy(mask, LEVEL)).transpose()?,
            });
        }
        Ok(Self {
            norm: asked.threat.norm,
            own: asked.threat.epsilon,
            points,
            contradicted: contradicted.iter().filter(|&&is| is).count(),
        })
    }

    /// Whether it says no more than the certificate of one radius.
    fn is_one(&self) -> bool {
        self.points.len() == 1 && self.points[0].attacked.is_none()
    }

    /// What the attacks left at the threat's own radius, if there were any.
    fn robust(&self) -> Option<Interval> {
        let own = |at: &&Point| at.epsilon as f32 == self.own;
        self.points.iter().find(own)?.attacked
    }

    /// Puts the curves into a record.
    pub(super) fn fill(&self, record: &mut ExperimentRecord) -> Result<()> {
        if self.is_one() {
            return Ok(());
        }
        if let Some(robust) = self.robust() {
            record.number("robust_accuracy", robust);
        }
        let certified = self.points.iter().map(|at| (at.epsilon, at.certified));
        let attacked = self.points.iter();
        let attacked = attacked.filter_map(|at| Some((at.epsilon, at.attacked?)));
        let curves: [(&str, Vec<(f64, Interval)>); 2] = [
            ("certified_curve", certified.collect()),
            ("security_curve", attacked.collect()),
        ];
        for (name, points) in curves {
            if !points.is_empty() {
                let label = format!("epsilon ({})", self.norm);
                record.curve(name, Series::of_intervals(label, &points))?;
            }
        }
        if self.contradicted > 0 {
            record.warnings.push(format!(
                "{} of the examples are certified and broken all the same: a bug in mr, please report \
                 it",
                self.contradicted
            ));
        }
        Ok(())
    }

    /// Adds a line for each radius, and the curve for a program.
    pub(super) fn tell(&self, listing: &mut Listing, object: &mut Value) {
        if self.is_one() {
            return;
        }
        if let Some(robust) = self.robust() {
            listing.line("attacked accuracy", Percent(robust));
            object["robust_accuracy"] = robust.value.into();
            object["robust_interval"] = json!(robust.ends());
        }
        for at in &self.points {
            listing.line(
                format!("certified at {}", at.epsilon),
                Percent(at.certified),
            );
            if let Some(attacked) = at.attacked {
                listing.line(format!("attacked at {}", at.epsilon), Percent(attacked));
            }
        }
        let points = self.points.iter().map(|at| {
            let mut point = json!({
                "epsilon": at.epsilon,
                "certified_accuracy": at.certified.value,
                "certified_interval": at.certified.ends(),
            });
            if let Some(attacked) = at.attacked {
                point["robust_accuracy"] = attacked.value.into();
                point["robust_interval"] = json!(attacked.ends());
            }
            point
        });
        object["curve"] = points.collect();
    }

    /// The bracket as an SVG file. At radius 0 it is closed: nothing is perturbed. Where nothing was
    /// attacked, it reaches up to the clean accuracy.
    pub(super) fn plot(&self, title: &str, clean: f64) -> String {
        let curve = |name: &str, value: &dyn Fn(&Point) -> f64| {
            let inner = self.points.iter().filter(|at| at.epsilon > 0.0);
            let inner = inner.map(|at| (at.epsilon, value(at)));
            let (x, y) = std::iter::once((0.0, clean)).chain(inner).unzip();
            PlotGroup {
                name: name.into(),
                x,
                y,
                ..PlotGroup::default()
            }
        };
        let is_attacked = self.points.iter().any(|at| at.attacked.is_some());
        let upper = |at: &Point| at.attacked.map_or(clean, |attacked| attacked.value);
        let name = if is_attacked { "attacked" } else { "clean" };
        let data = PlotData {
            title: title.into(),
            kind: PlotKind::Line,
            x_scale: Scale::Linear,
            x_label: format!("size of the perturbation ({})", self.norm),
            y_label: "robust accuracy".into(),
            groups: vec![
                curve("certified", &|at| at.certified.value),
                curve(name, &upper),
            ],
        };
        band(
            data,
            "At each radius that is marked, the true robust accuracy on these examples lies in the band.",
        )
    }
}

/// Which examples are certified at a radius. Noise is drawn once for all radii.
fn mask(
    asked: &Asked<'_>,
    epsilon: f32,
    found: &Certificates,
    console: &Console,
) -> Result<Vec<bool>> {
    let there = asked.threat.with_epsilon(epsilon);
    if there == *asked.threat {
        return Ok(found.certified_mask());
    }
    if let CertifierConfig::Smoothing(smoothing) = asked.method {
        let coordinates = asked.opened.data.shape().iter().product();
        let certified = found.examples.iter();
        let certified = certified.map(|one| smoothing.certifies(one, &there, coordinates));
        return Ok(certified.collect());
    }
    Ok(asked.certificates(&there, console)?.certified_mask())
}

/// Which examples withstand the attacks at each radius; empty where there are none. What breaks an
/// example at one radius breaks it at every larger one.
fn attacked(asked: &Asked<'_>, console: &Console) -> Result<Vec<Vec<bool>>> {
    if asked.attacks.is_empty() {
        return Ok(Vec::new());
    }
    let run = Run {
        opened: asked.opened,
        data: &asked.opened.data,
        goal: &Goal::Untargeted,
        attacks: &asked.attacks,
        transfer: None,
        state: None,
        epsilons: &asked.epsilons,
        keep: false,
        console,
    };
    let mut masks: Vec<Vec<bool>> = Vec::new();
    for at in run.all(asked.threat)?.curve {
        let mut mask = at.robust;
        for (robust, before) in mask.iter_mut().zip(masks.last().into_iter().flatten()) {
            *robust &= before;
        }
        masks.push(mask);
    }
    Ok(masks)
}
