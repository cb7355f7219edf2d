//! Histograms of a model's weights and gradients.

use super::Training;
use crate::Result;
use crate::exec::Executor;
use crate::kernels::gradient_norm::OptimizerState;
use crate::kernels::{Params, Precision};
use crate::model::Kind;

/// How many values of a parameter are read at once.
const READ_AT_ONCE: usize = 1 << 20;
/// Bits of an f32 below its sign, exponent and first three bits of the mantissa. What is above these bits numbers the buckets,
/// so there are eight between a power of two and the next.
const FINER: u32 = 20;
/// The bucket of 2⁻⁴⁰, about 1e-12. Values closer to zero are counted as zero.
const SMALLEST: usize = (127 - 40) << 3;
/// How many buckets there are on either side of zero, up to that of the largest number.
const SIDE: usize = (255 << 3) - SMALLEST;

/// A histogram of some values. Those that are not finite are left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    pub min: f64,
    pub max: f64,
    /// How many values there were.
    pub count: u64,
    pub sum: f64,
    pub sum_squares: f64,
    /// From the bucket of the lowest value to that of the highest.
    pub buckets: Vec<Bucket>,
}

/// How many values lie between the limit of the bucket before and its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    pub limit: f64,
    pub count: u64,
}

impl Histogram {
    /// The histogram of values that come in parts; `None` if none is finite.
    fn of(mut parts: impl Iterator<Item = Result<Vec<f32>>>) -> Result<Option<Histogram>> {
        let mut counts = vec![0; 2 * SIDE + 1];
        let (min, max) = (f64::INFINITY, f64::NEG_INFINITY);
        let mut all = Histogram { min, max, count: 0, sum: 0.0, sum_squares: 0.0, buckets: Vec::new() };
        parts.try_for_each(|part| {
            for value in part?.into_iter().filter(|value| value.is_finite()) {
                counts[place(value)] += 1;
                let value = f64::from(value);
                (all.min, all.max) = (all.min.min(value), all.max.max(value));
                all.count += 1;
                all.sum += value;
                all.sum_squares += value * value;
            }
            Ok(())
        })?;
        all.buckets = buckets(&counts);
        Ok((all.count > 0).then_some(all))
    }
}

/// The place of a value's bucket. Buckets of negative values come first, then that of zero, then those of positive values.
fn place(value: f32) -> usize {
    let magnitude = (value.abs().to_bits() >> FINER) as usize;
    match magnitude.checked_sub(SMALLEST) {
        None => SIDE,
        Some(number) if value < 0.0 => SIDE - 1 - number,
        Some(number) => SIDE + 1 + number,
    }
}

/// The upper limit of the bucket at a place.
fn limit(place: usize) -> f64 {
    let edge = |number: usize| f64::from(f32::from_bits(((SMALLEST + number) << FINER) as u32).min(f32::MAX));
    if place < SIDE { -edge(SIDE - 1 - place) } else { edge(place - SIDE) }
}

/// The buckets that are not empty, with a single empty one for each gap between them.
fn buckets(counts: &[u64]) -> Vec<Bucket> {
    let mut buckets: Vec<Bucket> = Vec::new();
    for (place, &count) in counts.iter().enumerate() {
        match buckets.last_mut() {
            Some(last) if last.count == 0 && count == 0 => last.limit = limit(place),
            None if count == 0 => {}
            _ => buckets.push(Bucket { limit: limit(place), count }),
        }
    }
    buckets.pop_if(|last| last.count == 0);
    buckets
}

/// The histogram of every parameter, named `group/parameter`.
fn histograms(
    group: &str,
    training: &Training,
    executor: &mut dyn Executor,
    kind: Kind,
    scale: f32,
) -> Result<Vec<(String, Histogram)>> {
    let parameters = &training.parameters;
    let mut found = Vec::new();
    for (number, parameter) in parameters.list.iter().enumerate() {
        let count = parameter.count();
        let parts = (0..count).step_by(READ_AT_ONCE).map(|start| {
            let range = start..count.min(start + READ_AT_ONCE);
            let values = parameters.read_part(executor, kind, number, range)?;
            Ok(values.into_iter().map(|value| value / scale).collect())
        });
        let histogram = Histogram::of(parts)?;
        found.extend(histogram.map(|histogram| (format!("{group}/{}", parameter.name), histogram)));
    }
    Ok(found)
}

/// Histograms of the weights. Waits for the device.
///
/// # Errors
/// The device fails.
pub(super) fn of_weights(training: &Training, executor: &mut dyn Executor) -> Result<Vec<(String, Histogram)>> {
    histograms("weights", training, executor, Kind::Value, 1.0)
}

/// Histograms of a step's gradients before clipping, to be taken between [`Training::accumulate_gradients`] and the update.
/// Waits for the device.
///
/// # Errors
/// The device fails.
pub(super) fn of_gradients(training: &Training, executor: &mut dyn Executor) -> Result<Vec<(String, Histogram)>> {
    let scale = match training.program.precision() {
        Precision::F32 => 1.0,
        Precision::F16 => OptimizerState::from_words(&executor.read(training.optimizer)?).loss_scale,
    };
    histograms("gradients", training, executor, Kind::Gradient, scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collective::Single;
    use crate::data::{Batch, Example};
    use crate::device::Device;
    use crate::model::{ModelConfig, Recipe, Shape};
    use crate::optim::AdamW;
    use crate::tasks::MaskedLm;
    use crate::train::TrainingOptions;

    fn of(values: &[f32]) -> Option<Histogram> {
        Histogram::of(values.chunks(2).map(|part| Ok(part.to_vec()))).unwrap()
    }

    #[test]
    fn values_lie_below_the_limits_of_their_buckets() {
        let values = [f32::MIN, -3.0, -0.0, 0.0, 1e-20, 1e-12, 0.1, 1.0, 1.0, 1.124, 1.125, f32::MAX];
        for value in values {
            let upper = limit(place(value));
            let lower = place(value).checked_sub(1).map_or(f64::NEG_INFINITY, limit);
            assert!(lower <= f64::from(value) && f64::from(value) <= upper, "{lower} {value} {upper}");
        }
        assert_eq!((place(f32::MIN), place(f32::MAX)), (0, 2 * SIDE));

        let histogram = of(&[1.0, 0.0, f32::NAN, 1.0, -2.0, f32::INFINITY]).unwrap();
        let Histogram { min, max, count, sum, sum_squares, buckets } = histogram;
        assert_eq!((min, max, count, sum, sum_squares), (-2.0, 1.0, 4, 0.0, 6.0));
        assert_eq!(buckets.iter().map(|bucket| bucket.count).collect::<Vec<_>>(), [1, 0, 1, 0, 2]);
        let smallest = 2f64.powi(-40);
        let limits: Vec<f64> = buckets.iter().map(|bucket| bucket.limit).collect();
        assert_eq!(limits, [-2.0, -smallest, smallest, 1.0, 1.125]);
        assert_eq!(of(&[f32::NAN, f32::INFINITY]), None);
    }

    /// If a step is one microbatch, activations share the gradients' memory, but never between the two phases.
    #[test]
    fn gradients_are_whole_before_the_update() {
        for recipe in [Recipe::Modern, Recipe::Bert] {
            let config = ModelConfig::new(recipe, 100, 2, 32, 2).unwrap();
            let tokens = vec![2, 17, 4, 46, 28, 3];
            let batch = Batch::for_training(&[Example::new(tokens, vec![2], vec![59])], 1);
            let gradients = |accumulates| {
                let (shape, device) = (Shape { batch: 1, sequence: 6, selected: 1 }, Device::Cpu);
                let options = TrainingOptions { accumulates, ..TrainingOptions::new(shape, device.binding()) };
                let training = Training::new(&MaskedLm::new(&config), &AdamW::default(), options).unwrap();
                let mut executor = training.start(&device, &config).unwrap();
                training.parameters.initialize(&mut *executor, 1);
                let batches = std::slice::from_ref(&batch);
                for step in 0..2 {
                    training.step(&mut *executor, batches, 1e-3, 1, step).unwrap();
                }
                training.accumulate_gradients(&mut *executor, batches, 1, 2, &mut Single).unwrap();
                of_gradients(&training, &mut *executor).unwrap()
            };
            let (kept, shared) = (gradients(true), gradients(false));
            assert_eq!(kept, shared);
            assert!(kept.iter().all(|(_, histogram)| histogram.max > histogram.min), "{kept:?}");
        }
    }
}
