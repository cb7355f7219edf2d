//! A test case of a kernel as a launch of its own: the data is made, every argument is put between guards, outputs are
//! poisoned, and after the run the guards are looked at.

use crate::Result;
use crate::exec::{Executor, Phase, Program, Role, Tensor};
use crate::kernels::{Access, Arg, Case, Fill, Kernel};
use crate::random::{Site, Stream};

/// Which numbers `Fill::Uniform` stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Numbers {
    Real,
    /// Small integers, whose products and sums are exact in any order.
    Integers,
}

/// Elements on either side of an argument: a multiple of 256 bytes, which every device allows a binding to start at.
pub const GUARD: usize = 64;
/// A large number as an f32 and as a u32, so that reading a guard spoils the result.
const GUARD_WORD: u32 = 0x7e5a_5a5a;
/// A NaN, which no kernel gives.
const POISON: u32 = 0x7fc0_dead;

/// A case recorded as a phase of a program.
pub struct Trial {
    pub kernel: &'static Kernel,
    pub case: Case,
    /// The case's place in the kernel's declaration.
    pub number: usize,
    pub numbers: Numbers,
    phase: Phase,
    args: Vec<Guarded>,
}

struct Guarded {
    /// Guard, argument, guard; `Tensor::NONE` when the argument is absent.
    whole: Tensor,
    content: Vec<u32>,
}

/// What an argument of a trial held after the run.
pub struct Output {
    pub arg: &'static Arg,
    pub words: Vec<u32>,
}

/// Records the chosen cases of a kernel, and again on small integers when the kernel is exact.
///
/// # Errors
/// A case is too large for any device.
pub fn record(kernel: &'static Kernel, chosen: impl Fn(&Case) -> bool) -> Result<(Program, Vec<Trial>)> {
    let mut program = Program::new();
    let mut trials = Vec::new();
    for (number, case) in (kernel.cases)().into_iter().enumerate().filter(|(_, case)| chosen(case)) {
        trials.push(Trial::record(&mut program, kernel, case.clone(), number, Numbers::Real));
        if kernel.exact {
            trials.push(Trial::record(&mut program, kernel, case, number, Numbers::Integers));
        }
    }
    Ok((program.finish()?, trials))
}

impl Trial {
    fn record(program: &mut Program, kernel: &'static Kernel, case: Case, number: usize, numbers: Numbers) -> Trial {
        assert_eq!(case.fills.len(), kernel.args.len(), "{} case {number}: a fill for each argument", kernel.name);
        let phase = program.phase(&format!("{} case {number}", kernel.name));
        let (mut args, mut parts) = (Vec::new(), Vec::new());
        for (place, (arg, fill)) in kernel.args.iter().zip(&case.fills).enumerate() {
            let (mut whole, mut part, mut words) = (Tensor::NONE, Tensor::NONE, Vec::new());
            if !matches!(fill, Fill::Absent) {
                let mut stream = Stream::new(1, Site::Init, (number * kernel.args.len() + place) as u64);
                let len = (arg.len)(&case.params);
                words = content(fill, len, numbers, &mut stream);
                assert_eq!(words.len(), len, "{} case {number}: wrong length of `{}`", kernel.name, arg.name);
                whole = program.tensor(Role::Output, arg.name, &[GUARD + len + GUARD]);
                part = program.part(whole, GUARD, len, arg.name);
            }
            args.push(Guarded { whole, content: words });
            parts.push(part);
        }
        program.launch_words(kernel, &case.params, &parts);
        Trial { kernel, case, number, numbers, phase, args }
    }

    /// Runs the trial: what it wrote (scratch left out), or what happened to a guard.
    pub fn run(&self, executor: &mut dyn Executor) -> Result<Vec<Output>, String> {
        let present = || self.kernel.args.iter().zip(&self.args).filter(|(_, guarded)| guarded.whole != Tensor::NONE);
        for (_, guarded) in present() {
            executor.write(guarded.whole, &guarded.with_guards());
        }
        let failed = |error: crate::Error| format!("{self}: {error}");
        executor.run(self.phase).map_err(failed)?;
        executor.request(&present().map(|(_, guarded)| guarded.whole).collect::<Vec<_>>()).map_err(failed)?;
        let wholes = executor.collect(true).map_err(failed)?.expect("a request is answered");
        let mut outputs = Vec::new();
        for ((arg, _), whole) in present().zip(wholes) {
            let (before, rest) = whole.split_at(GUARD);
            let (words, after) = rest.split_at(rest.len() - GUARD);
            for (side, guard) in [("before", before), ("after", after)] {
                if let Some(place) = guard.iter().position(|&word| word != GUARD_WORD) {
                    return Err(format!("{self}: element {place} of the guard {side} `{}` was written", arg.name));
                }
            }
            if !arg.access.reads_only() && arg.access != Access::Scratch {
                outputs.push(Output { arg, words: words.to_vec() });
            }
        }
        Ok(outputs)
    }
}

impl std::fmt::Display for Trial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} case {} {:?} on {:?}", self.kernel.name, self.number, self.case.params, self.numbers)
    }
}

impl Guarded {
    fn with_guards(&self) -> Vec<u32> {
        [&[GUARD_WORD; GUARD], self.content.as_slice(), &[GUARD_WORD; GUARD]].concat()
    }
}

/// As benchmarks have it, but for poison in outputs and integers where they are asked for.
fn content(fill: &Fill, len: usize, numbers: Numbers, stream: &mut Stream) -> Vec<u32> {
    match (fill, numbers) {
        (Fill::Nothing, _) => vec![POISON; len],
        (Fill::Uniform(low, high), Numbers::Integers) => {
            let count = (high.floor() - low.ceil()) as u32 + 1;
            (0..len).map(|_| (low.ceil() + stream.below(count) as f32).to_bits()).collect()
        }
        _ => fill.words(len, stream),
    }
}
