//! The events of TensorBoard, with the field numbers of `tensorboard/compat/proto/{event,summary,tensor,types}.proto`.

use super::message::Message;
use crate::train::Histogram;

/// `SessionLog.SessionStatus`: a session starts.
const START: u64 = 1;
/// `DataType`: a string.
const DT_STRING: u64 = 7;

/// The time of an event, in seconds since 1970, and its step.
#[derive(Clone, Copy)]
pub(super) struct When {
    pub seconds: f64,
    pub step: u64,
}

/// The first event of a file.
pub(super) fn file_version(when: When) -> Message {
    Message::default().double(1, when.seconds).bytes(3, b"brain.Event:2")
}

/// A training starts or resumes. TensorBoard then drops what older files have of this step and of later ones.
pub(super) fn session_start(when: When) -> Message {
    event(when).message(7, Message::default().integer(1, START))
}

/// Some values of a step.
pub(super) fn summary(when: When, values: impl Iterator<Item = Message>) -> Message {
    event(when).message(5, values.fold(Message::default(), |summary, value| summary.message(1, value)))
}

/// A number, which TensorBoard keeps in f32.
pub(super) fn scalar(tag: &str, number: f64) -> Message {
    value(tag).float(2, number as f32)
}

/// A text, which TensorBoard's text plugin shows as Markdown.
pub(super) fn text(tag: &str, text: &str) -> Message {
    let plugin = Message::default().bytes(1, b"text");
    let shape = Message::default();
    let tensor = Message::default().integer(1, DT_STRING).message(2, shape).bytes(8, text.as_bytes());
    value(tag).message(9, Message::default().message(1, plugin)).message(8, tensor)
}

/// A histogram. Each bucket reaches from the limit of the one before to its own.
pub(super) fn histogram(tag: &str, histogram: &Histogram) -> Message {
    let buckets = &histogram.buckets;
    let message = Message::default()
        .double(1, histogram.min)
        .double(2, histogram.max)
        .double(3, histogram.count as f64)
        .double(4, histogram.sum)
        .double(5, histogram.sum_squares)
        .doubles(6, buckets.iter().map(|bucket| bucket.limit))
        .doubles(7, buckets.iter().map(|bucket| bucket.count as f64));
    value(tag).message(5, message)
}

fn event(when: When) -> Message {
    Message::default().double(1, when.seconds).integer(2, when.step)
}

fn value(tag: &str) -> Message {
    Message::default().bytes(1, tag.as_bytes())
}
