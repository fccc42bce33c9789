//! Trees of words, and how well distances and depths agree with them.

use std::collections::BTreeMap;

use crate::error::{MetricError, finite, same_length};
use crate::stats::spearman;

/// A tree over words: every word but one hangs on another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    parents: Vec<Option<usize>>,
}

impl Tree {
    /// A tree by the parent of each word; the root has none.
    ///
    /// # Errors
    /// [`MetricError::Undefined`] if there is not exactly one root, a parent is no word, or words hang on
    /// each other in a circle.
    pub fn new(parents: Vec<Option<usize>>) -> Result<Self, MetricError> {
        let refuse = |reason: String| {
            Err(MetricError::Undefined {
                what: "a tree".into(),
                reason,
            })
        };
        let roots = parents.iter().filter(|parent| parent.is_none()).count();
        if roots != 1 {
            return refuse(format!("{roots} of its words have no parent, must be 1"));
        }
        if let Some(past) = parents.iter().flatten().find(|&&p| p >= parents.len()) {
            let words = parents.len();
            return refuse(format!(
                "word {past} is a parent, but there are {words}, from 0"
            ));
        }
        let tree = Self { parents };
        for word in 0..tree.words() {
            if tree.path(word).count() > tree.words() {
                return refuse(format!("word {word} hangs on itself"));
            }
        }
        Ok(tree)
    }

    /// Number of words.
    pub fn words(&self) -> usize {
        self.parents.len()
    }

    /// The word that hangs on none.
    ///
    /// # Panics
    /// Never: a tree has one root.
    pub fn root(&self) -> usize {
        let root = self.parents.iter().position(Option::is_none);
        root.expect("a tree has one root")
    }

    /// A word and those above it, at most one more than there are words.
    fn path(&self, word: usize) -> impl Iterator<Item = usize> {
        let up = std::iter::successors(Some(word), |&word| self.parents[word]);
        up.take(self.words() + 1)
    }

    /// Edges between each word and the root.
    pub fn depths(&self) -> Vec<f64> {
        let depth = |word| (self.path(word).count() - 1) as f64;
        (0..self.words()).map(depth).collect()
    }

    /// Edges between every two words `[word, word]`.
    ///
    /// # Panics
    /// Never: all words hang on the root.
    pub fn distances(&self) -> Vec<f64> {
        let words = self.words();
        let mut distances = vec![0.0; words * words];
        for a in 0..words {
            let above: Vec<usize> = self.path(a).collect();
            for b in 0..words {
                let met = self.path(b).enumerate().find_map(|(down, word)| {
                    let up = above.iter().position(|&other| other == word)?;
                    Some(up + down)
                });
                distances[a * words + b] = met.expect("all hang on the root") as f64;
            }
        }
        distances
    }

    /// Its edges, each as the lower and the higher word.
    pub fn edges(&self) -> Vec<(usize, usize)> {
        let hung = self.parents.iter().enumerate();
        hung.filter_map(|(word, parent)| parent.map(|p| (word.min(p), word.max(p))))
            .collect()
    }

    /// Edges of the tree that the minimum spanning tree of distances `[word, word]` has too, and how many
    /// there are: their ratio is the undirected unlabelled attachment score (Hewitt & Manning 2019).
    ///
    /// # Errors
    /// [`MetricError::Length`] or [`MetricError::NotFinite`] for distances that are not those of its words.
    pub fn attached(&self, distances: &[f64]) -> Result<(usize, usize), MetricError> {
        let words = self.words();
        same_length(
            "distances and pairs of words",
            distances.len(),
            words * words,
        )?;
        finite("the distances of words", distances)?;
        let spanning = minimum_spanning(distances, words);
        let edges = self.edges();
        let found = edges.iter().filter(|edge| spanning.contains(edge)).count();
        Ok((found, edges.len()))
    }
}

/// Prim's algorithm; of equal distances the edge of the earlier words is taken.
fn minimum_spanning(distances: &[f64], words: usize) -> Vec<(usize, usize)> {
    let mut inside = vec![false; words];
    inside[0] = true;
    let mut edges = Vec::with_capacity(words.saturating_sub(1));
    for _ in 1..words {
        let mut best: Option<(f64, usize, usize)> = None;
        for a in (0..words).filter(|&a| inside[a]) {
            for b in (0..words).filter(|&b| !inside[b]) {
                let distance = distances[a * words + b];
                if best.is_none_or(|(least, _, _)| distance < least) {
                    best = Some((distance, a, b));
                }
            }
        }
        if let Some((_, a, b)) = best {
            inside[b] = true;
            edges.push((a.min(b), a.max(b)));
        }
    }
    edges
}

/// How well distances or depths agree with trees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TreeAgreement {
    /// Of distances the share of the trees' edges in the minimum spanning trees (UUAS), of depths the
    /// share of trees whose root is the shallowest word.
    pub attachment: f64,
    /// Spearman's correlation with the tree: of distances of each word's to the others, of depths of each
    /// sentence's. Averaged over the words or sentences of one length, and then over lengths, as in the
    /// paper; the paper counts lengths 5 to 50 only, here all in which something can be ranked. NaN
    /// where there is none.
    pub spearman: f64,
}

/// The agreement of distances `[word, word]` with each tree.
///
/// # Errors
/// If there is no tree, trees and distances are not equally many, or those of [`Tree::attached`].
pub fn distance_agreement(
    trees: &[Tree],
    distances: &[Vec<f64>],
) -> Result<TreeAgreement, MetricError> {
    same_length("trees and distances", trees.len(), distances.len())?;
    let (mut found, mut all) = (0, 0);
    let mut by_length = BTreeMap::<usize, Vec<f64>>::new();
    for (tree, distances) in trees.iter().zip(distances) {
        let (right, edges) = tree.attached(distances)?;
        found += right;
        all += edges;
        let words = tree.words();
        let truth = tree.distances();
        let rows = truth.chunks(words).zip(distances.chunks(words)).enumerate();
        for (word, (truth, found)) in rows {
            let others = |row: &[f64]| -> Vec<f64> {
                let all = row.iter().enumerate();
                all.filter(|(at, _)| *at != word).map(|(_, &v)| v).collect()
            };
            if let Ok(rho) = spearman(&others(truth), &others(found)) {
                by_length.entry(words).or_default().push(rho);
            }
        }
    }
    if all == 0 {
        return Err(MetricError::Empty {
            what: "the edges of all trees".into(),
        });
    }
    Ok(TreeAgreement {
        attachment: found as f64 / all as f64,
        spearman: over_lengths(&by_length),
    })
}

/// The agreement of depths with each tree.
///
/// # Errors
/// If there is no tree, or trees and depths are not equally many or not finite.
pub fn depth_agreement(trees: &[Tree], depths: &[Vec<f64>]) -> Result<TreeAgreement, MetricError> {
    same_length("trees and depths", trees.len(), depths.len())?;
    if trees.is_empty() {
        return Err(MetricError::Empty {
            what: "the list of trees".into(),
        });
    }
    let mut right = 0;
    let mut by_length = BTreeMap::<usize, Vec<f64>>::new();
    for (tree, depths) in trees.iter().zip(depths) {
        same_length("the words of a tree and depths", tree.words(), depths.len())?;
        finite("the depths of words", depths)?;
        let shallowest = (0..depths.len()).min_by(|&a, &b| depths[a].total_cmp(&depths[b]));
        right += usize::from(shallowest == Some(tree.root()));
        if let Ok(rho) = spearman(&tree.depths(), depths) {
            by_length.entry(tree.words()).or_default().push(rho);
        }
    }
    Ok(TreeAgreement {
        attachment: right as f64 / trees.len() as f64,
        spearman: over_lengths(&by_length),
    })
}

/// The mean over lengths of the means at each.
fn over_lengths(by_length: &BTreeMap<usize, Vec<f64>>) -> f64 {
    let mean = |values: &Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
    by_length.values().map(mean).sum::<f64>() / by_length.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0 <- 1 <- 2, 0 <- 3.
    fn tree() -> Tree {
        Tree::new(vec![None, Some(0), Some(1), Some(0)]).unwrap()
    }

    #[test]
    fn depths_and_distances_count_edges() {
        assert_eq!(tree().depths(), [0., 1., 2., 1.]);
        #[rustfmt::skip]
        let expected = [
            0., 1., 2., 1.,
            1., 0., 1., 2.,
            2., 1., 0., 3.,
            1., 2., 3., 0.,
        ];
        assert_eq!(tree().distances(), expected);
        assert_eq!(tree().edges(), [(0, 1), (1, 2), (0, 3)]);
        assert_eq!(tree().root(), 0);
    }

    #[test]
    fn a_trees_own_distances_agree_and_reversed_depths_do_not() {
        let trees = [tree(), tree()];
        let own = vec![tree().distances(); 2];
        let found = distance_agreement(&trees, &own).unwrap();
        assert_eq!(found.attachment, 1.0);
        assert!((found.spearman - 1.0).abs() < 1e-12);
        let found = depth_agreement(&trees, &[tree().depths(), vec![3., 2., 1., 2.]]).unwrap();
        assert_eq!((found.attachment, found.spearman), (0.5, 0.0));
    }

    #[test]
    fn one_wrong_edge_of_three_is_a_third() {
        // Word 3 is put next to word 2 instead of word 0.
        let mut distances = tree().distances();
        for (a, b, distance) in [(3, 2, 0.5), (3, 0, 2.0)] {
            distances[a * 4 + b] = distance;
            distances[b * 4 + a] = distance;
        }
        assert_eq!(tree().attached(&distances).unwrap(), (2, 3));
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        let error = |parents| Tree::new(parents).unwrap_err().to_string();
        assert!(error(vec![None, None]).contains("2 of its words have no parent"));
        assert!(error(vec![]).contains("0 of its words"));
        assert!(error(vec![None, Some(2), Some(1)]).contains("word 1 hangs on itself"));
        assert!(error(vec![None, Some(9)]).contains("word 9 is a parent"));
        assert!(tree().attached(&[0.0; 4]).is_err());
        assert!(depth_agreement(&[], &[]).is_err());
    }
}
