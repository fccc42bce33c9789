//! Features that are on only with others.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::data::DataError;

/// A forest of features: a child is on only where its parent is. Its features are the first ones, level by level; what is left
/// stands alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hierarchy {
    /// Trees, at least 1.
    pub roots: usize,
    /// Children of a feature that has any, at least 1.
    pub branching: usize,
    /// Levels of children below a root, at least 1.
    pub depth: usize,
    /// Whether at most one child of a parent is on: of several one is drawn.
    pub exclusive: bool,
    /// Whether features are drawn more often by as much as their parents and siblings turn them off (to first order, for
    /// siblings), so that they are on as often as they should.
    pub compensate: bool,
}

impl Default for Hierarchy {
    fn default() -> Self {
        Self {
            roots: 4,
            branching: 4,
            depth: 3,
            exclusive: true,
            compensate: true,
        }
    }
}

/// Whose child each feature is.
#[derive(Debug, Clone)]
pub(super) struct Forest {
    parents: Vec<Option<usize>>,
    /// Parents with their children, parents rising: a parent's own fate is known before its children's.
    families: Vec<(usize, Range<usize>)>,
    exclusive: bool,
    compensate: bool,
}

impl Forest {
    pub(super) fn new(hierarchy: Option<Hierarchy>, features: usize) -> Result<Self, DataError> {
        let mut forest = Self {
            parents: vec![None; features],
            families: Vec::new(),
            exclusive: hierarchy.is_some_and(|hierarchy| hierarchy.exclusive),
            compensate: hierarchy.is_some_and(|hierarchy| hierarchy.compensate),
        };
        let Some(hierarchy) = hierarchy else {
            return Ok(forest);
        };
        for (what, value) in [
            ("roots", hierarchy.roots),
            ("branching", hierarchy.branching),
            ("depth", hierarchy.depth),
        ] {
            if value == 0 {
                return Err(DataError::setting(what, 0, "at least 1"));
            }
        }
        let (mut level, mut next) = (0..hierarchy.roots, hierarchy.roots);
        for _ in 0..hierarchy.depth {
            let below = next;
            for parent in level {
                let children = next..next.saturating_add(hierarchy.branching);
                if children.end > features {
                    let valid = format!(
                        "small enough for {features} features, with {} children each and {} levels",
                        hierarchy.branching, hierarchy.depth
                    );
                    return Err(DataError::setting("roots", hierarchy.roots, valid));
                }
                next = children.end;
                forest.parents[children.clone()].fill(Some(parent));
                forest.families.push((parent, children));
            }
            level = below..next;
        }
        Ok(forest)
    }

    pub(super) fn parents(&self) -> &[Option<usize>] {
        &self.parents
    }

    /// How often features are to be drawn, for these rates to be what is left of them.
    pub(super) fn compensated(&self, rates: &[f64]) -> Vec<f64> {
        let mut drawn = rates.to_vec();
        if !self.compensate {
            return drawn;
        }
        for (parent, children) in &self.families {
            let above = rates[*parent];
            let all: f64 = rates[children.clone()].iter().sum();
            for child in children.clone() {
                let rivals = if self.exclusive {
                    1.0 + (all - rates[child]) / above
                } else {
                    1.0
                };
                drawn[child] = (rates[child] / above * rivals).min(1.0);
            }
        }
        drawn
    }

    /// Turns off what may not be on. `choose` draws a number below its argument.
    pub(super) fn settle(&self, fires: &mut [bool], choose: &mut dyn FnMut(usize) -> usize) {
        for (parent, children) in &self.families {
            if !fires[*parent] {
                fires[children.clone()].fill(false);
                continue;
            }
            let count = fires[children.clone()].iter().filter(|on| **on).count();
            if self.exclusive && count > 1 {
                let kept = choose(count);
                let on = children.clone().filter(|child| fires[*child]).nth(kept);
                fires[children.clone()].fill(false);
                if let Some(child) = on {
                    fires[child] = true;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forest(exclusive: bool) -> Forest {
        let hierarchy = Hierarchy {
            roots: 2,
            branching: 2,
            depth: 2,
            exclusive,
            compensate: true,
        };
        Forest::new(Some(hierarchy), 16).unwrap()
    }

    #[test]
    fn features_are_numbered_level_by_level() {
        let forest = forest(false);
        let parents = forest.parents();
        assert_eq!(
            parents[..6],
            [None, None, Some(0), Some(0), Some(1), Some(1)]
        );
        assert_eq!(parents[6..10], [Some(2), Some(2), Some(3), Some(3)]);
        assert_eq!(parents[12..], [Some(5), Some(5), None, None]);
        let large = Hierarchy::default();
        let error = Forest::new(Some(large), 100).unwrap_err().to_string();
        assert!(error.contains("100 features"), "{error}");
        let none = Hierarchy { depth: 0, ..large };
        assert!(Forest::new(Some(none), 1000).is_err());
    }

    #[test]
    fn children_go_off_with_their_ancestors_and_siblings_exclude_each_other() {
        let mut fires = vec![true; 16];
        fires[0] = false;
        forest(false).settle(&mut fires, &mut |_| unreachable!("nothing is exclusive"));
        let on: Vec<usize> = (0..16).filter(|&i| fires[i]).collect();
        assert_eq!(on, [1, 4, 5, 10, 11, 12, 13, 14, 15]);
        let mut fires = vec![true; 16];
        let mut asked = Vec::new();
        forest(true).settle(&mut fires, &mut |count| {
            asked.push(count);
            1
        });
        let on: Vec<usize> = (0..16).filter(|&i| fires[i]).collect();
        // The second child of each: 3 and 5, and theirs 9 and 13.
        assert_eq!(on, [0, 1, 3, 5, 9, 13, 14, 15]);
        assert_eq!(
            asked,
            [2, 2, 2, 2],
            "families without a parent are not asked"
        );
    }

    #[test]
    fn compensation_divides_by_the_parents_rate() {
        let rates = [
            0.4, 0.4, 0.2, 0.1, 0.04, 0.04, 0.1, 0.02, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01,
        ];
        let mut all = rates.to_vec();
        all.extend([0.5, 0.5]);
        let drawn = forest(false).compensated(&all);
        assert_eq!(drawn[2..4], [0.5, 0.25]);
        assert_eq!(drawn[6], 0.5);
        assert_eq!(drawn[14], 0.5);
        let drawn = forest(true).compensated(&all);
        assert!((drawn[2] - 0.5 * 1.25).abs() < 1e-12);
    }
}
