//! Common corruptions by name and severity.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::picture::Picture;
use super::{Transformation, blur, colour, digital, elastic, jpeg, noise, spatter, weather};
use crate::error::AttackError;
use crate::randomness::Draw;

/// A common corruption (Hendrycks & Dietterich 2019, "Benchmarking neural network robustness to
/// common corruptions and perturbations"), with the settings of CIFAR-10-C.
///
/// Lengths are in pixels of a 32 x 32 image, and grow with larger ones. Values are not rounded to
/// 8 bits as in the published files. Frost is left out, since it needs photographs of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Corruption {
    /// What happens to the image.
    pub kind: CorruptionKind,
    /// How strongly: 1 to 5.
    pub severity: u8,
}

/// Declares [`CorruptionKind`]: a line registers a corruption.
macro_rules! corruptions {
    ($($(#[$doc:meta])* $name:literal => $kind:ident($apply:path),)*) => {
        /// What a corruption does.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        #[non_exhaustive]
        pub enum CorruptionKind {
            $($(#[$doc])* $kind,)*
        }

        impl CorruptionKind {
            /// Every corruption, in the order that tables have.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// The name of each.
            pub const NAMES: &[&str] = &[$($name),*];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }

            fn apply(self, image: &Picture, level: usize, rng: &mut ChaCha8Rng) -> Picture {
                match self {
                    $(Self::$kind => $apply(image, level, rng),)*
                }
            }
        }
    };
}

corruptions! {
    /// Gaussian noise of the same strength everywhere.
    "gaussian-noise" => GaussianNoise(noise::gaussian),
    /// The noise of few photons.
    "shot-noise" => ShotNoise(noise::shot),
    /// Values that are black or white.
    "impulse-noise" => ImpulseNoise(noise::impulse),
    /// Gaussian noise in proportion to the value.
    "speckle-noise" => SpeckleNoise(noise::speckle),
    /// Out of focus: the mean over a disk.
    "defocus-blur" => DefocusBlur(blur::defocus),
    /// A Gaussian blur.
    "gaussian-blur" => GaussianBlur(blur::gaussian),
    /// Frosted glass: pixels change places with their neighbours.
    "glass-blur" => GlassBlur(blur::glass),
    /// The camera moves in a random direction.
    "motion-blur" => MotionBlur(blur::motion),
    /// The camera moves towards the scene.
    "zoom-blur" => ZoomBlur(blur::zoom),
    /// Blurred flakes on a whitened image.
    "snow" => Snow(weather::snow),
    /// Drops of water or mud on the lens.
    "spatter" => Spatter(spatter::spatter),
    /// A bright, uneven layer.
    "fog" => Fog(weather::fog),
    /// More light.
    "brightness" => Brightness(weather::brightness),
    /// Values drawn to the channel's mean.
    "contrast" => Contrast(digital::contrast),
    /// Paler or stronger colours; for three channels only.
    "saturate" => Saturate(colour::saturate),
    /// Larger pixels.
    "pixelate" => Pixelate(digital::pixelate),
    /// What JPEG loses.
    "jpeg-compression" => JpegCompression(jpeg::compression),
    /// Stretched and bent.
    "elastic-transform" => ElasticTransform(elastic::transform),
}

impl CorruptionKind {
    /// The corruptions of images with so many channels.
    pub fn of_channels(channels: usize) -> Vec<Self> {
        let all = Self::ALL.iter().copied();
        all.filter(|kind| kind.takes(channels)).collect()
    }

    fn takes(self, channels: usize) -> bool {
        self != Self::Saturate || channels == 3
    }
}

impl std::str::FromStr for CorruptionKind {
    type Err = AttackError;

    fn from_str(name: &str) -> Result<Self, AttackError> {
        let found = Self::ALL.iter().find(|kind| kind.name() == name);
        found
            .copied()
            .ok_or_else(|| AttackError::unknown("corruption", name, Self::NAMES.iter().copied()))
    }
}

impl TryFrom<String> for CorruptionKind {
    type Error = AttackError;

    fn try_from(name: String) -> Result<Self, AttackError> {
        name.parse()
    }
}

impl From<CorruptionKind> for String {
    fn from(kind: CorruptionKind) -> Self {
        kind.name().into()
    }
}

impl std::fmt::Display for CorruptionKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Corruption {
    /// A corruption of a severity from 1 to 5.
    pub fn new(kind: CorruptionKind, severity: u8) -> Self {
        Self { kind, severity }
    }
}

impl Transformation for Corruption {
    fn name(&self) -> String {
        format!("{}-{}", self.kind, self.severity)
    }

    fn fits(&self, shape: [usize; 3]) -> Result<(), AttackError> {
        if !(1..=5).contains(&self.severity) {
            return Err(AttackError::setting(
                "severity",
                self.severity,
                "1, 2, 3, 4 or 5",
            ));
        }
        if !self.kind.takes(shape[0]) {
            return Err(AttackError::Unfit(format!(
                "{} changes colours: it takes images of 3 channels, not {}",
                self.kind, shape[0]
            )));
        }
        Ok(())
    }

    fn apply(&self, image: &Picture, example: u64, seed: u64) -> Picture {
        let draw = Draw {
            seed,
            attack: self.kind.name(),
            restart: 0,
            step: u32::from(self.severity),
        };
        let level = usize::from(self.severity.clamp(1, 5)) - 1;
        self.kind.apply(image, level, &mut draw.rng(example))
    }
}

#[cfg(test)]
mod tests;
