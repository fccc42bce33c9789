//! Where a network is asked.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use clap::Args;
use mr_circuits::Asked;
use mr_models::Input;

use super::given::Given;

/// The flag that says at which positions logits are read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Positions")]
pub(super) struct AskedFlags {
    /// Where logits are read: all, last, known (where the task lets the next token be known), or positions from 0
    /// such as 3,4,-1. At the others a network of language guesses, and every edge may be needed to guess alike
    #[arg(
        long,
        value_name = "WHERE",
        default_value = "all",
        allow_hyphen_values = true
    )]
    pub(super) positions: Where,
}

/// Positions by name or number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Where {
    All,
    Last,
    Known,
    /// Counted from 0, or from -1 back from the last.
    These(Vec<i64>),
}

impl FromStr for Where {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            "last" => Ok(Self::Last),
            "known" => Ok(Self::Known),
            numbers => {
                let numbers = numbers.split(',').map(|number| number.trim().parse());
                numbers
                    .collect::<Result<_, _>>()
                    .map(Self::These)
                    .map_err(|_| {
                        "must be all, last, known, or positions from 0 such as 3,4,-1".to_string()
                    })
            }
        }
    }
}

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Last => f.write_str("last"),
            Self::Known => f.write_str("known"),
            Self::These(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(i64::to_string).collect();
                f.write_str(&numbers.join(","))
            }
        }
    }
}

impl AskedFlags {
    /// The positions of these pairs.
    pub(super) fn of(&self, given: &Given, device: &Device) -> Result<Asked> {
        let what = || format!("--positions {}", self.positions);
        let positions = match given.pair.clean() {
            Input::Tokens(tokens) => tokens.dims()[1],
            Input::Real(_) => 1,
        };
        let asked = match &self.positions {
            Where::All => return Ok(Asked::all(device)),
            Where::Last => Asked::last(positions, device),
            Where::Known => match &given.known_from {
                Some(first) => Asked::from(positions, first, device),
                None => bail!(
                    "{}: only the prompts of a task say from where on the next token can be known; say which \
                     positions",
                    what()
                ),
            },
            Where::These(numbers) => {
                let of = |&number: &i64| {
                    let back = number.rem_euclid(positions as i64);
                    let is_one = (-(positions as i64)..positions as i64).contains(&number);
                    is_one.then_some(back as usize).with_context(|| {
                        format!(
                            "{}: {number} is no position of inputs with {positions}, 0 to {}",
                            what(),
                            positions - 1
                        )
                    })
                };
                let numbers = numbers.iter().map(of).collect::<Result<Vec<_>>>()?;
                Asked::at(positions, &numbers, device)
            }
        };
        asked.with_context(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read_as_they_are_written() {
        for text in ["all", "last", "known", "3,4,-1"] {
            assert_eq!(text.parse::<Where>().unwrap().to_string(), text);
        }
        assert!("first".parse::<Where>().unwrap_err().contains("last"));
        assert!("".parse::<Where>().is_err());
    }
}
