//! What can go wrong with a model.

use std::path::PathBuf;

/// Why a model could not be built, loaded, saved or asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// No site has this name.
    #[error("unknown site `{name}`; {hint}")]
    UnknownSite {
        /// The name that was asked for.
        name: String,
        /// Near matches, or every name.
        hint: String,
    },
    /// Nothing of this kind has this name.
    #[error("unknown {kind} `{name}`; {hint}")]
    UnknownName {
        /// What was named: an objective, an architecture, ...
        kind: &'static str,
        /// The name that was asked for.
        name: String,
        /// Near matches, or every name.
        hint: String,
    },
    /// A setting of an architecture is outside its range.
    #[error("{what} is {value}, must be {valid}")]
    Setting {
        /// The setting.
        what: String,
        /// The value that was given.
        value: String,
        /// The values that would do.
        valid: String,
    },
    /// The file cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is not a readable safetensors file of a model.
    #[error("{path}: {reason}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The weights belong to another architecture; the first mismatch is named.
    #[error("{0}")]
    Mismatch(String),
    /// A weight is NaN or infinite.
    #[error("weight `{name}` holds {value} at position {position}: weights must be finite")]
    NotFinite {
        /// The weight's name.
        name: String,
        /// NaN or an infinity.
        value: f32,
        /// Index into the flattened weight.
        position: usize,
    },
    /// Text is no objective.
    #[error("objective `{text}`, at character {at}: {reason}")]
    Expression {
        /// The text.
        text: String,
        /// Where it goes wrong, counted from 1.
        at: usize,
        /// What stands there, and what would do.
        reason: String,
    },
    /// An edit or an objective does not fit the model.
    #[error("{0}")]
    Unfit(String),
}

impl ModelError {
    /// The error for a name that is none of `valid`.
    pub fn unknown<'a>(
        kind: &'static str,
        name: &str,
        valid: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        Self::UnknownName {
            kind,
            name: name.into(),
            hint: hint(name, valid),
        }
    }
}

/// "did you mean ..." or the list of valid names, nearest first, for an unknown `name`.
pub fn hint<'a>(name: &str, valid: impl IntoIterator<Item = &'a str>) -> String {
    let mut scored: Vec<(f64, &str)> = valid
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let near: Vec<&str> = scored
        .iter()
        .filter(|(score, _)| *score > 0.75)
        .take(3)
        .map(|(_, candidate)| *candidate)
        .collect();
    if near.is_empty() {
        let all: Vec<&str> = scored.iter().map(|(_, candidate)| *candidate).collect();
        format!("valid names: {}", all.join(", "))
    } else {
        format!("did you mean {}?", near.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::hint;

    #[test]
    fn near_names_come_first_and_all_names_otherwise() {
        let valid = ["conv1.hook_out", "linear1.hook_out"];
        assert_eq!(
            hint("conv1.hok_out", valid),
            "did you mean conv1.hook_out, linear1.hook_out?"
        );
        assert!(hint("zzz", valid).starts_with("valid names: "));
    }
}
