//! Activations of known features.

use mr_models::Workers;
use mr_models::data::Planted;
use serde_json::{Value, json};

use super::Stream;
use crate::error::TrainError;

/// Examples that a thread draws at a time.
const PART: usize = 1024;

/// New examples of planted features in every load.
#[derive(Debug, Clone)]
pub struct PlantedStream {
    planted: Planted,
    samples: usize,
}

impl PlantedStream {
    /// A stream with so many samples a load.
    ///
    /// # Errors
    /// [`TrainError::Setting`] for none.
    pub fn new(planted: Planted, samples: usize) -> Result<Self, TrainError> {
        if samples == 0 {
            return Err(TrainError::setting("samples", 0, "at least 1"));
        }
        Ok(Self { planted, samples })
    }
}

impl Stream for PlantedStream {
    fn width(&self) -> usize {
        self.planted.config().width
    }

    fn load(&self, number: usize) -> Result<Vec<f32>, TrainError> {
        let start = number as u64 * self.samples as u64;
        let parts = Workers::new(0).map(self.samples.div_ceil(PART), |part| {
            let first = part * PART;
            let count = PART.min(self.samples - first);
            Ok::<_, TrainError>(self.planted.activations(start + first as u64, count))
        })?;
        Ok(parts.concat())
    }

    fn about(&self) -> Value {
        let (seed, stream) = self.planted.place();
        json!({
            "planted": self.planted.config(),
            "seed": seed,
            "stream": stream,
            "samples": self.samples,
        })
    }
}

#[cfg(test)]
mod tests {
    use mr_models::data::PlantedConfig;

    use super::*;

    #[test]
    fn loads_follow_one_another() {
        let config = PlantedConfig::easy(6, 8, 0.2);
        let planted = Planted::new(config, 1).unwrap();
        let stream = PlantedStream::new(planted.clone(), 1500).unwrap();
        assert_eq!(stream.width(), 8);
        let loads = [stream.load(0).unwrap(), stream.load(1).unwrap()].concat();
        assert_eq!(loads, planted.activations(0, 3000));
        let other = PlantedStream::new(planted.clone().stream(2), 1500).unwrap();
        assert_ne!(other.about(), stream.about());
        assert!(PlantedStream::new(planted, 0).is_err());
    }
}
