//! Dictionaries that files hold.

use std::path::Path;

use anyhow::Result;
use burn::tensor::Device;
use mr_sae::{Arrangement, Format, Kind, Normalization, Opened, Sae};
use serde_json::{Map, Value, json};

use crate::layout::Listing;
use crate::subject::json;

/// Name of the dictionary in a folder that `mr sae train` made.
pub(super) const DICTIONARY: &str = "dictionary.safetensors";

/// Opens the dictionary of a file, or of a folder that SAELens, sparsify or `mr sae train` made.
pub(in crate::command) fn open(path: &Path, device: &Device) -> Result<Opened> {
    let beside = path.join(DICTIONARY);
    let path = if beside.is_file() { &beside } else { path };
    Ok(mr_sae::open(path, device)?)
}

/// Whose file it was, for a person.
pub(super) fn format(format: Format) -> &'static str {
    match format {
        Format::Native => "mech-robust",
        Format::SaeLens => "SAELens 6",
        Format::SaeLensOld => "SAELens before 6",
        Format::Sparsify => "sparsify",
    }
}

/// The site that a file says that its dictionary reads.
pub(super) fn site(about: &Map<String, Value>) -> Option<&str> {
    let mut named = ["site", "hook_name"].into_iter();
    named.find_map(|key| about.get(key)?.as_str())
}

/// `top-k transcoder, 64 to 512 latents`.
pub(super) fn title(sae: &Sae) -> String {
    let config = sae.config();
    let arrangement = match config.arrangement {
        Arrangement::Autoencoder => "autoencoder".to_string(),
        Arrangement::Tied => "tied autoencoder".into(),
        Arrangement::Transcoder { d_out, skip } => {
            let skip = if skip { "skip " } else { "" };
            format!("{skip}transcoder to {d_out} channels")
        }
        Arrangement::Crosscoder { parts } => format!("crosscoder of {parts} parts"),
    };
    let latents = config.d_sae;
    format!(
        "{} {arrangement}, {} channels, {latents} latents",
        config.kind.name(),
        config.d_in
    )
}

/// What its kind is set to, such as `k 32`.
fn setting(kind: &Kind) -> Option<(&'static str, String)> {
    match kind {
        Kind::TopK(kind) => Some(("k", kind.k.to_string())),
        Kind::BatchTopK(kind) => Some(("k", kind.k.to_string())),
        Kind::Matryoshka(kind) => Some(("k", format!("{} at widths {:?}", kind.k, kind.widths))),
        Kind::Relu(_) | Kind::Gated(_) | Kind::JumpRelu(_) => None,
    }
}

/// What a dictionary is, in lines.
pub(super) fn listing(path: &Path, opened: &Opened) -> Listing {
    let config = opened.sae.config();
    let mut listing = Listing::new(format!("{}: {}", path.display(), title(&opened.sae)));
    listing.line("format", format(opened.format));
    listing.line("site", site(&opened.about).unwrap_or("not said"));
    if let Some((name, value)) = setting(&config.kind) {
        listing.line(name, value);
    }
    let normalization = match config.normalization {
        Normalization::None => None,
        Normalization::ExpectedAverage { scale } => Some(format!("times {scale}")),
        Normalization::ConstantNorm => Some("to one norm".into()),
        Normalization::LayerNorm => Some("layer norm".into()),
    };
    if let Some(normalization) = normalization {
        listing.line("activations are scaled", normalization);
    }
    listing.line("parameters", opened.sae.weights().parameters());
    for (name, value) in &opened.about {
        let shown = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            // Whole configurations are for programs.
            _ => continue,
        };
        if !shown.is_empty() && !["site", "hook_name"].contains(&name.as_str()) {
            listing.line(name, shown);
        }
    }
    listing
}

/// The same for a program.
pub(super) fn object(opened: &Opened) -> Result<Value> {
    Ok(json!({
        "format": format(opened.format),
        "dictionary": json(opened.sae.config())?,
        "site": site(&opened.about),
        "about": opened.about,
    }))
}
