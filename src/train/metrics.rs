//! What training measures.

use serde::Serialize;
use std::collections::BTreeMap;

/// What one optimiser step measured. A value that is not finite is written as `null`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metrics {
    /// Optimiser steps done, this one included.
    pub step: u64,
    /// Tokens seen since the start of training, padding not included.
    pub tokens: u64,
    /// What training minimises: the mean cross-entropy of the masked tokens in nats, plus the task's other losses.
    pub loss: f64,
    /// Share of the masked tokens guessed right.
    pub accuracy: f64,
    pub learning_rate: f64,
    /// Global norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Smoothed: see [`super::Throughput`].
    pub tokens_per_second: f64,
    /// The loss scale of the next step; only with `train.precision = "f16"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<f64>,
    /// Mean and accuracy of each loss of a task that has several, by names such as `masked_loss`.
    #[serde(flatten)]
    pub losses: BTreeMap<String, f64>,
}

/// What one validation measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Validation {
    /// The sum of the task's losses. The checkpoint where it is lowest is the best.
    #[serde(skip)]
    pub loss: f64,
    /// Mean cross-entropy of the masked tokens in nats.
    pub cross_entropy: f64,
    /// exp(`cross_entropy`)
    pub perplexity: f64,
    /// Share of the masked tokens guessed right.
    pub accuracy: f64,
    /// Cross-entropy in nats of guessing by the token counts of the training text, which a model must beat. NaN, written as
    /// `null`, if the counts are not known.
    pub unigram_cross_entropy: f64,
    /// How many tokens were guessed.
    pub masked_tokens: u64,
    /// Mean and accuracy of each further loss of the task, by names such as `next_sentence_loss`.
    #[serde(flatten)]
    pub others: BTreeMap<String, f64>,
}
