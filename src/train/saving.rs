//! Writes the files of a checkpoint, from the device straight to the disk, without a copy of the whole model in between.

use super::program::Training;
use crate::Result;
use crate::checkpoint::saved::{CONFIG, MODEL, MOMENTS, OPTIMIZER, TOKENIZER, UNIGRAM};
use crate::checkpoint::{CheckpointWriter, HashingWriter};
use crate::data::Prepared;
use crate::exec::Executor;
use crate::hf;
use crate::hf::write::{Placed, Source};
use crate::model::Kind;
use crate::model::parameters::Parameters;
use crate::model::weights::{self, Entry};
use crate::tasks::Task;

/// Writes the files of a checkpoint.
///
/// # Errors
/// The device fails, or the disk refuses.
pub(super) fn write(
    out: &mut CheckpointWriter,
    task: &dyn Task,
    training: &Training,
    executor: &mut dyn Executor,
    data: &Prepared,
) -> Result<()> {
    let (parameters, tokenizer) = (&training.parameters, data.tokenizer());
    out.file(MODEL, |out| write_model(out, task, parameters, executor))?;
    out.file(MOMENTS, |out| write_moments(out, parameters, executor))?;
    out.put(OPTIMIZER, bytemuck::cast_slice(&executor.read(training.optimizer)?))?;
    out.put(UNIGRAM, bytemuck::cast_slice(data.unigram()))?;
    out.put(CONFIG, &hf::write::config(task, tokenizer, hf::WeightsDtype::F32))?;
    out.put(TOKENIZER, tokenizer.json())?;
    hf::write::tokenizer_files(task.config(), tokenizer).iter().try_for_each(|(name, bytes)| out.put(name, bytes))
}

fn write_model(
    out: &mut HashingWriter,
    task: &dyn Task,
    parameters: &Parameters,
    executor: &mut dyn Executor,
) -> Result<()> {
    let layout = hf::write::layout(task);
    weights::write(
        &entries(&layout),
        |bytes| out.put(bytes),
        |place, range| match &layout[place].source {
            Source::Parameter { number, start } => {
                parameters.read_part(executor, Kind::Value, *number, start + range.start..start + range.end)
            }
            Source::Fixed(values) => Ok(values[range].to_vec()),
        },
    )
}

fn write_moments(out: &mut HashingWriter, parameters: &Parameters, executor: &mut dyn Executor) -> Result<()> {
    let moments = moments(parameters);
    weights::write(
        &moments.entries,
        |bytes| out.put(bytes),
        |place, range| {
            let (kind, number) = moments.sources[place];
            parameters.read_part(executor, kind, number, range)
        },
    )
}

/// The tensors of a model's file.
pub(super) fn entries(layout: &[Placed]) -> Vec<Entry> {
    layout.iter().map(|placed| placed.entry.clone()).collect()
}

/// The tensors of the file of the optimiser's moments, with the kind and number of the parameter that each belongs to.
pub(super) struct Moments {
    pub entries: Vec<Entry>,
    pub sources: Vec<(Kind, usize)>,
}

/// What the optimiser keeps for each parameter, slot by slot.
pub(super) fn moments(parameters: &Parameters) -> Moments {
    let mut moments = Moments { entries: Vec::new(), sources: Vec::new() };
    for slot in parameters.slots() {
        for (number, parameter) in
            parameters.list.iter().enumerate().filter(|(number, _)| parameters.keeps(*number, slot))
        {
            let (name, shape) = (format!("{slot}.{}", parameter.name), parameter.shape.clone());
            moments.entries.push(Entry { name, shape });
            moments.sources.push((Kind::State(slot), number));
        }
    }
    moments
}
