//! The files of a golden case: a model, a batch, and what PyTorch computed from them. `make_golden.py` writes them.

use crate::data::{Batch, Example, Masking};
use crate::hf::{Family, folder, values};
use crate::model::weights::deserialize;
use crate::model::{ModelConfig, Shape};
use crate::tasks::{Task, TaskKind};
use crate::{Error, Result};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::Value;
use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A model, a batch, and what PyTorch computed from them.
pub struct Golden {
    pub name: String,
    pub task: TaskKind,
    /// Without dropout, since the answers were computed without it.
    pub config: ModelConfig,
    /// The values of each parameter.
    pub values: Vec<Vec<f32>>,
    /// The batch as PyTorch had it, with every labelled position.
    pub batch: Batch,
    pub shape: Shape,
    /// The same batch, with only the masked words labelled.
    pub(super) words: Batch,
    pub(super) words_shape: Shape,
    /// Rows that are not padding.
    pub(super) real_rows: Vec<u32>,
    pub(super) answers: Answers,
}

/// What PyTorch computed.
pub(super) struct Answers {
    pub loss: f32,
    /// [K, V].
    pub logits: Vec<f32>,
    /// [N, H].
    pub hidden: Vec<f32>,
    /// The gradient of each parameter.
    pub gradients: Vec<Vec<f32>>,
    /// The loss before each of ten steps.
    pub losses: Vec<f32>,
    /// The values of each parameter after these steps.
    pub stepped: Vec<Vec<f32>>,
}

/// The file of ten steps with AdamW.
const STEPS: &str = "steps.safetensors";

/// The content of a case's file, by its name.
type Files<'a> = dyn Fn(&str) -> Result<Cow<'a, [u8]>> + 'a;

impl Golden {
    /// The task of its model.
    pub fn task(&self) -> Box<dyn Task> {
        self.task.task(&self.config, Masking::default())
    }

    /// The case in a folder.
    ///
    /// # Errors
    /// A file is missing or damaged, or does not fit the others.
    pub fn open(folder: &Path) -> Result<Golden> {
        Self::open_with(folder, STEPS)
    }

    /// The case in a folder, with the ten steps from a file of another name.
    ///
    /// # Errors
    /// As [`Golden::open`].
    pub fn open_with(folder: &Path, steps: &str) -> Result<Golden> {
        let files = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).map(Cow::Owned).map_err(Error::io(&path))
        };
        Self::read(folder, &files, steps)
    }

    /// The small BERT that is compiled into the program.
    ///
    /// # Errors
    /// As [`Golden::open`]. It does not fail in practice, since the tests open it.
    pub fn embedded() -> Result<Golden> {
        let files = |name: &str| {
            let bytes: &[u8] = match name {
                "config.json" => include_bytes!("../../../kernels-tests/golden/bert/config.json"),
                "model.safetensors" => include_bytes!("../../../kernels-tests/golden/bert/model.safetensors"),
                "batch.safetensors" => include_bytes!("../../../kernels-tests/golden/bert/batch.safetensors"),
                "grads.safetensors" => include_bytes!("../../../kernels-tests/golden/bert/grads.safetensors"),
                "steps.safetensors" => include_bytes!("../../../kernels-tests/golden/bert/steps.safetensors"),
                _ => return Err(Error::file(name, "is not compiled into the program")),
            };
            Ok(Cow::Borrowed(bytes))
        };
        Self::read(Path::new("bert"), &files, STEPS)
    }

    /// `folder` is for messages, and its last part is the case's name.
    fn read(folder: &Path, files: &Files, steps: &str) -> Result<Golden> {
        let path = |name: &str| folder.join(name);
        let (family, mut config) = folder::read_config(&path("config.json"), &files("config.json")?)?;
        (config.dropout, config.attention_dropout) = (0.0, 0.0);
        let (bytes, batch_path) = (files("batch.safetensors")?, path("batch.safetensors"));
        let file = Tensors::new(&bytes, &batch_path)?;
        let sequences = file.sequences(&config)?;
        let kind = kind_of(family, &config, &files("config.json")?);
        let task = kind.task(&config, Masking::default());
        let parameters =
            values::values(family, &*task, files("model.safetensors")?.into_owned(), &path("model.safetensors"))?;
        let of_each = |name: &str| values::some_values(family, &*task, files(name)?.into_owned(), &path(name));
        let (gradients, stepped) = (of_each("grads.safetensors")?, of_each(steps)?);

        let (bytes, path) = (files(steps)?, path(steps));
        let losses = Tensors::new(&bytes, &path)?.floats("losses")?;
        let [(words_shape, words), (shape, batch)] = sequences.batches();
        let answers = Answers {
            loss: file.sized_floats("loss", 1)?[0],
            logits: file.sized_floats("logits", words.label_count as usize * config.vocab_size)?,
            hidden: file.sized_floats("hidden", shape.rows() * config.hidden_size)?,
            gradients,
            losses,
            stepped,
        };
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (task, real_rows) = (kind, sequences.real_rows);
        Ok(Golden { name, task, config, values: parameters, batch, shape, words, words_shape, real_rows, answers })
    }
}

/// The task whose model class in transformers the case was made with.
fn kind_of(family: Option<Family>, config: &ModelConfig, json: &[u8]) -> TaskKind {
    let json: Value = serde_json::from_slice(json).unwrap_or_default();
    let model_type = family.map_or("", Family::model_type);
    let made = |kind: &TaskKind| {
        let architecture = kind.task(config, Masking::default()).architecture(model_type);
        architecture.is_some_and(|name| json["architectures"][0] == name)
    };
    TaskKind::ALL.into_iter().find(made).unwrap_or_default()
}

/// The sequences of a case.
struct Sequences {
    length: usize,
    /// The sequences, with their masked words.
    examples: Vec<Example>,
    classes: Option<Vec<u32>>,
    /// Rows that are not padding.
    real_rows: Vec<u32>,
}

impl Sequences {
    /// The batch with only the masked words, and the batch of the task, with their shapes.
    fn batches(&self) -> [(Shape, Batch); 2] {
        let with_class = |(example, &class): (&Example, &u32)| example.clone().with_class(class);
        let all: Option<Vec<Example>> =
            self.classes.as_ref().map(|classes| self.examples.iter().zip(classes).map(with_class).collect());
        [&self.examples, all.as_ref().unwrap_or(&self.examples)].map(|examples| {
            let most = examples.iter().map(|example| example.selected.len()).max().unwrap_or_default();
            let (batch, selected) = (Batch::for_training(examples, most), examples.len() * most);
            (Shape { batch: examples.len(), sequence: self.length, selected }, batch)
        })
    }
}

/// A safetensors file of 32-bit numbers; `path` is for messages.
struct Tensors<'a> {
    file: SafeTensors<'a>,
    path: &'a PathBuf,
}

impl<'a> Tensors<'a> {
    fn new(bytes: &'a [u8], path: &'a PathBuf) -> Result<Self> {
        Ok(Tensors { file: deserialize(bytes, path)?, path })
    }

    fn sequences(&self, config: &ModelConfig) -> Result<Sequences> {
        let &[count, sequence] = self.tensor("input_ids")?.shape() else {
            return Err(self.refuse("`input_ids` is not [B, T]"));
        };
        let rows = count * sequence;
        if rows == 0 || sequence > config.max_positions {
            return Err(self.refuse("has no sequence, or longer ones than the model takes"));
        }
        let vocabulary = config.vocab_size as i32;
        let (ids, labels) =
            (self.ints("input_ids", rows, 0..vocabulary)?, self.ints("labels", rows, -100..vocabulary)?);
        let mask = self.ints("attention_mask", rows, 0..2)?;
        let types = match config.type_vocab_size > 0 && self.file.tensor("token_type_ids").is_ok() {
            true => self.ints("token_type_ids", rows, 0..config.type_vocab_size as i32)?,
            false => vec![0; rows],
        };
        let example = |b: usize| {
            let rows = b * sequence..(b + 1) * sequence;
            let mut example = example(&ids[rows.clone()], &mask[rows.clone()], &labels[rows.clone()]);
            example.sequence.types = types[rows].iter().map(|&id| id as u32).collect();
            example
        };
        let examples: Vec<Example> = (0..count).map(example).collect();
        let real_rows = (0..mask.len() as u32).filter(|&row| mask[row as usize] == 1).collect();
        Ok(Sequences { length: sequence, examples, classes: self.classes(count)?, real_rows })
    }

    /// For each pair, 1 if the second segment does not follow the first, else 0; `None` in a case without next-sentence labels.
    fn classes(&self, count: usize) -> Result<Option<Vec<u32>>> {
        if self.file.tensor("next_sentence_label").is_err() {
            return Ok(None);
        }
        let classes = self.ints("next_sentence_label", count, 0..2)?;
        Ok(Some(classes.into_iter().map(|class| class as u32).collect()))
    }

    fn sized_floats(&self, name: &str, len: usize) -> Result<Vec<f32>> {
        let floats = self.floats(name)?;
        if floats.len() == len {
            return Ok(floats);
        }
        Err(self.refuse(&format!("`{name}` has {} numbers where {len} belong", floats.len())))
    }

    fn floats(&self, name: &str) -> Result<Vec<f32>> {
        Ok(self.words(name)?.map(f32::from_bits).collect())
    }

    fn ints(&self, name: &str, len: usize, range: Range<i32>) -> Result<Vec<i32>> {
        let ints: Vec<i32> = self.words(name)?.map(|word| word as i32).collect();
        if ints.len() == len && ints.iter().all(|int| range.contains(int)) {
            return Ok(ints);
        }
        Err(self.refuse(&format!("`{name}` is not {len} numbers in {range:?}")))
    }

    fn words(&self, name: &str) -> Result<impl Iterator<Item = u32> + use<'_, 'a>> {
        let bytes = self.tensor(name)?.data();
        Ok(bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)))
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>> {
        self.file.tensor(name).map_err(|_| self.refuse(&format!("has no tensor `{name}`")))
    }

    fn refuse(&self, problem: &str) -> Error {
        Error::file(self.path, format!("{problem}; make it anew with make_golden.py"))
    }
}

/// A sequence of the batch. A padding token attends only to itself, and every other token to all that are not padding.
fn example(ids: &[i32], mask: &[i32], labels: &[i32]) -> Example {
    let real = mask.iter().filter(|&&real| real == 1).count();
    let selected: Vec<u32> = (0..ids.len() as u32).filter(|&t| labels[t as usize] >= 0).collect();
    let labels = selected.iter().map(|&t| labels[t as usize] as u32).collect();
    let mut example = Example::new(ids.iter().map(|&id| id as u32).collect(), selected, labels);
    let span = |t: usize| if t < real { [0, real as u32] } else { [t as u32, t as u32 + 1] };
    example.sequence.spans = (0..ids.len()).map(span).collect();
    example.sequence.positions = (0..ids.len() as u32).map(|t| if (t as usize) < real { t } else { 0 }).collect();
    example.sequence.real = real;
    example
}
