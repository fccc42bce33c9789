//! A device by name: `MR_TEST_DEVICE`, and `flex` where it is not set.

use burn::tensor::Device;

const NAMES: [&str; 5] = ["flex", "ndarray", "wgpu", "vulkan", "cuda"];

/// The name that the environment gives.
pub(crate) fn name() -> String {
    std::env::var("MR_TEST_DEVICE").unwrap_or_else(|_| "flex".into())
}

/// The device that the environment names.
pub(crate) fn device() -> Device {
    named(&name()).unwrap_or_else(|error| panic!("MR_TEST_DEVICE: {error}"))
}

/// The device of this name, if the package was built with its feature.
pub(crate) fn named(name: &str) -> Result<Device, String> {
    match name {
        #[cfg(feature = "flex")]
        "flex" => Ok(Device::flex()),
        #[cfg(feature = "ndarray")]
        #[expect(deprecated, reason = "kept for parity until burn drops it")]
        "ndarray" => Ok(Device::ndarray()),
        #[cfg(feature = "wgpu")]
        "wgpu" => Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
        #[cfg(feature = "vulkan")]
        "vulkan" => Ok(Device::vulkan(burn::tensor::DeviceKind::DefaultDevice)),
        #[cfg(feature = "cuda")]
        "cuda" => Ok(Device::cuda(0)),
        _ if NAMES.contains(&name) => Err(format!("`{name}` needs --features {name}")),
        _ => Err(format!(
            "unknown device `{name}`; {}",
            mr_models::hint(name, NAMES)
        )),
    }
}
