//! What attention heads look at: induction, previous-token and duplicate-token scores.

use burn::tensor::Tensor;
use mr_models::{Input, Model, ModelError, floats, integers, run_with_cache};

use crate::error::CircuitError;

/// How much of its attention a head gives to what a pattern says, the mean over the positions that the
/// pattern says something of: from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeadScore {
    /// Its block.
    pub layer: usize,
    /// Its number in the block.
    pub head: usize,
    /// Attention to what stood after earlier occurrences of this token (Olsson et al. 2022).
    pub induction: f32,
    /// Attention to the position before.
    pub previous: f32,
    /// Attention to earlier occurrences of this token (Wang et al. 2022).
    pub duplicate: f32,
}

/// Scores of every head on sequences of tokens, in forward order. On a random sequence that is repeated
/// once they are those of Olsson et al. (2022); on other text positions where nothing is repeated do not
/// count, and a score is NaN where none does.
///
/// # Errors
/// [`CircuitError::Model`] if the model takes no tokens, or not these, or has no heads.
pub fn head_scores(model: &dyn Model, input: &Input) -> Result<Vec<HeadScore>, CircuitError> {
    let spec = model.spec();
    spec.accepts(input)?;
    let Input::Tokens(tokens) = input else {
        let reason = format!(
            "scores of heads are of tokens; the {} takes none",
            spec.name
        );
        return Err(ModelError::Unfit(reason).into());
    };
    let [_, length] = tokens.dims();
    let tokens = integers(tokens.clone());
    let patterns = Patterns::of(&tokens, length);
    let mut scores = Vec::new();
    for layer in 0.. {
        let site = format!("blocks.{layer}.attn.hook_pattern");
        let Ok(full) = spec.site(&site) else { break };
        let heads = full.channels / full.positions;
        let (_, cache) = run_with_cache(model, input, &[&site])?;
        let attention: Tensor<3> = cache.get(&site)?.clone();
        let attention = floats(attention);
        for head in 0..heads {
            let of = |targets: &[Vec<usize>]| {
                let (mut sum, mut count) = (0.0, 0);
                for (at, targets) in targets
                    .iter()
                    .enumerate()
                    .filter(|(_, all)| !all.is_empty())
                {
                    let row = &attention[(at * heads + head) * length..][..length];
                    sum += targets.iter().map(|&key| f64::from(row[key])).sum::<f64>();
                    count += 1;
                }
                (sum / f64::from(count)) as f32
            };
            scores.push(HeadScore {
                layer,
                head,
                induction: of(&patterns.induction),
                previous: of(&patterns.previous),
                duplicate: of(&patterns.duplicate),
            });
        }
    }
    if scores.is_empty() {
        // The error names what there is instead.
        spec.site("blocks.0.attn.hook_pattern")?;
    }
    Ok(scores)
}

/// By position of every sequence, the keys that a pattern would have a head look at.
struct Patterns {
    induction: Vec<Vec<usize>>,
    previous: Vec<Vec<usize>>,
    duplicate: Vec<Vec<usize>>,
}

impl Patterns {
    fn of(tokens: &[i64], length: usize) -> Self {
        let mut patterns = Self {
            induction: Vec::new(),
            previous: Vec::new(),
            duplicate: Vec::new(),
        };
        for sequence in tokens.chunks(length.max(1)) {
            for (at, token) in sequence.iter().enumerate() {
                let before = (0..at).filter(|&key| sequence[key] == *token);
                let before: Vec<usize> = before.collect();
                // What stood after a token that stands right before this one is this one.
                let after = before.iter().map(|key| key + 1).filter(|&key| key < at);
                patterns.induction.push(after.collect());
                patterns
                    .previous
                    .push(at.checked_sub(1).into_iter().collect());
                patterns.duplicate.push(before);
            }
        }
        patterns
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use mr_models::{Edit, Intervened, NormKind, Region, Rewrite};

    use super::*;
    use crate::attribution::tests::{net, tokens};

    #[test]
    fn patterns_of_a_repeated_sequence() {
        let patterns = Patterns::of(&[5, 2, 5, 2, 2], 5);
        assert_eq!(
            patterns.duplicate,
            [vec![], vec![], vec![0], vec![1], vec![1, 3]]
        );
        assert_eq!(
            patterns.induction,
            [vec![], vec![], vec![1], vec![2], vec![2]]
        );
        assert_eq!(
            patterns.previous,
            [vec![], vec![0], vec![1], vec![2], vec![3]]
        );
    }

    /// A head whose pattern is set by hand has the score that the pattern says.
    #[test]
    fn a_head_that_attends_by_the_pattern_scores_1() {
        let net = net(NormKind::Layer);
        let input = tokens([1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6]);
        let sized = mr_models::OfLength::new(&net, 6).unwrap();
        // Head 0 looks at what stood after the first occurrence, or else at the start.
        let keys = [0, 0, 0, 1, 2, 3];
        let attends: Vec<f32> = keys
            .iter()
            .flat_map(|&key| (0..6).map(move |at| f32::from(u8::from(at == key))))
            .collect();
        let mean = Rewrite::Mean { values: attends };
        let edit = Edit::at("blocks.1.attn.hook_pattern", mean).within(Region::channels(0..6));
        let edited = Intervened::new(&sized, vec![edit]).unwrap();
        let scores = head_scores(&edited, &input).unwrap();
        assert_eq!(scores.len(), 4);
        let found = scores[2];
        assert_eq!((found.layer, found.head), (1, 0));
        assert_eq!((found.induction, found.duplicate), (1.0, 0.0));
        // Position 1 looks at position 0.
        assert_eq!(found.previous, 0.2);
        let others = [scores[0], scores[1], scores[3]];
        assert!(others.iter().all(|score| score.induction < 0.9));
        let nothing = tokens([0, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 6]);
        assert!(head_scores(&net, &nothing).unwrap()[0].induction.is_nan());
    }

    #[test]
    fn images_have_no_tokens() {
        let net = net(NormKind::Layer);
        let data = TensorData::new(vec![0.0; 4], [1, 1, 2, 2]);
        let image = Input::Real(Tensor::<4>::from_data(data, &Device::flex()));
        assert!(
            head_scores(&net, &image)
                .unwrap_err()
                .to_string()
                .contains("takes tokens")
        );
    }
}
