//! One buffer for everything that does not keep its content, on a device whose launches may read one part of a buffer and write
//! another.
//!
//! The gradients of a step with a single microbatch belong to it. They don't exist until the backward pass comes to their
//! layer, so until then activations may lie in their place.

use super::program::{Program, Role, Tensor};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// First and last launch that something is needed for, counted through all phases.
pub(super) type Life = (usize, usize);

/// A block that may lie anywhere starts at a multiple of this many words.
const ALIGNMENT: usize = 16;

struct Block {
    start: usize,
    end: usize,
    life: Life,
}

/// Blocks, sorted by their start.
#[derive(Default)]
pub(super) struct Arena {
    blocks: Vec<Block>,
    /// In words.
    pub len: usize,
}

impl Arena {
    pub fn put_at(&mut self, start: usize, len: usize, life: Life) {
        let at = self.blocks.partition_point(|block| block.start <= start);
        self.blocks.insert(at, Block { start, end: start + len, life });
        self.len = self.len.max(start + len);
    }

    /// Places a block in the smallest gap that is free for its whole live range (the first of equal gaps), or after all blocks
    /// that live then. Returns its start. This is the offset calculation of Pisarchyk and Lee, "Efficient memory management for
    /// deep neural net inference" (2020).
    pub fn put(&mut self, len: usize, (first, last): Life) -> usize {
        let (mut free, mut best) = (0, None);
        for block in self.blocks.iter().filter(|block| block.life.0 <= last && first <= block.life.1) {
            let gap = block.start.saturating_sub(free);
            if gap >= len && best.is_none_or(|(smallest, _)| gap < smallest) {
                best = Some((gap, free));
            }
            free = free.max(block.end.next_multiple_of(ALIGNMENT));
        }
        let start = best.map_or(free, |(_, start)| start);
        self.put_at(start, len, (first, last));
        start
    }
}

/// A gradient of one step, with the parts that launches write. A part reaches from its start to the next part's, so that the
/// parts cover the whole. Each has its own begin of life.
pub(super) struct StepGradient {
    pub whole: Tensor,
    pub parts: Vec<Part>,
    /// The last launch that needs the whole.
    pub last: usize,
}

pub(super) struct Part {
    /// In words of the whole.
    pub start: usize,
    pub len: usize,
    pub first: usize,
}

/// Every gradient of the role `StepGradient` that is used.
pub(super) fn step_gradients(program: &Program) -> Vec<StepGradient> {
    // For each whole, the words that every launch uses, and the launch.
    let mut uses: BTreeMap<usize, Vec<(Range<usize>, usize)>> = BTreeMap::new();
    for (number, launch) in program.in_order().enumerate() {
        for &arg in launch.args.iter().filter(|arg| **arg != Tensor::NONE) {
            let (root, start) = program.root(arg);
            if program.tensors[root.index()].role == Role::StepGradient {
                assert_eq!(program.tensors[root.index()].width, 4, "a step's gradients are f32");
                uses.entry(root.index()).or_default().push((start..start + program.len(arg), number));
            }
        }
    }
    let gradient = |(root, uses): (usize, Vec<(Range<usize>, usize)>)| {
        let starts: BTreeSet<usize> = uses.iter().map(|(range, _)| range.start).collect();
        let ends = starts.iter().skip(1).copied().chain([program.tensors[root].len]);
        let part = |(&start, end): (&usize, usize)| {
            let first = uses.iter().find(|(range, _)| range.start < end && start < range.end);
            Part { start, len: end - start, first: first.expect("a use starts here").1 }
        };
        let parts = starts.iter().zip(ends).map(part).collect();
        StepGradient { whole: Tensor(root as u32), parts, last: uses.last().expect("it is used").1 }
    };
    uses.into_iter().map(gradient).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::gelu::{Elements, GeluBackwardArgs};

    #[test]
    fn a_block_takes_the_smallest_gap_of_its_life() {
        let mut arena = Arena::default();
        arena.put_at(32, 32, (0, 9));
        arena.put_at(80, 16, (3, 5));
        assert_eq!(arena.put(16, (4, 4)), 64, "between the two");
        assert_eq!(arena.put(16, (6, 7)), 0, "the gap behind has no end");
        assert_eq!(arena.put(32, (5, 6)), 96, "at the end");
        assert_eq!(arena.put(64, (10, 11)), 0, "all are gone");
        assert_eq!(arena.len, 128);
    }

    /// Parts with a gap between them, one part within another, and one that only a use of the whole reaches.
    #[test]
    fn a_part_begins_where_it_is_first_touched() {
        let mut program = Program::new();
        let input = program.tensor(Role::Input, "input", &[160]);
        let whole = program.tensor(Role::StepGradient, "whole", &[160]);
        let launch = |program: &mut Program, start, len| {
            let [part, read] = [whole, input].map(|whole| program.part(whole, start, len, "part"));
            program.launch(Elements { count: len as u32 }, GeluBackwardArgs { pre: read, dy: read, d_pre: part });
        };
        program.phase("accumulate");
        launch(&mut program, 64, 64); // up to 128
        launch(&mut program, 96, 16); // in it
        launch(&mut program, 16, 30); // up to 46
        program.phase("update");
        launch(&mut program, 0, 160);
        let gradients = step_gradients(&program);
        assert_eq!(gradients.len(), 1);
        assert_eq!((gradients[0].whole, gradients[0].last), (whole, 3));
        let parts: Vec<_> = gradients[0].parts.iter().map(|part| (part.start, part.len, part.first)).collect();
        assert_eq!(parts, [(0, 16, 3), (16, 48, 2), (64, 32, 0), (96, 64, 0)]);
    }
}
