//! `cloze train --plan`: prints the table.

use super::output;
use super::remedies::sentence;
use crate::config::Config;
use crate::device::Device;
use crate::device::speed;
use crate::train::planning::{Row, TrainingEstimate};
use std::io::Write;

/// Prints the memory and time that the training of a config needs, for each `train.recompute`.
pub fn print(config: &Config, device: &Device, json: bool) -> anyhow::Result<()> {
    let estimate = TrainingEstimate::new(config, device, speed::measure(device)?)?;
    let mut out = output::stdout();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&estimate)?)?;
    } else {
        write_table(&mut out, &estimate, device)?;
    }
    match estimate.refusal().and_then(refusal) {
        Some(problem) => {
            anyhow::bail!("nothing fits, not even one sequence at once with train.recompute = \"layer\": {problem}")
        }
        None => Ok(()),
    }
}

fn write_table(out: &mut impl Write, estimate: &TrainingEstimate, device: &Device) -> std::io::Result<()> {
    let batch = estimate.batch_size;
    writeln!(out, "{}", estimate.device)?;
    match estimate.memory {
        Some(memory) => writeln!(out, "free memory {} MiB", memory >> 20)?,
        None => writeln!(out, "free memory not known")?,
    }
    writeln!(out, "a step is {batch} sequences of {} tokens; memory in MiB", estimate.sequence_length)?;
    let heads = ["recompute", "micro", "auto", "params", "grads", "optim", "activ", "(logits)", "inputs", "peak"];
    write!(out, "  {:<11}{:>6}{:>6}", heads[0], heads[1], heads[2])?;
    heads[3..].iter().try_for_each(|head| write!(out, "{head:>9}"))?;
    writeln!(out, "{:>10}{:>10}{:>12}", "launches", "GFLOP", "s a step ≥")?;
    for row in &estimate.rows {
        write_row(out, row)?;
    }
    writeln!(
        out,
        "* the config's own; `auto` is the microbatch that train.micro_batch = \"auto\" takes; logits are part of `activ`"
    )?;
    if device.limits().arena && estimate.rows.iter().any(|row| row.micro_batch == batch) {
        writeln!(
            out,
            "on the CPU a step of one microbatch keeps activations in the memory of gradients; `activ` is what goes beyond it"
        )?;
    }
    for row in &estimate.rows {
        if let Some(problem) = refusal(row) {
            writeln!(out, "{} does not fit: {problem}", name(row))?;
        }
    }
    writeln!(out, "saving a checkpoint takes up to {} MiB more of the host's memory", estimate.saving_bytes >> 20)
}

fn write_row(out: &mut impl Write, row: &Row) -> std::io::Result<()> {
    let auto = row.auto_micro_batch.map_or("none".into(), |number| number.to_string());
    let mark = if row.configured { '*' } else { ' ' };
    write!(out, "{mark} {:<11}{:>6}{auto:>6}", name(row), row.micro_batch)?;
    let Some(memory) = row.memory else { return writeln!(out) };
    for bytes in [
        memory.parameters,
        memory.gradients,
        memory.optimizer,
        memory.activations,
        row.logits_bytes,
        memory.workspace,
        row.peak_bytes,
    ] {
        write!(out, " {:>8.1}", bytes as f64 / f64::from(1 << 20))?;
    }
    writeln!(out, "{:>10}{:>10.0}{:>12.3}", row.launches, row.gflop, row.seconds)
}

/// Why the device cannot hold it, and what may help.
fn refusal(row: &Row) -> Option<String> {
    row.refused.as_ref().map(|problem| sentence(problem, row.remedy))
}

fn name(row: &Row) -> String {
    format!("{:?}", row.recompute).to_lowercase()
}
