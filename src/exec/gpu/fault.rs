//! A device that is lost or hangs on purpose, to test how the rest of the program reacts.

use crate::{Error, Result};
use std::sync::atomic::{AtomicU64, Ordering};

/// For tests only. The environment variable `CLOZE_TEST_FAULT=lose:5,20` loses the device at the 5th and at the 20th submission
/// of the process; with `hang:7` the 7th submission never returns.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fault {
    hangs: bool,
    at: Vec<u64>,
}

impl Fault {
    const VARIABLE: &str = "CLOZE_TEST_FAULT";

    /// What the environment asks for; usually nothing.
    ///
    /// # Errors
    /// The variable has neither form.
    pub fn from_environment() -> Result<Option<Fault>> {
        let Some(value) = std::env::var_os(Self::VARIABLE) else { return Ok(None) };
        let value = value.to_string_lossy();
        let problem =
            || Error::device(format!("{}: `{value}` is not like lose:5,20 or hang:7; unset it", Self::VARIABLE));
        Self::parse(&value).map(Some).ok_or_else(problem)
    }

    fn parse(value: &str) -> Option<Fault> {
        let (kind, at) = value.split_once(':')?;
        let hangs = match kind {
            "lose" => false,
            "hang" => true,
            _ => return None,
        };
        Some(Fault { hangs, at: at.split(',').map(str::parse).collect::<Result<_, _>>().ok()? })
    }

    /// Call this before each submission.
    pub fn strike(&self, device: &wgpu::Device) {
        static SUBMISSIONS: AtomicU64 = AtomicU64::new(0);
        let number = SUBMISSIONS.fetch_add(1, Ordering::Relaxed) + 1;
        if !self.at.contains(&number) {
            return;
        }
        if !self.hangs {
            return device.destroy();
        }
        loop {
            std::thread::park();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read() {
        assert_eq!(Fault::parse("lose:5,20"), Some(Fault { hangs: false, at: vec![5, 20] }));
        assert_eq!(Fault::parse("hang:7"), Some(Fault { hangs: true, at: vec![7] }));
        for wrong in ["", "lose", "lose:", "lose:x", "burn:1"] {
            assert_eq!(Fault::parse(wrong), None, "{wrong}");
        }
    }
}
