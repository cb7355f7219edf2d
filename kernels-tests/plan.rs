//! The memory planner: tensors that live at the same time never share memory, others may, and a tensor that is too large is
//! reported.

use cloze::Remedy;
use cloze::exec::plan::{MemoryLimits, Plan};
use cloze::exec::{Program, Role, Tensor};
use cloze::kernels::gelu::{Elements, GeluBackwardArgs};
use cloze::model::{ModelConfig, NormPlacement, Recipe, Shape};
use cloze::optim::AdamW;
use cloze::tasks::MaskedLm;
use cloze::train::{Training, TrainingOptions};

const ROOMY: MemoryLimits = MemoryLimits { binding: u64::MAX, alignment: 256, memory: None, arena: false };

/// d = dy · gelu'(pre): any kernel with three equal tensors would do here.
fn launch(program: &mut Program, pre: Tensor, dy: Tensor, d: Tensor) {
    let count = program.len(d) as u32;
    program.launch(Elements { count }, GeluBackwardArgs { pre, dy, d_pre: d });
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
fn phases_share_slots_and_slots_grow() {
    let mut program = Program::new();
    let mut middles = Vec::new();
    for len in [10, 30, 20] {
        let [input, output] = [Role::Input, Role::Output].map(|role| program.tensor(role, "end", &[len]));
        let middle = program.tensor(Role::Activation, "middle", &[len]);
        program.phase("one of three");
        launch(&mut program, input, input, middle);
        launch(&mut program, input, middle, output);
        middles.push(middle);
    }
    let plan = Plan::new(&program.finish().unwrap(), ROOMY).unwrap();
    assert_eq!(plan.memory().activations, 4 * 30);
    let buffers: Vec<usize> = middles.iter().map(|&middle| plan.place(middle).unwrap().buffer).collect();
    assert_eq!(buffers, [buffers[0]; 3]);
}

#[test]
fn a_whole_that_only_its_parts_use_may_exceed_a_binding() {
    let mut program = Program::new();
    let input = program.tensor(Role::Input, "input", &[500]);
    let whole = program.tensor(Role::Gradient, "whole", &[1012]);
    program.phase("a half");
    for start in [0, 512] {
        let half = program.part(whole, start, 500, format!("half at {start}"));
        launch(&mut program, input, input, half);
    }
    let program = program.finish().unwrap();
    assert!(Plan::new(&program, MemoryLimits { binding: 2000, ..ROOMY }).is_ok());
}

#[test]
fn too_large_is_said_with_its_name_limit_and_remedy() {
    let mut program = Program::new();
    let input = program.tensor(Role::Input, "batch.ids", &[1000]);
    let x = program.tensor(Role::Activation, "layers.0.mlp.linear", &[1000]);
    program.phase("forward");
    launch(&mut program, input, input, x);
    let program = program.finish().unwrap();
    for (limits, words) in [
        (MemoryLimits { binding: 2000, ..ROOMY }, &["batch.ids", "3.91 KiB", "1.95 KiB"][..]),
        (MemoryLimits { memory: Some(6000), ..ROOMY }, &["7.81 KiB", "5.86 KiB"]),
    ] {
        let error = Plan::new(&program, limits).err().expect("it is too large");
        assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
        assert_eq!(error.remedy(), Some(Remedy::SmallerBatch));
    }
    assert!(Plan::new(&program, MemoryLimits { binding: 4000, memory: Some(8000), ..ROOMY }).is_ok());
    assert!(Plan::new(&program, MemoryLimits { binding: 3999, ..ROOMY }).is_err());
    assert!(Plan::new(&program, MemoryLimits { memory: Some(7999), ..ROOMY }).is_err());

    let mut program = Program::new();
    program.tensor(Role::Activation, "scores", &[1 << 20, 1 << 20]);
    let error = program.finish().err().expect("2^40 elements");
    assert!(error.to_string().contains("`scores`") && error.remedy() == Some(Remedy::SmallerBatch), "{error}");
}

/// What Vulkan and DX12 bind at most.
const LARGEST_BINDING: u64 = (1 << 31) - 1;

#[test]
fn a_binding_may_be_just_under_2_gib() {
    for (words, fits) in [((1 << 29) - 1, true), (1 << 29, false)] {
        let mut program = Program::new();
        let input = program.tensor(Role::Input, "input", &[words]);
        let x = program.tensor(Role::Activation, "x", &[words]);
        program.phase("forward");
        launch(&mut program, input, input, x);
        let plan = Plan::new(&program.finish().unwrap(), MemoryLimits { binding: LARGEST_BINDING, ..ROOMY });
        assert_eq!(plan.is_ok(), fits, "{words} words");
    }
}

/// BERT large at 64 × 512 tokens: forty gigabytes, though no single tensor is too large to be bound.
#[test]
fn memory_beyond_4_gib_is_counted_to_the_byte() {
    let model = ModelConfig::new(Recipe::Bert, 30522, 24, 1024, 16).unwrap();
    let shape = Shape { batch: 64, sequence: 512, selected: 64 * 77 };
    let options = TrainingOptions::new(shape, LARGEST_BINDING);
    let training = Training::new(&MaskedLm::new(&model), &AdamW::default(), options).unwrap();
    let plan = |memory| {
        Plan::new(&training.program, MemoryLimits { binding: LARGEST_BINDING, memory: Some(memory), ..ROOMY })
            .map(|plan| (plan.memory(), plan.buffers))
    };
    let (memory, buffers) = plan(u64::MAX).unwrap();
    assert_eq!(memory.total(), buffers.iter().map(|buffer| 4 * buffer.len as u64).sum::<u64>());
    // From each layer the backward pass needs q, k, v, attention's output, and GELU's input and output.
    let kept = 24 * (3 + 1 + 4 + 4) * 4 * (shape.rows() * 1024) as u64;
    assert!(memory.activations > kept, "{memory}, and at least {kept} of activations");
    assert!(plan(memory.total()).is_ok());
    let message = plan(memory.total() - 1).err().expect("a byte is missing").to_string();
    assert!(message.starts_with("training needs 52.60 GiB"), "{message}");
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

/// The figures in ARCHITECTURE.md, for a plain layer with biases.
#[test]
fn a_layer_takes_7_launches_forward_and_12_backward_whatever_the_dropout() {
    let launches = |norm, dropout, layers| {
        let model = ModelConfig { norm, dropout, ..ModelConfig::new(Recipe::Bert, 70, layers, 32, 2).unwrap() };
        let shape = Shape { batch: 2, sequence: 24, selected: 8 };
        let options = TrainingOptions::new(shape, u64::MAX);
        let training = Training::new(&MaskedLm::new(&model), &AdamW::default(), options).unwrap();
        training.program.cost(training.accumulate).0
    };
    for norm in [NormPlacement::Pre, NormPlacement::Post] {
        for dropout in [0.0, 0.1] {
            let [three, four] = [3, 4].map(|layers| launches(norm, dropout, layers));
            assert_eq!(four - three, 7 + 12, "{norm:?}, dropout of {dropout}");
        }
    }
}
