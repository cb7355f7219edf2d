//! The arguments of a launch as a CPU twin sees them.

use super::cpu::parallel::clear;
use super::kernel::MAX_ARGS;
use bytemuck::Pod;

/// An argument as a CPU twin sees it.
#[derive(Default)]
pub enum View<'a> {
    #[default]
    Absent,
    Read(&'a [u32]),
    Write(&'a mut [u32]),
    /// To be written; what lies there before counts as zero.
    Fresh(&'a mut [u32]),
}

impl<'a> View<'a> {
    /// What lies there, as words.
    pub fn words(&self) -> &[u32] {
        match self {
            View::Absent => &[],
            View::Read(words) => words,
            View::Write(words) | View::Fresh(words) => words,
        }
    }

    /// The elements of an input; empty when it is absent.
    pub fn read<T: Pod>(self) -> &'a [T] {
        match self {
            View::Absent => &[],
            View::Read(words) => bytemuck::cast_slice(words),
            View::Write(words) | View::Fresh(words) => bytemuck::cast_slice(words),
        }
    }

    /// The elements of an output; empty when it is absent.
    pub fn write<T: Pod>(self) -> &'a mut [T] {
        match self {
            View::Absent => &mut [],
            View::Read(_) => panic!("a twin writes an input"),
            View::Write(words) => bytemuck::cast_slice_mut(words),
            View::Fresh(words) => {
                clear(words);
                bytemuck::cast_slice_mut(words)
            }
        }
    }

    /// The elements of an output that sums are added to, and whether its content counts.
    pub fn write_sums<T: Pod>(self) -> (&'a mut [T], bool) {
        match self {
            View::Fresh(words) => (bytemuck::cast_slice_mut(words), false),
            view => (view.write(), true),
        }
    }
}

/// The arguments of a launch, in the order of the declaration.
pub struct Views<'a>(pub [View<'a>; MAX_ARGS]);

impl<'a> Views<'a> {
    pub fn array<const N: usize>(self) -> [View<'a>; N] {
        let mut views = self.0.into_iter();
        std::array::from_fn(|_| views.next().expect("at most MAX_ARGS arguments"))
    }
}
