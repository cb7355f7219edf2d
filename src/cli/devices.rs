//! `cloze devices`

use super::output;
use crate::device::{Device, DeviceChoice};
use crate::exec::gpu;
use std::io::Write;

/// List the devices to train on: GPUs by number, and the CPU
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_: Args) -> anyhow::Result<()> {
    let mut out = output::stdout();
    for (index, adapter) in gpu::adapters()?.iter().enumerate() {
        let (info, limits) = (adapter.get_info(), adapter.limits());
        writeln!(out, "{index:>3}  {}", gpu::describe(&info))?;
        writeln!(
            out,
            "     {:?}; binds at most {} MiB at once; subgroups of {} to {}",
            info.device_type,
            limits.max_storage_buffer_binding_size >> 20,
            info.subgroup_min_size,
            info.subgroup_max_size
        )?;
    }
    writeln!(out, "cpu  {}", Device::Cpu.describe())?;
    writeln!(out, "--device auto takes: {}", Device::open(&DeviceChoice::Auto)?.describe())?;
    Ok(())
}
