//! The flags that say what an attacker may change.

use anyhow::Result;
use clap::Args;
use mr_attacks::Norm;
use toml::Value;

use crate::settings::Layers;

/// A ball of a norm.
#[derive(Debug, Args)]
#[command(next_help_heading = "Threat")]
pub(super) struct BallFlags {
    /// Norm of the perturbation: linf, l2, l1, l0 [default: linf]
    #[arg(long, value_name = "NORM")]
    norm: Option<String>,
    /// Largest perturbation, in pixel units of [0, 1], such as 0.1 or 8/255; inf for attacks that look for the smallest
    #[arg(long, value_name = "R", allow_negative_numbers = true, value_parser = length)]
    epsilon: Option<f64>,
}

/// A ball, and where it is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Threat")]
pub(super) struct ThreatFlags {
    #[command(flatten)]
    ball: BallFlags,
    /// Where the perturbation lives: input or a site; see `mr models --sites` [default: input]
    #[arg(long, value_name = "SITE")]
    place: Option<String>,
}

/// Several balls.
#[derive(Debug, Args)]
#[command(next_help_heading = "Threat")]
pub(super) struct CurveFlags {
    /// A curve: the result at each of these
    #[arg(
        long,
        value_name = "R,...",
        value_delimiter = ',',
        allow_negative_numbers = true,
        value_parser = length
    )]
    epsilons: Vec<f64>,
}

impl BallFlags {
    /// Puts the ball over the settings, and beneath them the norm of a threat that has none.
    pub(super) fn apply(&self, layers: &mut Layers, default: Norm) -> Result<()> {
        layers.flag("--norm", "threat.norm", self.norm.as_deref().map(norm))?;
        layers.flag("--epsilon", "threat.epsilon", self.epsilon)?;
        if layers.get("threat").is_some() {
            layers.beneath("threat.norm", default.to_string());
        }
        Ok(())
    }
}

impl ThreatFlags {
    pub(super) fn apply(&self, layers: &mut Layers) -> Result<()> {
        layers.flag("--place", "threat.place", self.place.clone())?;
        self.ball.apply(layers, Norm::Linf)
    }
}

impl CurveFlags {
    /// Puts the radii over the settings, before those of the ball: a curve without a radius of its
    /// own is about its largest.
    pub(super) fn apply(&self, layers: &mut Layers) -> Result<()> {
        let epsilons = (!self.epsilons.is_empty()).then(|| self.epsilons.clone());
        layers.flag("--epsilons", "epsilons", epsilons)?;
        let number = |value: &Value| value.as_float().or(value.as_integer().map(|i| i as f64));
        let largest = layers
            .get("epsilons")
            .and_then(Value::as_array)
            .and_then(|list| list.iter().filter_map(number).max_by(f64::total_cmp));
        if let Some(largest) = largest {
            layers.beneath("threat.epsilon", largest);
        }
        Ok(())
    }
}

/// `linf` as files write it; a name that is none is told with the valid ones when it is read.
pub(super) fn norm(name: &str) -> String {
    name.parse::<Norm>()
        .map_or_else(|_| name.into(), |norm| norm.to_string())
}

/// One length, also as a fraction such as 8/255; a list is what another flag takes.
pub(super) fn length(text: &str) -> Result<f64, String> {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let found = match text.split_once('/') {
        Some((above, below)) => number(above).zip(number(below)).map(|(a, b)| a / b),
        None => number(text),
    };
    found.ok_or_else(|| {
        let curve = if text.contains(',') {
            "; mr attack and mr certify take several as --epsilons"
        } else {
            ""
        };
        format!("must be one number such as 0.1 or 8/255, or inf{curve}")
    })
}

#[cfg(test)]
mod tests {
    use super::{length, norm};

    #[test]
    fn norms_are_written_as_in_files() {
        assert_eq!(norm("linf"), "Linf");
        assert_eq!(norm("L2"), "L2");
        assert_eq!(norm("l3"), "l3");
    }

    #[test]
    fn lengths_are_numbers_and_fractions_and_a_list_is_told_where_it_belongs() {
        assert_eq!(length("0.1"), Ok(0.1));
        assert_eq!(length("inf"), Ok(f64::INFINITY));
        assert_eq!(length("8/255"), Ok(8.0 / 255.0));
        assert!(length("8/").is_err());
        assert!(length("0.1,0.2").unwrap_err().ends_with("--epsilons"));
        assert!(length("much").unwrap_err().ends_with("or inf"));
    }
}
