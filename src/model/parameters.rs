//! The parameters of a model: names, shapes, initial values, and their places in a few flat tensors.
//!
//! Parameters lie one after another in flat tensors, and so do their gradients and the optimiser state. The optimiser and the
//! gradient norm then run over a handful of tensors, however many layers there are. A flat tensor holds either matrices or
//! vectors of one of the optimiser's groups, and is no larger than a binding. In a program that stores numbers as f16, matrix
//! products use an f16 copy of the matrices, which every write and every update also changes.

use super::init::Init;
use crate::exec::{Bytes, Executor, Program, Role, Tensor, halves, remedy_of_parameter};
use crate::kernels::Precision;
use crate::random::{Site, Stream};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::ops::Range;

/// Most elements of a flat tensor: even after alignment, it stays below the limit of a tensor.
const MAX_LEN: usize = (1 << 30) - 2 * Program::PART_ALIGNMENT;

/// Number of values that are copied at once.
const COPIED: usize = 1 << 20;

/// A parameter and its gradient.
#[derive(Clone, Copy, Debug)]
pub struct Weight {
    /// The values that the model uses: of a matrix, the copy if there is one.
    pub value: Tensor,
    /// `None` in a program that does not train.
    pub gradient: Option<Tensor>,
}

impl Weight {
    /// Panics in a program that does not train.
    pub fn gradient(&self) -> Tensor {
        self.gradient.expect("a program with a backward pass has gradients")
    }
}

/// One flat tensor of parameters with what training keeps beside it.
pub struct Flat {
    pub len: usize,
    /// The optimiser's group that its parameters belong to; 0 in a program that does not train.
    pub group: usize,
    pub values: Tensor,
    /// A copy of the values in the precision of the program, if that is not f32 and matrix products use them.
    pub copy: Option<Tensor>,
    /// `None` in a program that does not train.
    gradients: Option<Tensor>,
    /// The optimiser state of each value, in the order of its group's slots.
    pub state: Vec<Tensor>,
    slots: &'static [&'static str],
}

impl Flat {
    /// Panics in a program that does not train.
    pub fn gradients(&self) -> Tensor {
        self.gradients.expect("a program that trains has gradients")
    }
}

/// The parts of flat tensors that belong to one parameter.
pub struct ParameterTensors {
    pub values: Tensor,
    /// A copy of the values in the precision of the program, if that is not f32 and matrix products use them.
    pub copy: Option<Tensor>,
    pub gradients: Tensor,
    /// The optimiser state, in the order of its slots.
    pub state: Vec<Tensor>,
}

/// How training lays out the gradients and the optimiser state of a model's parameters.
pub struct TrainingLayout {
    /// The role of the gradients' tensors.
    pub gradients: Role,
    /// The optimiser's group of each parameter.
    pub groups: Vec<usize>,
    /// For each group, the names of the state that the optimiser keeps for every value.
    pub slots: Vec<&'static [&'static str]>,
}

/// What a parameter is to the network. Optimisers may treat the kinds differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// A table of rows that are looked up.
    Embedding,
    /// The weight of a product between hidden activations, [out, in]. It may be several stacked matrices of equal size, such
    /// as those of queries, keys and values.
    Matrix { stacked: usize },
    /// A bias, or the weight of a norm.
    Vector,
    /// A matrix that computes a task's outputs.
    Head,
}

/// A parameter as an architecture declares it.
#[derive(Clone, Debug)]
pub struct Declaration {
    pub name: String,
    pub shape: Vec<usize>,
    pub init: Init,
    pub kind: ParameterKind,
    /// Rows on a device: those of its shape, then padding rows, which stay zero and are not saved.
    pub rows: usize,
}

impl Declaration {
    /// Number of values.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// Number of values on a device.
    fn room(&self) -> usize {
        self.rows * self.shape[1..].iter().product::<usize>()
    }

    /// The initial values of the `number`-th parameter of a model. They depend on the seed and that number alone.
    pub fn first_values(&self, seed: u64, number: usize) -> Vec<f32> {
        self.init.values(&self.shape, Stream::new(seed, Site::Init, number as u64))
    }
}

/// Where a parameter lies: a flat tensor and its first element there.
struct Place {
    flat: usize,
    start: usize,
}

/// Every parameter of a model, in the order it was declared.
pub struct Parameters {
    pub list: Vec<Declaration>,
    pub flats: Vec<Flat>,
    /// One for each of `list`.
    places: Vec<Place>,
    weights: BTreeMap<String, Weight>,
}

/// Which numbers of a parameter are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Value,
    Gradient,
    /// The optimiser state in the slot of this name.
    State(&'static str),
}

impl Flat {
    fn tensor(&self, kind: Kind) -> Option<Tensor> {
        match kind {
            Kind::Value => Some(self.values),
            Kind::Gradient => self.gradients,
            Kind::State(name) => self.slots.iter().position(|slot| *slot == name).map(|place| self.state[place]),
        }
    }
}

impl Parameters {
    /// Gives every declared parameter its place and, in a program that trains, a gradient and optimiser state. `binding` is
    /// the largest binding of the device in bytes.
    pub fn new(program: &mut Program, list: Vec<Declaration>, training: Option<&TrainingLayout>, binding: u64) -> Self {
        let precision = program.precision();
        let most = ((binding / 4) as usize).min(MAX_LEN);
        if let Some(large) = list.iter().max_by_key(|parameter| parameter.room()).filter(|large| large.room() > most) {
            let bound = match large.room() > MAX_LEN {
                true => "has more than 2^30 elements, more than any device binds".to_string(),
                false => format!(
                    "takes {}, and the device binds at most {} at once",
                    Bytes(4 * large.room() as u64),
                    Bytes(binding)
                ),
            };
            let Declaration { name, shape, .. } = large;
            program.fail(format!("parameter `{name}` of shape {shape:?} {bound}"), remedy_of_parameter(name));
        }
        let mut lens: Vec<(usize, (usize, bool))> = Vec::new();
        let mut place = |(number, parameter): (usize, &Declaration)| {
            let group = training.map_or(0, |training| training.groups[number]);
            let (len, kind) = (parameter.room(), (group, parameter.shape.len() > 1));
            let fits = |&(used, other): &(usize, (usize, bool))| other == kind && used + len <= most;
            let flat = lens.iter().position(fits).unwrap_or_else(|| {
                lens.push((0, kind));
                lens.len() - 1
            });
            let start = lens[flat].0;
            lens[flat].0 += len.next_multiple_of(Program::PART_ALIGNMENT / precision.bytes());
            Place { flat, start }
        };
        let places: Vec<Place> = list.iter().enumerate().map(&mut place).collect();
        let flat = |(number, &(len, (group, matrices))): (usize, &(usize, (usize, bool)))| {
            let mut tensor = |role, what: &str| program.tensor(role, format!("{what} {number}"), &[len]);
            let values = tensor(Role::Parameter, "parameters");
            let gradients = training.map(|training| tensor(training.gradients, "gradients"));
            let slots = training.map_or(&[][..], |training| training.slots[group]);
            let state = slots.iter().map(|slot| tensor(Role::Optimizer, slot)).collect();
            let copied = matrices && precision != Precision::F32;
            let copy = copied.then(|| program.reals(Role::Parameter, format!("parameters {number} in f16"), &[len]));
            Flat { len, group, values, copy, gradients, state, slots }
        };
        let flats: Vec<Flat> = lens.iter().enumerate().map(flat).collect();
        let mut weights = BTreeMap::new();
        for (parameter, place) in list.iter().zip(&places) {
            let mut part = |whole| program.part(whole, place.start, parameter.room(), &parameter.name);
            let flat = &flats[place.flat];
            let (value, gradient) = (part(flat.copy.unwrap_or(flat.values)), flat.tensor(Kind::Gradient).map(part));
            weights.insert(parameter.name.clone(), Weight { value, gradient });
        }
        Parameters { list, flats, places, weights }
    }

    /// The parameter of that name. Panics if the model has none, which is a mistake in the code that records it.
    pub fn weight(&self, name: &str) -> Weight {
        self.weights.get(name).copied().unwrap_or_else(|| panic!("the model has no parameter `{name}`"))
    }

    /// The weight of a layer, and its bias if it has one. Panics if the model has no such layer.
    pub fn layer(&self, name: &str) -> (Weight, Option<Weight>) {
        (self.weight(&format!("{name}.weight")), self.weights.get(&format!("{name}.bias")).copied())
    }

    /// The tensors of the parameter `list[number]` in a program that trains, padding rows included. Panics in a program that
    /// does not train.
    pub fn tensors(&self, program: &mut Program, number: usize) -> ParameterTensors {
        let (parameter, place) = (&self.list[number], &self.places[number]);
        let flat = &self.flats[place.flat];
        let mut part = |whole| program.part(whole, place.start, parameter.room(), &parameter.name);
        ParameterTensors {
            values: part(flat.values),
            copy: flat.copy.map(&mut part),
            gradients: part(flat.gradients()),
            state: flat.state.iter().map(|whole| part(*whole)).collect(),
        }
    }

    /// The names of the optimiser state's slots, each once.
    pub fn slots(&self) -> Vec<&'static str> {
        let mut slots = Vec::new();
        for slot in self.flats.iter().flat_map(|flat| flat.slots) {
            if !slots.contains(slot) {
                slots.push(*slot);
            }
        }
        slots
    }

    /// Whether the optimiser keeps state of that name for the parameter `list[number]`.
    pub fn keeps(&self, number: usize, slot: &str) -> bool {
        self.flats[self.places[number].flat].slots.contains(&slot)
    }

    /// Number of trained values.
    pub fn count(&self) -> usize {
        self.list.iter().map(Declaration::count).sum()
    }

    /// Writes the initial values, which depend on the seed alone.
    pub fn initialize(&self, executor: &mut dyn Executor, seed: u64) {
        for (number, parameter) in self.list.iter().enumerate() {
            self.write_one(executor, Kind::Value, number, &parameter.first_values(seed, number));
        }
    }

    /// Writes values for every parameter, in the order of `list`.
    pub fn write(&self, executor: &mut dyn Executor, kind: Kind, values: &[Vec<f32>]) {
        for (number, values) in values.iter().enumerate() {
            self.write_one(executor, kind, number, values);
        }
    }

    fn write_one(&self, executor: &mut dyn Executor, kind: Kind, number: usize, values: &[f32]) {
        self.write_part(executor, kind, number, 0, values);
        let place = &self.places[number];
        if let (Kind::Value, Some(copy)) = (kind, self.flats[place.flat].copy) {
            executor.write_part(copy, place.start / 2, &narrowed(values));
        }
    }

    /// Writes values of the parameter `list[number]`, from its value `start` on. The copy in another precision is not
    /// changed: see [`Parameters::write_copies`].
    pub fn write_part(&self, executor: &mut dyn Executor, kind: Kind, number: usize, start: usize, values: &[f32]) {
        let place = &self.places[number];
        if let Some(tensor) = self.flats[place.flat].tensor(kind) {
            executor.write_part(tensor, place.start + start, bytemuck::cast_slice(values));
        }
    }

    /// Makes the copies in another precision of all values.
    ///
    /// # Errors
    /// When the device fails.
    pub fn write_copies(&self, executor: &mut dyn Executor) -> Result<()> {
        for flat in &self.flats {
            let Some(copy) = flat.copy else { continue };
            for start in (0..flat.len).step_by(COPIED) {
                let words = executor.read_part(flat.values, start..flat.len.min(start + COPIED))?;
                executor.write_part(copy, start / 2, &narrowed(bytemuck::cast_slice(&words)));
            }
        }
        Ok(())
    }

    /// Reads a range of the values of the parameter `list[number]`.
    ///
    /// # Errors
    /// When the device fails, or the program has no such values.
    pub fn read_part(
        &self,
        executor: &mut dyn Executor,
        kind: Kind,
        number: usize,
        range: Range<usize>,
    ) -> Result<Vec<f32>> {
        let place = &self.places[number];
        let tensor = self.flats[place.flat].tensor(kind).ok_or_else(not_trained)?;
        let words = executor.read_part(tensor, place.start + range.start..place.start + range.end)?;
        Ok(bytemuck::cast_slice(&words).to_vec())
    }

    /// Reads every parameter, in the order of `list`.
    ///
    /// # Errors
    /// When the device fails, or the program has no such values.
    pub fn read(&self, executor: &mut dyn Executor, kind: Kind) -> Result<Vec<Vec<f32>>> {
        let mut flats = Vec::new();
        for flat in &self.flats {
            let tensor = flat.tensor(kind).ok_or_else(not_trained)?;
            flats.push(executor.read(tensor)?);
        }
        let values = |(parameter, place): (&Declaration, &Place)| {
            bytemuck::cast_slice(&flats[place.flat][place.start..][..parameter.count()]).to_vec()
        };
        Ok(self.list.iter().zip(&self.places).map(values).collect())
    }
}

fn not_trained() -> Error {
    Error::device("the program does not train")
}

/// Two f16 values per word. After an odd number of values, the rest of the last word is zero.
fn narrowed(values: &[f32]) -> Vec<u32> {
    let mut words = vec![0; values.len().div_ceil(2)];
    halves::narrow(values, &mut words);
    words
}
