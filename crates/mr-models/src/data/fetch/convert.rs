//! Legacy PyTorch pickles as safetensors, without PyTorch and without trusting the pickle.

use std::path::Path;

use super::client;
use crate::data::error::DataError;

/// Reads a pickle with a table of harmless names instead of Python's imports.
const SCRIPT: &str = include_str!("convert_pt.py");

/// Converts a state dict in PyTorch's legacy (non-zip) format, tensor for tensor and under the same
/// names, in a Python process of its own. `name` is what it is for.
///
/// # Errors
/// [`DataError::Client`] without Python 3; [`DataError::Failed`] if the file is not a state dict of
/// plain tensors, or asks for anything but the rebuilding of tensors.
pub(super) fn pickle_to_safetensors(
    pickle: &Path,
    safetensors: &Path,
    name: &str,
) -> Result<(), DataError> {
    let [from, to] = [pickle, safetensors].map(|path| path.to_string_lossy().into_owned());
    let command = ["python3", "-I", "-c", SCRIPT, &from, &to];
    client::run(&command, name, Path::new(".")).map_err(|error| match error {
        // The command line holds the whole script.
        DataError::Failed { status, said, .. } => DataError::Failed {
            command: format!("python3 -I convert_pt.py {from} {to}"),
            status,
            said,
        },
        error => error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
    const PROTOCOL: &[u8] = b"\x80\x02M\xe9\x03.";

    fn text(text: &str) -> Vec<u8> {
        [
            &b"X"[..],
            &(text.len() as u32).to_le_bytes(),
            text.as_bytes(),
        ]
        .concat()
    }

    fn system(little_endian: bool) -> Vec<u8> {
        let flag = if little_endian { b"\x88" } else { b"\x89" };
        [&b"\x80\x02}("[..], &text("little_endian"), flag, b"u."].concat()
    }

    /// `OrderedDict(name=rebuild(storage of 7 floats, offset 1, shape (3, 2), strides (1, 3)))`.
    fn state(storage: &str, offset: u8) -> Vec<u8> {
        [
            &b"\x80\x02ccollections\nOrderedDict\n)R("[..],
            &text("fc.weight"),
            b"ctorch._utils\n_rebuild_tensor_v2\n((",
            &text("storage"),
            format!("ctorch\n{storage}\n").as_bytes(),
            &text("1"),
            &text("cuda:0"),
            b"K\x07NtQK",
            &[offset],
            // Shape, strides, requires_grad, backward hooks.
            b"K\x03K\x02\x86K\x01K\x03\x86\x89ccollections\nOrderedDict\n)RtRu.",
        ]
        .concat()
    }

    fn file(state: &[u8], values: &[f32]) -> Vec<u8> {
        let keys = [&b"\x80\x02]"[..], &text("1"), b"a."].concat();
        let mut file = [MAGIC, PROTOCOL, &system(true), state, &keys].concat();
        file.extend((values.len() as u64).to_le_bytes());
        file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        file
    }

    fn convert(pickle: &[u8]) -> Result<Vec<u8>, String> {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a.pt"), folder.path().join("b"));
        std::fs::write(&from, pickle).unwrap();
        match pickle_to_safetensors(&from, &to, "test") {
            Ok(()) => Ok(std::fs::read(&to).unwrap()),
            Err(error) => {
                assert!(!to.exists(), "a failed conversion leaves no file");
                Err(error.to_string())
            }
        }
    }

    const VALUES: [f32; 7] = [9.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.5];

    #[test]
    fn tensors_keep_name_shape_and_values() {
        let bytes = convert(&file(&state("FloatStorage", 1), &VALUES)).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.names(), ["fc.weight"]);
        let tensor = file.tensor("fc.weight").unwrap();
        assert_eq!(tensor.shape(), [3, 2]);
        assert_eq!(tensor.dtype(), safetensors::Dtype::F32);
        let values: Vec<f32> = tensor
            .data()
            .chunks_exact(4)
            .map(|word| f32::from_le_bytes(word.try_into().unwrap()))
            .collect();
        assert_eq!(values, [1.0, 4.0, 2.0, 5.0, 3.0, 6.5], "strides 1, 3");
    }

    #[test]
    fn other_names_are_refused_before_they_are_called() {
        let folder = tempfile::tempdir().unwrap();
        let touched = folder.path().join("touched");
        let shell = format!("touch {}", touched.display());
        for call in ["cos\nsystem\n(", "cbuiltins\nexec\n(", "cposix\nsystem\n("] {
            let state = [&b"\x80\x02"[..], call.as_bytes(), &text(&shell), b"tR."].concat();
            let said = convert(&file(&state, &VALUES)).unwrap_err();
            assert!(said.contains("refused: the pickle asks for"), "{said}");
        }
        let attribute = b"\x80\x02ctorch._utils\n__builtins__\n.";
        let said = convert(&file(attribute, &VALUES)).unwrap_err();
        assert!(said.contains("torch._utils.__builtins__"), "{said}");
        assert!(!touched.exists());
    }

    #[test]
    fn what_is_no_legacy_state_dict_is_said() {
        let whole = file(&state("FloatStorage", 1), &VALUES);
        let said = |bytes: &[u8]| convert(bytes).unwrap_err();
        assert!(said(b"PK\x03\x04 a zip file").contains("not a legacy PyTorch file"));
        assert!(said(&whole[..whole.len() - 3]).contains("truncated"));
        assert!(said(&[&whole[..], &b"x"[..]].concat()).contains("follow the last"));
        let past = file(&state("FloatStorage", 2), &VALUES);
        assert!(said(&past).contains("past the end"), "{}", said(&past));
        assert!(said(&file(&state("QInt8Storage", 1), &VALUES)).contains("torch.QInt8Storage"));
        assert!(said(&file(b"\x80\x02K\x01.", &VALUES)).contains("not a dict"));
        let big = [MAGIC, PROTOCOL, &system(false)].concat();
        assert!(said(&big).contains("little-endian"));
    }
}
