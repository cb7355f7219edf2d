//! `[train]`, `[validation]` and `[checkpoint]`: the training loop.

use super::MicroBatch;
use crate::Result;
use crate::data::check_mask_rate;
use crate::kernels::Precision;
use crate::model::Recompute;
use crate::optim::{AdamW, LearningRate, Muon, Optimizer, OptimizerKind, Schedule};
use crate::settings::{at_least_one, fraction, not_negative, positive, require};
use serde::{Deserialize, Serialize};

/// Batch, optimiser, learning-rate schedule, precision, and how the device is used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Number of optimiser steps. No default.
    pub steps: u64,
    /// Sequences per optimiser step. Default 32.
    pub batch_size: usize,
    /// Sequences that the device processes at once. It must divide `batch_size`; gradients are accumulated over the
    /// microbatches of a step. "auto" takes the largest number whose memory plan fits the device's largest binding and nine
    /// tenths of its free memory or, if the device does not report its memory, the largest number that can be allocated. The
    /// number is then written to the run's own config, and a resume keeps it, because the order of sums depends on it;
    /// nothing else does. Default: `batch_size`.
    pub micro_batch: MicroBatch,
    /// Gradient checkpointing: what the backward pass computes again instead of keeping it from the forward pass. "none"
    /// (default), "elementwise" (outputs of norms and GELU), "attention" (these, and q, k and v) or "layer" (all but the
    /// input of each layer). It takes less memory and more time. Results are the same with `precision` = "f32", and the same
    /// but for rounding with "f16".
    pub recompute: Recompute,
    /// "adamw" (default), or "muon": Muon for the matrices of the layers, and AdamW for everything else.
    pub optimizer: OptimizerKind,
    /// Peak learning rate of the matrices that Muon updates. It follows the same schedule as `learning_rate`. Default 0.02.
    pub muon_learning_rate: f64,
    /// Muon's momentum. Default 0.95.
    pub muon_momentum: f64,
    /// Peak learning rate. No default.
    pub learning_rate: f64,
    /// Learning-rate schedule after the warm-up: "linear" (default), "cosine", "wsd" (warm-up, stable, decay) or "constant".
    pub schedule: Schedule,
    /// Length of the warm-up in steps. It overrides `warmup_fraction`. Default: none.
    pub warmup_steps: Option<u64>,
    /// Length of the warm-up as a share of `steps`. Default 0.05.
    pub warmup_fraction: f64,
    /// Share of `steps`, at the end, in which "wsd" decays the learning rate. Default 0.2.
    pub decay_fraction: f64,
    /// Learning rate that the schedule falls to at the end; "constant" ignores it. Default 0.
    pub min_learning_rate: f64,
    /// AdamW's β₁, the decay of the first moment. Default 0.9.
    pub beta1: f64,
    /// AdamW's β₂, the decay of the second moment. Default 0.98.
    pub beta2: f64,
    /// AdamW's ε, which is added to the root of the second moment. Default 1e-6.
    pub epsilon: f64,
    /// Decoupled weight decay of AdamW and Muon: it is multiplied by the learning rate. Biases and norms are not decayed.
    /// Default 0.01.
    pub weight_decay: f64,
    /// Gradients are clipped to this global norm; 0 turns clipping off. Default 1.
    pub grad_clip: f64,
    /// How activations, their gradients and the weights in matrix products are stored: "f32" (default), or "f16", which
    /// halves their memory and memory traffic on GPUs that support it. Sums, statistics, losses, parameters and the optimiser
    /// state are f32 with either. With "f16" the loss is scaled, so that small gradients do not vanish.
    pub precision: Precision,
    /// Steps whose gradient is not finite are skipped, and training stops after this many of them in a row. Default 10.
    pub max_skipped_steps: u64,
    /// Milliseconds of work that are submitted to a GPU at once. With fewer, a desktop on the same GPU runs more smoothly,
    /// and training is somewhat slower. It changes no result. Default 80.
    pub submission_ms: u64,
    /// How often, within any one hour, training recovers by itself after a GPU was lost. One more loss ends it with an error.
    /// With 0 it never recovers. Default 10.
    pub recoveries_per_hour: u64,
    /// If a call into a GPU's driver has not returned after this many seconds, the process ends with exit code 3. Default
    /// 300.
    pub hang_seconds: u64,
    /// Steps between log lines. Default 10.
    pub log_every: u64,
    /// Whether event files for TensorBoard are written to `tensorboard/` in the run's folder. They hold all of
    /// `metrics.jsonl`, and the config. Default false.
    pub tensorboard: bool,
    /// Steps between TensorBoard histograms of every parameter and its gradient. Each time, all of them are read from the
    /// device. Default 0: no histograms.
    pub tensorboard_histograms: u64,
}

/// Validation: the loss on held-out text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidationConfig {
    /// Steps between validations; 0 validates only at the end. Default 250.
    pub every: u64,
    /// Share of tokens that are masked in validation. It does not follow `masking.rate`, so that runs can be compared.
    /// Default 0.15.
    pub rate: f64,
    /// Largest number of sequences to validate on; they are spread evenly over the held-out text. Default 512.
    pub max_sequences: usize,
}

/// Checkpoints: the saved state of training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointConfig {
    /// Steps between checkpoints; 0 saves only at the end. Default 500.
    pub every: u64,
    /// How many of the latest checkpoints are kept. Default 2.
    pub keep: usize,
    /// Whether the checkpoint with the lowest validation loss is kept too. Default true.
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
