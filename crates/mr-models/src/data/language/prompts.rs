//! Questions with their answers, and a counterfactual of each.

use burn::tensor::{Device, Tensor, TensorData};

use super::task::Prompt;
use crate::data::error::DataError;
use crate::error::ModelError;
use crate::input::{Input, Labels};

/// Prompts of one length, each with the tokens that answer it, those that do not, and a corrupt prompt of
/// the same form whose answer is another one: what circuits are found with. The answer is the next token
/// after the last position. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompts {
    name: String,
    token_names: Vec<String>,
    all: Vec<Prompt>,
}

impl Prompts {
    /// Prompts over a vocabulary.
    ///
    /// # Errors
    /// [`DataError::Empty`] without prompts; an error naming the first prompt of another length, without
    /// answers, or with a token that is none.
    pub fn new(
        name: &str,
        token_names: Vec<String>,
        prompts: Vec<Prompt>,
    ) -> Result<Self, DataError> {
        let Some(first) = prompts.first() else {
            return Err(DataError::Empty { name: name.into() });
        };
        let length = first.clean.len();
        for (at, prompt) in prompts.iter().enumerate() {
            let what = format!("{name}: prompt {at}");
            let lengths = [prompt.clean.len(), prompt.corrupt.len()];
            if length == 0 || lengths != [length; 2] {
                let value = format!("{} tokens, its counterfactual {}", lengths[0], lengths[1]);
                let valid = format!("{} tokens, as the first", length.max(1));
                return Err(DataError::setting(what, value, valid));
            }
            if prompt.right.is_empty() || prompt.wrong.is_empty() {
                let valid = "with a right answer and a wrong one";
                return Err(DataError::setting(what, "without answers", valid));
            }
            let tokens = [&prompt.clean, &prompt.corrupt, &prompt.right, &prompt.wrong];
            let mut tokens = tokens.into_iter().flatten();
            if let Some(&token) = tokens.find(|&&token| token >= token_names.len()) {
                return Err(DataError::Label {
                    name: name.into(),
                    example: at,
                    label: token,
                    classes: token_names.len(),
                });
            }
        }
        Ok(Self {
            name: name.into(),
            token_names,
            all: prompts,
        })
    }

    /// The task's name, such as `indirect-object`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of prompts, at least 1.
    #[expect(
        clippy::len_without_is_empty,
        reason = "no constructor makes an empty set"
    )]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Tokens of each prompt.
    pub fn positions(&self) -> usize {
        self.all[0].clean.len()
    }

    /// The text of each token.
    pub fn token_names(&self) -> &[String] {
        &self.token_names
    }

    /// Every prompt.
    pub fn prompts(&self) -> &[Prompt] {
        &self.all
    }

    /// Tokens as text.
    ///
    /// # Panics
    /// If one is none of the vocabulary.
    pub fn text(&self, tokens: &[usize]) -> String {
        let names = tokens.iter().map(|&token| self.token_names[token].as_str());
        names.collect::<Vec<_>>().join(" ")
    }

    /// The prompts `[batch, position]`.
    pub fn clean(&self, device: &Device) -> Input {
        self.batch(|prompt| &prompt.clean, device)
    }

    /// Their counterfactuals `[batch, position]`.
    pub fn corrupt(&self, device: &Device) -> Input {
        self.batch(|prompt| &prompt.corrupt, device)
    }

    fn batch(&self, of: impl Fn(&Prompt) -> &Vec<usize>, device: &Device) -> Input {
        let rows: Vec<Vec<usize>> = self.all.iter().map(|prompt| of(prompt).clone()).collect();
        Input::of_tokens(&rows, device).expect("prompts have one length")
    }

    /// What the prompts are judged against by a model with so many classes: as
    /// [`Labels::answers`] the right and the wrong tokens after the last position; as the truth the first
    /// right token there, and what the prompt holds before.
    ///
    /// # Errors
    /// [`ModelError::Unfit`] if the vocabulary has more tokens than the model has classes.
    pub fn labels(&self, classes: usize, device: &Device) -> Result<Labels, ModelError> {
        if classes < self.token_names.len() {
            return Err(ModelError::Unfit(format!(
                "`{}` has {} tokens, the model knows {classes} classes",
                self.name,
                self.token_names.len()
            )));
        }
        let positions = self.positions();
        let mut answers = vec![0.0; self.len() * positions * classes];
        let mut truth = Vec::with_capacity(self.len() * positions);
        let rows = answers.chunks_mut(positions * classes);
        for (prompt, row) in self.all.iter().zip(rows) {
            let last = &mut row[(positions - 1) * classes..];
            prompt.right.iter().for_each(|&token| last[token] = 1.0);
            prompt.wrong.iter().for_each(|&token| last[token] = -1.0);
            let next = prompt.clean[1..].iter().chain(&prompt.right[..1]);
            truth.extend(next.map(|&token| token as i64));
        }
        let shape = [self.len(), positions, classes];
        let truth = TensorData::new(truth, [self.len(), positions]);
        Ok(Labels {
            truth: Tensor::from_data(truth, device),
            ..Labels::of_classes(&[], device)
        }
        .with_answers(Tensor::from_data(TensorData::new(answers, shape), device)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{floats, integers};

    fn names() -> Vec<String> {
        ["a", "b", "c"].map(String::from).to_vec()
    }

    fn prompt(clean: &[usize], right: &[usize], wrong: &[usize]) -> Prompt {
        Prompt {
            clean: clean.to_vec(),
            corrupt: vec![0; clean.len()],
            right: right.to_vec(),
            wrong: wrong.to_vec(),
            answer: right.first().copied().unwrap_or(0),
            known_from: clean.len().saturating_sub(1),
        }
    }

    #[test]
    fn answers_stand_at_the_last_position() {
        let device = Device::flex();
        let two = vec![prompt(&[0, 1], &[2], &[1]), prompt(&[1, 2], &[0, 1], &[2])];
        let prompts = Prompts::new("two", names(), two).unwrap();
        assert_eq!(prompts.text(&[2, 0]), "c a");
        let labels = prompts.labels(4, &device).unwrap();
        assert_eq!(integers(labels.truth), [1, 2, 2, 0]);
        let answers = floats(labels.answers.unwrap());
        assert_eq!(answers[4..8], [0.0, -1.0, 1.0, 0.0]);
        assert_eq!(answers[12..], [1.0, 1.0, -1.0, 0.0]);
        assert_eq!(answers.iter().filter(|&&at| at != 0.0).count(), 5);
        let error = prompts.labels(2, &device).unwrap_err().to_string();
        assert_eq!(error, "`two` has 3 tokens, the model knows 2 classes");
    }

    #[test]
    fn what_is_no_prompt_is_told() {
        let said = |prompts| {
            let made = Prompts::new("bad", names(), prompts);
            made.unwrap_err().to_string()
        };
        assert!(said(vec![]).contains("empty"));
        let longer = vec![prompt(&[0], &[1], &[2]), prompt(&[0, 1], &[1], &[2])];
        assert!(said(longer).starts_with("bad: prompt 1 is 2 tokens"));
        assert!(said(vec![prompt(&[0], &[], &[2])]).contains("without answers"));
        assert!(said(vec![prompt(&[0], &[3], &[2])]).contains("label 3"));
        assert!(said(vec![prompt(&[], &[1], &[2])]).contains("0 tokens"));
    }
}
