//! Checks of values that several sections share. NaN fails every one of them.

use crate::{Error, Result};

/// What to say when a check fails: a text, or a closure that writes one.
pub trait Problem {
    fn say(self) -> String;
}

impl Problem for &str {
    fn say(self) -> String {
        self.to_string()
    }
}

impl<F: FnOnce() -> String> Problem for F {
    fn say(self) -> String {
        self()
    }
}

/// Refuses the value of `key` unless it `holds`.
///
/// # Errors
/// It does not hold; `problem` says what is wrong with it.
pub fn require(holds: bool, key: &str, problem: impl Problem) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::config(key, problem.say())) }
}

/// One or more.
///
/// # Errors
/// It is not.
pub fn at_least_one(key: &str, value: u64) -> Result<()> {
    require(value >= 1, key, "is 0; it must be at least 1")
}

/// Finite and above zero.
///
/// # Errors
/// It is not.
pub fn positive(key: &str, value: f64) -> Result<()> {
    require(value > 0.0 && value.is_finite(), key, || format!("is {value}; it must be above 0"))
}

/// Finite and not negative.
///
/// # Errors
/// It is not.
pub fn not_negative(key: &str, value: f64) -> Result<()> {
    require(value >= 0.0 && value.is_finite(), key, || format!("is {value}; it must be 0 or more"))
}

/// In [0, 1).
///
/// # Errors
/// It is not.
pub fn fraction(key: &str, value: f64) -> Result<()> {
    require((0.0..1.0).contains(&value), key, || format!("is {value}; it must be at least 0 and below 1"))
}
