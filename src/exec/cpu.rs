//! Runs a program with the CPU twins of its kernels.

use super::executor::Executor;
use super::host_memory::{self, Resident};
use super::plan::{Limits, Memory, Place, Plan};
use super::profile::{Call, Profile};
use super::program::{Cost, Launch, Phase, PhaseInfo, Program, Tensor};
use crate::Result;
use crate::kernels::kernel::MAX_ARGS;
use crate::kernels::{Kernel, View, Views};
use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

pub struct CpuExecutor {
    plan: Plan,
    buffers: Vec<Vec<u32>>,
    phases: Vec<(String, Vec<Step>)>,
    /// Read-backs asked for and not yet collected.
    results: VecDeque<Vec<Vec<u32>>>,
    /// Time spent in kernels.
    computed: Duration,
    /// While a profile is taken.
    recorder: Option<Recorder>,
    /// The process as it was before this.
    resident: Option<Resident>,
}

/// A launch with its arguments found: which run of which buffer, sorted by buffer and start.
struct Step {
    kernel: &'static Kernel,
    params: Vec<u32>,
    args: Vec<BoundArg>,
    cost: Cost,
}

struct BoundArg {
    /// The argument's place in the kernel's declaration.
    place: usize,
    buffer: usize,
    range: Range<usize>,
    /// Whether any argument in this buffer is written, so that all of them are cut off as separate pieces.
    exclusive: bool,
    written: bool,
}

impl CpuExecutor {
    pub const ALIGNMENT: u64 = 4;

    pub fn new(program: &Program) -> Result<Self> {
        let resident = Resident::read();
        let plan = Plan::new(program, Self::limits())?;
        let buffers = plan.buffers.iter().map(|buffer| vec![0; buffer.len]).collect();
        let steps = |phase: &PhaseInfo| phase.launches.iter().map(|launch| bind(&plan, launch)).collect();
        let phases = program.phases.iter().map(|phase| (phase.name.clone(), steps(phase))).collect();
        let (results, computed) = (VecDeque::new(), Duration::ZERO);
        Ok(CpuExecutor { phases, buffers, plan, results, computed, recorder: None, resident })
    }

    /// What a program has to fit.
    pub fn limits() -> Limits {
        Limits { binding: u64::MAX, alignment: Self::ALIGNMENT, memory: host_memory::available() }
    }

    fn place(&self, tensor: Tensor) -> Place {
        self.plan.place(tensor).expect("the host only touches tensors that keep their content")
    }

    fn words(&self, tensor: Tensor) -> Vec<u32> {
        let place = self.place(tensor);
        self.buffers[place.buffer][place.start..place.start + place.len].to_vec()
    }
}

fn bind(plan: &Plan, launch: &Launch) -> Step {
    let mut args: Vec<BoundArg> = Vec::new();
    for (place, &arg) in launch.args.iter().enumerate().filter(|(_, arg)| **arg != Tensor::NONE) {
        let at = plan.place(arg).expect("every argument of a launch has a place");
        let range = at.start..at.start + at.len;
        args.push(BoundArg { place, buffer: at.buffer, range, exclusive: false, written: launch.writes(place) });
    }
    args.sort_by_key(|arg| (arg.buffer, arg.range.start));
    let written: Vec<usize> = args.iter().filter(|arg| arg.written).map(|arg| arg.buffer).collect();
    args.iter_mut().for_each(|arg| arg.exclusive = written.contains(&arg.buffer));
    Step { kernel: launch.kernel, params: launch.params.clone(), args, cost: launch.cost() }
}

impl Step {
    fn run(&self, buffers: &mut [Vec<u32>]) {
        let mut views: [View; MAX_ARGS] = Default::default();
        let (mut rest, mut passed) = (buffers, 0);
        let mut args = &self.args[..];
        while let Some(first) = args.first() {
            let count = args.iter().take_while(|arg| arg.buffer == first.buffer).count();
            let (here, later) = rest.split_at_mut(first.buffer + 1 - passed);
            let words = here[first.buffer - passed].as_mut_slice();
            cut(words, &args[..count], &mut views);
            (rest, passed, args) = (later, first.buffer + 1, &args[count..]);
        }
        (self.kernel.twin)(&self.params, Views(views));
    }
}

/// Cuts the arguments that lie in one buffer out of it. They are sorted by start, and do not overlap if any is written.
fn cut<'a>(words: &'a mut [u32], args: &[BoundArg], views: &mut [View<'a>; MAX_ARGS]) {
    if !args[0].exclusive {
        let words: &'a [u32] = words;
        args.iter().for_each(|arg| views[arg.place] = View::Read(&words[arg.range.clone()]));
        return;
    }
    let (mut rest, mut passed) = (words, 0);
    for arg in args {
        let (here, later) = rest.split_at_mut(arg.range.end - passed);
        let piece = &mut here[arg.range.start - passed..];
        views[arg.place] = if arg.written { View::Write(piece) } else { View::Read(piece) };
        (rest, passed) = (later, arg.range.end);
    }
}

impl Executor for CpuExecutor {
    fn write(&mut self, tensor: Tensor, words: &[u32]) {
        let place = self.place(tensor);
        self.buffers[place.buffer][place.start..place.start + place.len].copy_from_slice(words);
    }

    fn run(&mut self, phase: Phase) -> Result<()> {
        let start = Instant::now();
        for step in &self.phases[phase.0].1 {
            let start = self.recorder.is_some().then(Instant::now);
            step.run(&mut self.buffers);
            if let (Some(recorder), Some(start)) = (&mut self.recorder, start) {
                recorder.call(phase.0, step, start);
            }
        }
        self.computed += start.elapsed();
        Ok(())
    }

    fn read(&mut self, tensor: Tensor) -> Result<Vec<u32>> {
        Ok(self.words(tensor))
    }

    fn request(&mut self, tensors: &[Tensor]) -> Result<()> {
        let words = tensors.iter().map(|&tensor| self.words(tensor)).collect();
        self.results.push_back(words);
        Ok(())
    }

    fn collect(&mut self, _: bool) -> Result<Option<Vec<Vec<u32>>>> {
        Ok(self.results.pop_front())
    }

    fn memory(&self) -> Memory {
        self.plan.memory()
    }

    fn waited(&self) -> Duration {
        self.computed
    }

    fn start_profile(&mut self) -> Result<()> {
        self.recorder = Some(Recorder { start: Instant::now(), calls: Vec::new() });
        Ok(())
    }

    fn finish_profile(&mut self) -> Result<Profile> {
        let calls = self.recorder.take().map(|recorder| recorder.calls).unwrap_or_default();
        Ok(Profile { phases: self.phases.iter().map(|(name, _)| name.clone()).collect(), calls })
    }

    fn measured_memory(&self) -> Option<u64> {
        self.resident?.growth()
    }
}

/// Notes every call of a kernel.
struct Recorder {
    start: Instant,
    calls: Vec<Call>,
}

impl Recorder {
    fn call(&mut self, phase: usize, step: &Step, start: Instant) {
        self.calls.push(Call {
            phase,
            kernel: step.kernel.name,
            variant: "twin",
            entry: "main",
            first: true,
            start: start.duration_since(self.start).as_secs_f64(),
            seconds: start.elapsed().as_secs_f64(),
            cost: step.cost,
        });
    }
}
