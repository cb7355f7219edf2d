//! The number formats that weights are saved in.

use half::{bf16, f16};
use safetensors::tensor::Dtype;

/// How a value lies in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    #[default]
    F32,
    F16,
    Bf16,
}

impl Precision {
    pub fn dtype(self) -> Dtype {
        match self {
            Precision::F32 => Dtype::F32,
            Precision::F16 => Dtype::F16,
            Precision::Bf16 => Dtype::BF16,
        }
    }

    /// As PyTorch and `config.json` call it.
    pub fn torch_name(self) -> &'static str {
        match self {
            Precision::F32 => "float32",
            Precision::F16 => "float16",
            Precision::Bf16 => "bfloat16",
        }
    }

    /// Bytes a value.
    pub fn width(self) -> usize {
        match self {
            Precision::F32 => 4,
            Precision::F16 | Precision::Bf16 => 2,
        }
    }

    /// Values as a file has them, little-endian and rounded to nearest. `None` if a finite value would become infinite.
    pub fn bytes(self, values: &[f32]) -> Option<Vec<u8>> {
        let fits = |finite: fn(f32) -> bool| values.iter().all(|&value| !value.is_finite() || finite(value));
        match self {
            Precision::F32 => Some(values.iter().flat_map(|value| value.to_le_bytes()).collect()),
            Precision::F16 => fits(|value| f16::from_f32(value).is_finite())
                .then(|| values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect()),
            Precision::Bf16 => fits(|value| bf16::from_f32(value).is_finite())
                .then(|| values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_overflow_is_not_written() {
        for (precision, most) in [(Precision::F16, 65504.0), (Precision::Bf16, 3.3e38)] {
            assert_eq!(precision.bytes(&[1.0, -most]).map(|bytes| bytes.len()), Some(2 * precision.width()));
        }
        assert_eq!(Precision::F16.bytes(&[70_000.0]), None);
        assert_eq!(Precision::Bf16.bytes(&[f32::MAX]), None);
        assert_eq!(Precision::F16.bytes(&[f32::INFINITY]).map(|bytes| bytes.len()), Some(2));
    }
}
