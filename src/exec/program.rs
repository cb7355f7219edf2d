//! A step as data: tensors with names and roles, and phases, each a list of kernel launches over them. It is recorded once,
//! planned once and replayed by an executor.

use crate::kernels::{Access, Argument, Arguments, Elem, Kernel, Params, Precision};
use crate::{Error, Remedy, Result};

/// A tensor of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tensor(pub(super) u32);

impl Tensor {
    /// Stands for an optional argument that is absent.
    pub const NONE: Tensor = Tensor(u32::MAX);

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a tensor is for. All but `Activation`, `Workspace` and `StepGradient` keep their content from phase to phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Parameter,
    Gradient,
    /// Zero before its first launch of a step and unused after its last, in the order in which phases were recorded. At other
    /// times its memory may hold something else.
    StepGradient,
    /// Moments and counters of the optimiser.
    Optimizer,
    /// Written by the host: token ids, spans, learning rate.
    Input,
    /// Read by the host: metrics, logits.
    Output,
    /// Lives from its first launch to its last within a phase.
    Activation,
    /// Working memory of one launch.
    Workspace,
}

impl Role {
    /// Whether such tensors have memory of their own. A `StepGradient` has, if the device has no arena.
    pub fn persistent(self) -> bool {
        !matches!(self, Role::Activation | Role::Workspace)
    }
}

pub(super) struct TensorInfo {
    pub name: String,
    /// Length in elements.
    pub len: usize,
    /// Bytes of an element.
    pub width: usize,
    pub role: Role,
    /// The tensor that this one is a part of, and the element of it that it starts at.
    pub part_of: Option<(Tensor, usize)>,
}

impl TensorInfo {
    /// Length in 32-bit words.
    pub fn words(&self) -> usize {
        (self.len * self.width).div_ceil(4)
    }
}

/// The work of a launch on a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Floating-point operations.
    pub flops: u64,
    /// Bytes that have to be moved: see [`Kernel::bytes`].
    pub bytes: u64,
}

impl std::ops::Div<u64> for Cost {
    type Output = Cost;

    fn div(self, parts: u64) -> Cost {
        Cost { flops: self.flops / parts, bytes: self.bytes / parts }
    }
}

pub(super) struct Launch {
    pub kernel: &'static Kernel,
    pub params: Vec<u32>,
    /// One for each argument of the kernel, `Tensor::NONE` where absent.
    pub args: Vec<Tensor>,
    /// How it stores `real`.
    pub precision: Precision,
    /// The place of the variant that a GPU must run, if the device may not choose.
    pub variant: Option<usize>,
}

impl Launch {
    /// One bit for each argument that is given.
    pub fn present(&self) -> u32 {
        self.args.iter().enumerate().map(|(place, &arg)| u32::from(arg != Tensor::NONE) << place).sum()
    }

    pub fn cost(&self) -> Cost {
        Cost {
            flops: (self.kernel.flops)(&self.params),
            bytes: self.kernel.bytes(&self.params, self.present(), self.precision),
        }
    }

    /// Whether the launch needs the argument's content from before.
    pub fn reads(&self, place: usize) -> bool {
        self.kernel.args[place].access.reads()
    }

    pub fn writes(&self, place: usize) -> bool {
        !self.kernel.args[place].access.reads_only()
    }

    /// Places and tensors of the arguments that are given. If twins run, those that only shaders use are left out.
    pub fn given(&self, twins: bool) -> impl Iterator<Item = (usize, Tensor)> {
        let used = move |place: usize| !twins || self.kernel.args[place].access != Access::ShaderScratch;
        self.args.iter().copied().enumerate().filter(move |&(place, arg)| arg != Tensor::NONE && used(place))
    }
}

/// A part of a program that runs as a whole, such as one microbatch's forward and backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase(pub(super) usize);

pub(super) struct PhaseInfo {
    pub name: String,
    pub launches: Vec<Launch>,
}

#[derive(Default)]
pub struct Program {
    pub(super) tensors: Vec<TensorInfo>,
    pub(super) phases: Vec<PhaseInfo>,
    /// How `real` arguments of its launches are stored.
    precision: Precision,
    /// The same for what is being recorded now.
    current: Precision,
    /// The first error while recording. `finish` returns it, so that the code of a model needs no `?`.
    problem: Option<Error>,
}

impl Program {
    /// The alignment in bytes of the start of a part: the largest that any adapter asks for.
    pub const PART_ALIGNMENT: usize = 256;

    pub fn new() -> Self {
        Self::default()
    }

    /// A program whose `real` tensors are stored in this precision.
    pub fn of(precision: Precision) -> Self {
        Program { precision, current: precision, ..Self::default() }
    }

    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// From now on, tensors and launches are recorded with `real` stored in this precision. Returns the precision until now.
    pub fn record_in(&mut self, precision: Precision) -> Precision {
        std::mem::replace(&mut self.current, precision)
    }

    /// A new tensor of f32 or u32; `shape` in elements.
    pub fn tensor(&mut self, role: Role, name: impl Into<String>, shape: &[usize]) -> Tensor {
        self.add(role, name.into(), shape, 4)
    }

    /// A new tensor for `real` arguments; `shape` in elements.
    pub fn reals(&mut self, role: Role, name: impl Into<String>, shape: &[usize]) -> Tensor {
        self.add(role, name.into(), shape, self.current.bytes())
    }

    /// A new tensor for arguments of this element type; `shape` in elements.
    pub fn elements(&mut self, elem: Elem, role: Role, name: impl Into<String>, shape: &[usize]) -> Tensor {
        self.add(role, name.into(), shape, elem.bytes(self.current))
    }

    fn add(&mut self, role: Role, name: String, shape: &[usize], width: usize) -> Tensor {
        let len = shape.iter().try_fold(1usize, |len, &size| len.checked_mul(size)).filter(|&len| len < 1 << 30);
        let len = len.unwrap_or_else(|| {
            let problem = "has more than 2^30 elements, more than any device binds";
            self.fail(format!("tensor `{name}` of shape {shape:?} {problem}"), remedy_of_role(role));
            1
        });
        self.push(TensorInfo { name, len: len.max(1), width, role, part_of: None })
    }

    /// The elements `start..start + len` of `whole`, as a tensor of its own.
    pub fn part(&mut self, whole: Tensor, start: usize, len: usize, name: impl Into<String>) -> Tensor {
        let (root, offset) = self.root(whole);
        let info = &self.tensors[root.index()];
        // If the whole was refused as too large, it has no room for its parts.
        assert!(self.problem.is_some() || offset + start + len <= info.len, "a part lies outside of `{}`", info.name);
        let (role, width) = (info.role, info.width);
        self.push(TensorInfo { name: name.into(), len, width, role, part_of: Some((root, offset + start)) })
    }

    /// Starts a phase: the launches that follow belong to it.
    pub fn phase(&mut self, name: &str) -> Phase {
        self.phases.push(PhaseInfo { name: name.into(), launches: Vec::new() });
        Phase(self.phases.len() - 1)
    }

    /// Records a launch in the current phase, and makes its working memory. Panics if the arguments don't fit the declaration:
    /// that is a mistake in the recording code, never in the user's input.
    pub fn launch<A: Arguments<Tensor>>(&mut self, params: A::Params, args: A) {
        let (kernel, words) = (A::KERNEL, params.words());
        let mut tensor = |(place, given): (usize, Argument<Tensor>)| match given {
            Argument::Given(tensor) => tensor,
            Argument::Absent => Tensor::NONE,
            Argument::Scratch => {
                let arg = &kernel.args[place];
                let name = format!("{}.{}", kernel.name, arg.name);
                self.elements(arg.elem, Role::Workspace, name, &[(arg.len)(words)])
            }
        };
        let args: Vec<Tensor> = args.list().into_iter().enumerate().map(&mut tensor).collect();
        self.launch_words(kernel, words, &args);
    }

    /// `launch` in the form of any kernel's `Case`: parameters as words, and one argument for each in the declaration.
    pub fn launch_words(&mut self, kernel: &'static Kernel, params: &[u32], args: &[Tensor]) {
        self.launch_variant(kernel, params, args, None);
    }

    /// `launch_words` for the variant at a place of the declaration, if one is given.
    pub fn launch_variant(&mut self, kernel: &'static Kernel, params: &[u32], args: &[Tensor], variant: Option<usize>) {
        assert_eq!(params.len(), kernel.fields.len(), "{}: wrong number of parameters", kernel.name);
        assert_eq!(args.len(), kernel.args.len(), "{}: wrong number of arguments", kernel.name);
        let (precision, args, params) = (self.current, args.to_vec(), params.to_vec());
        let launch = Launch { kernel, params, args, precision, variant };
        if self.problem.is_none() {
            self.check(&launch);
        }
        let phase = self.phases.last_mut().expect("a phase is started before its launches");
        phase.launches.push(launch);
    }

    fn check(&self, launch: &Launch) {
        let name = launch.kernel.name;
        for (place, (arg, &tensor)) in launch.kernel.args.iter().zip(&launch.args).enumerate() {
            if tensor == Tensor::NONE {
                assert!(arg.access.optional(), "{name}: argument `{}` is absent", arg.name);
                continue;
            }
            let (info, len) = (&self.tensors[tensor.index()], (arg.len)(&launch.params));
            assert_eq!(info.len, len, "{name}: `{}` has the wrong length for `{}`", info.name, arg.name);
            let width = arg.elem.bytes(launch.precision);
            assert_eq!(info.width, width, "{name}: `{}` has the wrong element for `{}`", info.name, arg.name);
            for (other_place, &other) in launch.args.iter().enumerate().filter(|&(other, _)| other != place) {
                let clash = other != Tensor::NONE && self.clash(launch, (place, tensor), (other_place, other));
                assert!(!clash, "{name}: `{}` is written and used twice", info.name);
            }
        }
    }

    /// wgpu's rule: what a launch writes must not be in a buffer that it reads, nor overlap anything else that it writes.
    fn clash(&self, launch: &Launch, (a_place, a): (usize, Tensor), (b_place, b): (usize, Tensor)) -> bool {
        let ((a_root, a_start), (b_root, b_start)) = (self.root(a), self.root(b));
        let overlap = a_start < b_start + self.len(b) && b_start < a_start + self.len(a);
        let (a_written, b_written) = (launch.writes(a_place), launch.writes(b_place));
        a_root == b_root && (a_written != b_written || (a_written && overlap))
    }

    /// Checks that recording went well. Errors name the tensor that is too large.
    pub fn finish(mut self) -> Result<Program> {
        match self.problem.take() {
            Some(problem) => Err(problem),
            None => Ok(self),
        }
    }

    pub fn name(&self, tensor: Tensor) -> &str {
        &self.tensors[tensor.index()].name
    }

    pub fn len(&self, tensor: Tensor) -> usize {
        self.tensors[tensor.index()].len
    }

    /// Launches and floating-point operations of a phase.
    pub fn cost(&self, phase: Phase) -> (usize, u64) {
        let launches = &self.phases[phase.0].launches;
        (launches.len(), launches.iter().map(|launch| (launch.kernel.flops)(&launch.params)).sum())
    }

    /// Every launch: its kernel, its parameters, one bit for each argument that is given, and how it stores `real`.
    pub fn launches(&self) -> impl Iterator<Item = (&'static Kernel, &[u32], u32, Precision)> {
        self.in_order().map(|launch| (launch.kernel, launch.params.as_slice(), launch.present(), launch.precision))
    }

    /// The launches of all phases, as they were recorded.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &Launch> {
        self.phases.iter().flat_map(|phase| &phase.launches)
    }

    /// A lower bound on the seconds of a phase on a device of these speeds: each launch is bound by its arithmetic or by its
    /// memory traffic (Williams et al., "Roofline", 2009).
    pub fn least_seconds(&self, phase: Phase, flops_per_second: f64, bytes_per_second: f64) -> f64 {
        let seconds = |launch: &Launch| {
            let Cost { flops, bytes } = launch.cost();
            (flops as f64 / flops_per_second).max(bytes as f64 / bytes_per_second)
        };
        self.phases[phase.0].launches.iter().map(seconds).sum()
    }

    pub(super) fn root(&self, tensor: Tensor) -> (Tensor, usize) {
        self.tensors[tensor.index()].part_of.unwrap_or((tensor, 0))
    }

    fn push(&mut self, info: TensorInfo) -> Tensor {
        self.tensors.push(info);
        Tensor(self.tensors.len() as u32 - 1)
    }

    /// Refuses the program; what is recorded after that is not used. Only the first problem counts.
    pub(crate) fn fail(&mut self, problem: String, remedy: Remedy) {
        self.problem.get_or_insert(Error::device(problem).with(remedy));
    }
}

/// What helps if a parameter is too large, by its name.
pub(crate) fn remedy_of_parameter(name: &str) -> Remedy {
    if name.starts_with("embeddings.tokens") || name.starts_with("decoder") {
        Remedy::SmallerVocabulary
    } else if name.starts_with("embeddings.positions") {
        Remedy::FewerPositions
    } else {
        Remedy::NarrowerModel
    }
}

/// What helps if tensors of a role are too large.
pub(super) fn remedy_of_role(role: Role) -> Remedy {
    match role {
        Role::Parameter | Role::Gradient | Role::StepGradient | Role::Optimizer => Remedy::SmallerModel,
        _ => Remedy::SmallerBatch,
    }
}
