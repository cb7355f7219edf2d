//! Times of kernels on a GPU: each kernel gets a compute pass of its own, with a timestamp at its start and end.

use super::binder::Dispatch;
use super::device::Gpu;
use crate::exec::Cost;
use crate::exec::profile::{Call, Profile};
use crate::{Error, Remedy, Result};

pub(super) struct Timestamps {
    submissions: Vec<Submission>,
}

struct Submission {
    phase: usize,
    dispatches: Vec<Timed>,
    /// Two u64 ticks for each dispatch.
    ticks: wgpu::Buffer,
}

struct Timed {
    kernel: &'static str,
    variant: &'static str,
    entry: &'static str,
    /// Whether it is the first pass of its launch.
    first: bool,
    cost: Cost,
}

impl Timestamps {
    /// The most dispatches in a submission: a query set holds 4096 timestamps.
    pub const MOST: usize = wgpu::QUERY_SET_MAX_QUERIES as usize / 2;

    /// # Errors
    /// The device has no timestamps.
    pub fn new(gpu: &Gpu) -> Result<Timestamps> {
        if !gpu.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            let problem = "has no timestamps (the feature TIMESTAMP_QUERY), so that its kernels cannot be timed";
            return Err(Error::device(format!("{} {problem}", gpu.describe())).with(Remedy::NoProfile));
        }
        Ok(Timestamps { submissions: Vec::new() })
    }

    /// Encodes at most `MOST` dispatches of a phase, each with timestamps.
    pub fn encode(&mut self, gpu: &Gpu, encoder: &mut wgpu::CommandEncoder, phase: usize, dispatches: &[Dispatch]) {
        let count = 2 * dispatches.len() as u32;
        let queries = gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("times of kernels"),
            ty: wgpu::QueryType::Timestamp,
            count,
        });
        for (dispatch, begin) in dispatches.iter().zip((0..).step_by(2)) {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: Some(dispatch.kernel),
                timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                    query_set: &queries,
                    beginning_of_pass_write_index: Some(begin),
                    end_of_pass_write_index: Some(begin + 1),
                }),
            });
            pass.set_pipeline(&dispatch.pipeline);
            dispatch.encode(&mut pass);
        }
        let buffer = |usage| {
            gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("times of kernels"),
                size: 8 * u64::from(count),
                usage: usage | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        };
        let resolved = buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC);
        let ticks = buffer(wgpu::BufferUsages::MAP_READ);
        encoder.resolve_query_set(&queries, 0..count, &resolved, 0);
        encoder.copy_buffer_to_buffer(&resolved, 0, &ticks, 0, 8 * u64::from(count));
        let timed = |dispatch: &Dispatch| Timed {
            kernel: dispatch.kernel,
            variant: dispatch.variant,
            entry: dispatch.entry,
            first: dispatch.first,
            cost: dispatch.cost,
        };
        self.submissions.push(Submission { phase, dispatches: dispatches.iter().map(timed).collect(), ticks });
    }

    /// The times of everything encoded so far, all of which must have ended.
    pub fn read(self, gpu: &Gpu, phases: Vec<String>) -> Result<Profile> {
        let failed = |problem: String| Error::device(format!("reading the times of kernels failed: {problem}"));
        self.submissions.iter().for_each(|submission| submission.ticks.map_async(wgpu::MapMode::Read, .., |_| {}));
        gpu.poll(wgpu::PollType::wait_indefinitely())?;
        gpu.check()?;
        let seconds = |ticks: u64| ticks as f64 * f64::from(gpu.queue.get_timestamp_period()) / 1e9;
        let (mut calls, mut start) = (Vec::new(), None);
        for Submission { phase, dispatches, ticks } in &self.submissions {
            let view = ticks.get_mapped_range(..).map_err(|error| failed(error.to_string()))?;
            let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&view[..]);
            for (timed, ticks) in dispatches.iter().zip(ticks.chunks_exact(2)) {
                let start = *start.get_or_insert(ticks[0]);
                calls.push(Call {
                    phase: *phase,
                    kernel: timed.kernel,
                    variant: timed.variant,
                    entry: timed.entry,
                    first: timed.first,
                    start: seconds(ticks[0].saturating_sub(start)),
                    seconds: seconds(ticks[1].saturating_sub(ticks[0])),
                    cost: timed.cost,
                });
            }
        }
        Ok(Profile { phases, calls })
    }
}
