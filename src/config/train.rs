//! `[train]`, `[validation]` and `[checkpoint]`: the loop.

use super::MicroBatch;
use crate::Result;
use crate::data::check_mask_rate;
use crate::kernels::Precision;
use crate::model::Recompute;
use crate::optim::{AdamW, LearningRate, Muon, Optimizer, OptimizerKind, Schedule};
use crate::settings::{at_least_one, fraction, not_negative, positive, require};
use serde::{Deserialize, Serialize};

/// The optimiser and its schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Optimiser steps. No default.
    pub steps: u64,
    /// Sequences a step. Default 32.
    pub batch_size: usize,
    /// Sequences the device takes at once; it divides `batch_size`, and gradients are summed over the passes of a step.
    /// "auto" takes the largest whose plan fits the device's bindings and nine tenths of its free memory; where a device does
    /// not tell its memory, the largest whose buffers it makes. The run's own config then has the number, and a resume keeps
    /// it, since the order of sums depends on it; nothing else does. Default: `batch_size`.
    pub micro_batch: MicroBatch,
    /// What the backward pass computes again rather than keep from the forward pass: "none" (default), "attention" or
    /// "layer". It trades time for memory, and changes no result
    /// with `precision` = "f32", in "f16" none by more than a rounding.
    pub recompute: Recompute,
    /// "adamw" (default), or "muon": Muon on the matrices of the layers, and AdamW on all else.
    pub optimizer: OptimizerKind,
    /// Highest learning rate of what "muon" updates by Muon; it rises and falls as `learning_rate`. Default 0.02.
    pub muon_learning_rate: f64,
    /// Decay of Muon's momentum. Default 0.95.
    pub muon_momentum: f64,
    /// Highest learning rate. No default.
    pub learning_rate: f64,
    /// How the learning rate falls after the warm-up: "linear" (default), "cosine", "wsd" or "constant".
    pub schedule: Schedule,
    /// Warm-up in steps. When it is given, `warmup_fraction` does not matter. Default: none.
    pub warmup_steps: Option<u64>,
    /// Warm-up as a share of `steps`. Default 0.05.
    pub warmup_fraction: f64,
    /// Share of `steps` in which "wsd" decays. Default 0.2.
    pub decay_fraction: f64,
    /// Where the learning rate ends. Default 0.
    pub min_learning_rate: f64,
    /// AdamW's decay of the first moment. Default 0.9.
    pub beta1: f64,
    /// AdamW's decay of the second moment. Default 0.98.
    pub beta2: f64,
    /// Added to the root of the second moment. Default 1e-6.
    pub epsilon: f64,
    /// AdamW's decay of weights, not of biases and norms, as a share of the learning rate. Default 0.01.
    pub weight_decay: f64,
    /// Largest global norm of the gradient; 0 leaves it alone. Default 1.
    pub grad_clip: f64,
    /// How activations, their gradients and the weights of products are stored: "f32" (default), or "f16" for half the memory
    /// and traffic, on GPUs that have it. Sums, statistics, losses, parameters and the optimiser stay f32 with either, and with
    /// "f16" the loss is scaled so that small gradients do not vanish.
    pub precision: Precision,
    /// Training stops when as many steps in a row had a gradient that is not finite. Default 10.
    pub max_skipped_steps: u64,
    /// Milliseconds of work that a GPU gets at once. A desktop on the same GPU runs smoothly with fewer, and training somewhat
    /// slower. Changes no result. Default 80.
    pub submission_ms: u64,
    /// How often training goes on by itself after a GPU was lost: at most so many times within any hour that passes, counted
    /// back from the loss at hand. One more ends it with an error. 0: never. Default 10.
    pub recoveries_per_hour: u64,
    /// Seconds after which a call of a GPU's driver that does not return ends the process, with exit code 3. Default 300.
    pub hang_seconds: u64,
    /// Steps between lines of the log. Default 10.
    pub log_every: u64,
    /// Whether the run's folder gets event files for TensorBoard, in `tensorboard/`: all of `metrics.jsonl`, and the config.
    /// Default false.
    pub tensorboard: bool,
    /// Steps between histograms of every parameter and its gradient in these. Each reads all of them from the device. Default 0:
    /// none.
    pub tensorboard_histograms: u64,
}

/// Measuring the loss on held-out text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidationConfig {
    /// Steps between validations; 0 validates only at the end. Default 250.
    pub every: u64,
    /// Share of tokens to guess, whatever the training rate, so that runs compare. Default 0.15.
    pub rate: f64,
    /// Most sequences to validate on, spread evenly over the held-out text. Default 512.
    pub max_sequences: usize,
}

/// Saving the state of training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointConfig {
    /// Steps between checkpoints; 0 saves only at the end. Default 500.
    pub every: u64,
    /// How many of the latest checkpoints stay. Default 2.
    pub keep: usize,
    /// Whether the one with the lowest validation loss stays too. Default true.
    pub keep_best: bool,
}

impl TrainConfig {
    /// Length of the warm-up in steps.
    pub fn warmup(&self) -> u64 {
        self.warmup_steps.unwrap_or_else(|| (self.warmup_fraction * self.steps as f64).round() as u64)
    }

    /// Length of the final decay of "wsd" in steps.
    pub fn decay(&self) -> u64 {
        (self.decay_fraction * self.steps as f64).round() as u64
    }

    /// The optimiser.
    pub fn optimizer(&self) -> Box<dyn Optimizer> {
        let &TrainConfig { beta1, beta2, epsilon, weight_decay, .. } = self;
        let adamw = AdamW { beta1, beta2, epsilon, weight_decay };
        match self.optimizer {
            OptimizerKind::AdamW => Box::new(adamw),
            OptimizerKind::Muon => {
                let (rate, momentum) = (self.muon_learning_rate / self.learning_rate, self.muon_momentum);
                Box::new(Muon { rate, momentum, weight_decay, adamw })
            }
        }
    }

    /// The learning rates of all steps.
    pub fn learning_rates(&self) -> LearningRate {
        LearningRate {
            schedule: self.schedule,
            steps: self.steps,
            warmup: self.warmup(),
            decay: self.decay(),
            high: self.learning_rate,
            low: self.min_learning_rate,
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        at_least_one("train.steps", self.steps)?;
        at_least_one("train.batch_size", self.batch_size as u64)?;
        at_least_one("train.max_skipped_steps", self.max_skipped_steps)?;
        at_least_one("train.log_every", self.log_every)?;
        at_least_one("train.hang_seconds", self.hang_seconds)?;
        let submission = self.submission_ms;
        require((1..=1000).contains(&submission), "train.submission_ms", || {
            format!("is {submission}; it must be at least 1 and at most 1000, since some systems reset a GPU after 2 s")
        })?;
        if let MicroBatch::Sequences(micro) = self.micro_batch {
            let batch = self.batch_size;
            at_least_one("train.micro_batch", micro as u64)?;
            require(batch.is_multiple_of(micro), "train.micro_batch", || {
                format!("is {micro}, which does not divide train.batch_size = {batch}")
            })?;
        }
        require(
            self.tensorboard || self.tensorboard_histograms == 0,
            "train.tensorboard_histograms",
            "is for event files, and there are none; set train.tensorboard = true",
        )?;
        self.check_optimiser()?;
        self.check_schedule()
    }

    fn check_optimiser(&self) -> Result<()> {
        positive("train.learning_rate", self.learning_rate)?;
        positive("train.muon_learning_rate", self.muon_learning_rate)?;
        fraction("train.muon_momentum", self.muon_momentum)?;
        fraction("train.beta1", self.beta1)?;
        fraction("train.beta2", self.beta2)?;
        positive("train.epsilon", self.epsilon)?;
        not_negative("train.weight_decay", self.weight_decay)?;
        not_negative("train.grad_clip", self.grad_clip)
    }

    fn check_schedule(&self) -> Result<()> {
        let (low, high) = (self.min_learning_rate, self.learning_rate);
        require((0.0..=high).contains(&low), "train.min_learning_rate", || {
            format!("is {low}; it must be at least 0 and at most train.learning_rate = {high}")
        })?;
        fraction("train.warmup_fraction", self.warmup_fraction)?;
        let (warmup, steps) = (self.warmup(), self.steps);
        require(warmup <= steps, "train.warmup_steps", || {
            format!("is {warmup}, more than train.steps = {steps}; lower it, or leave it out for train.warmup_fraction")
        })?;
        let share = self.decay_fraction;
        require(share > 0.0 && share <= 1.0, "train.decay_fraction", || {
            format!("is {share}; it must be above 0 and at most 1")
        })?;
        let decay = self.decay();
        require(self.schedule != Schedule::Wsd || warmup + decay <= steps, "train.decay_fraction", || {
            format!("is {decay} steps, which with {warmup} of warm-up is more than train.steps = {steps}")
        })
    }
}

impl ValidationConfig {
    pub(super) fn check(&self) -> Result<()> {
        check_mask_rate("validation.rate", self.rate)?;
        at_least_one("validation.max_sequences", self.max_sequences as u64)
    }
}

impl CheckpointConfig {
    pub(super) fn check(&self) -> Result<()> {
        at_least_one("checkpoint.keep", self.keep as u64)
    }
}
