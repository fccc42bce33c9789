//! The part of a picture that an attacker may change.

use mr_models::{InputKind, ModelSpec, Place};
use serde::{Deserialize, Serialize};

use crate::error::AttackError;

/// A rectangle of a picture, in all its channels: where a patch may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Area {
    /// Height and width of the picture.
    pub picture: [usize; 2],
    /// The first row.
    pub top: usize,
    /// The first column.
    pub left: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Area {
    /// Checks that the rectangle lies in the model's input.
    ///
    /// # Errors
    /// [`AttackError::Setting`] or [`AttackError::Unfit`].
    pub fn fits(&self, spec: &ModelSpec, place: &Place) -> Result<(), AttackError> {
        let InputKind::Real { shape } = spec.input else {
            return Err(AttackError::Unfit("tokens have no area".into()));
        };
        if *place != Place::Input {
            return Err(AttackError::Unfit(format!(
                "an area is a part of the input, not of `{place}`"
            )));
        }
        let [rows, columns] = self.picture;
        if [rows, columns] != shape[1..] {
            let valid = format!("{:?}, as the model's input", &shape[1..]);
            let given = format!("{:?}", self.picture);
            return Err(AttackError::setting("the area's picture", given, valid));
        }
        let inside = |from: usize, length: usize, end: usize| {
            length > 0 && from.checked_add(length).is_some_and(|to| to <= end)
        };
        if inside(self.top, self.height, rows) && inside(self.left, self.width, columns) {
            return Ok(());
        }
        Err(AttackError::setting(
            "the area",
            format!(
                "{} x {} at row {}, column {}",
                self.height, self.width, self.top, self.left
            ),
            format!("at least 1 x 1, inside {rows} x {columns}"),
        ))
    }

    /// Whether a coordinate of a point lies inside.
    pub fn has(&self, coordinate: usize) -> bool {
        let [rows, columns] = self.picture;
        let (row, column) = (coordinate / columns % rows, coordinate % columns);
        (self.top..self.top + self.height).contains(&row)
            && (self.left..self.left + self.width).contains(&column)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};
    use mr_models::{Architecture, Mlp, Network, floats};

    use super::*;
    use crate::randomness::Draw;
    use crate::threat::{Norm, ThreatModel};

    /// The right column of 2 x 2 pixels in 2 channels.
    fn right() -> Area {
        Area {
            picture: [2, 2],
            top: 0,
            left: 1,
            height: 2,
            width: 1,
        }
    }

    fn row(values: [f32; 8]) -> Tensor<2> {
        Tensor::from_data(TensorData::new(values.to_vec(), [1, 8]), &Device::flex())
    }

    #[test]
    fn only_the_area_changes() {
        let origin = row([0.5; 8]);
        let point = row([1.0, 0.9, 0.0, -1.0, 0.2, 0.6, 0.7, 2.0]);
        let patch = ThreatModel::patch(right());
        let found = patch.project(&origin, point.clone());
        assert_eq!(
            floats(found.clone()),
            [0.5, 0.9, 0.5, 0.0, 0.5, 0.6, 0.5, 1.0]
        );
        assert_eq!(patch.contains(&origin, &found), [true]);
        assert_eq!(patch.contains(&origin, &point), [false]);
        // Three of the changes of the point in the area, and none of the others, count.
        let l1 = ThreatModel::new(Norm::L1, 0.2).within(right());
        let near = l1.project(&origin, row([1.0, 0.6, 0.0, 0.5, 0.2, 0.5, 0.7, 0.55]));
        for (found, expected) in floats(near)
            .iter()
            .zip([0.5, 0.6, 0.5, 0.5, 0.5, 0.5, 0.5, 0.55])
        {
            assert!((found - expected).abs() < 1e-6);
        }
        for norm in [Norm::Linf, Norm::L2, Norm::L1, Norm::L0] {
            let threat = ThreatModel::new(norm, 1.0).within(right());
            let step = floats(threat.steepest(&origin, point.clone()));
            let draw = Draw {
                seed: 0,
                attack: "test",
                restart: 0,
                step: 0,
            };
            let random = threat.random_point(draw, &[0], &origin);
            assert_eq!(threat.contains(&origin, &random), [true], "{norm}");
            for at in [0, 2, 4, 6] {
                assert_eq!(step[at], 0.0, "{norm}");
            }
            assert!(step[7] != 0.0, "{norm}");
        }
    }

    #[test]
    fn areas_that_are_not_in_the_picture_are_refused() {
        let mlp = Mlp {
            input: [2, 2, 2],
            hidden: vec![4],
            ..Mlp::default()
        };
        let net = Network::init(Architecture::Mlp(mlp), 0, &Device::flex()).unwrap();
        let spec = mr_models::Model::spec(&net);
        let refused = |area: Area| {
            let error = ThreatModel::patch(area).fits(spec).unwrap_err();
            error.to_string()
        };
        ThreatModel::patch(right()).fits(spec).unwrap();
        let wide = Area {
            width: 2,
            ..right()
        };
        assert_eq!(
            refused(wide),
            "the area is 2 x 2 at row 0, column 1, must be at least 1 x 1, inside 2 x 2"
        );
        assert!(
            refused(Area {
                height: 0,
                ..right()
            })
            .contains("0 x 1")
        );
        assert!(
            refused(Area {
                top: usize::MAX,
                ..right()
            })
            .contains("the area")
        );
        let other = Area {
            picture: [2, 3],
            ..right()
        };
        assert!(refused(other).contains("[2, 2], as the model's input"));
        let site = ThreatModel::patch(right()).at(Place::site(&spec.sites[0].name));
        assert!(
            site.fits(spec)
                .unwrap_err()
                .to_string()
                .contains("a part of the input")
        );
    }

    #[test]
    fn files_without_an_area_mean_the_whole() {
        let json = r#"{"norm": "Linf", "epsilon": 0.1}"#;
        let threat: ThreatModel = serde_json::from_str(json).unwrap();
        assert_eq!(threat, ThreatModel::new(Norm::Linf, 0.1));
        assert!(!serde_json::to_string(&threat).unwrap().contains("area"));
        let patch = ThreatModel::patch(right());
        let there = serde_json::to_string(&patch).unwrap();
        assert_eq!(serde_json::from_str::<ThreatModel>(&there).unwrap(), patch);
    }
}
