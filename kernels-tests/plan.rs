//! The memory planner: tensors that are alive together never share memory, others do, and what does not fit is named.

use cloze::exec::plan::Limits;
use cloze::exec::{Plan, Program, Role, Tensor};
use cloze::kernels::dropout::{DROPOUT, Dropout};
use cloze::kernels::step::STEP_WORDS;

const LIMITS: Limits = Limits { binding: u64::MAX, alignment: 256, memory: None };

/// Records y = x + residual: dropout that drops nothing.
pub fn add(program: &mut Program, step: Tensor, x: Tensor, residual: Tensor, y: Tensor) {
    let p = Dropout { count: program.len(y) as u32, rate: 0.0, site: 0 };
    program.launch(&DROPOUT, p, &[x, residual, step, y]);
}

/// A chain: out = x + x, each time into the next tensor; the lengths are all the same.
fn chain(roles: &[Role], len: usize) -> (Program, Vec<Tensor>) {
    let mut program = Program::new();
    let step = program.tensor(Role::Input, "step", &[STEP_WORDS]);
    let tensor = |(i, &role): (usize, &Role)| program.tensor(role, format!("link {i}"), &[len]);
    let tensors: Vec<Tensor> = roles.iter().enumerate().map(tensor).collect();
    program.phase("chain");
    for pair in tensors.windows(2) {
        add(&mut program, step, pair[0], pair[0], pair[1]);
    }
    (program.finish().unwrap(), tensors)
}

use Role::{Activation, Input, Output, Parameter};

#[test]
fn a_chain_takes_two_slots() {
    let (program, links) = chain(&[Input, Activation, Activation, Activation, Activation, Output], 100);
    let plan = Plan::new(&program, LIMITS).unwrap();
    assert_eq!(plan.memory().activations, 2 * 400);
    let buffers: Vec<usize> = links.iter().map(|&link| plan.place(link).unwrap().buffer).collect();
    assert_eq!((buffers[1], buffers[2]), (buffers[3], buffers[4]));
    assert_ne!(buffers[1], buffers[2]);
    assert!(!buffers[1..5].contains(&buffers[0]) && !buffers[1..5].contains(&buffers[5]), "{buffers:?}");
}

#[test]
fn phases_share_slots_and_slots_grow() {
    let mut program = Program::new();
    let step = program.tensor(Input, "step", &[STEP_WORDS]);
    let mut largest = Vec::new();
    for len in [10, 30, 20] {
        let ends = [Input, Output].map(|role| program.tensor(role, format!("{role:?} {len}"), &[len]));
        let middle = program.tensor(Activation, format!("middle {len}"), &[len]);
        program.phase("one of three");
        add(&mut program, step, ends[0], Tensor::NONE, middle);
        add(&mut program, step, middle, Tensor::NONE, ends[1]);
        largest.push(middle);
    }
    let plan = Plan::new(&program.finish().unwrap(), LIMITS).unwrap();
    assert_eq!(plan.memory().activations, 4 * 30);
    assert!(largest.iter().all(|&middle| plan.place(middle).unwrap().buffer == plan.place(largest[0]).unwrap().buffer));
}

#[test]
fn a_tensor_larger_than_a_binding_is_named() {
    for (role, setting) in [(Activation, "`train.micro_batch`"), (Parameter, "`model.hidden_size`")] {
        let mut program = Program::new();
        let step = program.tensor(Input, "step", &[STEP_WORDS]);
        let whole = program.tensor(role, "whole", &[1012]);
        let halves = [0, 512].map(|start| program.part(whole, start, 500, format!("half {start}")));
        let [from, to] = [Input, Output].map(|role| program.tensor(role, format!("{role:?}"), &[500]));
        program.phase("a half");
        add(&mut program, step, from, Tensor::NONE, halves[0]);
        add(&mut program, step, halves[0], Tensor::NONE, to);
        let program = program.finish().unwrap();
        let plan = |binding| Plan::new(&program, Limits { binding, ..LIMITS });
        assert!(plan(2000).is_ok(), "the whole is in no launch");
        let error = plan(1999).err().expect("a half does not fit").to_string();
        for part in ["`half 0`", "2000 bytes", "at most 1999", setting] {
            assert!(error.contains(part), "`{part}` is not in: {error}");
        }
    }
}

#[test]
fn a_sum_larger_than_the_memory_is_named() {
    let (program, _) = chain(&[Parameter, Activation, Output], 1000);
    let limits = Limits { memory: Some(12_000), ..LIMITS };
    let error = Plan::new(&program, limits).err().expect("12 020 bytes are more than 12 000").to_string();
    for part in ["needs 12020 bytes", "12000 available", "parameters 4000", "activations 4000", "`train.micro_batch`"] {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
    assert!(Plan::new(&program, Limits { memory: Some(12_020), ..LIMITS }).is_ok());
}

#[test]
fn a_tensor_larger_than_any_binding_is_named() {
    for (role, setting) in [(Activation, "`train.micro_batch`"), (Parameter, "`model.hidden_size`")] {
        let mut program = Program::new();
        program.tensor(role, "huge", &[1 << 20, 1 << 20]);
        let error = program.finish().err().expect("2^40 elements are too many").to_string();
        for part in ["`huge`", "[1048576, 1048576]", "2^30 elements", setting] {
            assert!(error.contains(part), "`{part}` is not in: {error}");
        }
    }
}

#[test]
#[should_panic(expected = "dropout reads `link 0` before it is written")]
fn an_activation_is_written_before_it_is_read() {
    let (program, _) = chain(&[Activation, Activation, Output], 10);
    let _ = Plan::new(&program, LIMITS);
}
