//! What Microsoft's documentation leaves open about the kernel's SSPI, as the driver has counted it
//! on this machine.

use serde::Serialize;
use tlsgate::protocol::payload::{StatisticsReply, exports};

/// One question with what was seen.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Observed {
    /// For scripts.
    pub name: &'static str,
    /// The question.
    pub question: &'static str,
    /// What the driver has seen.
    pub answer: String,
    /// How often; for the IRQL, how high; for an export, 1 when it is there.
    pub value: u64,
}

/// Everything that the driver counts.
pub fn observed(now: &StatisticsReply) -> Vec<Observed> {
    let export = now.optional_exports & u64::from(exports::REQUIRES_NOTIFY);
    let seen = |name, question, value| Observed {
        name,
        question,
        answer: times(value, now.calls),
        value,
    };
    vec![
        Observed {
            name: "requires_notify_export",
            question: "Is SspiAsyncContextRequiresNotify exported?",
            answer: if export == 0 {
                "absent; the driver does without".to_owned()
            } else {
                "present".to_owned()
            },
            value: export,
        },
        seen(
            "completed_inline",
            "Does a callback run before its call returns, on the same thread?",
            now.completed_inline,
        ),
        seen(
            "completed_early",
            "Does it run before its call returns, on another thread?",
            now.completed_early,
        ),
        seen(
            "completed_late",
            "Does it run after its call has returned?",
            now.completed_late,
        ),
        Observed {
            name: "highest_callback_irql",
            question: "What is the highest IRQL of a callback?",
            answer: if now.calls == 0 {
                "no call yet".to_owned()
            } else {
                irql(now.highest_callback_irql)
            },
            value: now.highest_callback_irql,
        },
        seen(
            "calls_refused",
            "Does a call fail at once, without a callback?",
            now.calls_refused,
        ),
        seen(
            "stray_callbacks",
            "Does a callback come that no call is waiting for?",
            now.stray_callbacks,
        ),
        seen(
            "callbacks_lost",
            "Does a call end without its callback?",
            now.callbacks_lost,
        ),
        seen(
            "reinit_refused",
            "Does SspiReinitAsyncContext refuse?",
            now.reinit_refused,
        ),
        seen(
            "slow_calls",
            "Do calls take longer than the setting SlowLegMs?",
            now.slow_calls,
        ),
    ]
}

fn times(count: u64, calls: u64) -> String {
    match (count, calls) {
        (_, 0) => "no call yet".to_owned(),
        (0, calls) => format!("not in {calls} calls"),
        (count, calls) => format!("yes, {count} times in {calls} calls"),
    }
}

fn irql(level: u64) -> String {
    match level {
        0 => "0, PASSIVE_LEVEL".to_owned(),
        1 => "1, APC_LEVEL".to_owned(),
        2 => "2, DISPATCH_LEVEL".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromZeros;

    #[test]
    fn without_a_call_nothing_is_claimed() {
        let all = observed(&StatisticsReply::new_zeroed());
        let open = all.iter().filter(|one| one.answer == "no call yet");
        assert_eq!(open.count(), all.len() - 1);
        assert_eq!(all[0].answer, "absent; the driver does without");
    }

    #[test]
    fn what_was_counted_is_told_with_how_many_calls_there_were() {
        let mut now = StatisticsReply::new_zeroed();
        (now.calls, now.completed_late, now.highest_callback_irql) = (7, 7, 2);
        let all = observed(&now);
        let answer = |name| &all.iter().find(|one| one.name == name).unwrap().answer;
        assert_eq!(answer("completed_late"), "yes, 7 times in 7 calls");
        assert_eq!(answer("completed_inline"), "not in 7 calls");
        assert_eq!(answer("highest_callback_irql"), "2, DISPATCH_LEVEL");
    }
}
