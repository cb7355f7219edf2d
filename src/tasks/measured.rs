//! What a step measures.

use crate::exec::{Program, Tensor};
use crate::kernels::cross_entropy::METRICS;
use crate::model::recorder::Recorder;

/// Words from the sums of one loss to those of the next. A kernel's argument must begin at a multiple of this.
const STRIDE: usize = Program::PART_ALIGNMENT / 4;

/// Number of words for the sums of this many losses.
pub fn words(losses: usize) -> usize {
    (losses - 1) * STRIDE + METRICS
}

/// The part of `metrics` that a loss adds to; `loss` is its place among the task's losses.
pub fn sums_of(r: &mut Recorder, metrics: Tensor, loss: usize) -> Tensor {
    r.program.part(metrics, loss * STRIDE, METRICS, "metrics of a loss")
}

/// Sums over the labels of one loss.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sums {
    /// Summed, in nats.
    pub cross_entropy: f64,
    /// Number of labels predicted correctly.
    pub right: f64,
    pub labels: f64,
}

impl Sums {
    /// Mean cross-entropy in nats; 0 without labels.
    pub fn loss(&self) -> f64 {
        self.cross_entropy / self.labels.max(1.0)
    }

    /// Share of the labels predicted correctly; 0 without labels.
    pub fn accuracy(&self) -> f64 {
        self.right / self.labels.max(1.0)
    }
}

/// What batches measured, in the order of [`super::Task::losses`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    pub losses: Vec<Sums>,
}

impl Measured {
    /// Reads the sums that kernels wrote.
    pub fn from_words(words: &[u32]) -> Self {
        let sums = |words: &[u32]| {
            let [cross_entropy, right, labels] = [0, 1, 2].map(|word| f64::from(f32::from_bits(words[word])));
            Sums { cross_entropy, right, labels }
        };
        Measured { losses: words.chunks(STRIDE).map(sums).collect() }
    }

    /// The loss that training lowers: the sum of the means.
    pub fn loss(&self) -> f64 {
        self.losses.iter().map(Sums::loss).sum()
    }

    /// The accuracy of the first loss.
    pub fn accuracy(&self) -> f64 {
        self.losses.first().map_or(0.0, Sums::accuracy)
    }

    /// Mean and accuracy of every loss by its name, where a task has several.
    pub fn parts(&self, names: &[&str]) -> Vec<(String, f64)> {
        if self.losses.len() < 2 {
            return Vec::new();
        }
        let parts = |(name, sums): (&&str, &Sums)| {
            [(format!("{name}_loss"), sums.loss()), (format!("{name}_accuracy"), sums.accuracy())]
        };
        names.iter().zip(&self.losses).flat_map(parts).collect()
    }

    /// Adds what another batch measured.
    pub fn add(&mut self, other: &Measured) {
        self.losses.resize(self.losses.len().max(other.losses.len()), Sums::default());
        for (sums, more) in self.losses.iter_mut().zip(&other.losses) {
            sums.cross_entropy += more.cross_entropy;
            sums.right += more.right;
            sums.labels += more.labels;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_two_losses() {
        let mut all = vec![0u32; words(2)];
        all[..3].copy_from_slice(&[6.0f32, 1.0, 4.0].map(f32::to_bits));
        all[STRIDE..].copy_from_slice(&[1.0f32, 2.0, 2.0].map(f32::to_bits));
        let mut measured = Measured::from_words(&all);
        assert_eq!((measured.loss(), measured.accuracy()), (1.5 + 0.5, 0.25));
        let parts = measured.parts(&["masked", "pair"]);
        let names: Vec<&str> = parts.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["masked_loss", "masked_accuracy", "pair_loss", "pair_accuracy"]);
        assert_eq!(parts.iter().map(|(_, value)| *value).collect::<Vec<_>>(), [1.5, 0.25, 0.5, 1.0]);
        measured.add(&Measured::from_words(&all));
        assert_eq!(measured.losses[1], Sums { cross_entropy: 2.0, right: 4.0, labels: 4.0 });
        let one = Measured::from_words(&all[..3]);
        assert_eq!((one.losses.len(), one.parts(&["masked"]).len()), (1, 0));
    }
}
