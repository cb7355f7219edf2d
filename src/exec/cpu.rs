//! Runs a program with the CPU twins of its kernels.

use super::executor::Executor;
use super::halves::{Scratch, stores_halves};
use super::plan::{Limits, Memory, Place, Plan};
use super::program::{Launch, Phase, Program, Tensor};
use crate::Result;
use crate::kernels::kernel::MAX_ARGS;
use crate::kernels::{Kernel, View, Views};
use std::collections::VecDeque;
use std::ops::Range;

pub struct CpuExecutor {
    plan: Plan,
    buffers: Vec<Vec<u32>>,
    phases: Vec<Vec<Step>>,
    /// For launches in f16.
    scratch: Scratch,
    /// Its bytes.
    scratch_bytes: u64,
    /// Read-backs asked for and not yet collected.
    results: VecDeque<Vec<Vec<u32>>>,
}

/// A launch with its arguments found: which run of which buffer, sorted by buffer and start.
struct Step {
    kernel: &'static Kernel,
    params: Vec<u32>,
    args: Vec<BoundArg>,
    /// Whether the twin runs over scratch memory.
    halves: bool,
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
        let launches = program.phases.iter().flat_map(|phase| &phase.launches);
        let halves = launches.filter(|launch| stores_halves(launch.kernel, launch.precision));
        let lens = Scratch::lens(halves.map(|launch| (launch.kernel, &launch.params[..])));
        let scratch_bytes = 4 * lens.iter().sum::<usize>() as u64;
        let memory = available_memory().map(|bytes| bytes.saturating_sub(scratch_bytes));
        let plan = Plan::new(program, Limits { binding: u64::MAX, alignment: Self::ALIGNMENT, memory })?;
        let buffers = plan.buffers.iter().map(|buffer| vec![0; buffer.len]).collect();
        let phases = program.phases.iter().map(|phase| phase.launches.iter().map(|l| bind(&plan, l)).collect());
        let (phases, scratch) = (phases.collect(), Scratch::new(lens));
        Ok(CpuExecutor { phases, buffers, plan, scratch, scratch_bytes, results: VecDeque::new() })
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
    let halves = stores_halves(launch.kernel, launch.precision);
    Step { kernel: launch.kernel, params: launch.params.clone(), args, halves }
}

impl Step {
    fn run(&self, buffers: &mut [Vec<u32>], scratch: &mut Scratch) {
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
        match self.halves {
            true => scratch.run(self.kernel, &self.params, views),
            false => (self.kernel.twin)(&self.params, Views(views)),
        }
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
        for step in &self.phases[phase.0] {
            step.run(&mut self.buffers, &mut self.scratch);
        }
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
        let memory = self.plan.memory();
        Memory { workspace: memory.workspace + self.scratch_bytes, ..memory }
    }
}

/// Bytes that can be had without swapping, where the system tells (Linux).
pub fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}
