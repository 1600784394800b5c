//! The driver's counters by name, in groups: one table for people and for scripts.

use super::histogram::starts_at;
use serde_json::{Map, Value, json};
use std::time::Duration;
use tlsgate::protocol::payload::StatisticsReply;

/// A counter: its name in JSON, its name for people, its value.
pub type Counter = (&'static str, &'static str, u64);

/// A group of counters.
pub struct Group {
    /// Its name in JSON.
    pub name: &'static str,
    /// Its title for people.
    pub title: &'static str,
    /// Whether they only ever grow, so that a rate makes sense.
    pub grows: bool,
    /// In the order to show them.
    pub counters: Vec<Counter>,
}

/// All counters.
pub fn groups(now: &StatisticsReply) -> [Group; 3] {
    [
        Group {
            name: "now",
            title: "now",
            grows: false,
            counters: vec![
                ("sessions", "sessions", now.sessions_live),
                ("credentials", "credentials", now.credentials_live),
                ("operations_waiting", "operations waiting", now.waiting_live),
                (
                    "operations_inside",
                    "operations inside ksecdd",
                    now.in_flight_live,
                ),
                ("orphans", "of them given up by callers", now.orphans_live),
                ("async_contexts", "async contexts", now.async_contexts_live),
                ("quarantined", "of them quarantined", now.quarantined_live),
                ("threads", "driver threads", now.threads_live),
            ],
        },
        Group {
            name: "since_load",
            title: "since the driver was loaded",
            grows: true,
            counters: vec![
                ("sessions_made", "sessions made", now.sessions_made),
                ("handshakes", "handshakes completed", now.handshakes),
                ("sessions_failed", "sessions failed", now.sessions_failed),
                (
                    "credentials_replaced",
                    "credentials replaced",
                    now.credentials_replaced,
                ),
                ("cancelled", "requests cancelled", now.cancelled),
                ("timed_out", "requests timed out", now.timed_out),
                (
                    "timed_out_inside",
                    "of them inside ksecdd",
                    now.timed_out_inside,
                ),
                ("quota_refusals", "refused by a quota", now.quota_refusals),
                (
                    "rate_refusals",
                    "refused by the rate limit",
                    now.rate_refusals,
                ),
                (
                    "switched_off_refusals",
                    "refused as switched off",
                    now.switched_off_refusals,
                ),
                ("settings_ignored", "settings ignored", now.settings_ignored),
            ],
        },
        Group {
            name: "ksecdd",
            title: "calls of ksecdd.sys",
            grows: true,
            counters: vec![
                ("calls", "calls", now.calls),
                ("completed_inline", "completed inline", now.completed_inline),
                (
                    "completed_early",
                    "completed before the return",
                    now.completed_early,
                ),
                (
                    "completed_late",
                    "completed after the return",
                    now.completed_late,
                ),
                ("calls_refused", "calls it refused", now.calls_refused),
                (
                    "stray_callbacks",
                    "callbacks out of turn",
                    now.stray_callbacks,
                ),
                (
                    "callbacks_lost",
                    "callbacks that never came",
                    now.callbacks_lost,
                ),
                ("slow_calls", "slow calls", now.slow_calls),
                ("reinit_refused", "Reinit refused", now.reinit_refused),
            ],
        },
    ]
}

/// The counters as JSON; with those of a while ago, what has come in each second since.
pub fn json(now: &StatisticsReply, before: Option<&(StatisticsReply, Duration)>) -> Value {
    let mut all = Map::new();
    for group in groups(now) {
        let counters = group.counters.iter();
        let counters: Map<_, _> = counters
            .map(|(name, _, value)| ((*name).to_owned(), json!(value)))
            .collect();
        all.insert(group.name.to_owned(), counters.into());
    }
    let buckets = now.leg_latency.iter().enumerate();
    let buckets: Vec<Value> = buckets
        .map(|(number, count)| json!({ "from_us": starts_at(number), "count": count }))
        .collect();
    all.insert("leg_latency".to_owned(), buckets.into());
    if let Some((before, elapsed)) = before {
        let rates = groups(now).into_iter().zip(groups(before));
        let rates = rates
            .filter(|(now, _)| now.grows)
            .flat_map(|(now, before)| {
                let pairs = now.counters.into_iter().zip(before.counters);
                pairs.map(|((name, _, now), (_, _, before))| {
                    (name.to_owned(), json!(rate(now, before, *elapsed)))
                })
            });
        all.insert("per_second".to_owned(), Value::Object(rates.collect()));
        all.insert("seconds".to_owned(), json!(elapsed.as_secs_f64()));
    }
    all.into()
}

/// How many a second. A driver that was loaded anew in between has counted from 0.
#[expect(
    clippy::cast_precision_loss,
    reason = "a rate of more than 2^53 is not to be expected"
)]
pub fn rate(now: u64, before: u64, elapsed: Duration) -> f64 {
    now.saturating_sub(before) as f64 / elapsed.as_secs_f64().max(f64::EPSILON)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::{FromZeros, IntoBytes};

    /// A reply whose 64-bit fields are numbered.
    pub fn numbered() -> StatisticsReply {
        let mut reply = StatisticsReply::new_zeroed();
        for (number, field) in (0_u64..).zip(reply.as_mut_bytes().chunks_exact_mut(8)) {
            field.copy_from_slice(&number.to_le_bytes());
        }
        reply
    }

    #[test]
    fn every_counter_is_shown_once() {
        let reply = numbered();
        let shown = groups(&reply).into_iter().flat_map(|group| group.counters);
        let mut shown: Vec<u64> = shown.map(|(_, _, value)| value).collect();
        shown.sort_unstable();
        // What the doctor tells is no counter; what the histogram tells comes last.
        let not_shown = [reply.highest_callback_irql, reply.optional_exports];
        let expected: Vec<u64> = (reply.sessions_live..reply.leg_latency[0])
            .filter(|value| !not_shown.contains(value))
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn rates_are_of_what_only_grows() {
        let (before, mut now) = (StatisticsReply::new_zeroed(), StatisticsReply::new_zeroed());
        (now.handshakes, now.sessions_live) = (10, 10);
        let json = json(&now, Some(&(before, Duration::from_secs(5))));
        assert_eq!(json["per_second"]["handshakes"], 2.0);
        assert_eq!(json["per_second"].get("sessions"), None);
        assert_eq!(json["now"]["sessions"], 10);
        assert_eq!(json["leg_latency"][3]["from_us"], 8);
        assert!(rate(0, 10, Duration::from_secs(1)).abs() < f64::EPSILON);
    }
}
