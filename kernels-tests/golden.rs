//! Whole models against PyTorch: `golden/` holds what transformers computed for four small ones.

use crate::adapter;
use cloze::data::{Batch, MaskedSequence, Sequence};
use cloze::exec::{Device, Executor};
use cloze::hf::{HfModel, values};
use cloze::kernels::step::StepState;
use cloze::model::{Inference, Kind, OptimizerConfig, Shape, Training};
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};

/// The optimiser of `make_golden.py`.
const OPTIMIZER: OptimizerConfig =
    OptimizerConfig { beta1: 0.9, beta2: 0.98, epsilon: 1e-6, weight_decay: 0.01, clip: 1.0 };
const LEARNING_RATE: f32 = 1e-3;

#[test]
fn cpu() {
    check_all(&Device::Cpu);
}

#[test]
fn gpu() {
    for gpu in adapter::gpus("golden::gpu") {
        check_all(&Device::Gpu(Box::new(gpu.clone())));
    }
}

fn check_all(device: &Device) {
    let root = std::env::var_os("CLOZE_GOLDEN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels-tests/golden"), PathBuf::from);
    let entries = std::fs::read_dir(&root).unwrap_or_else(|error| panic!("{}: {error}", root.display()));
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| folder.join("batch.safetensors").is_file());
    folders.sort();
    assert!(!folders.is_empty(), "{} holds no golden case", root.display());
    let cases = folders.iter().map(|folder| Case::read(folder));
    let failures: Vec<String> = cases.flat_map(|case| case.check(device)).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

struct Case {
    name: String,
    model: HfModel,
    /// As PyTorch had it, with every labelled position.
    batch: Batch,
    shape: Shape,
    /// Rows that are not padding.
    real_rows: Vec<u32>,
    golden: PathBuf,
}

impl Case {
    fn read(folder: &Path) -> Case {
        let mut model = HfModel::open(folder).unwrap();
        (model.config.dropout, model.config.attention_dropout) = (0.0, 0.0);
        let file = std::fs::read(folder.join("batch.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&file).unwrap();
        let shape = file.tensor("input_ids").unwrap().shape().to_vec();
        let (ids, mask, labels) = (ints(&file, "input_ids"), ints(&file, "attention_mask"), ints(&file, "labels"));
        let sequence = shape[1];
        let masked = |b: usize| {
            let rows = b * sequence..(b + 1) * sequence;
            masked_sequence(&ids[rows.clone()], &mask[rows.clone()], &labels[rows])
        };
        let sequences: Vec<MaskedSequence> = (0..shape[0]).map(masked).collect();
        let most = sequences.iter().map(|sequence| sequence.picks.len()).max().unwrap();
        let mut batch = Batch::new(&sequences, most);
        if file.tensor("token_type_ids").is_ok() {
            batch.types = ints(&file, "token_type_ids").iter().map(|&id| id as u32).collect();
            batch.type_order.sort_by_key(|&row| batch.types[row as usize]);
        }
        let real_rows = (0..mask.len() as u32).filter(|&row| mask[row as usize] == 1).collect();
        Case {
            name: folder.file_name().unwrap().to_string_lossy().into_owned(),
            model,
            shape: Shape { batch: shape[0], sequence, masked: batch.masked.len() },
            batch,
            real_rows,
            golden: folder.to_path_buf(),
        }
    }

    /// Compares everything, prints the worst figures, and returns what is out of bounds.
    fn check(&self, device: &Device) -> Vec<String> {
        let mut report = Report { case: format!("{} on {}", self.name, device_name(device)), failures: Vec::new() };
        self.check_forward(device, &mut report);
        self.check_gradients(device, &mut report);
        self.check_steps(device, &mut report);
        report.failures
    }

    fn check_forward(&self, device: &Device, report: &mut Report) {
        let prediction = Inference::prediction(&self.model.config, self.shape, device.binding()).unwrap();
        let mut executor = prediction.start(device, &self.model.config, &self.model.values().unwrap()).unwrap();
        prediction.inputs.write(&mut *executor, &self.batch, step(0.0, 0.0));
        executor.run(prediction.phase).unwrap();
        let logits = prediction.read(&mut *executor).unwrap();
        let want = self.golden("batch", "logits");
        report.within("logits", largest_difference(&logits[..want.len()], &want), 1e-4);

        let picks =
            Batch { masked: self.real_rows.clone(), labels: vec![0; self.real_rows.len()], ..self.batch.clone() };
        let shape = Shape { masked: self.real_rows.len(), ..self.shape };
        let encoding = Inference::encoding(&self.model.config, shape, device.binding()).unwrap();
        let mut executor = encoding.start(device, &self.model.config, &self.model.values().unwrap()).unwrap();
        encoding.inputs.write(&mut *executor, &picks, step(0.0, 0.0));
        executor.run(encoding.phase).unwrap();
        let hidden = encoding.read(&mut *executor).unwrap();
        let all = self.golden("batch", "hidden");
        let width = self.model.config.hidden_size;
        let want: Vec<f32> =
            self.real_rows.iter().flat_map(|&row| &all[row as usize * width..][..width]).copied().collect();
        report.within("hidden", largest_difference(&hidden, &want), 1e-4);
    }

    fn check_gradients(&self, device: &Device, report: &mut Report) {
        let (training, mut executor) = self.training(device);
        let loss = self.accumulate(&training, &mut *executor);
        let want = self.golden("batch", "loss")[0];
        report.within("loss", f64::from((loss - want).abs() / want), 2e-6);
        let gradients = training.parameters.read(&mut *executor, Kind::Gradient).unwrap();
        self.compare_all("gradient", "grads", &training, &gradients, report);
    }

    fn check_steps(&self, device: &Device, report: &mut Report) {
        let (training, mut executor) = self.training(device);
        let mut worst: f64 = 0.0;
        for want in self.golden("steps", "losses") {
            let loss = self.accumulate(&training, &mut *executor);
            executor.run(training.update).unwrap();
            worst = worst.max(f64::from((loss - want).abs() / want));
        }
        report.within("ten losses", worst, 1e-4);
        let values = training.parameters.read(&mut *executor, Kind::Value).unwrap();
        self.compare_all("parameter after ten steps", "steps", &training, &values, report);
    }

    fn training(&self, device: &Device) -> (Training, Box<dyn Executor>) {
        let training = Training::new(&self.model.config, self.shape, self.shape, OPTIMIZER, device.binding()).unwrap();
        let mut executor = device.executor(&training.program).unwrap();
        training.inputs.prepare(&mut *executor, &self.model.config);
        training.parameters.write(&mut *executor, Kind::Value, &self.model.values().unwrap());
        (training, executor)
    }

    /// Forward and backward over the batch; returns the mean loss.
    fn accumulate(&self, training: &Training, executor: &mut dyn Executor) -> f32 {
        executor.write(training.metrics, &[0; 3]);
        training.inputs.write(executor, &self.batch, step(LEARNING_RATE, 1.0 / self.batch.count as f32));
        executor.run(training.accumulate).unwrap();
        let metrics = read(executor, training.metrics);
        assert_eq!(metrics[2], self.batch.count as f32, "labels counted");
        metrics[0] / metrics[2]
    }

    /// Every parameter's relative L2 error; absolute where there is next to nothing to be relative to.
    fn compare_all(&self, what: &str, file: &str, training: &Training, got: &[Vec<f32>], report: &mut Report) {
        let path = self.golden.join(format!("{file}.safetensors"));
        let list = &training.parameters.list;
        let want =
            values::some_values(self.model.family, &self.model.config, std::fs::read(&path).unwrap(), &path).unwrap();
        let mut worst = 0.0;
        for ((parameter, got), want) in list.iter().zip(got).zip(&want) {
            let norm = l2(want.iter().map(|&x| f64::from(x)));
            let error = l2(got.iter().zip(want).map(|(&got, &want)| f64::from(got) - f64::from(want)));
            let scaled = if norm < 1e-6 { 100.0 * error } else { error / norm };
            if scaled > 1e-4 || scaled.is_nan() {
                report.failures.push(format!("{}: {what} `{}` is off by {scaled:.2e}", report.case, parameter.name));
            }
            worst = f64::max(worst, scaled);
        }
        report.within(what, worst, 1e-4);
    }

    fn golden(&self, file: &str, tensor: &str) -> Vec<f32> {
        let bytes = std::fs::read(self.golden.join(format!("{file}.safetensors"))).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        words(file.tensor(tensor).unwrap().data()).map(f32::from_bits).collect()
    }
}

/// A sequence of the batch: padding attends to itself alone, and all else to what is not padding.
fn masked_sequence(ids: &[i32], mask: &[i32], labels: &[i32]) -> MaskedSequence {
    let real = mask.iter().filter(|&&real| real == 1).count();
    let span = |t: usize| if t < real { [0, real as u32] } else { [t as u32, t as u32 + 1] };
    let picks: Vec<u32> = (0..ids.len() as u32).filter(|&t| labels[t as usize] >= 0).collect();
    MaskedSequence {
        labels: picks.iter().map(|&t| labels[t as usize] as u32).collect(),
        picks,
        sequence: Sequence {
            ids: ids.iter().map(|&id| id as u32).collect(),
            word_starts: vec![true; ids.len()],
            spans: (0..ids.len()).map(span).collect(),
            positions: (0..ids.len() as u32).map(|t| if (t as usize) < real { t } else { 0 }).collect(),
            real,
        },
    }
}

struct Report {
    case: String,
    failures: Vec<String>,
}

impl Report {
    fn within(&mut self, what: &str, error: f64, bound: f64) {
        println!("{:<32} {what:<26} {error:.2e} (bound {bound:.0e})", self.case);
        if error.is_nan() || error > bound {
            self.failures.push(format!("{}: {what} is off by {error:.2e}, more than {bound:.0e}", self.case));
        }
    }
}

fn device_name(device: &Device) -> &'static str {
    match device {
        Device::Cpu => "cpu",
        Device::Gpu(_) => "gpu",
    }
}

fn step(learning_rate: f32, loss_weight: f32) -> StepState {
    StepState { learning_rate, loss_weight, seed_low: 0, seed_high: 0, microbatch: 0 }
}

fn read(executor: &mut dyn Executor, tensor: cloze::exec::Tensor) -> Vec<f32> {
    executor.read(tensor).unwrap().into_iter().map(f32::from_bits).collect()
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word))
}

fn ints(file: &SafeTensors, name: &str) -> Vec<i32> {
    words(file.tensor(name).unwrap().data()).map(|word| word as i32).collect()
}

/// NaN where either side has one.
fn largest_difference(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    let differences = got.iter().zip(want).map(|(got, want)| f64::from((got - want).abs()));
    differences.fold(0.0, |most, difference| if difference > most || difference.is_nan() { difference } else { most })
}

fn l2(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}
