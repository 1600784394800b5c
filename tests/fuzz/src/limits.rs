//! How often and how long: the bucket of tokens against exact arithmetic, the quarantine against a list.

use crate::steps;
use arbitrary::{Arbitrary, Unstructured};
use tlsgate_core::{quarantine::Quarantine, rate::Bucket};

/// Units of time in a second, and so parts of a token: a rate of one adds one part a unit.
const SECOND: u128 = 10_000_000;

#[derive(Arbitrary, Debug)]
enum Step {
    Pass(u32),
    /// So many seconds.
    PassLong(u16),
    /// Another processor's clock is behind by so much.
    Behind(u16),
    Has,
    Take,
    Spend,
    Keep,
    Turn,
}

struct Rate {
    /// In parts of a token.
    level: u128,
    most: u128,
    a_unit: u128,
    /// The latest time that was seen.
    last: u64,
}

impl Rate {
    fn fill(&mut self, now: u64) {
        let passed = u128::from(now.saturating_sub(self.last));
        self.level = (self.level + passed * self.a_unit).min(self.most);
        self.last = self.last.max(now);
    }

    fn spend(&mut self) {
        self.level = self.level.saturating_sub(SECOND);
    }
}

struct Kept {
    since: u64,
    old: bool,
}

/// Runs it.
pub fn run(bytes: &[u8]) {
    let mut bytes = Unstructured::new(bytes);
    let (rate, burst) = bytes.arbitrary::<(u32, u32)>().unwrap_or((1, 1));
    let (period, limit) = bytes.arbitrary::<(u32, u8)>().unwrap_or((1, 1));
    let mut now = u64::from(bytes.arbitrary::<u32>().unwrap_or(0));
    let mut bucket = Bucket::new(rate, burst, now);
    let most = u128::from(burst.max(1)) * SECOND;
    let mut model = Rate {
        level: most,
        most,
        a_unit: rate.into(),
        last: now,
    };
    let mut quarantine = Quarantine::new(period.into(), limit.into());
    let mut kept: Vec<Kept> = Vec::new();
    steps(&mut bytes, |step: Step| {
        match step {
            Step::Pass(units) => now += u64::from(units),
            Step::PassLong(seconds) => now += u64::from(seconds) * 10_000_000,
            Step::Behind(units) => {
                let earlier = now.saturating_sub(units.into());
                model.fill(earlier);
                assert_eq!(bucket.has(earlier), rate == 0 || model.level >= SECOND);
            }
            Step::Has => {
                model.fill(now);
                assert_eq!(bucket.has(now), rate == 0 || model.level >= SECOND);
            }
            Step::Take => {
                model.fill(now);
                let due = rate == 0 || model.level >= SECOND;
                assert_eq!(bucket.take(now), due);
                if due {
                    model.spend();
                }
            }
            Step::Spend => {
                model.fill(now);
                model.spend();
                bucket.spend(now);
            }
            Step::Keep => {
                quarantine.add(true);
                kept.push(Kept {
                    since: now,
                    old: false,
                });
            }
            Step::Turn => turn(&mut quarantine, &mut kept, now, period.into()),
        }
        assert_eq!(quarantine.kept(), kept.len(), "{step:?}");
        assert_eq!(quarantine.is_full(), kept.len() >= usize::from(limit));
        assert_eq!(quarantine.may_begin(), kept.len() < usize::from(limit));
    });
}

/// The owner's part: what is old goes when it is told to, and the young is old then.
fn turn(quarantine: &mut Quarantine, kept: &mut Vec<Kept>, now: u64, period: u64) {
    if !quarantine.turn(now) {
        return;
    }
    for one in kept.iter().filter(|one| one.old) {
        assert!(now - one.since >= period, "kept for too short a time");
    }
    kept.retain(|one| !one.old);
    for one in kept {
        one.old = true;
    }
}
