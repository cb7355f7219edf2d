//! Random numbers on devices with 64-bit integers and on those without: each has its own text, and both give the same words.

use crate::adapter::gpus;
use cloze::exec::gpu::{GpuExecutor, Options};
use cloze::exec::{Executor, Program, Role};
use cloze::kernels::Params;
use cloze::kernels::dropout::{Dropout, DropoutArgs};
use cloze::kernels::mathematics::dropout_mask;
use cloze::kernels::step::{STEP_WORDS, StepState};

const COUNT: usize = 4096;
const SITE: u32 = (1 << 16) + 5;

#[test]
fn dropout_draws_the_words_of_philox_in_either_form() {
    let step = StepState { loss_weight: 0.0, seed_low: 0x9e37_79b9, seed_high: 7, number: 3, first_row: 0 };
    for gpu in gpus("philox") {
        for without in [wgpu::Features::empty(), wgpu::Features::SHADER_INT64] {
            for rate in [0.1, 0.5, 0.9] {
                let kept = kept_on(gpu, Options { without, ..Default::default() }, &step, rate);
                let want = |at: usize| dropout_mask(&step, SITE, at as u64 / 8, at as u32 % 8, rate) != 0.0;
                let wrong = (0..COUNT).find(|&at| kept[at] != want(at));
                assert_eq!(wrong, None, "{} without {without}, rate {rate}", gpu.describe());
            }
        }
    }
}

/// Which elements dropout keeps.
fn kept_on(gpu: &cloze::exec::gpu::Gpu, options: Options, step: &StepState, rate: f32) -> Vec<bool> {
    let mut program = Program::new();
    let x = program.tensor(Role::Input, "x", &[COUNT]);
    let state = program.tensor(Role::Input, "step", &[STEP_WORDS]);
    let y = program.tensor(Role::Output, "y", &[COUNT]);
    let phase = program.phase("dropout");
    program.launch(Dropout { rows: 1, width: COUNT as u32, rate, site: SITE }, DropoutArgs { x, step: state, y });
    let mut executor = GpuExecutor::new(gpu, &program.finish().unwrap(), options).unwrap();
    executor.write(x, &[1f32.to_bits(); COUNT]);
    executor.write(state, step.words());
    executor.run(phase).unwrap();
    executor.read(y).unwrap().into_iter().map(|word| f32::from_bits(word) != 0.0).collect()
}
