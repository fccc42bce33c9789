//! Causal models with few values.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use mr_models::ModelError;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::interchange::Interchange;
use crate::error::CircuitError;

type Function = Arc<dyn Fn(&[usize]) -> usize + Send + Sync>;

/// Variables, each of which has one of a few values `0, 1, ..` and is either an input or computed from
/// variables before it. The last one is the output.
///
/// ```
/// use mr_circuits::CausalModel;
///
/// // Are two pairs equal in the same way?
/// let equal = |values: &[usize]| usize::from(values[0] == values[1]);
/// let model = CausalModel::default()
///     .input("a", 3)?
///     .input("b", 3)?
///     .input("c", 3)?
///     .input("d", 3)?
///     .computed("left", 2, &["a", "b"], equal)?
///     .computed("right", 2, &["c", "d"], equal)?
///     .computed("same", 2, &["left", "right"], equal)?;
/// assert_eq!(model.output(&[0, 0, 1, 2])?, 0);
/// // With `left` as it is for another input, the answer is another one.
/// let left = model.variable("left")?;
/// assert_eq!(model.interchanged(&[0, 0, 1, 2], &[(left, &[0, 1, 0, 0])])?, 1);
/// # Ok::<(), mr_circuits::CircuitError>(())
/// ```
#[derive(Clone, Default)]
pub struct CausalModel {
    variables: Vec<Variable>,
}

#[derive(Clone)]
struct Variable {
    name: String,
    values: usize,
    parents: Vec<usize>,
    function: Option<Function>,
}

impl fmt::Debug for CausalModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.variables.iter().map(|variable| &variable.name);
        f.debug_list().entries(names).finish()
    }
}

impl CausalModel {
    /// With an input of so many values.
    ///
    /// # Errors
    /// [`CircuitError::Causal`] for a name that is taken, or no values.
    pub fn input(self, name: &str, values: usize) -> Result<Self, CircuitError> {
        self.with(name, values, Vec::new(), None)
    }

    /// With a variable that is computed from the values of others.
    ///
    /// # Errors
    /// [`CircuitError::Causal`] for a name that is taken, or no values; [`CircuitError::Model`] for a parent
    /// that there is not, with near matches.
    pub fn computed(
        self,
        name: &str,
        values: usize,
        parents: &[&str],
        function: impl Fn(&[usize]) -> usize + Send + Sync + 'static,
    ) -> Result<Self, CircuitError> {
        let parents = parents.iter().map(|parent| self.variable(parent));
        let parents = parents.collect::<Result<_, _>>()?;
        self.with(name, values, parents, Some(Arc::new(function)))
    }

    fn with(
        mut self,
        name: &str,
        values: usize,
        parents: Vec<usize>,
        function: Option<Function>,
    ) -> Result<Self, CircuitError> {
        if values == 0 || self.variables.iter().any(|variable| variable.name == name) {
            return Err(CircuitError::Causal(format!(
                "variable `{name}` of {values} values: names must differ, and values be 1 or more"
            )));
        }
        self.variables.push(Variable {
            name: name.into(),
            values,
            parents,
            function,
        });
        Ok(self)
    }

    /// The number of the variable of this name.
    ///
    /// # Errors
    /// [`CircuitError::Model`] with near matches.
    pub fn variable(&self, name: &str) -> Result<usize, CircuitError> {
        let mut all = self.variables.iter();
        all.position(|variable| variable.name == name)
            .ok_or_else(|| {
                let valid = self.variables.iter().map(|variable| variable.name.as_str());
                ModelError::unknown("variable", name, valid).into()
            })
    }

    /// Values that a variable may have.
    ///
    /// # Panics
    /// If there is no such variable.
    pub fn values(&self, variable: usize) -> usize {
        self.variables[variable].values
    }

    /// The value of every variable for these inputs, some of them set to a value instead.
    ///
    /// # Errors
    /// [`CircuitError::Causal`] for another number of inputs, or a value that a variable does not have.
    ///
    /// # Panics
    /// Only if a function does.
    pub fn run(
        &self,
        inputs: &[usize],
        set: &BTreeMap<usize, usize>,
    ) -> Result<Vec<usize>, CircuitError> {
        let mut given = inputs.iter();
        let mut values = Vec::with_capacity(self.variables.len());
        let count = self.inputs();
        if inputs.len() != count || self.variables.is_empty() {
            return Err(CircuitError::Causal(format!(
                "{} inputs for a causal model of {count}",
                inputs.len()
            )));
        }
        for (number, variable) in self.variables.iter().enumerate() {
            let computed = match &variable.function {
                Some(function) => {
                    let parents = variable.parents.iter().map(|&parent| values[parent]);
                    function(&parents.collect::<Vec<usize>>())
                }
                None => *given.next().expect("inputs were counted"),
            };
            let value = set.get(&number).copied().unwrap_or(computed);
            if value >= variable.values {
                return Err(CircuitError::Causal(format!(
                    "`{}` is {value}, must be below {}",
                    variable.name, variable.values
                )));
            }
            values.push(value);
        }
        Ok(values)
    }

    /// Number of inputs.
    pub fn inputs(&self) -> usize {
        let inputs = self.variables.iter().filter(|one| one.function.is_none());
        inputs.count()
    }

    /// The value of the last variable.
    ///
    /// # Errors
    /// Those of [`run`](Self::run).
    pub fn output(&self, inputs: &[usize]) -> Result<usize, CircuitError> {
        let values = self.run(inputs, &BTreeMap::new())?;
        Ok(values[values.len() - 1])
    }

    /// The output with some variables set to what they are for other inputs.
    ///
    /// # Errors
    /// Those of [`run`](Self::run).
    pub fn interchanged(
        &self,
        base: &[usize],
        sources: &[(usize, &[usize])],
    ) -> Result<usize, CircuitError> {
        let mut set = BTreeMap::new();
        for &(variable, source) in sources {
            set.insert(variable, self.run(source, &BTreeMap::new())?[variable]);
        }
        let values = self.run(base, &set)?;
        Ok(values[values.len() - 1])
    }

    /// Every combination of input values; the last input changes fastest.
    pub fn all_inputs(&self) -> Vec<Vec<usize>> {
        let inputs = self.variables.iter().filter(|one| one.function.is_none());
        inputs.fold(vec![Vec::new()], |rows, variable| {
            let longer = |row: &Vec<usize>| -> Vec<Vec<usize>> {
                let each = (0..variable.values).map(|value| [row.as_slice(), &[value]].concat());
                each.collect()
            };
            rows.iter().flat_map(longer).collect()
        })
    }

    /// Interchanges drawn by a seed: base and source of each of `variables` aligned variables have inputs
    /// drawn evenly. Each variable is left alone half of the time, but never all.
    pub fn draw(&self, variables: usize, count: usize, seed: u64) -> Vec<Interchange> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let sizes: Vec<usize> = self
            .variables
            .iter()
            .filter(|one| one.function.is_none())
            .map(|one| one.values)
            .collect();
        let draw = |rng: &mut ChaCha8Rng| -> Vec<usize> {
            sizes
                .iter()
                .map(|&size| rng.random_range(0..size))
                .collect()
        };
        (0..count)
            .map(|_| {
                let sure = rng.random_range(0..variables.max(1));
                let base = draw(&mut rng);
                let sources = (0..variables)
                    .map(|variable| {
                        let (source, taken) = (draw(&mut rng), rng.random_range(0..2) == 1);
                        (taken || variable == sure).then_some(source)
                    })
                    .collect();
                Interchange { base, sources }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum() -> CausalModel {
        let add = |values: &[usize]| values[0] + values[1];
        CausalModel::default()
            .input("a", 3)
            .and_then(|model| model.input("b", 3))
            .and_then(|model| model.input("c", 3))
            .and_then(|model| model.computed("ab", 5, &["a", "b"], add))
            .and_then(|model| model.computed("abc", 7, &["ab", "c"], add))
            .unwrap()
    }

    #[test]
    fn variables_are_computed_and_set() {
        let model = sum();
        assert_eq!(
            model.run(&[1, 2, 0], &BTreeMap::new()).unwrap(),
            [1, 2, 0, 3, 3]
        );
        assert_eq!(
            model.run(&[1, 2, 2], &BTreeMap::from([(3, 0)])).unwrap()[4],
            2
        );
        let ab = model.variable("ab").unwrap();
        assert_eq!(
            model.interchanged(&[0, 0, 1], &[(ab, &[2, 2, 2])]).unwrap(),
            5
        );
        let all = model.all_inputs();
        assert_eq!((all.len(), all[5].as_slice()), (27, &[0, 1, 2][..]));
    }

    #[test]
    fn draws_are_those_of_the_seed_and_change_something() {
        let drawn = sum().draw(2, 200, 0);
        assert_eq!(drawn, sum().draw(2, 200, 0));
        assert_ne!(drawn, sum().draw(2, 200, 1));
        assert!(
            drawn
                .iter()
                .all(|one| one.sources.iter().any(Option::is_some))
        );
        let alone = drawn
            .iter()
            .filter(|one| one.sources.iter().any(Option::is_none));
        assert!((60..140).contains(&alone.count()));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let said = |result: Result<CausalModel, CircuitError>| result.unwrap_err().to_string();
        assert!(said(sum().input("ab", 2)).contains("`ab`"));
        let identity = |values: &[usize]| values[0];
        assert!(said(sum().computed("d", 2, &["abd"], identity)).contains("did you mean"));
        let error = sum().output(&[1, 2]).unwrap_err().to_string();
        assert!(
            error.contains("2 inputs for a causal model of 3"),
            "{error}"
        );
        let error = sum().output(&[1, 2, 3]).unwrap_err().to_string();
        assert!(error.contains("`c` is 3, must be below 3"), "{error}");
        let narrow = sum().computed("d", 2, &["abc"], identity).unwrap();
        let error = narrow.output(&[1, 1, 1]).unwrap_err().to_string();
        assert!(error.contains("`d` is 3, must be below 2"), "{error}");
    }
}
