//! Submissions in flight: how many there are, and what each tells about the speed of the device.

use super::device::{Gpu, is_software};
use super::speed_estimate::{Observation, SpeedEstimate, Work};
use crate::Result;
use crate::exec::Cost;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The most submissions in flight; with more, the host waits for the oldest.
const MOST: usize = 3;

pub(super) struct Submissions {
    estimate: SpeedEstimate,
    /// The oldest first. Some may have ended without the host having checked.
    running: VecDeque<Submission>,
    /// Number of the next submission.
    next: u64,
    waited: Duration,
}

/// Identifies the submission that something belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

struct Submission {
    ticket: Ticket,
    index: wgpu::SubmissionIndex,
    work: Work,
    at: Instant,
    /// Whether nothing was in flight before it.
    alone: bool,
}

impl Submissions {
    /// Makes submissions that should take this long each.
    pub fn new(target: Duration) -> Submissions {
        Submissions { estimate: SpeedEstimate::new(target), running: VecDeque::new(), next: 0, waited: Duration::ZERO }
    }

    /// How many of the dispatches with these costs the next submission takes, and how long they should take.
    pub fn batch(&self, costs: impl Iterator<Item = Cost>) -> (usize, Work) {
        self.estimate.batch(costs)
    }

    /// Submits commands, and waits for the oldest submission if too many are in flight.
    pub fn submit(&mut self, gpu: &Gpu, commands: wgpu::CommandBuffer, work: Work) -> Result<Ticket> {
        let (ticket, alone, at) = (Ticket(self.next), self.running.is_empty(), Instant::now());
        self.next += 1;
        let index = gpu.submit([commands]);
        self.running.push_back(Submission { ticket, index, work, at, alone });
        if is_software(&gpu.info) {
            // Some backends compute within the call.
            let ended = Instant::now();
            self.waited += ended - at;
            if self.look(gpu)? {
                self.estimate.learn(Observation { work, submitted: at, alone, waiting_since: at, ended });
            }
        }
        if self.running.len() > MOST {
            self.land_oldest(gpu)?;
        }
        Ok(ticket)
    }

    /// Waits for a submission, and makes wgpu run the callbacks for its end.
    pub fn land(&mut self, gpu: &Gpu, ticket: Ticket) -> Result<()> {
        if self.running.is_empty() {
            self.look(gpu)?;
        }
        while self.running.front().is_some_and(|oldest| oldest.ticket <= ticket) {
            self.land_oldest(gpu)?;
        }
        Ok(())
    }

    pub fn land_all(&mut self, gpu: &Gpu) -> Result<()> {
        self.land(gpu, Ticket(self.next))
    }

    /// Makes wgpu check what has ended, without waiting. Returns whether everything has.
    pub fn look(&mut self, gpu: &Gpu) -> Result<bool> {
        let status = gpu.poll(wgpu::PollType::Poll)?;
        if status.is_queue_empty() {
            self.running.clear();
        }
        Ok(status.is_queue_empty())
    }

    /// How long the host has waited in all.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    fn land_oldest(&mut self, gpu: &Gpu) -> Result<()> {
        let Some(Submission { index, work, at, alone, .. }) = self.running.pop_front() else { return Ok(()) };
        let waiting_since = Instant::now();
        let waited = gpu.poll(wgpu::PollType::Wait { submission_index: Some(index), timeout: None });
        let ended = Instant::now();
        self.waited += ended - waiting_since;
        gpu.check()?;
        waited?;
        self.estimate.learn(Observation { work, submitted: at, alone, waiting_since, ended });
        Ok(())
    }
}
