//! Sizes as people read them.

use std::fmt;

/// A number of bytes, shown in the largest binary unit that fits: `3.50 GiB`.
pub(crate) struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        let power = self.0.checked_ilog(1024).unwrap_or(0);
        match power {
            0 => write!(f, "{} B", self.0),
            power => write!(f, "{:.2} {}", self.0 as f64 / 1024_f64.powi(power as i32), UNITS[power as usize - 1]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Bytes;

    #[test]
    fn sizes_have_the_unit_that_they_fill() {
        let shown = [0, 1023, 1024, 7 << 19, (3 << 40) + (1 << 39), u64::MAX].map(|bytes| Bytes(bytes).to_string());
        assert_eq!(shown, ["0 B", "1023 B", "1.00 KiB", "3.50 MiB", "3.50 TiB", "16.00 EiB"]);
    }
}
