//! One file a command.

pub mod prepare;
pub mod tokenizer;
