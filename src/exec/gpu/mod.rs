//! Runs a program on a GPU. Buffers, bind groups and pipelines are made once; a phase is encoded as one compute pass.

mod binder;
pub mod cut;
mod device;
mod fault;
mod forced;
mod memory;
mod passthrough;
mod pipeline_cache;
mod pipelines;
mod problems;
mod readback;
mod sabotage;
mod speed_estimate;
mod submissions;
mod timestamps;
mod variants;
pub mod watchdog;

pub use device::{Gpu, adapters, describe, is_software};
pub use sabotage::Sabotage;
pub use variants::Origin;

use super::executor::Executor;
use super::plan::{Memory, Place, Plan};
use super::profile::Profile;
use super::program::{Phase, Program, Tensor};
use crate::{Error, Result};
use binder::{Binder, Dispatch, storage};
use readback::Readback;
use speed_estimate::Work;
use std::ops::Range;
use std::time::Duration;
use submissions::{Submissions, Ticket};
use timestamps::Timestamps;

/// Bytes that may be written before the host waits for the device to take them.
const STAGED: usize = 16 << 20;
/// Dispatches in a phase's first submission, if the phase has many.
const FIRST: usize = 24;

pub struct GpuExecutor {
    gpu: Gpu,
    plan: Plan,
    buffers: Vec<wgpu::Buffer>,
    /// Name and dispatches of every phase.
    phases: Vec<(String, Vec<Dispatch>)>,
    submissions: Submissions,
    readback: Readback,
    /// Bytes written since the last submission.
    staged: usize,
    /// Set while a profile is taken.
    timestamps: Option<Timestamps>,
}

/// How a program is put on a GPU.
#[derive(Clone, Copy, Default)]
pub struct Options {
    /// Keep bounds checks in the shaders.
    pub checked: bool,
    /// The variant of every kernel to run, by its place in the declaration, instead of the device's own choice. The reference
    /// stands in if the device lacks a feature or the variant does not fit the launch.
    pub variant: Option<usize>,
    /// Extra words after each argument that its binding covers too. With 0 a device may drop a write past the end, as llvmpipe
    /// does. A test that guards the ends of its tensors only sees such a write if the guard is bound.
    pub bound_past_end: usize,
    /// Features of the device that no shader may use unless its variant needs them.
    pub without: wgpu::Features,
}

impl GpuExecutor {
    /// Plans memory, allocates it and compiles every kernel. Errors name the tensor or the total that is too large.
    pub fn new(gpu: &Gpu, program: &Program, options: Options) -> Result<Self> {
        gpu.check_precision(program.precision())?;
        let plan = Plan::new(program, gpu.plan_limits())?;
        let buffers = allocate(gpu, &plan)?;
        let phases = Binder::new(gpu, program, &plan, &buffers, options)?.phases();
        gpu.check()?;
        let (submissions, readback) = (Submissions::new(gpu.submission), Readback::default());
        Ok(GpuExecutor { gpu: gpu.clone(), plan, buffers, phases, submissions, readback, staged: 0, timestamps: None })
    }

    fn place(&self, tensor: Tensor) -> Place {
        self.plan.place(tensor).expect("the host only touches tensors that keep their content")
    }

    fn submit(&mut self, encoder: wgpu::CommandEncoder, work: Work) -> Result<Ticket> {
        let ticket = self.submissions.submit(&self.gpu, encoder.finish(), work)?;
        self.staged = 0;
        self.gpu.check()?;
        Ok(ticket)
    }

    /// The oldest request's content, if it has arrived or `wait` is set.
    fn arrived(&mut self, wait: bool) -> Result<Option<Vec<Vec<u32>>>> {
        match self.readback.oldest().filter(|_| wait) {
            Some(ticket) => self.submissions.land(&self.gpu, ticket)?,
            None => _ = self.submissions.look(&self.gpu)?,
        }
        self.gpu.check()?;
        let arrived = self.readback.pop(wait);
        self.gpu.blame(arrived)
    }
}

impl Executor for GpuExecutor {
    fn write(&mut self, tensor: Tensor, words: &[u32]) {
        assert_eq!(self.place(tensor).len, words.len(), "a write fills its tensor");
        self.write_part(tensor, 0, words);
    }

    fn write_part(&mut self, tensor: Tensor, start: usize, words: &[u32]) {
        let place = self.place(tensor).part(start..start + words.len());
        let (buffer, start) = (&self.buffers[place.buffer], 4 * place.start as u64);
        let bytes: &[u8] = bytemuck::cast_slice(words);
        for (chunk, at) in bytes.chunks(STAGED).zip((start..).step_by(STAGED)) {
            self.gpu.queue.write_buffer(buffer, at, chunk);
            self.staged += chunk.len();
            if self.staged > STAGED {
                self.staged = 0;
                // Until it is submitted and done, a write keeps a copy in memory that no plan counts.
                let submission_index = Some(self.gpu.submit([]));
                let waited = self.gpu.poll(wgpu::PollType::Wait { submission_index, timeout: None });
                waited.map_or_else(|error| log::debug!("{error}; the next run says so too"), |_| ());
            }
        }
    }

    /// The words go to the device once, and are copied on from there.
    fn write_over_and_over(&mut self, tensor: Tensor, words: &[u32]) {
        let place = self.place(tensor);
        let block = storage(&self.gpu, "a block that repeats itself", words.len());
        self.gpu.queue.write_buffer(&block, 0, bytemuck::cast_slice(words));
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        for start in (0..place.len).step_by(words.len()) {
            let (at, len) = (place.start + start, words.len().min(place.len - start));
            let buffer = &self.buffers[place.buffer];
            encoder.copy_buffer_to_buffer(&block, 0, buffer, 4 * at as u64, 4 * len as u64);
        }
        self.gpu.submit([encoder.finish()]);
    }

    fn run(&mut self, phase: Phase) -> Result<()> {
        let mut done = 0;
        while let (name, dispatches) = &self.phases[phase.0]
            && done < dispatches.len()
        {
            let left = &dispatches[done..];
            let left = &left[..left.len().min(self.timestamps.as_ref().map_or(usize::MAX, |_| Timestamps::MOST))];
            // The device starts with a few dispatches while the host encodes the rest.
            let left = if done == 0 && left.len() > 2 * FIRST { &left[..FIRST] } else { left };
            let (count, work) = self.submissions.batch(left.iter().map(|dispatch| dispatch.cost));
            let label = wgpu::CommandEncoderDescriptor { label: Some(name) };
            let mut encoder = self.gpu.device.create_command_encoder(&label);
            match &mut self.timestamps {
                None => encode(&mut encoder, &left[..count]),
                Some(timestamps) => timestamps.encode(&self.gpu, &mut encoder, phase.0, &left[..count]),
            }
            done += count;
            self.submit(encoder, work)?;
        }
        Ok(())
    }

    fn read(&mut self, tensor: Tensor) -> Result<Vec<u32>> {
        self.read_part(tensor, 0..self.place(tensor).len)
    }

    fn read_part(&mut self, tensor: Tensor, range: Range<usize>) -> Result<Vec<u32>> {
        // Requests are answered in order, so earlier requests stay in the queue behind this function's own readback.
        let mut own = Readback::default();
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        let place = self.place(tensor).part(range);
        let pending = own.copy(&self.gpu.device, &mut encoder, &[(&self.buffers[place.buffer], place)]);
        let ticket = self.submit(encoder, Work::default())?;
        own.push(pending, ticket);
        self.submissions.land(&self.gpu, ticket)?;
        let words = self.gpu.blame(own.pop(true))?.and_then(|mut tensors| tensors.pop());
        words.ok_or_else(|| Error::device("the device finished without giving back what was read"))
    }

    fn request(&mut self, tensors: &[Tensor]) -> Result<()> {
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        let places: Vec<_> = tensors.iter().map(|&tensor| self.place(tensor)).collect();
        let sources: Vec<_> = places.iter().map(|&place| (&self.buffers[place.buffer], place)).collect();
        let pending = self.readback.copy(&self.gpu.device, &mut encoder, &sources);
        let ticket = self.submit(encoder, Work::default())?;
        self.readback.push(pending, ticket);
        Ok(())
    }

    fn collect(&mut self, wait: bool) -> Result<Option<Vec<Vec<u32>>>> {
        let collected = self.arrived(wait);
        if collected.is_err() {
            // An error drops earlier requests, so that their answers are not mistaken for those of later ones.
            self.readback = Readback::default();
        }
        collected
    }

    fn memory(&self) -> Memory {
        self.plan.memory()
    }

    fn measured_memory(&self) -> Option<u64> {
        self.gpu.device.generate_allocator_report().map(|report| report.total_allocated_bytes)
    }

    fn waited(&self) -> Duration {
        self.submissions.waited()
    }

    fn start_profile(&mut self) -> Result<()> {
        self.timestamps = Some(Timestamps::new(&self.gpu)?);
        Ok(())
    }

    fn finish_profile(&mut self) -> Result<Profile> {
        let Some(timestamps) = self.timestamps.take() else { return Ok(Profile::default()) };
        self.submissions.land_all(&self.gpu)?;
        timestamps.read(&self.gpu, self.phases.iter().map(|(name, _)| name.clone()).collect())
    }
}

/// Every buffer of a plan. Errors with `OutOfMemory` if the device has no room for one; the device stays usable.
fn allocate(gpu: &Gpu, plan: &Plan) -> Result<Vec<wgpu::Buffer>> {
    let scope = gpu.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
    let buffers = plan.buffers.iter().map(|buffer| storage(gpu, &buffer.label, buffer.len)).collect();
    if pollster::block_on(scope.pop()).is_some() {
        return Err(Error::OutOfMemory(format!("the device is out of memory: {}", plan.memory())));
    }
    gpu.check()?;
    Ok(buffers)
}

/// Encodes everything in one pass. wgpu places the barriers between its dispatches.
fn encode(encoder: &mut wgpu::CommandEncoder, dispatches: &[Dispatch]) {
    let mut pass = encoder.begin_compute_pass(&Default::default());
    let mut before = None;
    for dispatch in dispatches {
        if before.replace(&dispatch.pipeline) != Some(&dispatch.pipeline) {
            pass.set_pipeline(&dispatch.pipeline);
        }
        dispatch.encode(&mut pass);
    }
}
