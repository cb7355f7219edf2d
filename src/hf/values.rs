//! The values of a model's parameters from the tensors of its files.

use super::family::Family;
use super::names::{self, source};
use super::tensors::Tensors;
use crate::data::Masking;
use crate::model::ModelConfig;
use crate::model::architecture::declare;
use crate::model::parameters::Declaration;
use crate::tasks::{self, Task, TaskKind};
use crate::{Error, Result};
use std::collections::BTreeSet;
use std::path::Path;

/// Seed of the head that is initialized for an encoder without one.
const HEAD_SEED: u64 = 1;

/// Our name of the token embedding.
const EMBEDDINGS: &str = "embeddings.tokens.weight";

/// Reads the parameters of a task's model from the model's files.
pub struct Reader<'a> {
    /// `None` for files with our own names.
    pub family: Option<Family>,
    pub task: &'a dyn Task,
    pub tensors: &'a Tensors,
}

impl Reader<'_> {
    /// The values of every parameter, in the order that `tasks::parameters` gives. A part of the head of which the files have
    /// nothing is newly initialized.
    ///
    /// # Errors
    /// A tensor is missing, left over, of another shape or type.
    pub fn all(&self) -> Result<Vec<Vec<f32>>> {
        let mut used = BTreeSet::new();
        let mut values = Vec::new();
        for parameter in declare(self.config()) {
            values.push(self.parameter(&parameter, &mut used)?);
        }
        for part in self.task.parts() {
            let there = self.has(&part);
            for parameter in part {
                values.push(match there {
                    true => self.parameter(&parameter, &mut used)?,
                    // The encoder's matrices, which have been read by now, bound its size.
                    false => parameter.first_values(HEAD_SEED, values.len()),
                });
            }
        }
        self.check_fixed(&mut used)?;
        self.check_copies(&mut used)?;
        let others = self.heads_of_tasks();
        let mut names = self.tensors.names();
        match names.find(|name| !used.contains(*name) && !others.contains(*name) && !is_superfluous(name)) {
            Some(name) => {
                let problem = format!("has a tensor `{name}` that the config does not ask for");
                Err(Error::file(self.tensors.path_of(name), problem))
            }
            None => Ok(values),
        }
    }

    /// As `all`, for files that may hold other tensors as well, and must have the head.
    ///
    /// # Errors
    /// A tensor is missing, of another shape or type.
    pub fn some(&self) -> Result<Vec<Vec<f32>>> {
        let parameters = tasks::parameters(self.task);
        parameters.iter().map(|parameter| self.parameter(parameter, &mut BTreeSet::new())).collect()
    }

    /// Whether the files hold any part of a masked-language-model head. Models saved by `BertModel` and its like have none.
    pub fn has_head(&self) -> bool {
        self.task.parts().first().is_none_or(|part| self.has(part))
    }

    /// Whether the files hold every parameter of the task's head.
    pub fn has_whole_head(&self) -> bool {
        self.task.parts().iter().flatten().all(|parameter| self.is_stored(parameter))
    }

    /// Whether the files hold any parameter of a part of the head.
    fn has(&self, part: &[Declaration]) -> bool {
        part.iter().any(|parameter| self.is_stored(parameter))
    }

    fn is_stored(&self, parameter: &Declaration) -> bool {
        self.sources(&parameter.name).iter().any(|name| self.stored_name(name).is_some())
    }

    /// The tensor names of the heads of all tasks. The files of a model that was trained for another task can then be read
    /// too.
    fn heads_of_tasks(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for kind in TaskKind::ALL {
            let task = kind.task(self.config(), Masking::default());
            let reader = Reader { task: &*task, ..*self };
            for parameter in task.parts().concat() {
                names.extend(reader.sources(&parameter.name).iter().flat_map(|name| reader.spellings(name)));
            }
        }
        names
    }

    fn config(&self) -> &ModelConfig {
        self.task.config()
    }

    /// Adds the names of the tensors it reads to `used`.
    fn parameter(&self, parameter: &Declaration, used: &mut BTreeSet<String>) -> Result<Vec<f32>> {
        let sources = self.sources(&parameter.name);
        if sources.is_empty() {
            let problem = format!("the family of this model has nothing like our `{}`", parameter.name);
            return Err(Error::file(self.tensors.path_of(&parameter.name), problem));
        }
        let mut shape = parameter.shape.clone();
        shape[0] /= sources.len();
        let mut values = Vec::new();
        for theirs in sources {
            let name = self.stored_name(&theirs).or_else(|| self.twin(parameter)).unwrap_or(theirs);
            values.extend(self.tensors.floats(&name, &shape)?);
            used.insert(name);
        }
        Ok(values)
    }

    /// The tensors that hold a parameter.
    fn sources(&self, parameter: &str) -> Vec<String> {
        match self.family {
            None => vec![parameter.to_string()],
            Some(family) => source(family, self.task, parameter).map(|source| source.tensors).unwrap_or_default(),
        }
    }

    /// The name that a tensor has in the files, if it is there.
    fn stored_name(&self, name: &str) -> Option<String> {
        self.spellings(name).into_iter().find(|name| self.tensors.has(name))
    }

    fn spellings(&self, name: &str) -> Vec<String> {
        self.family.map_or_else(|| vec![name.to_string()], |family| names::spellings(family, name))
    }

    /// The decoder's matrix in place of the embeddings that it is tied to, since some files hold only the decoder's.
    fn twin(&self, parameter: &Declaration) -> Option<String> {
        let tied = self.config().tied_decoder && parameter.name == EMBEDDINGS;
        let decoder = self.family.filter(|_| tied).map(names::decoder_weight)?;
        self.tensors.has(decoder).then(|| decoder.to_string())
    }

    /// Tensors that the family's files must have and our model does without must hold values that change nothing.
    fn check_fixed(&self, used: &mut BTreeSet<String>) -> Result<()> {
        for fixed in self.family.map(|family| names::fixed(family, self.config())).unwrap_or_default() {
            let values = self.tensors.floats(fixed.name, &fixed.shape)?;
            if let Some(at) = (0..values.len()).find(|&at| values[at] != fixed.value(at)) {
                let problem = format!(
                    "`{}` has {} as its value number {at}; Cloze computes heads without activation only with {} there",
                    fixed.name,
                    values[at],
                    fixed.value(at)
                );
                return Err(Error::file(self.tensors.path_of(fixed.name), problem));
            }
            used.insert(fixed.name.to_string());
        }
        Ok(())
    }

    /// The copy of a tied tensor must be equal to it.
    fn check_copies(&self, used: &mut BTreeSet<String>) -> Result<()> {
        let Some(family) = self.family else { return Ok(()) };
        let copy = names::decoder_weight(family);
        if !self.config().tied_decoder || !self.tensors.has(copy) {
            return Ok(());
        }
        let shape = [self.config().vocab_size, self.config().hidden_size];
        let Some(tokens) = self.stored_name(&self.sources(EMBEDDINGS).concat()) else { return Ok(()) };
        if self.tensors.floats(copy, &shape)? != self.tensors.floats(&tokens, &shape)? {
            let problem = format!(
                "`{copy}` differs from `{tokens}`, and config.json has tie_word_embeddings = true; set it to false if the \
                 decoder is a matrix of its own"
            );
            return Err(Error::file(self.tensors.path_of(copy), problem));
        }
        used.insert(copy.to_string());
        Ok(())
    }
}

/// Tensors that files may hold and a model does without: position ids, a pooler, and a second copy of the decoder's bias.
fn is_superfluous(name: &str) -> bool {
    name.ends_with("embeddings.position_ids")
        || name.starts_with("pooler.")
        || name.contains(".pooler.")
        || ["cls.predictions.bias", "lm_head.bias"].contains(&name)
}

/// The parameters of a task's model from one safetensors file, with a family's names or ours; `path` is for messages.
///
/// # Errors
/// As [`Reader::all`].
pub fn values(family: Option<Family>, task: &dyn Task, bytes: Vec<u8>, path: &Path) -> Result<Vec<Vec<f32>>> {
    Reader { family, task, tensors: &Tensors::from_bytes(path, bytes)? }.all()
}

/// `values` for a file that may hold other tensors as well.
///
/// # Errors
/// As [`Reader::some`].
pub fn some_values(family: Option<Family>, task: &dyn Task, bytes: Vec<u8>, path: &Path) -> Result<Vec<Vec<f32>>> {
    Reader { family, task, tensors: &Tensors::from_bytes(path, bytes)? }.some()
}
