//! The memory planner: what lives at the same time never shares memory, what does not may, and what is too large is said.

use cloze::exec::plan::{Limits, Plan};
use cloze::exec::{CpuExecutor, Executor, Program, Role, Tensor};
use cloze::kernels::gelu::{Elements, GELU_BACKWARD};
use proptest::prelude::*;

const ROOMY: Limits = Limits { binding: u64::MAX, alignment: 256, memory: None };

/// d = dy · gelu'(pre): any kernel of three equal tensors will do here.
fn launch(program: &mut Program, pre: Tensor, dy: Tensor, d: Tensor) {
    let count = program.len(d) as u32;
    program.launch(&GELU_BACKWARD, Elements { count }, &[pre, dy, d]);
}

fn activations(program: &mut Program, count: usize, len: usize) -> Vec<Tensor> {
    (0..count).map(|i| program.tensor(Role::Activation, format!("x{i}"), &[len])).collect()
}

#[test]
fn a_chain_needs_two_slots() {
    let mut program = Program::new();
    let input = program.tensor(Role::Input, "input", &[64]);
    let x = activations(&mut program, 6, 64);
    program.phase("chain");
    launch(&mut program, input, input, x[0]);
    for i in 1..6 {
        launch(&mut program, input, x[i - 1], x[i]);
    }
    let program = program.finish().unwrap();
    let plan = Plan::new(&program, ROOMY).unwrap();
    assert_eq!(plan.memory().activations, 2 * 64 * 4, "two of a chain are alive at once, however long it is");
    for pair in x.windows(2) {
        assert_ne!(plan.place(pair[0]).unwrap().buffer, plan.place(pair[1]).unwrap().buffer);
    }
}

#[test]
fn too_large_is_said_with_its_name_limit_and_setting() {
    let mut program = Program::new();
    let input = program.tensor(Role::Input, "batch.ids", &[1000]);
    let x = program.tensor(Role::Activation, "layers.0.mlp.linear", &[1000]);
    program.phase("forward");
    launch(&mut program, input, input, x);
    let program = program.finish().unwrap();
    let message = |limits| Plan::new(&program, limits).err().expect("it is too large").to_string();
    let small_binding = message(Limits { binding: 3999, ..ROOMY });
    for word in ["batch.ids", "4000", "3999", "train.micro_batch"] {
        assert!(small_binding.contains(word), "no {word} in: {small_binding}");
    }
    let small_memory = message(Limits { memory: Some(7999), ..ROOMY });
    for word in ["8000", "7999", "train.micro_batch"] {
        assert!(small_memory.contains(word), "no {word} in: {small_memory}");
    }
    assert!(Plan::new(&program, Limits { binding: 4000, alignment: 256, memory: Some(8000) }).is_ok());

    let mut program = Program::new();
    program.tensor(Role::Activation, "scores", &[1 << 20, 1 << 20]);
    let message = program.finish().err().expect("2^40 elements").to_string();
    assert!(message.contains("`scores`") && message.contains("train.micro_batch"), "{message}");
}

#[test]
#[should_panic(expected = "before it is written")]
fn an_activation_is_written_before_it_is_read() {
    let mut program = Program::new();
    let x = activations(&mut program, 2, 8);
    program.phase("backwards");
    launch(&mut program, x[0], x[0], x[1]);
    let _ = Plan::new(&program.finish().unwrap(), ROOMY);
}

#[test]
#[should_panic(expected = "used twice")]
fn nothing_is_read_from_what_a_launch_writes() {
    let mut program = Program::new();
    let x = activations(&mut program, 1, 8);
    program.phase("in place");
    launch(&mut program, x[0], x[0], x[0]);
}

proptest! {
    /// Random programs give the same results when slots are used again as when every tensor has its own memory.
    #[test]
    fn reuse_changes_no_result(
        steps in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0usize..3), 1..30),
        values in prop::collection::vec(-3.0f32..3.0, 192),
    ) {
        let results = [Role::Activation, Role::Output].map(|role| {
            let mut program = Program::new();
            let input = program.tensor(Role::Input, "input", &[192]);
            let mut made = vec![program.part(input, 0, 64, "a"), program.part(input, 64, 64, "b")];
            let mut outputs = Vec::new();
            let phase = program.phase("random");
            for (number, (left, right, kind)) in steps.iter().enumerate() {
                let (pre, dy) = (*left.get(&made), *right.get(&made));
                // Every third result is read by the host; the others are only steps on the way.
                let role = if *kind == 0 { Role::Output } else { role };
                let d = program.tensor(role, format!("x{number}"), &[64]);
                launch(&mut program, pre, dy, d);
                made.push(d);
                if *kind == 0 {
                    outputs.push(d);
                }
            }
            let program = program.finish().unwrap();
            let mut executor = CpuExecutor::new(&program).unwrap();
            let words: Vec<u32> = values.iter().map(|x| x.to_bits()).collect();
            executor.write(input, &words);
            executor.run(phase).unwrap();
            outputs.iter().map(|&output| executor.read(output).unwrap()).collect::<Vec<_>>()
        });
        prop_assert_eq!(&results[0], &results[1]);
    }
}
