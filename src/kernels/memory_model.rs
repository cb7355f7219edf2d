//! Orders memory across barriers in SPIR-V with cooperative matrices. Such modules declare Vulkan's memory model. There a load
//! or store is private to its invocation unless it says otherwise, and a barrier makes writes available or visible only if it
//! says so. naga 30 says neither (gfx-rs/wgpu #8805, #10016), so a driver may move an access of workgroup memory across a
//! barrier.
//!
//! According to the appendix "Memory Model" of the Vulkan specification (Location-Ordered), two accesses by different
//! invocations of a dispatch are ordered if both are non-private and a barrier between them makes writes available and visible.
//! The barrier already has WGSL's storage classes and scope, so an access needs no scope of its own.

use spirv::{Decoration, MemoryAccess, MemorySemantics, Op, StorageClass};
use std::collections::{HashMap, HashSet};

/// Words before a module's instructions. The fourth of them is the largest id plus one.
const HEADER: usize = 5;
const BOUND: usize = 3;

/// A module as naga writes it, plus the memory operands and semantics that it lacks. A module that doesn't declare Vulkan's
/// memory model is returned unchanged, and so is one that was completed before.
pub(super) fn order_accesses(words: Vec<u32>) -> Vec<u32> {
    let uses_vulkans = |instruction: &[u32]| {
        op(instruction) == Some(Op::MemoryModel) && instruction[2] == spirv::MemoryModel::Vulkan as u32
    };
    if instructions(&words).any(uses_vulkans) { Module::of(&words).ordered(&words) } else { words }
}

/// What has to be known of a module before it is rewritten.
#[derive(Default)]
struct Module {
    read_only: HashSet<u32>,
    /// Pointers into memory that invocations share and that the shader may write. Read-only memory was written before the
    /// dispatch, so private reads of it are in order. naga passes no such pointers as parameters of functions.
    shared: HashSet<u32>,
    /// Constants that barriers use as their semantics.
    semantics: HashSet<u32>,
}

impl Module {
    fn of(words: &[u32]) -> Module {
        let mut module = Module::default();
        instructions(words).for_each(|instruction| module.note(instruction));
        module
    }

    fn note(&mut self, instruction: &[u32]) {
        match (op(instruction), &instruction[1..]) {
            (Some(Op::Decorate), &[id, decoration, ..]) if decoration == Decoration::NonWritable as u32 => {
                self.read_only.insert(id);
            }
            (Some(Op::Variable), &[_, id, class, ..]) => {
                let shared = [StorageClass::Workgroup as u32, StorageClass::StorageBuffer as u32].contains(&class);
                if shared && !self.read_only.contains(&id) {
                    self.shared.insert(id);
                }
            }
            (Some(Op::AccessChain), &[_, id, base, ..]) if self.shared.contains(&base) => {
                self.shared.insert(id);
            }
            (Some(Op::ControlBarrier | Op::MemoryBarrier), &[.., semantics]) => {
                self.semantics.insert(semantics);
            }
            _ => (),
        }
    }

    fn ordered(&self, words: &[u32]) -> Vec<u32> {
        let mut out = words[..HEADER].to_vec();
        // A constant used by barriers may also serve as a number elsewhere, so barriers get a constant of their own after it.
        let mut complete = HashMap::new();
        for instruction in instructions(words) {
            let start = out.len();
            out.extend_from_slice(instruction);
            match (op(instruction), &instruction[1..]) {
                (Some(Op::Load), &[_, _, pointer, ..]) => self.share(&mut out, start, pointer, 4),
                (Some(Op::Store), &[pointer, ..]) => self.share(&mut out, start, pointer, 3),
                (Some(Op::CooperativeMatrixLoadKHR), &[_, _, pointer, ..]) => self.share(&mut out, start, pointer, 6),
                (Some(Op::CooperativeMatrixStoreKHR), &[pointer, ..]) => self.share(&mut out, start, pointer, 5),
                (Some(Op::Constant), &[ty, id, value]) if self.semantics.contains(&id) => {
                    let all = value | (MemorySemantics::MAKE_AVAILABLE | MemorySemantics::MAKE_VISIBLE).bits();
                    if all != value {
                        out.extend_from_slice(&[instruction[0], ty, out[BOUND], all]);
                        complete.insert(id, out[BOUND]);
                        out[BOUND] += 1;
                    }
                }
                (Some(Op::ControlBarrier | Op::MemoryBarrier), &[.., semantics]) => {
                    let last = out.len() - 1;
                    out[last] = *complete.get(&semantics).unwrap_or(&semantics);
                }
                _ => (),
            }
        }
        out
    }

    /// Makes the access at `start`, the last instruction, non-private if its pointer is shared. Its memory operands come after
    /// `before` words; a matrix always has a stride before them.
    fn share(&self, out: &mut Vec<u32>, start: usize, pointer: u32, before: usize) {
        if !self.shared.contains(&pointer) {
            return;
        }
        if out.len() == start + before {
            out.push(MemoryAccess::NONE.bits());
            out[start] += 1 << 16;
        }
        out[start + before] |= MemoryAccess::NON_PRIVATE_POINTER.bits();
    }
}

/// A module's instructions, each with its length and opcode in its first word.
fn instructions(words: &[u32]) -> impl Iterator<Item = &[u32]> {
    let mut rest = &words[HEADER..];
    std::iter::from_fn(move || {
        let len = *rest.first()? >> 16;
        let (instruction, behind) = rest.split_at(len as usize);
        rest = behind;
        Some(instruction)
    })
}

fn op(instruction: &[u32]) -> Option<Op> {
    Op::from_u32(instruction[0] & 0xffff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::translate::Parsed;
    use crate::kernels::{KERNELS, Precision};
    use spirv::Scope;

    const WITH_MATRICES: &str = "
        enable f16;
        enable wgpu_cooperative_matrix;
        @group(0) @binding(0) var<uniform> params: vec4<u32>;
        @group(0) @binding(1) var<storage, read> given: array<f16>;
        @group(0) @binding(2) var<storage, read_write> result: array<f32>;
        var<workgroup> tile: array<f16, 512>;
        var<workgroup> sums: array<f32, 256>;

        fn sum(place: u32) -> f32 { return sums[place]; }

        @compute @workgroup_size(64)
        fn main(@builtin(local_invocation_index) thread: u32) {
            var place = thread + params.x + 264u;
            tile[place % 512u] = given[place];
            workgroupBarrier();
            let a = coopLoad<coop_mat16x16<f16, A>>(&tile[0], 16u);
            let b = coopLoad<coop_mat16x16<f16, B>>(&tile[256], 16u);
            let c = coopMultiplyAdd(a, b, coop_mat16x16<f32, C>());
            coopStore(c, &sums[0], 16u);
            workgroupBarrier();
            result[thread] = result[thread] + sum(thread);
        }";

    const WITHOUT: &str = "
        @group(0) @binding(0) var<storage, read_write> result: array<f32>;
        var<workgroup> sums: array<f32, 64>;

        @compute @workgroup_size(64)
        fn main(@builtin(local_invocation_index) thread: u32) {
            sums[thread] = result[thread];
            workgroupBarrier();
            result[thread] = sums[63u - thread];
        }";

    fn to_spirv(wgsl: &str, entry: &str) -> Vec<u32> {
        Parsed::new(wgsl, wgpu::Features::all()).unwrap().unordered(entry).unwrap()
    }

    /// How many instructions there are of each kind.
    fn counts(words: &[u32]) -> HashMap<u32, usize> {
        let mut counts = HashMap::new();
        instructions(words).for_each(|instruction| *counts.entry(instruction[0] & 0xffff).or_default() += 1);
        counts
    }

    /// Memory operands of the accesses of a kind, where it has any.
    fn operands(words: &[u32], wanted: Op, before: usize) -> Vec<Option<u32>> {
        let accesses = instructions(words).filter(|instruction| op(instruction) == Some(wanted));
        accesses.map(|access| access.get(before).copied()).collect()
    }

    /// The scope and semantics of every barrier.
    fn barriers(words: &[u32]) -> Vec<(u32, MemorySemantics)> {
        let constants: HashMap<u32, u32> = instructions(words)
            .filter(|instruction| op(instruction) == Some(Op::Constant) && instruction.len() == 4)
            .map(|constant| (constant[2], constant[3]))
            .collect();
        let barriers = instructions(words).filter(|instruction| op(instruction) == Some(Op::ControlBarrier));
        barriers
            .map(|barrier| (constants[&barrier[2]], MemorySemantics::from_bits_retain(constants[&barrier[3]])))
            .collect()
    }

    /// What WGSL's `workgroupBarrier()` has to become.
    const BARRIER: (u32, MemorySemantics) = (
        Scope::Workgroup as u32,
        MemorySemantics::ACQUIRE_RELEASE
            .union(MemorySemantics::WORKGROUP_MEMORY)
            .union(MemorySemantics::MAKE_AVAILABLE)
            .union(MemorySemantics::MAKE_VISIBLE),
    );

    #[test]
    fn accesses_of_shared_memory_and_barriers_are_marked() {
        let from_naga = to_spirv(WITH_MATRICES, "main");
        let ordered = order_accesses(from_naga.clone());
        let shared = Some(MemoryAccess::NON_PRIVATE_POINTER.bits());

        assert_eq!(operands(&ordered, Op::CooperativeMatrixLoadKHR, 6), [shared; 2]);
        assert_eq!(operands(&ordered, Op::CooperativeMatrixStoreKHR, 5), [shared]);
        let count = |op, before| operands(&ordered, op, before).iter().filter(|found| **found == shared).count();
        assert_eq!(count(Op::Store, 3), 2, "the tile's and the result's, not the local variable's");
        assert_eq!(
            count(Op::Load, 4),
            2,
            "the sums' and the result's, not the parameters', the input's or the variable's"
        );
        assert!(operands(&ordered, Op::Load, 4).contains(&None));

        assert_eq!(barriers(&ordered), [BARRIER; 2]);
    }

    #[test]
    fn nothing_but_one_constant_is_added() {
        let from_naga = to_spirv(WITH_MATRICES, "main");
        let ordered = order_accesses(from_naga.clone());
        let mut expected = counts(&from_naga);
        *expected.get_mut(&(Op::Constant as u32)).unwrap() += 1;
        assert_eq!(counts(&ordered), expected);
        assert_eq!(ordered[BOUND], from_naga[BOUND] + 1);
        let number = |words: &[u32]| instructions(words).filter(|found| found.last() == Some(&264)).count();
        assert_eq!(number(&ordered), number(&from_naga), "264 is a number of the shader as well");
    }

    #[test]
    fn a_second_time_changes_nothing() {
        let once = order_accesses(to_spirv(WITH_MATRICES, "main"));
        assert_eq!(order_accesses(once.clone()), once);
    }

    #[test]
    fn kernels_with_matrices_have_barriers_of_workgroups_alone() {
        let variants = KERNELS.iter().flat_map(|kernel| kernel.variants.iter().map(move |variant| (kernel, variant)));
        for (kernel, variant) in variants.filter(|(_, variant)| variant.matrices.is_some()) {
            for case in (kernel.cases)().iter().filter(|case| variant.suits(&case.params, Precision::F16)) {
                let wgsl =
                    kernel.wgsl(variant, &case.params, case.present(), Precision::F16, wgpu::Features::SHADER_INT64);
                for pass in variant.passes {
                    let ordered = order_accesses(to_spirv(&wgsl, pass.entry));
                    let found = barriers(&ordered);
                    // A storage barrier's scope is the whole device, and naga does not declare that.
                    assert!(
                        !found.is_empty() && found.iter().all(|barrier| *barrier == BARRIER),
                        "{found:?} in {wgsl}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_module_without_matrices_stays_as_it_is() {
        let from_naga = to_spirv(WITHOUT, "main");
        assert_eq!(order_accesses(from_naga.clone()), from_naga);
    }
}
