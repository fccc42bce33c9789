//! Objectives as text: what a settings file names, and what a record keeps.
//!
//! ```text
//! objective = [sign] term { sign term }              margin - 0.1 shift(conv1.hook_out)
//! sign      = "+" | "-"
//! term      = [number ["*"]] atom
//! atom      = "cross-entropy" | "margin" | "dlr" | "kl" | "squared-error"
//!           | "answer-difference" | "answer-probability"
//!           | "logit-difference" "(" class "," class ")"
//!           | "last" "(" atom ")"
//!           | ("raise" | "lower" | "shift" | "stay") "(" place ")"
//!           | ("along" | "against") "(" place { "," number } ")"
//! place     = site [region]                          conv2.hook_out[:, 5]
//! region    = "[" range ["," range] "]"              positions, then channels
//! range     = index | [index] ":" index | ":"
//! ```
//!
//! Names hold hyphens, so a minus after a name stands behind a space.

use std::str::FromStr;
use std::sync::Arc;

use super::{
    ActivationLevel, AnswerDifference, AnswerProbability, CrossEntropy, Direction, Dlr,
    KlDivergence, Last, LogitDifference, Margin, MoreTerms, NAMES, Objective, Sense, SiteShift,
    SquaredError, Sum,
};
use crate::edit::Region;
use crate::error::ModelError;

/// Reads an objective, whose terms may also be of `more`.
pub(super) fn read(text: &str, more: &MoreTerms<'_>) -> Result<Box<dyn Objective>, ModelError> {
    let mut reader = Reader { text, at: 0, more };
    let mut terms = Vec::new();
    loop {
        let sign = reader.sign();
        if sign.is_none() && !terms.is_empty() {
            return Err(reader.error(format!("expected + or -, {}", reader.next_word())));
        }
        terms.push(reader.term(sign.unwrap_or(1.0))?);
        reader.space();
        if reader.rest().is_empty() {
            break;
        }
    }
    // `margin` is itself, not a sum.
    match terms.as_slice() {
        [(weight, term)] if *weight == 1.0 => Ok(Box::new(Arc::clone(term))),
        _ => Ok(Box::new(Sum { terms })),
    }
}

/// A text, and how far it is read.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    more: &'a MoreTerms<'a>,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// Takes this character, after any space, if it stands there.
    fn take(&mut self, wanted: char) -> bool {
        self.space();
        let found = self.rest().starts_with(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    /// Takes characters while they will do.
    fn span(&mut self, mut will_do: impl FnMut(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !will_do(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn error(&self, reason: impl Into<String>) -> ModelError {
        ModelError::Expression {
            text: self.text.into(),
            at: self.text[..self.at].chars().count() + 1,
            reason: reason.into(),
        }
    }

    fn expect(&mut self, wanted: char, why: &str) -> Result<(), ModelError> {
        if self.take(wanted) {
            return Ok(());
        }
        Err(self.error(format!("expected {wanted} {why}, {}", self.next_word())))
    }

    /// What stands here, for an error.
    fn next_word(&self) -> String {
        match self.rest().split_whitespace().next() {
            None => "found the end".into(),
            Some(word) => format!("found `{word}`"),
        }
    }

    fn sign(&mut self) -> Option<f32> {
        if self.take('-') {
            Some(-1.0)
        } else if self.take('+') {
            Some(1.0)
        } else {
            None
        }
    }

    /// A number without sign, if one stands here.
    fn number(&mut self) -> Result<Option<f32>, ModelError> {
        self.space();
        if !self
            .rest()
            .starts_with(|c: char| c.is_ascii_digit() || c == '.')
        {
            return Ok(None);
        }
        let start = self.at;
        self.span(|c| c.is_ascii_digit() || c == '.');
        let exponent = self.rest().strip_prefix(['e', 'E']).map(|rest| {
            let digits = rest.strip_prefix(['-', '+']).unwrap_or(rest);
            (rest.len() - digits.len(), digits)
        });
        if let Some((sign, digits)) = exponent
            && digits.starts_with(|c: char| c.is_ascii_digit())
        {
            self.at += 1 + sign;
            self.span(|c| c.is_ascii_digit());
        }
        let written = &self.text[start..self.at];
        match f32::from_str(written) {
            Ok(number) if number.is_finite() => Ok(Some(number)),
            _ => {
                self.at = start;
                Err(self.error(format!("`{written}` is no finite number")))
            }
        }
    }

    fn term(&mut self, sign: f32) -> Result<(f32, Arc<dyn Objective>), ModelError> {
        let number = self.number()?;
        if number.is_some() {
            self.take('*');
        }
        Ok((sign * number.unwrap_or(1.0), self.atom()?))
    }

    fn atom(&mut self) -> Result<Arc<dyn Objective>, ModelError> {
        self.space();
        let start = self.at;
        if !self.rest().starts_with(char::is_alphabetic) {
            return Err(self.error(format!("expected an objective, {}", self.next_word())));
        }
        let name = self.span(|c| c.is_alphanumeric() || c == '-' || c == '_');
        let objective: Arc<dyn Objective> = match name {
            "cross-entropy" => Arc::new(CrossEntropy),
            "margin" => Arc::new(Margin),
            "dlr" => Arc::new(Dlr),
            "kl" => Arc::new(KlDivergence),
            "squared-error" => Arc::new(SquaredError::default()),
            "answer-difference" => Arc::new(AnswerDifference),
            "answer-probability" => Arc::new(AnswerProbability),
            "logit-difference" => {
                self.expect('(', "and two classes")?;
                let more = self.class()?;
                self.expect(',', "and a second class")?;
                let less = self.class()?;
                self.expect(')', "after the classes")?;
                Arc::new(LogitDifference { more, less })
            }
            "last" => {
                self.expect('(', "and an objective of the logits")?;
                let of = self.atom()?;
                self.expect(')', "after the objective")?;
                Arc::new(Last { of })
            }
            "raise" => self.level(Sense::More)?,
            "lower" => self.level(Sense::Less)?,
            "shift" => self.shift(Sense::More)?,
            "stay" => self.shift(Sense::Less)?,
            "along" => self.direction(Sense::More)?,
            "against" => self.direction(Sense::Less)?,
            _ => {
                if let Some(found) = self.foreign(name)? {
                    return Ok(found);
                }
                self.at = start;
                return Err(self.unknown(name));
            }
        };
        Ok(objective)
    }

    /// A term of this name that is known elsewhere, and its parentheses.
    fn foreign(&mut self, name: &str) -> Result<Option<Arc<dyn Objective>>, ModelError> {
        let rest = self.rest();
        let Some((inner, _)) = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) else {
            return Ok(None);
        };
        let Some(found) = (self.more)(name, inner) else {
            return Ok(None);
        };
        let found = found.map_err(|reason| self.error(reason))?;
        self.at += inner.len() + 2;
        Ok(Some(found))
    }

    /// The error for a name that no objective has.
    fn unknown(&self, name: &str) -> ModelError {
        let mut before = name.match_indices('-').map(|(at, _)| &name[..at]);
        match before.rfind(|first| NAMES.contains(first)) {
            Some(first) => self.error(format!(
                "`{name}` is no objective; a minus after `{first}` needs a space before it"
            )),
            None => ModelError::unknown("objective", name, NAMES),
        }
    }

    fn class(&mut self) -> Result<usize, ModelError> {
        self.space();
        let digits = self.span(|c| c.is_ascii_digit());
        let class = digits.parse();
        class.map_err(|_| self.error(format!("expected a class, {}", self.next_word())))
    }

    fn level(&mut self, sense: Sense) -> Result<Arc<dyn Objective>, ModelError> {
        let (site, region) = self.place()?;
        self.expect(')', "after the site")?;
        Ok(Arc::new(ActivationLevel {
            site,
            region,
            sense,
        }))
    }

    fn shift(&mut self, sense: Sense) -> Result<Arc<dyn Objective>, ModelError> {
        let (site, region) = self.place()?;
        self.expect(')', "after the site")?;
        Ok(Arc::new(SiteShift {
            site,
            region,
            sense,
        }))
    }

    fn direction(&mut self, sense: Sense) -> Result<Arc<dyn Objective>, ModelError> {
        let (site, region) = self.place()?;
        let mut vector = Vec::new();
        while self.take(',') {
            let sign = self.sign().unwrap_or(1.0);
            let number = self.number()?;
            let number = number
                .ok_or_else(|| self.error(format!("expected a number, {}", self.next_word())))?;
            vector.push(sign * number);
        }
        self.expect(')', "after the direction, one number per channel")?;
        Ok(Arc::new(Direction {
            site,
            region,
            vector,
            sense,
        }))
    }

    /// An opening parenthesis, a site and a region of it.
    fn place(&mut self) -> Result<(String, Region), ModelError> {
        self.expect('(', "and a site, such as (conv1.hook_out[:, 5])")?;
        self.space();
        let site = self.span(|c| !matches!(c, '(' | ')' | '[' | ']' | ','));
        let site = site.trim_end();
        if site.is_empty() {
            return Err(self.error(format!("expected a site, {}", self.next_word())));
        }
        let rest = self.rest();
        if !rest.starts_with('[') {
            return Ok((site.into(), Region::default()));
        }
        let Some(end) = rest.find(']') else {
            return Err(self.error("this bracket is not closed"));
        };
        let region = rest[..=end].parse();
        let region = region.map_err(|error: ModelError| self.error(error.to_string()))?;
        self.at += end + 1;
        Ok((site.into(), region))
    }
}

#[cfg(test)]
mod tests;
