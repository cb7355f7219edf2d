//! Copies of tensors to the host, through staging buffers that are reused.

use super::submissions::Ticket;
use crate::exec::plan::Place;
use crate::{Error, Result};
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long wgpu may take to report that a finished copy is mapped.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct Readback {
    queue: VecDeque<Request>,
    free: Vec<wgpu::Buffer>,
}

/// A copy that is encoded but not yet submitted.
pub(super) struct Pending {
    staging: wgpu::Buffer,
    lens: Vec<usize>,
}

struct Request {
    pending: Pending,
    ticket: Ticket,
    mapped: Receiver<Result<(), wgpu::BufferAsyncError>>,
}

impl Readback {
    /// Encodes a copy of some tensors, one after another, into a staging buffer.
    pub fn copy(
        &mut self,
        device: &wgpu::Device,
        encoder: &mut wgpu::CommandEncoder,
        sources: &[(&wgpu::Buffer, Place)],
    ) -> Pending {
        let lens: Vec<usize> = sources.iter().map(|(_, place)| place.len).collect();
        let staging = self.staging(device, 4 * lens.iter().sum::<usize>() as u64);
        let mut at = 0;
        for (buffer, place) in sources {
            encoder.copy_buffer_to_buffer(buffer, 4 * place.start as u64, &staging, at, 4 * place.len as u64);
            at += 4 * place.len as u64;
        }
        Pending { staging, lens }
    }

    fn staging(&mut self, device: &wgpu::Device, size: u64) -> wgpu::Buffer {
        if let Some(found) = self.free.iter().position(|buffer| buffer.size() == size) {
            return self.free.swap_remove(found);
        }
        device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("readback"),
            size,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        })
    }

    /// Asks for a submitted copy to be mapped.
    pub fn push(&mut self, pending: Pending, ticket: Ticket) {
        let (sender, mapped) = channel();
        pending.staging.slice(..).map_async(wgpu::MapMode::Read, move |result| {
            // The receiver is gone if the executor was dropped meanwhile; then nobody waits for the result.
            let _ = sender.send(result);
        });
        self.queue.push_back(Request { pending, ticket, mapped });
    }

    pub fn oldest(&self) -> Option<Ticket> {
        self.queue.front().map(|request| request.ticket)
    }

    /// The tensors of the oldest request, if they have arrived. `finished` says that its submission has ended, so they will
    /// arrive.
    pub fn pop(&mut self, finished: bool) -> Result<Option<Vec<Vec<u32>>>> {
        let failed = |problem: String| Error::device(format!("reading back from the device failed: {problem}"));
        let Some(request) = self.queue.front() else { return Ok(None) };
        let result = if finished {
            // Another thread that polls the same device may be the one to report it, a moment after our own wait.
            request.mapped.recv_timeout(PATIENCE).map_err(|error| failed(error.to_string()))?
        } else {
            let Ok(result) = request.mapped.try_recv() else { return Ok(None) };
            result
        };
        let Some(Request { pending: Pending { staging, lens }, .. }) = self.queue.pop_front() else { return Ok(None) };
        // A correct request for a buffer of our own can only fail if the device fails.
        result.map_err(|error| Error::DeviceLost(error.to_string()))?;
        let view = staging.slice(..).get_mapped_range().map_err(|error| failed(error.to_string()))?;
        let mut rest: &[u32] = bytemuck::cast_slice(&view);
        let mut tensors = Vec::with_capacity(lens.len());
        for len in lens {
            let (tensor, later) = rest.split_at(len);
            tensors.push(tensor.to_vec());
            rest = later;
        }
        drop(view);
        staging.unmap();
        self.free.push(staging);
        Ok(Some(tensors))
    }
}
