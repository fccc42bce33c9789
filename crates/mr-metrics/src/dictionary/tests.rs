//! The same numbers as SAELens's.

use burn::tensor::{Device, Tensor, TensorData};
use serde_json::Value;

use super::{Detection, Fidelity, Firing, Recovery, nearest_cosines};

fn golden() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../fixtures/golden/dictionary_measures.json"
    );
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f32> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        value => vec![value.as_f64().unwrap() as f32],
    }
}

fn matrix(value: &Value) -> Tensor<2> {
    let values = numbers(value);
    let rows = value.as_array().unwrap().len();
    let shape = [rows, values.len() / rows];
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

#[test]
fn measures_are_those_of_saelens() {
    let golden = golden();
    let near = |what: &str, found: f64| {
        let expected = golden[what].as_f64().unwrap();
        assert!(
            (found - expected).abs() < 1e-6,
            "{what}: {found}, {expected}"
        );
    };
    let (codes, coefficients) = (numbers(&golden["codes"]), numbers(&golden["coefficients"]));
    let mut firing = Firing::new(7);
    firing.add(&codes).unwrap();
    near("l0", firing.l0().unwrap());
    near("dead", firing.dead() as f64);

    let mut fidelity = Fidelity::default();
    fidelity
        .add(&numbers(&golden["x"]), &numbers(&golden["made"]), 4)
        .unwrap();
    near("explained_variance", fidelity.explained_variance().unwrap());
    near("norm_ratio", fidelity.norm_ratio().unwrap());

    let directions = matrix(&golden["directions"]);
    let recovery = Recovery::new(&directions, &matrix(&golden["features"])).unwrap();
    near("mcc", recovery.mcc());
    near("uniqueness", recovery.uniqueness());
    let mut detection = Detection::new(recovery.nearest(), 7, 9).unwrap();
    detection.add(&codes, &coefficients).unwrap();
    let mean = detection.mean();
    near("precision", mean.precision);
    near("recall", mean.recall);
    near("f1", mean.f1);

    let nearest = nearest_cosines(&directions).unwrap();
    for (found, expected) in nearest.iter().zip(numbers(&golden["nearest_cosines"])) {
        assert!((found - f64::from(expected)).abs() < 1e-6);
    }
}
