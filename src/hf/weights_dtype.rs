//! The number formats that weights are saved in.

use half::{bf16, f16};
use safetensors::tensor::Dtype;

/// How a value lies in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeightsDtype {
    #[default]
    F32,
    F16,
    Bf16,
}

impl WeightsDtype {
    pub fn dtype(self) -> Dtype {
        match self {
            WeightsDtype::F32 => Dtype::F32,
            WeightsDtype::F16 => Dtype::F16,
            WeightsDtype::Bf16 => Dtype::BF16,
        }
    }

    /// As PyTorch and `config.json` call it.
    pub fn torch_name(self) -> &'static str {
        match self {
            WeightsDtype::F32 => "float32",
            WeightsDtype::F16 => "float16",
            WeightsDtype::Bf16 => "bfloat16",
        }
    }

    /// Bytes a value.
    pub fn width(self) -> usize {
        match self {
            WeightsDtype::F32 => 4,
            WeightsDtype::F16 | WeightsDtype::Bf16 => 2,
        }
    }

    /// Values as a file has them, little-endian and rounded to nearest. `None` if a finite value would become infinite.
    pub fn bytes(self, values: &[f32]) -> Option<Vec<u8>> {
        let fits = |finite: fn(f32) -> bool| values.iter().all(|&value| !value.is_finite() || finite(value));
        match self {
            WeightsDtype::F32 => Some(values.iter().flat_map(|value| value.to_le_bytes()).collect()),
            WeightsDtype::F16 => fits(|value| f16::from_f32(value).is_finite())
                .then(|| values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect()),
            WeightsDtype::Bf16 => fits(|value| bf16::from_f32(value).is_finite())
                .then(|| values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_overflow_is_not_written() {
        for (precision, most) in [(WeightsDtype::F16, 65504.0), (WeightsDtype::Bf16, 3.3e38)] {
            assert_eq!(precision.bytes(&[1.0, -most]).map(|bytes| bytes.len()), Some(2 * precision.width()));
        }
        assert_eq!(WeightsDtype::F16.bytes(&[70_000.0]), None);
        assert_eq!(WeightsDtype::Bf16.bytes(&[f32::MAX]), None);
        assert_eq!(WeightsDtype::F16.bytes(&[f32::INFINITY]).map(|bytes| bytes.len()), Some(2));
    }
}
