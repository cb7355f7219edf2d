//! Which device the user asked for.

use std::fmt;
use std::str::FromStr;

/// The value of `--device`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The best real GPU (discrete before integrated), else the CPU; never a software adapter such as llvmpipe.
    #[default]
    Auto,
    /// The CPU twins.
    Cpu,
    /// The best adapter there is, a software one where there is no other.
    Gpu,
    /// The GPU with this number in `cloze devices`.
    Index(usize),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(DeviceChoice::Auto),
            "cpu" => Ok(DeviceChoice::Cpu),
            "gpu" => Ok(DeviceChoice::Gpu),
            number => number
                .parse()
                .map(DeviceChoice::Index)
                .map_err(|_| "it is auto, cpu, gpu, or a number that `cloze devices` lists".to_string()),
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read_and_written() {
        for choice in [DeviceChoice::Auto, DeviceChoice::Cpu, DeviceChoice::Gpu, DeviceChoice::Index(3)] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        for text in ["", "GPU", "-1", "cuda:0", "99999999999999999999999"] {
            assert!(text.parse::<DeviceChoice>().unwrap_err().contains("cloze devices"), "{text}");
        }
    }
}
