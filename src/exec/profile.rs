//! Where the time of a program goes: every call of a kernel with its start and duration, as a table and as a trace for Perfetto
//! (ui.perfetto.dev) or chrome://tracing.

use super::program::Cost;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// A device's measured peak speed: medians of a few measurements.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Speed {
    /// Bytes per second of a copy, counting reads and writes.
    pub bytes_per_second: f64,
    /// FLOP per second of f32 multiply-adds, each counted as two.
    pub flops_per_second: f64,
}

/// The calls of kernels during a profile, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// Names of the program's phases.
    pub phases: Vec<String>,
    pub calls: Vec<Call>,
}

/// One pass of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Its place in [`Profile::phases`].
    pub phase: usize,
    pub kernel: &'static str,
    /// `twin` on the CPU.
    pub variant: &'static str,
    /// The entry point of the pass.
    pub entry: &'static str,
    /// Whether it is the first pass of its launch.
    pub first: bool,
    /// Seconds since the profile's start.
    pub start: f64,
    pub seconds: f64,
    pub cost: Cost,
}

/// The calls of one kernel and variant together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sum {
    calls: u64,
    seconds: f64,
    cost: Cost,
}

impl Profile {
    /// Total seconds in kernels.
    pub fn seconds(&self) -> f64 {
        self.calls.iter().map(|call| call.seconds).sum()
    }

    /// A table with one line per kernel and variant, the longest time first. `peak` is the device's measured peak: a kernel's
    /// share of it is that of its arithmetic or of its memory traffic, whichever is larger.
    pub fn table(&self, peak: &Speed) -> String {
        let mut table = format!(
            "{:<44}{:>8}{:>11}{:>8}{:>10}{:>9}{:>9}\n",
            "kernel, variant", "calls", "ms", "% time", "GFLOP/s", "GB/s", "% peak"
        );
        let all = self.seconds().max(f64::MIN_POSITIVE);
        let mut sums: Vec<_> = self.sums().into_iter().collect();
        sums.sort_by(|(_, a), (_, b)| b.seconds.total_cmp(&a.seconds));
        for ((kernel, variant), sum) in sums {
            let seconds = sum.seconds.max(1e-12);
            let (flops, bytes) = (sum.cost.flops as f64 / seconds, sum.cost.bytes as f64 / seconds);
            let share = (flops / peak.flops_per_second).max(bytes / peak.bytes_per_second);
            let _ = writeln!(
                table,
                "{:<44}{:>8}{:>11.3}{:>8.1}{:>10.1}{:>9.1}{:>9.1}",
                format!("{kernel} {variant}"),
                sum.calls,
                1e3 * sum.seconds,
                100.0 * sum.seconds / all,
                flops / 1e9,
                bytes / 1e9,
                100.0 * share
            );
        }
        table
    }

    fn sums(&self) -> BTreeMap<(&'static str, &'static str), Sum> {
        let mut sums: BTreeMap<_, Sum> = BTreeMap::new();
        for call in &self.calls {
            let sum = sums.entry((call.kernel, call.variant)).or_default();
            sum.calls += u64::from(call.first);
            sum.seconds += call.seconds;
            sum.cost.flops += call.cost.flops;
            sum.cost.bytes += call.cost.bytes;
        }
        sums
    }

    /// In the trace event format: a track of phases and a track of kernels, times in microseconds.
    pub fn trace(&self, device: &str) -> Value {
        const PHASES: u32 = 1;
        const KERNELS: u32 = 2;
        let name = |kind: &str, tid: u32, name: &str| json!({"ph": "M", "name": kind, "pid": 1, "tid": tid, "args": {"name": name}});
        let event = |tid: u32, name: &str, category: &str, start: f64, seconds: f64, args: Value| {
            json!({
                "ph": "X", "name": name, "cat": category, "pid": 1, "tid": tid,
                "ts": 1e6 * start, "dur": 1e6 * seconds, "args": args
            })
        };
        let mut events = vec![
            name("process_name", 0, device),
            name("thread_name", PHASES, "phases"),
            name("thread_name", KERNELS, "kernels"),
        ];
        for calls in self.calls.chunk_by(|a, b| a.phase == b.phase) {
            let (first, last) = (&calls[0], &calls[calls.len() - 1]);
            let length = last.start + last.seconds - first.start;
            let phase = self.phases.get(first.phase).map_or("", String::as_str);
            events.push(event(PHASES, phase, "phase", first.start, length, json!({"calls": calls.len()})));
        }
        events.extend(self.calls.iter().map(|call| {
            let args = json!({
                "variant": call.variant, "entry": call.entry, "flops": call.cost.flops, "bytes": call.cost.bytes
            });
            event(KERNELS, call.kernel, "kernel", call.start, call.seconds, args)
        }));
        json!({"displayTimeUnit": "ms", "traceEvents": events})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> Profile {
        let cost = Cost { flops: 2_000_000, bytes: 1_000_000 };
        let call = |phase, kernel, first, start: f64| {
            let (variant, entry) = ("tiled", "main");
            Call { phase, kernel, variant, entry, first, start, seconds: 1e-3, cost }
        };
        let calls = vec![
            call(0, "a", true, 0.0),
            call(0, "a", false, 0.001),
            call(0, "b", true, 0.002),
            call(1, "b", true, 0.004),
        ];
        Profile { phases: vec!["accumulate".into(), "update".into()], calls }
    }

    #[test]
    fn the_table_sums_by_kernel() {
        let table = profile().table(&Speed { bytes_per_second: 2e9, flops_per_second: 1e12 });
        let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["a", "tiled", "1", "2.000", "50.0", "2.0", "1.0", "50.0"], "{table}");
        assert_eq!(lines[2], ["b", "tiled", "2", "2.000", "50.0", "2.0", "1.0", "50.0"], "{table}");
    }

    #[test]
    fn the_trace_has_phases_and_kernels() {
        let trace = profile().trace("a GPU");
        let events = trace["traceEvents"].as_array().unwrap();
        let of = |category: &str| events.iter().filter(|event| event["cat"] == category).collect::<Vec<_>>();
        assert_eq!(of("kernel").len(), 4);
        let phases: Vec<_> =
            of("phase").iter().map(|e| (e["name"].as_str().unwrap(), e["ts"].as_f64().unwrap())).collect();
        assert_eq!(phases, [("accumulate", 0.0), ("update", 4000.0)]);
        assert!((of("phase")[0]["dur"].as_f64().unwrap() - 3000.0).abs() < 1e-6);
    }
}
