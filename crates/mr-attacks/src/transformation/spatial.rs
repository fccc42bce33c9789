//! Rotation and translation.

use rand::Rng;
use serde::{Deserialize, Serialize};

use super::Transformation;
use super::picture::{Border, Picture, Plane};
use crate::error::AttackError;
use crate::randomness::Draw;

/// Rotations and translations (Engstrom et al. 2019, "Exploring the landscape of spatial
/// robustness"): the image is turned about its centre, then moved, by bilinear interpolation, and
/// what comes in from outside is black.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpatialFamily {
    /// Degrees that the image is turned by at most, either way.
    pub degrees: f32,
    /// Pixels that it is moved by at most, along rows and along columns, either way; up to 10,000.
    pub pixels: f32,
    /// Which members are tried.
    pub search: Search,
}

/// Members of a grid.
const MOST: usize = 1_000_000;

/// Which members of a family are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Search {
    /// So many angles and so many shifts along each side, evenly spaced, every pair of shifts.
    Grid {
        /// Angles.
        angles: usize,
        /// Shifts along each side.
        shifts: usize,
    },
    /// So many draws for each image, uniform: the worst of them counts.
    Random(u32),
}

impl Default for SpatialFamily {
    fn default() -> Self {
        Self {
            degrees: 30.0,
            pixels: 3.0,
            search: Search::Grid {
                angles: 31,
                shifts: 5,
            },
        }
    }
}

impl SpatialFamily {
    /// Every member; of a grid the least changed first.
    ///
    /// # Errors
    /// [`AttackError::Setting`].
    pub fn members(&self) -> Result<Vec<Spatial>, AttackError> {
        let ranges = [
            ("degrees", self.degrees, 180.0),
            ("pixels", self.pixels, 10_000.0),
        ];
        for (what, value, most) in ranges {
            if !(0.0..=most).contains(&value) {
                let valid = format!("from 0 to {most}");
                return Err(AttackError::setting(what, value, valid));
            }
        }
        match self.search {
            Search::Random(0) => Err(AttackError::setting("random", 0, "at least 1")),
            Search::Random(count) => {
                let [degrees, pixels] = [self.degrees, self.pixels];
                let drawn = |draw| Spatial::Drawn {
                    degrees,
                    pixels,
                    draw,
                };
                Ok((0..count).map(drawn).collect())
            }
            Search::Grid { angles, shifts } => {
                let angles = spaced("angles", self.degrees, angles)?;
                let shifts = spaced("shifts", self.pixels, shifts)?;
                let count = angles.len().saturating_mul(shifts.len().pow(2));
                if count > MOST {
                    let valid = format!("at most {MOST}: angles times shifts squared");
                    return Err(AttackError::setting("the number of members", count, valid));
                }
                let mut all = Vec::with_capacity(angles.len() * shifts.len().pow(2));
                for &degrees in &angles {
                    for &down in &shifts {
                        all.extend(shifts.iter().map(|&right| Spatial::Fixed {
                            degrees,
                            down,
                            right,
                        }));
                    }
                }
                let size = |member: &Spatial| match *member {
                    Spatial::Fixed {
                        degrees,
                        down,
                        right,
                    } => {
                        let share = |value: f32, most: f32| value.abs() / most.max(f32::EPSILON);
                        share(degrees, self.degrees) + share(down.abs() + right.abs(), self.pixels)
                    }
                    Spatial::Drawn { .. } => 0.0,
                };
                all.sort_by(|a, b| size(a).total_cmp(&size(b)));
                Ok(all)
            }
        }
    }
}

/// `count` values from `-most` to `most`.
fn spaced(what: &'static str, most: f32, count: usize) -> Result<Vec<f32>, AttackError> {
    match count {
        0 => Err(AttackError::setting(what, 0, "at least 1")),
        _ if count > MOST => Err(AttackError::setting(what, count, format!("at most {MOST}"))),
        _ if most == 0.0 || count == 1 => Ok(vec![0.0]),
        _ => Ok((0..count)
            .map(|at| most * (2.0 * at as f32 / (count - 1) as f32 - 1.0))
            .collect()),
    }
}

/// One rotation and translation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Spatial {
    /// This one.
    Fixed {
        /// Degrees, counter-clockwise.
        degrees: f32,
        /// Pixels down.
        down: f32,
        /// Pixels to the right.
        right: f32,
    },
    /// Drawn for each image.
    Drawn {
        /// Degrees at most, either way.
        degrees: f32,
        /// Pixels at most along each side, either way.
        pixels: f32,
        /// Which of several draws.
        draw: u32,
    },
}

impl Transformation for Spatial {
    fn name(&self) -> String {
        match self {
            Self::Fixed {
                degrees,
                down,
                right,
            } => format!("rotate{degrees:+}-move{down:+}{right:+}"),
            Self::Drawn { draw, .. } => format!("rotate-move-{draw}"),
        }
    }

    fn fits(&self, _shape: [usize; 3]) -> Result<(), AttackError> {
        Ok(())
    }

    fn apply(&self, image: &Picture, example: u64, seed: u64) -> Picture {
        match *self {
            Self::Fixed {
                degrees,
                down,
                right,
            } => moved(image, degrees, down, right),
            Self::Drawn {
                degrees,
                pixels,
                draw,
            } => {
                let draw = Draw {
                    seed,
                    attack: "rotation-translation",
                    restart: draw,
                    step: 0,
                };
                let mut rng = draw.rng(example);
                let mut upto = |most: f32| rng.random_range(-most..=most);
                moved(image, upto(degrees), upto(pixels), upto(pixels))
            }
        }
    }
}

fn moved(image: &Picture, degrees: f32, down: f32, right: f32) -> Picture {
    let (sine, cosine) = degrees.to_radians().sin_cos();
    let [_, height, width] = image.shape();
    let (middle, across) = ((height as f32 - 1.0) / 2.0, (width as f32 - 1.0) / 2.0);
    image.map_planes(|plane| {
        Plane::of(height, width, |row, column| {
            let (row, column) = (row as f32 - middle - down, column as f32 - across - right);
            let from_row = middle + cosine * row + sine * column;
            let from_column = across - sine * row + cosine * column;
            plane.between(near(from_row), near(from_column), Border::Black)
        })
    })
}

/// A place on a pixel but for rounding is on it, so that nothing is blurred that need not be.
fn near(at: f32) -> f32 {
    let whole = at.round();
    if (at - whole).abs() < 1e-4 { whole } else { at }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Picture {
        Picture::new([1, 3, 3], (1..10).map(|v| v as f32 / 10.0).collect()).unwrap()
    }

    fn turned(degrees: f32, down: f32, right: f32) -> Vec<f32> {
        let member = Spatial::Fixed {
            degrees,
            down,
            right,
        };
        member.apply(&picture(), 0, 0).into_values()
    }

    #[test]
    fn a_quarter_turn_counter_clockwise_brings_the_right_column_to_the_top() {
        let expected = [0.3, 0.6, 0.9, 0.2, 0.5, 0.8, 0.1, 0.4, 0.7];
        assert_eq!(turned(90.0, 0.0, 0.0), expected);
        assert_eq!(turned(0.0, 0.0, 0.0), picture().into_values());
    }

    #[test]
    fn a_shift_brings_in_black() {
        let expected = [0.0, 0.0, 0.0, 0.0, 0.1, 0.2, 0.0, 0.4, 0.5];
        assert_eq!(turned(0.0, 1.0, 1.0), expected);
        let half = turned(0.0, 0.0, 0.5);
        assert!((half[0] - 0.05).abs() < 1e-6 && (half[1] - 0.15).abs() < 1e-6);
        assert_eq!(turned(0.0, 100.0, 0.0), [0.0; 9]);
    }

    #[test]
    fn the_papers_grid_has_775_members_and_begins_with_none() {
        let members = SpatialFamily::default().members().unwrap();
        assert_eq!(members.len(), 775);
        let Spatial::Fixed {
            degrees,
            down,
            right,
        } = members[0]
        else {
            panic!("a grid is fixed");
        };
        assert_eq!([degrees, down, right], [0.0; 3]);
        let names: std::collections::BTreeSet<String> = members.iter().map(Spatial::name).collect();
        assert_eq!(names.len(), 775);
        let turns = SpatialFamily {
            pixels: 0.0,
            ..SpatialFamily::default()
        };
        assert_eq!(turns.members().unwrap().len(), 31);
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let refused = |family: SpatialFamily| family.members().unwrap_err().to_string();
        let family = SpatialFamily::default;
        let turns = refused(SpatialFamily {
            degrees: 270.0,
            ..family()
        });
        assert_eq!(turns, "degrees is 270, must be from 0 to 180");
        assert!(
            refused(SpatialFamily {
                pixels: f32::NAN,
                ..family()
            })
            .contains("pixels is NaN")
        );
        let far = refused(SpatialFamily {
            pixels: 1e30,
            ..family()
        });
        assert!(far.ends_with("must be from 0 to 10000"), "{far}");
        for (angles, shifts, said) in [
            (usize::MAX, 1, "angles is"),
            (1, 1001, "the number of members is 1002001"),
        ] {
            let many = refused(SpatialFamily {
                search: Search::Grid { angles, shifts },
                ..family()
            });
            assert!(many.starts_with(said), "{many}");
        }
        let none = Search::Random(0);
        assert!(
            refused(SpatialFamily {
                search: none,
                ..family()
            })
            .contains("random is 0")
        );
    }
}
