//! Times the variants of contests on a GPU.

use super::{Contest, Meter};
use crate::device::launches::Launches;
use crate::exec::gpu::Gpu;
use crate::{Error, Result};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

pub struct GpuMeter<'a> {
    contests: &'a [Contest],
    /// A device opened only for the measurements; `None` if that failed.
    gpu: Option<Gpu>,
    /// For the contests that are ready, one run for each variant.
    ready: BTreeMap<usize, Launches>,
    start: Instant,
}

impl<'a> GpuMeter<'a> {
    pub fn new(gpu: &Gpu, contests: &'a [Contest]) -> Self {
        GpuMeter { contests, gpu: gpu.reopen().ok(), ready: BTreeMap::new(), start: Instant::now() }
    }
}

impl Meter for GpuMeter<'_> {
    fn prepare(&mut self, contests: Range<usize>) -> Result<()> {
        self.ready.clear();
        let Some(gpu) = &self.gpu else { return Err(Error::device("there is no device to measure on")) };
        let launches = |number: usize| {
            let Contest { kernel, case, precision, variants, shape, .. } = &self.contests[number];
            let made = Launches::of_variants(gpu, variants, kernel, *precision, case);
            made.map_err(|error| log::debug!("{shape}: {error}; it runs by design")).ok().map(|made| (number, made))
        };
        let ready: Vec<_> = contests.into_par_iter().filter_map(launches).collect();
        self.ready.extend(ready);
        Ok(())
    }

    fn time(&mut self, contest: usize, variant: usize) -> Result<Duration> {
        let shape = &self.contests[contest].shape;
        let launches = self.ready.get_mut(&contest).ok_or_else(|| Error::device(format!("{shape} is not ready")))?;
        let time = launches.time_in_kernels(variant);
        if let Err(error) = &time {
            // Whatever happened to the device, the next contests get a new one.
            log::debug!("{shape}: {error}; it runs by design");
            self.gpu = self.gpu.as_ref().and_then(|gpu| gpu.reopen().ok());
            self.ready.clear();
        }
        time
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}
