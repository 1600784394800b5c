//! The counters as a person reads them.

use super::{
    counters::{groups, rate},
    histogram::histogram,
};
use crate::show::{HEADING, styled};
use std::time::Duration;
use tlsgate::protocol::payload::StatisticsReply;

/// The counters; with those of a while ago, what has come in each second since.
pub fn text(now: &StatisticsReply, before: Option<&(StatisticsReply, Duration)>) -> String {
    // Without an earlier reply the same stands in for it, and no rate is shown.
    let earlier = groups(before.map_or(now, |(before, _)| before));
    let mut lines = Vec::new();
    for (group, earlier) in groups(now).into_iter().zip(earlier) {
        lines.push(format!("{}:", styled(HEADING, group.title)));
        for ((_, name, value), (_, _, earlier)) in group.counters.into_iter().zip(earlier.counters)
        {
            let row = format!("  {name:<28} {value:>12}");
            lines.push(match before {
                Some((_, elapsed)) if group.grows => {
                    format!("{row} {:>12.1}/s", rate(value, earlier, *elapsed))
                }
                _ => row,
            });
        }
    }
    let title = "calls of the handshake functions by how long they took";
    lines.push(format!("{}:", styled(HEADING, title)));
    let rows = histogram(&now.leg_latency);
    lines.extend(rows.iter().map(|row| format!("  {row}")));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromZeros;

    #[test]
    fn rates_are_shown_from_the_second_time_on() {
        let mut now = StatisticsReply::new_zeroed();
        now.handshakes = 30;
        let plain = |text: &str| anstream::adapter::strip_str(text).to_string();
        let first = plain(&text(&now, None));
        assert!(
            first.contains("handshakes completed                   30\n"),
            "{first}"
        );
        assert!(!first.contains("/s"), "{first}");
        let before = (StatisticsReply::new_zeroed(), Duration::from_secs(20));
        let second = plain(&text(&now, Some(&before)));
        assert!(second.contains("          30          1.5/s\n"), "{second}");
    }
}
