//! A training step keeps none of the memory that it allocates.

mod steps;

use cloze::device::Device;
use cloze::model::{ModelConfig, Recipe};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use steps::{Steps, noop};

/// The system's allocator, with counters.
struct Counting;

static BYTES: AtomicI64 = AtomicI64::new(0);
static ALLOCATIONS: AtomicI64 = AtomicI64::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size() as i64, Relaxed);
        ALLOCATIONS.fetch_add(1, Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size() as i64, Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// A single test, since the counters belong to the whole process.
#[test]
fn steps_keep_nothing_that_they_allocate() {
    let config = ModelConfig::new(Recipe::Bert, 500, 2, 64, 2).unwrap();
    for (name, device) in [("cpu", Device::Cpu), ("noop", noop())] {
        let mut steps = Steps::new(&device, &config, 2, 32);
        let mut after = |count: u64| {
            let allocations = ALLOCATIONS.load(Relaxed);
            (0..count).for_each(|_| steps.step());
            (BYTES.load(Relaxed), (ALLOCATIONS.load(Relaxed) - allocations) / count as i64)
        };
        let ((early, _), (late, a_step)) = (after(50), after(400));
        println!("{name}: {a_step} allocations a step; {} bytes more after 400 steps", late - early);
        assert!(late - early < 400 * 16, "{name}: {} bytes more after 400 steps", late - early);
    }
}
