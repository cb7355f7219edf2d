//! Which device the user asked for.

use std::fmt;
use std::str::FromStr;

/// A device, as a user asks for it: by a word, a number or a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The best real GPU, else the CPU; never a software adapter such as llvmpipe. An integrated GPU is compared with the CPU.
    #[default]
    Auto,
    /// The CPU twins.
    Cpu,
    /// The best adapter; a software adapter if there is no other.
    Gpu,
    /// The GPU at this place among [`adapters`](crate::exec::gpu::adapters).
    Index(usize),
    /// The GPU whose name, or name and backend, contains this text. Unlike a number, it stays the same when a device is added.
    Named(String),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(DeviceChoice::Auto),
            "cpu" => Ok(DeviceChoice::Cpu),
            "gpu" => Ok(DeviceChoice::Gpu),
            "" => Err("it is auto, cpu, gpu, or a number or a part of the name of a GPU".to_string()),
            other => Ok(other.parse().map_or_else(|_| DeviceChoice::Named(other.to_string()), DeviceChoice::Index)),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceChoice::Auto => f.write_str("auto"),
            DeviceChoice::Cpu => f.write_str("cpu"),
            DeviceChoice::Gpu => f.write_str("gpu"),
            DeviceChoice::Index(index) => write!(f, "{index}"),
            DeviceChoice::Named(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read_and_written() {
        let named = DeviceChoice::Named("radeon".into());
        for choice in [DeviceChoice::Auto, DeviceChoice::Cpu, DeviceChoice::Gpu, DeviceChoice::Index(3), named] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert!("".parse::<DeviceChoice>().unwrap_err().contains("auto, cpu, gpu"));
    }
}
