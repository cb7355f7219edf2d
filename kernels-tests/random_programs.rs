//! Random programs: their plans keep live tensors apart, and their results are the same as with memory that is never reused.

use crate::adapter::gpus;
use cloze::exec::gpu::GpuExecutor;
use cloze::exec::{CpuExecutor, Executor, Phase, Place, Plan, Program, Role, Tensor};
use cloze::kernels::matmul::{MatmulNnArgs, Product};
use cloze::kernels::rows::{GatherRowsArgs, Rows};
use proptest::prelude::*;

/// How a tensor is made from earlier ones. They are picked by number, modulo how many there are.
#[derive(Clone, Debug)]
enum Op {
    /// The sum of a tensor and another of the same length.
    Add(usize, usize),
    /// This many elements of a tensor.
    Gather(usize, usize),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let add = (0..1000usize, 0..1000usize).prop_map(|(x, residual)| Op::Add(x, residual));
    let gather = (0..1000usize, 1..200usize).prop_map(|(x, len)| Op::Gather(x, len));
    prop::collection::vec(prop_oneof![2 => add, 1 => gather], 1..30)
}

/// A program of one phase, recorded together with what it computes when every tensor has memory of its own.
struct Recorded {
    program: Program,
    phase: Phase,
    one: Tensor,
    /// What the host writes before the phase.
    inputs: Vec<(Tensor, Vec<u32>)>,
    values: Vec<Value>,
    /// What the host reads after the phase, with what it should be.
    outputs: Vec<(Tensor, Vec<u32>)>,
    launches: usize,
}

struct Value {
    tensor: Tensor,
    content: Vec<f32>,
    /// First and last launch that uses it; `None` for an input.
    life: Option<(usize, usize)>,
}

impl Recorded {
    /// The host reads every third tensor and the last one, from a copy at the end.
    fn new(ops: &[Op]) -> Self {
        let mut program = Program::new();
        let one = program.tensor(Role::Input, "one", &[1]);
        let inputs = vec![(one, vec![1f32.to_bits()])];
        let phase = program.phase("random");
        let mut recorded = Recorded { program, phase, one, inputs, values: vec![], outputs: vec![], launches: 0 };
        recorded.input(50);
        recorded.input(120);
        for op in ops {
            match *op {
                Op::Add(x, residual) => recorded.add(x, residual),
                Op::Gather(x, len) => recorded.gather(x, len),
            }
        }
        let count = recorded.values.len();
        for number in (0..count).filter(|i| i % 3 == 0 || i + 1 == count) {
            recorded.output(number);
        }
        recorded.program = std::mem::take(&mut recorded.program).finish().unwrap();
        recorded
    }

    fn input(&mut self, len: usize) {
        let tensor = self.program.tensor(Role::Input, format!("input of {len}"), &[len]);
        let content: Vec<f32> = (0..len).map(|i| (i * 37 % 101) as f32 - 50.0).collect();
        self.inputs.push((tensor, bytemuck::cast_slice(&content).to_vec()));
        self.values.push(Value { tensor, content, life: None });
    }

    fn add(&mut self, x: usize, residual: usize) {
        let x = x % self.values.len();
        let len = self.values[x].content.len();
        let alike: Vec<usize> = (0..self.values.len()).filter(|&i| self.values[i].content.len() == len).collect();
        let residual = alike[residual % alike.len()];
        let y = self.program.tensor(Role::Activation, format!("sum {}", self.launches), &[len]);
        self.launch_sum(self.values[x].tensor, Some(self.values[residual].tensor), y);
        let content = self.values[x].content.iter().zip(&self.values[residual].content).map(|(x, r)| x + r).collect();
        self.launched(&[x, residual], y, content);
    }

    fn gather(&mut self, x: usize, len: usize) {
        let x = x % self.values.len();
        let rows = self.values[x].content.len();
        let selected: Vec<u32> = (0..len).map(|i| ((7 * i + 3) % rows) as u32).collect();
        let content = selected.iter().map(|&row| self.values[x].content[row as usize]).collect();
        let places = self.program.tensor(Role::Input, format!("selection {}", self.launches), &[len]);
        self.inputs.push((places, selected));
        let y = self.program.tensor(Role::Activation, format!("selected {}", self.launches), &[len]);
        let p = Rows { rows: rows as u32, selected: len as u32, width: 1 };
        self.program.launch(p, GatherRowsArgs { x: self.values[x].tensor, selected: places, y });
        self.launched(&[x], y, content);
    }

    /// A multiplication by one.
    fn launch_sum(&mut self, x: Tensor, residual: Option<Tensor>, y: Tensor) {
        let p = Product { m: self.program.len(y) as u32, n: 1, k: 1 };
        self.program.launch(p, MatmulNnArgs { a: x, b: self.one, residual, pre: None, c: y });
    }

    fn launched(&mut self, used: &[usize], tensor: Tensor, content: Vec<f32>) {
        self.use_now(used);
        self.values.push(Value { tensor, content, life: Some((self.launches, self.launches)) });
        self.launches += 1;
    }

    fn use_now(&mut self, used: &[usize]) {
        for &number in used {
            if let Some((_, last)) = &mut self.values[number].life {
                *last = self.launches;
            }
        }
    }

    fn output(&mut self, number: usize) {
        let value = &self.values[number];
        let output = self.program.tensor(Role::Output, format!("output {number}"), &[value.content.len()]);
        self.outputs.push((output, bytemuck::cast_slice(&value.content).to_vec()));
        self.launch_sum(value.tensor, None, output);
        self.use_now(&[number]);
        self.launches += 1;
    }

    /// Runs twice, since the second run finds memory as the first one left it.
    fn check_on(&self, executor: &mut dyn Executor) {
        for (tensor, words) in &self.inputs {
            executor.write(*tensor, words);
        }
        for _ in 0..2 {
            executor.run(self.phase).unwrap();
            for (tensor, want) in &self.outputs {
                assert_eq!(&executor.read(*tensor).unwrap(), want, "{}", self.program.name(*tensor));
            }
        }
    }
}

/// Shrunk failures are printed; no file keeps them.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..Default::default() }
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn living_tensors_never_share_memory(ops in ops()) {
        let recorded = Recorded::new(&ops);
        let living: Vec<_> = recorded.values.iter().filter_map(|value| Some((value, value.life?))).collect();
        let plans = [false, true].map(|arena| Plan::unchecked(&recorded.program, arena));
        for (i, (a, (a_first, a_last))) in living.iter().enumerate() {
            for (b, (b_first, b_last)) in &living[i + 1..] {
                let together = a_first <= b_last && b_first <= a_last;
                let [slots, arena] = plans.each_ref().map(|plan| [a, b].map(|value| plan.place(value.tensor).unwrap()));
                let names = [a, b].map(|value| recorded.program.name(value.tensor));
                prop_assert!(!(together && slots[0].buffer == slots[1].buffer), "{names:?} in slots");
                let overlap = |[a, b]: [Place; 2]| a.start < b.start + b.len && b.start < a.start + a.len;
                prop_assert!(!(together && overlap(arena)), "{names:?} in an arena");
            }
        }
        let all: usize = living.iter().map(|(value, _)| 4 * value.content.len()).sum();
        prop_assert!(plans[0].memory().activations <= all as u64);
    }

    #[test]
    fn the_cpu_computes_them(ops in ops()) {
        let recorded = Recorded::new(&ops);
        recorded.check_on(&mut CpuExecutor::new(&recorded.program).unwrap());
    }
}

proptest! {
    #![proptest_config(config(8))]

    #[test]
    fn gpus_compute_them(ops in ops()) {
        for gpu in gpus("random programs") {
            let recorded = Recorded::new(&ops);
            recorded.check_on(&mut GpuExecutor::new(gpu, &recorded.program, Default::default()).unwrap());
        }
    }
}
