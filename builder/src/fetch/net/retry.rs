//! When to try again and how long to wait before it; waiting ends early when the work is cancelled.
//! What is worth retrying is said by `fault.rs`. By hand, not with `backon`: progress in the middle of a download starts the
//! count anew, which a wrapped call has no word for.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How often and how patiently a request is repeated.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// Attempts in a row without progress.
    pub attempts: u32,
    /// The wait after the first failure; each further one is twice as long.
    pub first_wait: Duration,
    /// No wait is longer, whatever `Retry-After` says.
    pub longest_wait: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 6, first_wait: Duration::from_secs(1), longest_wait: Duration::from_secs(120) }
    }
}

/// Counts the attempts of one request.
#[derive(Debug)]
pub(crate) struct Backoff {
    policy: RetryPolicy,
    failures: u32,
}

impl Backoff {
    /// No failure yet.
    pub(crate) fn new(policy: RetryPolicy) -> Self {
        Self { policy, failures: 0 }
    }

    /// Progress was made: failures before it no longer count.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// After a failure: how long to wait, or `None` when it was the last attempt.
    pub(crate) fn next(&mut self, retry_after: Option<Duration>) -> Option<Duration> {
        self.failures += 1;
        if self.failures >= self.policy.attempts {
            return None;
        }
        let doubled = self.policy.first_wait.saturating_mul(1 << (self.failures - 1).min(16));
        Some(retry_after.unwrap_or(Duration::ZERO).max(doubled).min(self.policy.longest_wait))
    }
}

/// Set once, by the first failure: everything else stops at its next step.
#[derive(Debug, Default)]
pub(crate) struct Cancel {
    set: Mutex<bool>,
    changed: Condvar,
}

impl Cancel {
    /// Asks everything to stop.
    pub(crate) fn set(&self) {
        *self.set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Whether to stop.
    pub(crate) fn is_set(&self) -> bool {
        *self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `time`, or until it is set; says whether it is.
    pub(crate) fn wait(&self, time: Duration) -> bool {
        let guard = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(guard, time, |set| !*set);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn waits_double_are_capped_and_end() {
        let policy = RetryPolicy { attempts: 5, first_wait: seconds(1), longest_wait: seconds(5) };
        let mut backoff = Backoff::new(policy);
        let waits: Vec<_> = std::iter::from_fn(|| backoff.next(None)).collect();
        assert_eq!(waits, [seconds(1), seconds(2), seconds(4), seconds(5)]);
    }

    #[test]
    fn retry_after_is_honoured_up_to_the_cap_and_progress_starts_over() {
        let policy = RetryPolicy { attempts: 2, first_wait: seconds(1), longest_wait: seconds(60) };
        let mut backoff = Backoff::new(policy);
        assert_eq!(backoff.next(Some(seconds(30))), Some(seconds(30)));
        backoff.reset();
        assert_eq!(backoff.next(Some(seconds(3600))), Some(seconds(60)));
        assert_eq!(backoff.next(None), None);
    }

    #[test]
    fn a_cancelled_wait_returns_at_once() {
        let cancel = Cancel::default();
        cancel.set();
        assert!(cancel.wait(seconds(3600)));
    }
}
