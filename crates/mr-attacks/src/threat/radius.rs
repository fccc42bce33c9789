//! A radius in files: a number, or `inf`, which JSON has no number for.

use serde::{Deserialize, Deserializer, Serializer, de};

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes fields by reference"
)]
pub(super) fn serialize<S: Serializer>(radius: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    if radius.is_infinite() {
        serializer.serialize_str("inf")
    } else {
        serializer.serialize_f32(*radius)
    }
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a number or \"inf\"")]
    enum Radius {
        Number(f32),
        Name(String),
    }
    match Radius::deserialize(deserializer)? {
        Radius::Number(radius) => Ok(radius),
        Radius::Name(name) if name == "inf" => Ok(f32::INFINITY),
        Radius::Name(name) => Err(de::Error::custom(format!(
            "epsilon is \"{name}\", must be a number or \"inf\""
        ))),
    }
}
