//! Devices by name: the one place that names a backend of burn.

use anyhow::{Result, bail};
use burn::tensor::Device;
use mr_models::hint;
use serde::Serialize;

/// A kind of device that `--device` can name.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Kind {
    /// Its name, which is also the feature that `mr` is built with to have it.
    pub(crate) name: &'static str,
    /// What it is.
    pub(crate) about: &'static str,
    /// Whether this `mr` has it.
    pub(crate) built_in: bool,
    /// Whether `NAME:N` picks one of several.
    pub(crate) indexed: bool,
}

/// Every kind; the default is the first that is built in.
pub(crate) const KINDS: [Kind; 5] = [
    Kind {
        name: "flex",
        about: "CPU, portable SIMD",
        built_in: cfg!(feature = "flex"),
        indexed: false,
    },
    Kind {
        name: "ndarray",
        about: "CPU, deprecated upstream: for parity tests on tiny networks",
        built_in: cfg!(feature = "ndarray"),
        indexed: false,
    },
    Kind {
        name: "wgpu",
        about: "GPU through WGSL shaders (Vulkan, Metal, DX12)",
        built_in: cfg!(feature = "wgpu"),
        indexed: true,
    },
    Kind {
        name: "vulkan",
        about: "GPU through SPIR-V shaders",
        built_in: cfg!(feature = "vulkan"),
        indexed: true,
    },
    Kind {
        name: "cuda",
        about: "NVIDIA GPU",
        built_in: cfg!(feature = "cuda"),
        indexed: true,
    },
];

/// A device and the name that stands in records.
#[derive(Debug, Clone)]
pub(crate) struct NamedDevice {
    pub(crate) device: Device,
    pub(crate) name: String,
}

/// The kind that is used where none is named.
pub(crate) fn default_kind() -> Option<Kind> {
    KINDS.into_iter().find(|kind| kind.built_in)
}

/// The device of this name, such as `flex` or `cuda:1`.
pub(crate) fn open(name: Option<&str>) -> Result<NamedDevice> {
    let Some(name) = name else {
        return match default_kind() {
            Some(kind) => open(Some(kind.name)),
            None => bail!("this mr was built without any device: build it with --features flex"),
        };
    };
    let (kind, index) = parse(name)?;
    let device = match kind.name {
        #[cfg(feature = "flex")]
        "flex" => Device::flex(),
        #[cfg(feature = "ndarray")]
        "ndarray" => ndarray(),
        #[cfg(feature = "wgpu")]
        "wgpu" => gpu(name, || Device::wgpu(adapter(index)))?,
        #[cfg(feature = "vulkan")]
        "vulkan" => gpu(name, || Device::vulkan(adapter(index)))?,
        #[cfg(feature = "cuda")]
        "cuda" => gpu(name, || Device::cuda(index.unwrap_or(0)))?,
        _ => bail!(
            "device `{}` is not in this mr: build it with --features {}; built in: {}",
            kind.name,
            kind.name,
            built_in().join(", ")
        ),
    };
    let name = match index {
        Some(index) => format!("{}:{index}", kind.name),
        None => kind.name.into(),
    };
    Ok(NamedDevice { device, name })
}

fn built_in() -> Vec<&'static str> {
    let kinds = KINDS.iter().filter(|kind| kind.built_in);
    kinds.map(|kind| kind.name).collect()
}

fn parse(name: &str) -> Result<(Kind, Option<usize>)> {
    let (base, index) = match name.split_once(':') {
        Some((base, index)) => (base, Some(index)),
        None => (name, None),
    };
    let Some(kind) = KINDS.into_iter().find(|kind| kind.name == base) else {
        let names = KINDS.iter().map(|kind| kind.name);
        bail!("unknown device `{name}`; {}", hint(base, names));
    };
    let index = match index {
        None => None,
        Some(_) if !kind.indexed => bail!("device `{name}`: there is one {base}, without a number"),
        Some(text) => match text.parse() {
            Ok(index) => Some(index),
            Err(_) => bail!("device `{name}`: `{text}` is not a number; such as {base}:0"),
        },
    };
    Ok((kind, index))
}

#[cfg(feature = "ndarray")]
#[expect(deprecated, reason = "kept for parity tests until burn drops it")]
fn ndarray() -> Device {
    Device::ndarray()
}

#[cfg(any(feature = "wgpu", feature = "vulkan"))]
fn adapter(index: Option<usize>) -> burn::tensor::DeviceKind {
    use burn::tensor::DeviceKind;
    index.map_or(DeviceKind::DefaultDevice, DeviceKind::DiscreteGpu)
}

/// Opens a GPU and computes something on it: drivers that are missing panic at first use, and that
/// is bad input like any other.
#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
fn gpu(name: &str, open: impl FnOnce() -> Device + std::panic::UnwindSafe) -> Result<Device> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let opened = std::panic::catch_unwind(|| {
        let device = open();
        let two = burn::tensor::Tensor::<1>::ones([2], &device).sum();
        (device, mr_models::floats(two))
    });
    std::panic::set_hook(hook);
    match opened {
        Ok((device, two)) if two == [2.0] => Ok(device),
        Ok((_, two)) => bail!("device `{name}` computes 1 + 1 as {two:?}"),
        Err(panic) => {
            let said = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no reason given");
            bail!("device `{name}` cannot be used (is there one, and its driver?): {said}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        let said = |name: &str| open(Some(name)).map(|d| d.name).unwrap_err().to_string();
        assert_eq!(said("flexx"), "unknown device `flexx`; did you mean flex?");
        assert_eq!(
            said("flex:1"),
            "device `flex:1`: there is one flex, without a number"
        );
        assert_eq!(
            said("cuda:x"),
            "device `cuda:x`: `x` is not a number; such as cuda:0"
        );
        assert_eq!(open(Some("flex")).unwrap().name, "flex");
        assert_eq!(open(None).unwrap().name, "flex");
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn what_is_not_built_in_says_how_to_have_it() {
        let said = open(Some("cuda:0")).unwrap_err().to_string();
        assert!(
            said.starts_with("device `cuda` is not in this mr: build it with --features cuda; "),
            "{said}"
        );
    }
}
