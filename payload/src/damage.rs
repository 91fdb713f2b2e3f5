//! What is damaged, gathered while the rest is compared: each bad volume is named, so that only those are copied again.
//! Comparing is done in `verify.rs`.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::PayloadError;
use crate::volumes::parts::Parts;

/// The damage of a package. One that is a single file has enough with the first.
pub(crate) struct Damage<'a> {
    parts: &'a Parts,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    errors: Vec<PayloadError>,
    /// Volumes, counted from 0, that have to be copied again whatever else is wrong with them.
    bad: BTreeSet<usize>,
}

impl<'a> Damage<'a> {
    pub(crate) fn of(parts: &'a Parts) -> Self {
        Self { parts, found: Mutex::default() }
    }

    /// Notes what is wrong with a volume. Everything else, and that nobody has the next volume, is the end.
    ///
    /// # Errors
    /// The error itself, when there is no use in going on.
    pub(crate) fn note(&self, error: PayloadError) -> Result<(), PayloadError> {
        if let PayloadError::Volumes(errors) = error {
            return errors.into_iter().try_for_each(|error| self.note(error));
        }
        // All that are missing are, and one of several that hold a chunk is damaged.
        let certain = matches!(error, PayloadError::Missing { .. });
        let numbers = match &error {
            PayloadError::Volume { numbers, .. } => numbers.clone(),
            PayloadError::Missing { volumes, .. } => volumes.iter().map(|volume| volume.number).collect(),
            _ => return Err(error),
        };
        let volumes: BTreeSet<usize> = numbers.iter().map(|number| number - 1).collect();
        // Whoever was asked for it, and has another one, will not be asked again.
        if self.parts.asks() && !volumes.iter().all(|volume| self.parts.is_open(*volume)) {
            return Err(error);
        }
        let mut found = self.lock();
        if volumes.iter().any(|volume| found.bad.contains(volume)) {
            return Ok(());
        }
        if certain || volumes.len() == 1 {
            found.bad.extend(volumes);
        }
        found.errors.push(error);
        Ok(())
    }

    /// Whether one of these volumes has to be copied again anyway.
    pub(crate) fn is_in(&self, mut volumes: RangeInclusive<usize>) -> bool {
        let found = self.lock();
        volumes.any(|volume| found.bad.contains(&volume))
    }

    /// # Errors
    /// What was found, the volumes in their order.
    pub(crate) fn end(self) -> Result<(), PayloadError> {
        let Found { mut errors, bad } = self.found.into_inner().unwrap_or_else(PoisonError::into_inner);
        // One of several volumes is bad: when one of them is, that was it.
        errors.retain(|error| {
            !matches!(error, PayloadError::Volume { numbers, .. }
            if numbers.len() > 1 && numbers.iter().any(|number| bad.contains(&(number - 1))))
        });
        errors.sort_by_key(|error| match error {
            PayloadError::Volume { numbers, .. } => numbers.first().copied(),
            _ => None,
        });
        PayloadError::of_volumes(errors).map_or(Ok(()), Err)
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
