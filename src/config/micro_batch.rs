//! The value of `train.micro_batch`: a number, or "auto".

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Sequences that the device processes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MicroBatch {
    /// As many as fit the device.
    Auto,
    Sequences(usize),
}

impl Serialize for MicroBatch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            MicroBatch::Auto => serializer.serialize_str("auto"),
            MicroBatch::Sequences(number) => number.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for MicroBatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Value)
    }
}

struct Value;

impl Visitor<'_> for Value {
    type Value = MicroBatch;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a whole number, 0 or more, or \"auto\"")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<MicroBatch, E> {
        let wrong = |_| E::invalid_value(serde::de::Unexpected::Unsigned(number), &self);
        usize::try_from(number).map(MicroBatch::Sequences).map_err(wrong)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<MicroBatch, E> {
        let wrong = |_| E::invalid_value(serde::de::Unexpected::Signed(number), &self);
        usize::try_from(number).map(MicroBatch::Sequences).map_err(wrong)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<MicroBatch, E> {
        match text {
            "auto" => Ok(MicroBatch::Auto),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
        }
    }
}
