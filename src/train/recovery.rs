//! Recovery from a lost device: the device is opened again, and training continues from the newest checkpoint.

use super::{Outcome, RunDir, Sink, Trainer, interrupt, planning};
use crate::checkpoint::{TrainingState, has_checkpoints};
use crate::config::{Config, MicroBatch};
use crate::device::{Device, DeviceChoice};
use crate::{Error, Result};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);
/// The pauses before each try to open a lost device, since a driver that was reset may take some seconds.
const PAUSES: [Duration; 4] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(20)];

/// How many losses within any hour training may recover from.
struct Allowance {
    most: u64,
    /// The times of the losses within the last hour, oldest first.
    losses: VecDeque<Duration>,
}

impl Allowance {
    fn new(most: u64) -> Allowance {
        Allowance { most, losses: VecDeque::new() }
    }

    /// Counts a loss at the time `now`. Returns whether the hour that ends with it has no more losses than are allowed.
    fn allows(&mut self, now: Duration) -> bool {
        self.losses.retain(|loss| now.saturating_sub(*loss) < HOUR);
        self.losses.push_back(now);
        self.losses.len() as u64 <= self.most
    }
}

/// A training that finished or was interrupted.
pub struct Trained {
    pub trainer: Trainer,
    pub outcome: Outcome,
    /// The optimiser steps that were already done when it started.
    pub done_before: u64,
}

/// Recovers one training from losses of its device.
pub struct Recovery<'a> {
    choice: &'a DeviceChoice,
    allowance: Allowance,
    start: Instant,
}

impl<'a> Recovery<'a> {
    /// For a training on the device that was asked for, as often as the config allows.
    pub fn new(choice: &'a DeviceChoice, config: &Config) -> Self {
        Recovery { choice, allowance: Allowance::new(config.train.recoveries_per_hour), start: Instant::now() }
    }

    /// Opens the device for a training.
    ///
    /// # Errors
    /// As [`planning::open`]; or the device was lost too often meanwhile.
    pub fn open(&mut self, config: &Config) -> Result<Device> {
        for pause in PAUSES {
            std::thread::sleep(pause);
            match planning::open(self.choice, config) {
                Err(Error::DeviceLost(loss)) => self.count(loss)?,
                opened => return opened,
            }
        }
        planning::open(self.choice, config)
    }

    /// Trains to the end, or until it is interrupted, on the device and on those that are opened after a loss. `profile` is the
    /// number of steps to profile. `sinks` makes further sinks besides those of the config. It is called for each device, with
    /// the state in which training begins there.
    ///
    /// # Errors
    /// As [`Trainer::new`] and [`Trainer::run`]; the device was lost too often, or cannot be opened again.
    pub fn train(
        &mut self,
        mut config: Config,
        run: &RunDir,
        mut device: Device,
        mut resume: bool,
        mut profile: Option<u64>,
        sinks: &dyn Fn(&TrainingState) -> Vec<Box<dyn Sink>>,
    ) -> Result<Trained> {
        let (mut began, mut done_before) = (TrainingState::default(), None);
        loop {
            let ended = Trainer::new(config.clone(), run.clone(), &device, resume).and_then(|mut trainer| {
                began = trainer.state().clone();
                let done_before = *done_before.get_or_insert(began.step);
                if let Some(steps) = profile.take() {
                    trainer.profile(&device, steps)?;
                }
                let outcome = trainer.run(sinks(&began))?;
                Ok(Trained { trainer, outcome, done_before })
            });
            match ended {
                Err(Error::DeviceLost(loss)) => self.count(loss)?,
                ended => return ended,
            }
            // A training that has saved nothing yet starts over, from its beginning.
            resume = has_checkpoints(&run.checkpoints())?;
            if began.micro_batch > 0 {
                config.train.micro_batch = MicroBatch::Sequences(began.micro_batch);
            }
            device = self.reopen(&config, device)?;
            device.go_on_with(&began.variants);
            let from = if resume { "its latest checkpoint" } else { "its beginning, since nothing was saved yet" };
            log::warn!("training goes on from {from}");
        }
    }

    /// Warns that the device was lost, or returns an error if that was one time too many.
    fn count(&mut self, loss: String) -> Result<()> {
        if interrupt::interrupted() {
            return Err(Error::DeviceLost(loss));
        }
        if self.allowance.allows(self.start.elapsed()) {
            log::warn!("the device was lost: {loss}; it is opened again");
            return Ok(());
        }
        let (count, most) = (self.allowance.losses.len(), self.allowance.most);
        let often = if count > 1 { format!(" (time {count} within an hour)") } else { String::new() };
        Err(Error::DeviceLost(format!("{loss}{often}, and train.recoveries_per_hour is {most}")))
    }

    /// Opens the lost device again. If it is gone for good, and the device was chosen by `auto`, opens another.
    fn reopen(&mut self, config: &Config, device: Device) -> Result<Device> {
        let lost = device.describe_briefly();
        let same = DeviceChoice::Named(lost.clone());
        // The lost device is held during the first try, so that the driver and its layers need not be loaded again. If a driver
        // can't open a second device beside the lost one, the next tries work without it.
        let mut held = Some(device);
        let choice = if *self.choice == DeviceChoice::Auto { &same } else { self.choice };
        let mut opened = Err(Error::device(format!("{lost} is gone")));
        for pause in PAUSES {
            std::thread::sleep(pause);
            opened = planning::open(choice, config);
            match &opened {
                Ok(_) => break,
                Err(error) => log::warn!("opening {lost} again: {error}"),
            }
            drop(held.take());
        }
        if opened.is_err() && choice == &same {
            opened = planning::open(self.choice, config);
        }
        let device = opened?;
        if device.describe_briefly() != lost {
            log::warn!(
                "{lost} is gone, and {} stands in: from here on the run's numbers may differ in their last bits",
                device.describe_briefly()
            );
        }
        Ok(device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(most: u64, minutes: &[u64]) -> Vec<bool> {
        let mut allowance = Allowance::new(most);
        minutes.iter().map(|minute| allowance.allows(Duration::from_secs(60 * minute))).collect()
    }

    #[test]
    fn losses_are_counted_within_a_sliding_hour() {
        assert_eq!(allowed(2, &[0, 30, 59]), [true, true, false]);
        assert_eq!(allowed(2, &[0, 30, 60, 90, 120]), [true; 5]);
        assert_eq!(allowed(2, &[0, 50, 70, 105]), [true, true, true, false]);
        assert_eq!(allowed(0, &[500]), [false]);
    }
}
