//! How fast a device moves memory and computes, measured by the probes.

use super::probes::{COPY, MULTIPLY_ADD, copy_case, multiply_add_case};
use crate::Result;
use crate::exec::{Device, Executor, Phase, Program, Role, Tensor};
use crate::kernels::{Arg, Case, Kernel};
use crate::random::{Site, Stream};
use serde::Serialize;
use std::time::{Duration, Instant};

/// Medians of a few measurements.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Speed {
    /// Of a copy, reads and writes counted.
    pub bytes_per_second: f64,
    /// Of f32 multiply-adds, each counted as two.
    pub flops_per_second: f64,
}

/// Elements that are copied at most: more than any cache holds.
const COPIED: u32 = 1 << 25;
/// Chains of multiply-adds: enough for every unit of a large GPU.
const CHAINS: u32 = 1 << 21;

/// A short run that takes less is followed by long ones.
const SHORT: Duration = Duration::from_millis(10);
const SAMPLES: usize = 5;

/// # Errors
/// The device fails, or has no room for the buffers.
pub fn measure(device: &Device) -> Result<Speed> {
    let count = u64::from(COPIED).min(device.binding() / 4) as u32 & !3;
    let copy = copy_case(count);
    let [short, long] = [128, 4096].map(|rounds| multiply_add_case([CHAINS, rounds]));
    Ok(Speed {
        bytes_per_second: Probe::new(device, &COPY, &copy, 1, &copy, 16)?
            .rate(|case| COPY.bytes(&case.params, case.present()))?,
        flops_per_second: Probe::new(device, &MULTIPLY_ADD, &short, 1, &long, 1)?
            .rate(|case| (MULTIPLY_ADD.flops)(&case.params))?,
    })
}

/// A kernel, ready to be timed in a short run and in a long one.
struct Probe {
    executor: Box<dyn Executor>,
    short: Run,
    long: Run,
    /// A tensor of one word: reading it waits for the device.
    end: Tensor,
}

/// Launches of one case.
struct Run {
    case: Case,
    launches: u64,
    phase: Phase,
}

impl Probe {
    /// Both cases take arguments of the same sizes.
    fn new(
        device: &Device,
        kernel: &'static Kernel,
        short: &Case,
        short_launches: u64,
        long: &Case,
        long_launches: u64,
    ) -> Result<Probe> {
        let mut program = Program::new();
        let end = program.tensor(Role::Output, "end", &[1]);
        let contents = short.contents(kernel, &mut Stream::new(1, Site::Init, 0));
        let tensor = |(arg, words): (&Arg, &Vec<u32>)| program.tensor(Role::Output, arg.name, &[words.len()]);
        let args: Vec<Tensor> = kernel.args.iter().zip(&contents).map(tensor).collect();
        let mut run = |case: &Case, launches| {
            let phase = program.phase(kernel.name);
            (0..launches).for_each(|_| program.launch_words(kernel, &case.params, &args));
            Run { case: case.clone(), launches, phase }
        };
        let (short, long) = (run(short, short_launches), run(long, long_launches));
        let mut executor = device.executor(&program.finish()?)?;
        args.iter().zip(&contents).for_each(|(&arg, words)| executor.write(arg, words));
        Ok(Probe { executor, short, long, end })
    }

    /// Work a second, of which a launch has as much as `work` says.
    fn rate(mut self, work: impl Fn(&Case) -> u64) -> Result<f64> {
        let short = self.short.phase;
        self.time(short)?; // The first touches the memory, and may compile.
        let run = if self.time(short)? < SHORT { &self.long } else { &self.short };
        let (phase, work) = (run.phase, run.launches * work(&run.case));
        let mut times = (0..SAMPLES).map(|_| self.time(phase)).collect::<Result<Vec<_>>>()?;
        times.sort();
        Ok(work as f64 / times[SAMPLES / 2].as_secs_f64())
    }

    fn time(&mut self, phase: Phase) -> Result<Duration> {
        let start = Instant::now();
        self.executor.run(phase)?;
        self.executor.read(self.end)?;
        Ok(start.elapsed())
    }
}
