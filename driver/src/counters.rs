//! What QUERY_STATISTICS tells: counters that only ever describe, and never decide.

use core::sync::atomic::{AtomicU64, Ordering};
use tlsgate_core::histogram::Histogram;
use tlsgate_protocol::{
    SecurityStatus,
    payload::{ReplyHead, StatisticsReply},
};

/// One counter.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more. Any IRQL.
    pub fn up(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One more, and how many that makes. Any IRQL.
    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// One less, of what there is now.
    pub fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// At least `value`. Once it is, nothing is written: every callback asks.
    pub fn at_least(&self, value: u64) {
        if self.get() < value {
            self.0.fetch_max(value, Ordering::Relaxed);
        }
    }

    /// The count now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// All counters of the driver; [`StatisticsReply`] says what each counts.
        #[derive(Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: Counter,)+
            /// How long calls of the handshake functions took.
            pub leg_latency: Histogram,
        }

        impl Counters {
            /// The reply; the queue's own numbers are given to it.
            pub fn reply(&self, waiting: usize, inside: usize, optional_exports: u32) -> StatisticsReply {
                StatisticsReply {
                    head: ReplyHead::new(SecurityStatus::SEC_E_OK),
                    waiting_live: waiting as u64,
                    in_flight_live: inside as u64,
                    optional_exports: u64::from(optional_exports),
                    leg_latency: self.leg_latency.snapshot(),
                    $($name: self.$name.get(),)+
                }
            }
        }
    };
}

counters! {
    sessions_live,
    credentials_live,
    orphans_live,
    async_contexts_live,
    quarantined_live,
    threads_live,
    calls,
    completed_inline,
    completed_early,
    completed_late,
    calls_refused,
    stray_callbacks,
    reinit_refused,
    highest_callback_irql,
    sessions_made,
    handshakes,
    sessions_failed,
    quota_refusals,
    rate_refusals,
    switched_off_refusals,
    cancelled,
    timed_out,
    timed_out_inside,
    slow_calls,
    callbacks_lost,
    credentials_replaced,
    settings_ignored,
}
