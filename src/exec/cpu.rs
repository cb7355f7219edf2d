//! Runs a program with the CPU twins of its kernels.

use super::executor::Executor;
use super::halves::{Scratch, stores_halves};
use super::host_memory::{self, Resident};
use super::plan::{Buffer, Memory, MemoryLimits, Place, Plan};
use super::profile::{Call, Profile};
use super::program::{Cost, Launch, Phase, PhaseInfo, Program, Tensor};
use crate::kernels::cpu::parallel::clear;
use crate::kernels::kernel::MAX_ARGS;
use crate::kernels::{Kernel, View, Views};
use crate::{Error, Result};
use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

pub struct CpuExecutor {
    plan: Plan,
    buffers: Vec<Vec<u32>>,
    phases: Vec<(String, Vec<Step>)>,
    /// Scratch memory for launches in f16.
    scratch: Scratch,
    /// Read-backs asked for and not yet collected.
    results: VecDeque<Vec<Vec<u32>>>,
    /// Total time spent in kernels.
    computed: Duration,
    /// Set while a profile is taken.
    recorder: Option<Recorder>,
    /// The memory of the process before this executor was made.
    resident: Option<Resident>,
}

/// A launch whose arguments are resolved to ranges of buffers, sorted by buffer and start.
struct Step {
    kernel: &'static Kernel,
    params: Vec<u32>,
    args: Vec<BoundArg>,
    /// Ranges to set to zero first, besides arguments that are fresh.
    cleared: Vec<Place>,
    cost: Cost,
    /// Whether the twin runs over scratch memory.
    halves: bool,
}

struct BoundArg {
    /// The argument's place in the kernel's declaration.
    place: usize,
    buffer: usize,
    range: Range<usize>,
    written: bool,
    /// Whether its content before the launch counts as zero.
    fresh: bool,
}

impl CpuExecutor {
    pub const ALIGNMENT: u64 = 4;

    pub fn new(program: &Program) -> Result<Self> {
        let resident = Resident::read();
        let plan = Plan::new(program, Self::limits().without(Self::scratch(program)))?;
        let buffers = plan.buffers.iter().map(allocate).collect::<Result<_>>()?;
        let mut launches = 0;
        let mut step = |launch: &Launch| {
            launches += 1;
            bind(&plan, launch, launches - 1)
        };
        let mut steps = |phase: &PhaseInfo| phase.launches.iter().map(&mut step).collect::<Vec<_>>();
        let phases = program.phases.iter().map(|phase| (phase.name.clone(), steps(phase))).collect();
        let (results, computed, scratch) = (VecDeque::new(), Duration::ZERO, Scratch::new(scratch_lens(program)));
        Ok(CpuExecutor { phases, buffers, plan, scratch, results, computed, recorder: None, resident })
    }

    /// The limits that a program has to fit.
    pub fn limits() -> MemoryLimits {
        MemoryLimits { binding: u64::MAX, alignment: Self::ALIGNMENT, memory: host_memory::for_program(), arena: true }
    }

    /// Bytes that a program takes besides its plan, to compute on values that are stored as f16.
    pub fn scratch(program: &Program) -> u64 {
        4 * scratch_lens(program).iter().sum::<usize>() as u64
    }

    fn place(&self, tensor: Tensor) -> Place {
        self.plan.place(tensor).expect("the host only touches tensors that keep their content")
    }

    fn words(&self, place: Place) -> Vec<u32> {
        self.buffers[place.buffer][place.start..place.start + place.len].to_vec()
    }
}

/// Zeros, which take memory only once they are touched.
fn allocate(buffer: &Buffer) -> Result<Vec<u32>> {
    let words = bytemuck::allocation::try_zeroed_slice_box(buffer.len).map_err(|()| {
        let problem =
            "the system refuses the memory for it: a limit of this process (`ulimit -v`) or of the machine is reached";
        Error::OutOfMemory(format!("{}: {} MiB: {problem}", buffer.label, (4 * buffer.len) >> 20))
    })?;
    Ok(words.into_vec())
}

/// The words of each argument, for launches that store f16.
fn scratch_lens(program: &Program) -> [usize; MAX_ARGS] {
    let halves = program.launches().filter(|(kernel, _, _, precision)| stores_halves(kernel, *precision));
    Scratch::lens(halves.map(|(kernel, params, ..)| (kernel, params)))
}

/// `number` counts launches through all phases.
fn bind(plan: &Plan, launch: &Launch, number: usize) -> Step {
    let mut cleared: Vec<Place> = plan.cleared_before(number).collect();
    let mut args: Vec<BoundArg> = Vec::new();
    for (place, arg) in launch.given(true) {
        let at = plan.place(arg).expect("every argument of a launch has a place");
        let (range, written) = (at.start..at.start + at.len, launch.writes(place));
        let of_arg = |part: &&mut Place| part.buffer == at.buffer && part.start == at.start && part.len >= at.len;
        let part = cleared.iter_mut().find(of_arg).filter(|_| written);
        let fresh = part.is_some();
        if let Some(part) = part {
            *part = Place { start: range.end, len: part.len - at.len, ..*part };
        }
        args.push(BoundArg { place, buffer: at.buffer, range, written, fresh });
    }
    cleared.retain(|part| part.len > 0);
    args.sort_by_key(|arg| (arg.buffer, arg.range.start));
    let (kernel, params, cost) = (launch.kernel, launch.params.clone(), launch.cost());
    let halves = stores_halves(kernel, launch.precision);
    Step { kernel, params, args, cleared, cost, halves }
}

impl Step {
    fn run(&self, buffers: &mut [Vec<u32>], scratch: &mut Scratch) {
        for place in &self.cleared {
            clear(&mut buffers[place.buffer][place.start..place.start + place.len]);
        }
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

/// Borrows the arguments that lie in one buffer. They are sorted by start, and one that is written overlaps no other.
fn cut<'a>(words: &'a mut [u32], mut args: &[BoundArg], views: &mut [View<'a>; MAX_ARGS]) {
    let (mut rest, mut passed) = (words, 0);
    while let Some(first) = args.first() {
        let (start, mut end, mut count) = (first.range.start, first.range.end, 1);
        while let Some(other) = args.get(count).filter(|other| other.range.start < end) {
            (end, count) = (end.max(other.range.end), count + 1);
        }
        let (here, later) = rest.split_at_mut(end - passed);
        let piece = &mut here[start - passed..];
        assert!(count == 1 || args[..count].iter().all(|arg| !arg.written), "a launch writes what it uses otherwise");
        if first.written {
            views[first.place] = if first.fresh { View::Fresh(piece) } else { View::Write(piece) };
        } else {
            let piece: &'a [u32] = piece;
            for arg in &args[..count] {
                views[arg.place] = View::Read(&piece[arg.range.start - start..arg.range.end - start]);
            }
        }
        (rest, passed, args) = (later, end, &args[count..]);
    }
}

impl Executor for CpuExecutor {
    fn write(&mut self, tensor: Tensor, words: &[u32]) {
        assert_eq!(self.place(tensor).len, words.len(), "a write fills its tensor");
        self.write_part(tensor, 0, words);
    }

    fn write_part(&mut self, tensor: Tensor, start: usize, words: &[u32]) {
        let place = self.place(tensor).part(start..start + words.len());
        self.buffers[place.buffer][place.start..place.start + place.len].copy_from_slice(words);
    }

    fn write_over_and_over(&mut self, tensor: Tensor, words: &[u32]) {
        let place = self.place(tensor);
        let tensor = &mut self.buffers[place.buffer][place.start..place.start + place.len];
        tensor.chunks_mut(words.len()).for_each(|chunk| chunk.copy_from_slice(&words[..chunk.len()]));
    }

    fn run(&mut self, phase: Phase) -> Result<()> {
        let start = Instant::now();
        for step in &self.phases[phase.0].1 {
            let start = self.recorder.is_some().then(Instant::now);
            step.run(&mut self.buffers, &mut self.scratch);
            if let (Some(recorder), Some(start)) = (&mut self.recorder, start) {
                recorder.call(phase.0, step, start);
            }
        }
        self.computed += start.elapsed();
        Ok(())
    }

    fn read(&mut self, tensor: Tensor) -> Result<Vec<u32>> {
        Ok(self.words(self.place(tensor)))
    }

    fn read_part(&mut self, tensor: Tensor, range: Range<usize>) -> Result<Vec<u32>> {
        Ok(self.words(self.place(tensor).part(range)))
    }

    fn request(&mut self, tensors: &[Tensor]) -> Result<()> {
        let words = tensors.iter().map(|&tensor| self.words(self.place(tensor))).collect();
        self.results.push_back(words);
        Ok(())
    }

    fn collect(&mut self, _: bool) -> Result<Option<Vec<Vec<u32>>>> {
        Ok(self.results.pop_front())
    }

    fn memory(&self) -> Memory {
        let memory = self.plan.memory();
        Memory { workspace: memory.workspace + self.scratch.bytes(), ..memory }
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

/// Records every call of a kernel.
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
