//! Gives every tensor of a program its memory, before anything is allocated.
//!
//! Tensors that keep their content have a buffer each. Activations and workspace live in slots that are used again as
//! soon as nothing needs what is in them; a slot is a buffer of its own, because wgpu tracks usage by buffer: one that a
//! launch reads and another part of which it writes would be refused.

use super::program::{Launch, Program, Role, Tensor, setting_to_lower};
use crate::{Error, Result};
use std::collections::BTreeMap;

/// What a device can hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the largest binding.
    pub binding: u64,
    /// Bytes that a binding's start is a multiple of.
    pub alignment: u64,
    /// Bytes of memory, where known.
    pub memory: Option<u64>,
}

/// Where a tensor lies: a buffer, and its first word and their count there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub buffer: usize,
    pub start: usize,
    pub len: usize,
}

pub struct Buffer {
    pub label: String,
    /// In 32-bit words.
    pub len: usize,
    pub role: Role,
}

pub struct Plan {
    pub buffers: Vec<Buffer>,
    places: Vec<Option<Place>>,
}

/// Bytes by what they are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

    /// What the size of the model alone decides.
    fn of_parameters(&self) -> u64 {
        self.parameters + self.gradients + self.optimizer
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "parameters {}, gradients {}, optimiser {}, activations {}, workspace {}: {} bytes in all",
            self.parameters,
            self.gradients,
            self.optimizer,
            self.activations,
            self.workspace,
            self.total()
        )
    }
}

impl Plan {
    /// Errors when a tensor is larger than a binding, or everything together larger than the device's memory. Panics
    /// when a phase reads an activation that none of its launches has written: a mistake in the model.
    pub fn new(program: &Program, limits: Limits) -> Result<Plan> {
        let mut plan = Plan { buffers: Vec::new(), places: vec![None; program.tensors.len()] };
        plan.place_persistent(program);
        for phase in 0..program.phases.len() {
            plan.place_activations(program, phase);
        }
        plan.place_parts(program);
        plan.check(program, limits)?;
        Ok(plan)
    }

    /// The place of a tensor; `None` for an activation that no phase uses.
    pub fn place(&self, tensor: Tensor) -> Option<Place> {
        self.places.get(tensor.index()).copied().flatten()
    }

    pub fn memory(&self) -> Memory {
        let mut memory = Memory::default();
        for buffer in &self.buffers {
            let kind = match buffer.role {
                Role::Parameter => &mut memory.parameters,
                Role::Gradient => &mut memory.gradients,
                Role::Optimizer => &mut memory.optimizer,
                Role::Activation => &mut memory.activations,
                Role::Input | Role::Output | Role::Workspace => &mut memory.workspace,
            };
            *kind += 4 * buffer.len as u64;
        }
        memory
    }

    fn place_persistent(&mut self, program: &Program) {
        for (index, info) in program.tensors.iter().enumerate() {
            if info.role.persistent() && info.part_of.is_none() {
                let buffer = self.buffer(&info.name, info.words(), info.role);
                self.places[index] = Some(Place { buffer, start: 0, len: info.words() });
            }
        }
    }

    fn place_activations(&mut self, program: &Program, phase: usize) {
        let lives = lives(program, phase);
        let mut free: Vec<usize> = (0..self.buffers.len()).filter(|&b| !self.buffers[b].role.persistent()).collect();
        for (number, launch) in program.phases[phase].launches.iter().enumerate() {
            for root in roots(program, launch) {
                if lives[&root].0 == number {
                    let info = &program.tensors[root as usize];
                    let buffer = self.take_slot(&mut free, info.words(), info.role, &info.name);
                    self.places[root as usize] = Some(Place { buffer, start: 0, len: info.words() });
                }
            }
            for root in roots(program, launch) {
                if lives[&root].1 == number {
                    free.extend(self.places[root as usize].map(|place| place.buffer));
                }
            }
        }
    }

    /// The smallest free slot that is large enough; else the largest free one, enlarged; else a new one.
    fn take_slot(&mut self, free: &mut Vec<usize>, len: usize, role: Role, name: &str) -> usize {
        let fits = free.iter().copied().filter(|&slot| self.buffers[slot].len >= len);
        let best = fits.min_by_key(|&slot| (self.buffers[slot].len, slot));
        let best = best.or_else(|| free.iter().copied().max_by_key(|&slot| (self.buffers[slot].len, slot)));
        let Some(slot) = best else { return self.buffer(name, len, role) };
        free.retain(|&other| other != slot);
        let buffer = &mut self.buffers[slot];
        if buffer.len < len {
            (buffer.len, buffer.label) = (len, name.to_string());
        }
        buffer.role = buffer.role.min(role);
        slot
    }

    fn place_parts(&mut self, program: &Program) {
        for (index, info) in program.tensors.iter().enumerate() {
            if let Some((root, start)) = info.part_of {
                let bytes = start * info.width;
                assert!(bytes.is_multiple_of(4), "`{}` starts at byte {bytes} of its whole", info.name);
                let (start, len) = (bytes / 4, info.words());
                self.places[index] = self.places[root.index()].map(|place| Place { start, len, ..place });
            }
        }
    }

    fn check(&self, program: &Program, limits: Limits) -> Result<()> {
        for (index, info) in program.tensors.iter().enumerate() {
            let Some(place) = self.places[index] else { continue };
            let bytes = 4 * place.len as u64;
            // A whole that is only used by its parts may exceed a binding; no launch has it as an argument.
            if bytes > limits.binding && launched(program, Tensor(index as u32)) {
                return Err(Error::Device(format!(
                    "tensor `{}` takes {bytes} bytes, and the device binds at most {} at once; lower {}",
                    info.name,
                    limits.binding,
                    setting_to_lower(info.role)
                )));
            }
            let start = 4 * place.start as u64;
            assert!(start.is_multiple_of(limits.alignment), "`{}` starts at byte {start} of its buffer", info.name);
        }
        let memory = self.memory();
        match limits.memory {
            Some(available) if memory.total() > available => Err(Error::Device(format!(
                "training needs {} bytes ({memory}), and the device has {available} available; lower {}",
                memory.total(),
                setting_to_lower(if memory.of_parameters() > memory.total() / 2 {
                    Role::Parameter
                } else {
                    Role::Activation
                })
            ))),
            _ => Ok(()),
        }
    }

    fn buffer(&mut self, label: &str, len: usize, role: Role) -> usize {
        self.buffers.push(Buffer { label: label.to_string(), len, role });
        self.buffers.len() - 1
    }
}

/// First and last launch of every activation of a phase, by the number of its root.
fn lives(program: &Program, phase: usize) -> BTreeMap<u32, (usize, usize)> {
    let mut lives = BTreeMap::new();
    let phase = &program.phases[phase];
    for (number, launch) in phase.launches.iter().enumerate() {
        for (place, &arg) in launch.args.iter().enumerate().filter(|(_, arg)| **arg != Tensor::NONE) {
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

/// The activations and workspace that a launch uses, each once, by the number of its root.
fn roots(program: &Program, launch: &Launch) -> Vec<u32> {
    let used = launch.args.iter().filter(|&&arg| arg != Tensor::NONE).map(|&arg| program.root(arg).0);
    let mut roots: Vec<u32> = used.filter(|t| !program.tensors[t.index()].role.persistent()).map(|t| t.0).collect();
    roots.sort_unstable();
    roots.dedup();
    roots
}

fn launched(program: &Program, tensor: Tensor) -> bool {
    program.phases.iter().flat_map(|phase| &phase.launches).any(|launch| launch.args.contains(&tensor))
}
