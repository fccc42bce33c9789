//! Images before and after an attack, and what changed.

use std::path::Path;

use maud::{Markup, html};
use mr_metrics::{ExperimentRecord, RecordKind};
use mr_models::data::{DataConfig, Split, load};
use mr_models::read_tensors;
use serde_json::Value;

use super::gather::Located;
use super::natural::natural;
use super::png::data_uri;
use super::record::place;
use super::table::{short, shown};
use super::variant::{Variant, variants};

/// The artifact of an attack record that holds them.
const ARTIFACT: &str = "samples";
/// Sets of images that a report shows.
const SETS: usize = 12;
/// Images of each set.
const IMAGES: usize = 6;

/// Examples of one attack, as its record's `samples.safetensors` holds them.
#[derive(Debug, PartialEq)]
struct Samples {
    /// Channels, height, width.
    shape: [usize; 3],
    /// `[example, channel, height, width]`, row-major, in `[0, 1]`.
    clean: Vec<f32>,
    adversarial: Vec<f32>,
    label: Vec<usize>,
    clean_prediction: Vec<usize>,
    adversarial_prediction: Vec<usize>,
}

impl Samples {
    /// Reads the file, or says what is wrong with it.
    fn read(path: &Path) -> Result<Self, String> {
        if !path.is_file() {
            return Err("there is no such file".into());
        }
        // The report names the file from where the records are, never from the machine's root.
        let here = format!("{}: ", path.display());
        let (tensors, _) =
            read_tensors(path).map_err(|error| error.to_string().replace(&here, ""))?;
        let find = |name: &str| {
            tensors
                .iter()
                .find(|(other, _, _)| other == name)
                .ok_or_else(|| format!("it holds no `{name}`"))
        };
        let (_, shape, clean) = find("clean")?;
        let (_, other, adversarial) = find("adversarial")?;
        let &[count, channels, height, width] = shape.as_slice() else {
            return Err(format!("its images have shape {shape:?}"));
        };
        if other != shape {
            return Err(format!(
                "clean images {shape:?}, adversarial ones {other:?}"
            ));
        }
        let classes = |name: &str| {
            let (_, shape, values) = find(name)?;
            if values.len() == count {
                Ok(values.iter().map(|&class| class as usize).collect())
            } else {
                Err(format!("`{name}` has shape {shape:?} for {count} images"))
            }
        };
        Ok(Self {
            shape: [channels, height, width],
            clean: clean.clone(),
            adversarial: adversarial.clone(),
            label: classes("label")?,
            clean_prediction: classes("clean_prediction")?,
            adversarial_prediction: classes("adversarial_prediction")?,
        })
    }

    /// The first few examples.
    fn first(mut self, count: usize) -> Self {
        let count = count.min(self.label.len());
        let size: usize = self.shape.iter().product();
        self.clean.truncate(count * size);
        self.adversarial.truncate(count * size);
        self
    }

    /// What differences are multiplied with to be seen: a round number that takes the largest nearly
    /// from mid-grey to black or white.
    fn amplification(&self) -> f32 {
        let largest = (self.clean.iter().zip(&self.adversarial))
            .map(|(clean, adversarial)| (adversarial - clean).abs())
            .fold(0.0, f32::max);
        [100.0, 50.0, 20.0, 10.0, 5.0, 2.0]
            .into_iter()
            .find(|factor| factor * largest <= 0.5001)
            .unwrap_or(1.0)
    }
}

/// One set per network and way of training, that of its lowest seed.
pub(super) fn section(located: &[Located]) -> Markup {
    let with: Vec<&Located> = located
        .iter()
        .filter(|one| one.record.kind == RecordKind::Attack)
        .filter(|one| one.record.artifacts.contains_key(ARTIFACT))
        .collect();
    let records: Vec<_> = with.iter().map(|one| &one.record).collect();
    let mut sets: Vec<(Variant, &Located)> = variants(&records).into_iter().zip(with).collect();
    sets.sort_by(|(a, one), (b, other)| {
        let trained = |variant: &Variant| !variant.line.starts_with("standard");
        natural(&a.model, &b.model)
            .then(trained(a).cmp(&trained(b)))
            .then(natural(&a.line, &b.line))
            .then(one.record.seed.cmp(&other.record.seed))
    });
    sets.dedup_by(|next, kept| next.0 == kept.0);
    html! {
        @if !sets.is_empty() {
            section id="samples" {
                h2 { "Sample images" }
                p {
                    "Images that the attack broke: as they were, as it left them, and the "
                    "difference, drawn around mid-grey and amplified as each caption says."
                }
                @for (variant, one) in sets.iter().take(SETS) { (set(variant, one)) }
                @if sets.len() > SETS {
                    p.quiet { "The records hold " (sets.len() - SETS) " more sets." }
                }
            }
        }
    }
}

fn set(variant: &Variant, one: &Located) -> Markup {
    let file = one
        .record
        .artifacts
        .get(ARTIFACT)
        .map_or("", String::as_str);
    let title = [variant.model.as_str(), variant.line.as_str()]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(", ");
    html! {
        h4 { (title) }
        @match Samples::read(&one.folder.join(file)) {
            Ok(samples) => (pictures(&samples.first(IMAGES), one)),
            Err(reason) => {
                p.missing { "No images from " code { (place(one)) "/" (file) } ": " (reason) "." }
            }
        }
    }
}

fn pictures(samples: &Samples, one: &Located) -> Markup {
    let size: usize = samples.shape.iter().product();
    let factor = samples.amplification();
    let of = |values: &[f32], index: usize| {
        data_uri(&values[index * size..(index + 1) * size], samples.shape)
    };
    let difference: Vec<f32> = (samples.clean.iter().zip(&samples.adversarial))
        .map(|(clean, adversarial)| 0.5 + factor * (adversarial - clean))
        .collect();
    let count = samples.clean.len() / size.max(1);
    let names = class_names(&one.record.config).unwrap_or_default();
    let named = |class: usize| {
        names
            .get(class)
            .map_or_else(|| class.to_string(), String::clone)
    };
    html! {
        figure {
            ul.samples {
                @for index in 0..count {
                    @let (label, before, after) = (
                        samples.label[index],
                        samples.clean_prediction[index],
                        samples.adversarial_prediction[index],
                    );
                    li {
                        div.images {
                            @for (kind, uri, alt) in [
                                (
                                    "clean",
                                    of(&samples.clean, index),
                                    format!("{}, seen as {}", named(label), named(before)),
                                ),
                                (
                                    "adversarial",
                                    of(&samples.adversarial, index),
                                    format!("attacked, seen as {}", named(after)),
                                ),
                                (
                                    "difference",
                                    of(&difference, index),
                                    format!("difference, amplified {factor} times"),
                                ),
                            ] {
                                div {
                                    @match uri {
                                        Some(uri) => img src=(uri) alt=(alt)
                                            width=(samples.shape[2]) height=(samples.shape[1]);,
                                        None => p.missing { "no picture of " (samples.shape[0]) " channels" }
                                    }
                                    div.kind { (kind) }
                                }
                            }
                        }
                        strong { (named(label)) } ", seen as " (named(before))
                        @if after == before {
                            ", " span.passed { "still so when attacked" }
                        } @else {
                            ", " span.failed { "as " (named(after)) " when attacked" }
                        }
                    }
                }
            }
            figcaption {
                (attack(&one.record)) "Differences × " (short(f64::from(factor)))
                ". Seed " (one.record.seed) ", " code { (place(one)) } "."
            }
        }
    }
}

/// `Linf, ε = 0.1. `, as the record's configuration has it.
fn attack(record: &ExperimentRecord) -> String {
    let threat = &record.config["threat"];
    match (threat["norm"].as_str(), &threat["epsilon"]) {
        (Some(norm), epsilon) if epsilon.is_number() => format!("{norm}, ε = {}. ", shown(epsilon)),
        _ => String::new(),
    }
}

/// What the classes are called, of the data set whose names are built in.
fn class_names(config: &Value) -> Option<Vec<String>> {
    let mut data: DataConfig = serde_json::from_value(config["data"].clone()).ok()?;
    if !data.name.starts_with("fashion-mnist") {
        return None;
    }
    data.name = "fashion-mnist-mini".into();
    let data = load(&data, Split::Test).ok()?;
    Some(data.class_names().to_vec())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Samples, class_names};

    #[test]
    fn differences_are_amplified_by_a_round_number() {
        let mut samples = Samples {
            shape: [1, 1, 2],
            clean: vec![0.0, 0.5],
            adversarial: vec![0.1, 0.4],
            label: vec![0],
            clean_prediction: vec![0],
            adversarial_prediction: vec![1],
        };
        assert_eq!(samples.amplification(), 5.0);
        samples.adversarial = vec![1.0, 0.5];
        assert_eq!(samples.amplification(), 1.0);
        samples.adversarial = samples.clean.clone();
        assert_eq!(samples.amplification(), 100.0);
    }

    #[test]
    fn classes_have_names_where_they_are_built_in() {
        let names = class_names(&json!({"data": {"name": "fashion-mnist", "classes": [9, 1]}}));
        assert_eq!(names.unwrap(), ["Ankle boot", "Trouser"]);
        assert_eq!(class_names(&json!({"data": {"name": "mnist"}})), None);
        assert_eq!(class_names(&json!(null)), None);
    }

    #[test]
    fn a_file_that_is_not_there_is_said_without_its_path() {
        let missing = Samples::read("nowhere/samples.safetensors".as_ref());
        assert_eq!(missing.unwrap_err(), "there is no such file");
    }
}
