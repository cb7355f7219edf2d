//! Gives every tensor of a program its memory, before anything is allocated.
//!
//! Tensors that keep their content have a buffer each. Activations and workspace lie in slots, which are reused as soon as
//! nothing needs their content. A slot is a buffer of its own, because wgpu tracks usage by buffer: it refuses a launch that
//! reads one part of a buffer and writes another. Without that rule they lie in one arena.

use super::arena::{Arena, Life, step_gradients};
use super::bytes::Bytes;
use super::program::{Program, Role, Tensor, remedy_of_parameter, remedy_of_role};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::ops::Range;

/// What a device can hold.
#[derive(Clone, Copy, Debug)]
pub struct MemoryLimits {
    /// Bytes of the largest possible binding.
    pub binding: u64,
    /// The alignment in bytes of the start of a binding.
    pub alignment: u64,
    /// Bytes of memory, if known.
    pub memory: Option<u64>,
    /// Whether a launch may read one part of a buffer and write another.
    pub arena: bool,
}

impl MemoryLimits {
    /// The limits that are left when something else takes this many bytes of memory.
    pub fn without(self, bytes: u64) -> MemoryLimits {
        MemoryLimits { memory: self.memory.map(|memory| memory.saturating_sub(bytes)), ..self }
    }
}

/// Where a tensor lies: a buffer, its first word there, and its number of words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub buffer: usize,
    pub start: usize,
    pub len: usize,
}

impl Place {
    /// A range of its words. Panics if they go beyond it.
    pub fn part(self, range: Range<usize>) -> Place {
        assert!(range.start <= range.end && range.end <= self.len, "a part lies within its tensor");
        Place { start: self.start + range.start, len: range.len(), ..self }
    }
}

pub struct Buffer {
    pub label: String,
    /// Length in 32-bit words.
    pub len: usize,
    pub role: Role,
}

/// A buffer that activations share, with the live ranges of those in it: first launch to last.
struct Slot {
    buffer: usize,
    lives: BTreeMap<usize, usize>,
}

impl Slot {
    fn is_free(&self, first: usize, last: usize) -> bool {
        self.lives.range(..=last).next_back().is_none_or(|(_, &end)| end < first)
    }
}

pub struct Plan {
    pub buffers: Vec<Buffer>,
    places: Vec<Option<Place>>,
    /// Parts of gradients in an arena, each with the launch before which it has to be cleared.
    cleared: Vec<(usize, Place)>,
}

/// Bytes by purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Memory {
    pub parameters: u64,
    pub gradients: u64,
    pub optimizer: u64,
    pub activations: u64,
    pub workspace: u64,
}

impl Memory {
    pub fn total(&self) -> u64 {
        self.of_parameters() + self.activations + self.workspace
    }

    /// The bytes that depend only on the model's size.
    fn of_parameters(&self) -> u64 {
        self.parameters + self.gradients + self.optimizer
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "parameters {}, gradients {}, optimiser {}, activations {}, workspace {}: {} in all",
            Bytes(self.parameters),
            Bytes(self.gradients),
            Bytes(self.optimizer),
            Bytes(self.activations),
            Bytes(self.workspace),
            Bytes(self.total())
        )
    }
}

impl Plan {
    /// Errors if a tensor is larger than a binding, or all tensors together are larger than the device's memory. Panics if a
    /// phase reads an activation that none of its launches has written: that is a mistake in the model.
    pub fn new(program: &Program, limits: MemoryLimits) -> Result<Plan> {
        let plan = Plan::unchecked(program, limits.arena);
        plan.check(program, limits)?;
        Ok(plan)
    }

    /// The plan of a program, whether or not a device can hold it. Panics like `new`.
    pub fn unchecked(program: &Program, arena: bool) -> Plan {
        let mut plan = Plan { buffers: Vec::new(), places: vec![None; program.tensors.len()], cleared: Vec::new() };
        if arena {
            plan.place_persistent(program, |role| role.persistent() && role != Role::StepGradient);
            plan.place_in_arena(program);
        } else {
            plan.place_persistent(program, Role::persistent);
            plan.place_in_slots(program);
        }
        plan.place_parts(program);
        plan
    }

    /// A lower bound on the bytes of activations and workspace in any plan, and in an arena also of a step's gradients. In an
    /// arena it is the most that lives at once. In slots it adds up the largest tensor that ever lives, the largest second one
    /// that lives beside others, and so on.
    pub fn least(program: &Program, arena: bool) -> u64 {
        let words = |(root, life): (u32, Life)| (program.tensors[root as usize].words(), life);
        let mut live: Vec<(usize, Life)> = lives(program, arena).into_iter().map(words).collect();
        for gradient in step_gradients(program).iter().filter(|_| arena) {
            live.extend(gradient.parts.iter().map(|part| (part.len, (part.first, gradient.last))));
        }
        live.sort_by_key(|&(words, _)| std::cmp::Reverse(words));
        let at = |time: usize| live.iter().filter(move |(_, (first, last))| (first..=last).contains(&&time));
        let times = live.iter().map(|&(_, (first, _))| first);
        let words: usize = if arena {
            times.map(|time| at(time).map(|(words, _)| words).sum()).max().unwrap_or(0)
        } else {
            let mut slots = Vec::new();
            for time in times {
                for (place, &(words, _)) in at(time).enumerate() {
                    slots.resize(slots.len().max(place + 1), 0);
                    slots[place] = words.max(slots[place]);
                }
            }
            slots.into_iter().sum()
        };
        4 * words as u64
    }

    /// The place of a tensor; `None` for an activation that no phase uses.
    pub fn place(&self, tensor: Tensor) -> Option<Place> {
        self.places.get(tensor.index()).copied().flatten()
    }

    /// What has to be cleared before a launch, counted through all phases.
    pub(super) fn cleared_before(&self, launch: usize) -> impl Iterator<Item = Place> {
        self.cleared.iter().filter(move |(first, _)| *first == launch).map(|&(_, place)| place)
    }

    /// Counts bytes by purpose. In an arena with gradients, everything beyond the gradients counts as activations.
    pub fn memory(&self) -> Memory {
        let mut memory = Memory::default();
        for buffer in &self.buffers {
            let kind = match buffer.role {
                Role::Parameter => &mut memory.parameters,
                Role::Gradient | Role::StepGradient => &mut memory.gradients,
                Role::Optimizer => &mut memory.optimizer,
                Role::Activation => &mut memory.activations,
                Role::Input | Role::Output | Role::Workspace => &mut memory.workspace,
            };
            *kind += 4 * buffer.len as u64;
        }
        let shared: u64 = self.cleared.iter().map(|(_, place)| 4 * place.len as u64).sum();
        memory.gradients += shared;
        memory.activations -= shared;
        memory
    }

    fn place_persistent(&mut self, program: &Program, persistent: impl Fn(Role) -> bool) {
        for (index, info) in program.tensors.iter().enumerate() {
            if persistent(info.role) && info.part_of.is_none() {
                let buffer = self.buffer(&info.name, info.words(), info.role);
                self.places[index] = Some(Place { buffer, start: 0, len: info.words() });
            }
        }
    }

    /// Places the largest first, each in the smallest slot that is free for its whole live range: the greedy algorithm by size
    /// of Pisarchyk and Lee, "Efficient memory management for deep neural net inference" (2020). A slot never grows, since
    /// later tensors are no larger. Phases run one after another, and so share slots.
    fn place_in_slots(&mut self, program: &Program) {
        let mut slots: Vec<Slot> = Vec::new();
        for (root, (first, last)) in largest_first(program, false) {
            let info = &program.tensors[root as usize];
            let free = slots.iter().rposition(|slot| slot.is_free(first, last));
            let slot = free.unwrap_or_else(|| {
                slots.push(Slot { buffer: self.buffer(&info.name, info.words(), info.role), lives: BTreeMap::new() });
                slots.len() - 1
            });
            slots[slot].lives.insert(first, last);
            let buffer = slots[slot].buffer;
            self.buffers[buffer].role = self.buffers[buffer].role.min(info.role);
            self.places[root as usize] = Some(Place { buffer, start: 0, len: info.words() });
        }
    }

    /// Places the gradients of a step one after another, then the longest live range first. That took less memory than the
    /// largest first: the live ranges of a step's activations are nested, and short ones find room between them.
    fn place_in_arena(&mut self, program: &Program) {
        let (mut arena, buffer) = (Arena::default(), self.buffers.len());
        for gradient in step_gradients(program) {
            let base = arena.len;
            for part in gradient.parts {
                let start = base + part.start;
                arena.put_at(start, part.len, (part.first, gradient.last));
                self.cleared.push((part.first, Place { buffer, start, len: part.len }));
            }
            let len = program.tensors[gradient.whole.index()].words();
            self.places[gradient.whole.index()] = Some(Place { buffer, start: base, len });
        }
        let mut lives = largest_first(program, true);
        lives.sort_by_key(|&(_, (first, last))| std::cmp::Reverse(last - first));
        for (root, life) in lives {
            let len = program.tensors[root as usize].words();
            self.places[root as usize] = Some(Place { buffer, start: arena.put(len, life), len });
        }
        self.buffer("arena", arena.len, Role::Activation);
    }

    fn place_parts(&mut self, program: &Program) {
        for (index, info) in program.tensors.iter().enumerate() {
            if let Some((root, start)) = info.part_of {
                let bytes = start * info.width;
                assert!(bytes.is_multiple_of(4), "`{}` starts at byte {bytes} of its whole", info.name);
                let len = info.words();
                self.places[index] =
                    self.places[root.index()].map(|place| Place { start: place.start + bytes / 4, len, ..place });
            }
        }
    }

    /// Errors like `new`.
    pub fn check(&self, program: &Program, limits: MemoryLimits) -> Result<()> {
        for (index, info) in program.tensors.iter().enumerate() {
            let Some(place) = self.places[index] else { continue };
            let bytes = 4 * place.len as u64;
            // A whole that is only used by its parts may exceed a binding, since no launch has it as an argument.
            if bytes > limits.binding && launched(program, Tensor(index as u32)) {
                let (takes, most) = (Bytes(bytes), Bytes(limits.binding));
                let problem =
                    format!("tensor `{}` takes {takes}, and the device binds at most {most} at once", info.name);
                return Err(Error::device(problem).with(remedy_of_role(info.role)));
            }
            let start = 4 * place.start as u64;
            assert!(start.is_multiple_of(limits.alignment), "`{}` starts at byte {start} of its buffer", info.name);
        }
        let memory = self.memory();
        match limits.memory {
            Some(available) if memory.total() > available => {
                let (needs, has) = (Bytes(memory.total()), Bytes(available));
                let problem = format!("training needs {needs} ({memory}), and the device has {has} available");
                Err(Error::device(problem).with(if memory.of_parameters() <= memory.total() / 2 {
                    remedy_of_role(Role::Activation)
                } else {
                    dominant_parameter(program).map_or_else(|| remedy_of_role(Role::Parameter), remedy_of_parameter)
                }))
            }
            _ => Ok(()),
        }
    }

    fn buffer(&mut self, label: &str, len: usize, role: Role) -> usize {
        self.buffers.push(Buffer { label: label.to_string(), len, role });
        self.buffers.len() - 1
    }
}

/// Activations with their live ranges, those with the most words first.
fn largest_first(program: &Program, arena: bool) -> Vec<(u32, Life)> {
    let mut lives: Vec<_> = lives(program, arena).into_iter().collect();
    lives.sort_by_key(|&(root, (first, _))| (std::cmp::Reverse(program.tensors[root as usize].words()), first));
    lives
}

/// The live range of every activation, by the number of its root. In an arena only those that twins use count.
fn lives(program: &Program, arena: bool) -> BTreeMap<u32, Life> {
    let mut lives = BTreeMap::new();
    let phases = program.phases.iter().flat_map(|phase| phase.launches.iter().map(move |launch| (phase, launch)));
    for (number, (phase, launch)) in phases.enumerate() {
        for (place, arg) in launch.given(arena) {
            let (root, _) = program.root(arg);
            if program.tensors[root.index()].role.persistent() {
                continue;
            }
            let unwritten = !lives.contains_key(&root.0) && launch.reads(place);
            let (phase, kernel, tensor) = (&phase.name, launch.kernel.name, program.name(arg));
            assert!(!unwritten, "{phase}: {kernel} reads `{tensor}` before it is written");
            lives.entry(root.0).or_insert((number, number)).1 = number;
        }
    }
    lives
}

/// The parameter that takes more than all others together, such as the embedding in a small model with a large vocabulary.
fn dominant_parameter(program: &Program) -> Option<&str> {
    let parameters = program.tensors.iter().filter(|info| info.role == Role::Parameter);
    let (parts, wholes): (Vec<_>, Vec<_>) = parameters.partition(|info| info.part_of.is_some());
    let largest = parts.into_iter().max_by_key(|info| info.len)?;
    // A copy in f16 is not a parameter of its own.
    let all: usize = wholes.iter().filter(|info| info.width == 4).map(|info| info.len).sum();
    (largest.len > all / 2).then_some(&largest.name)
}

fn launched(program: &Program, tensor: Tensor) -> bool {
    program.in_order().any(|launch| launch.args.contains(&tensor))
}
