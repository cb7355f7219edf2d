//! Tests the binary from outside: what a user types, what it prints, and what is on the disk afterwards.

mod adapter;
mod bench;
mod config_paths;
mod devices;
mod doctor;
mod embed;
mod event_files;
mod example;
mod figures;
#[cfg(target_os = "linux")]
mod file_faults;
mod fill_mask;
mod going_on;
mod hugging_face;
mod interruption;
mod journey;
mod learnable;
mod lost_device;
mod measures;
mod metrics;
mod next_sentence;
mod output;
mod outputs;
mod planning;
mod profile;
mod refusals;
mod renamed;
mod resume;
mod stale_data;
mod tensorboard;
mod texts;
mod tokenizers;
mod tuning;
mod usage;
mod whole_words;
mod workshop;
