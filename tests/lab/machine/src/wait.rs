//! Waiting for a condition.

use anyhow::{Result, bail};
use std::{
    thread,
    time::{Duration, Instant},
};

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(5);

/// Asks `condition` until it gives a value, but no longer than `limit`.
///
/// # Errors
///
/// The condition failed, or gave nothing in time; the message then says what was waited for.
pub fn wait_until<T>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = condition()? {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            bail!("waited {} s for {what}, in vain", limit.as_secs_f32());
        }
        thread::sleep(INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_what_the_condition_gives() {
        let mut calls = 0;
        let value = wait_until("three calls", Duration::from_secs(10), || {
            calls += 1;
            Ok((calls == 3).then_some(calls))
        });
        assert_eq!(value.unwrap(), 3);
    }

    #[test]
    fn says_what_did_not_come() {
        let error = wait_until("rain", Duration::ZERO, || Ok(None::<()>)).unwrap_err();
        assert!(error.to_string().contains("for rain"), "{error}");
    }

    #[test]
    fn a_failed_condition_ends_the_wait() {
        let error = wait_until("rain", Duration::MAX / 4, || {
            bail!("no sky") as Result<Option<()>>
        });
        assert_eq!(error.unwrap_err().to_string(), "no sky");
    }
}
