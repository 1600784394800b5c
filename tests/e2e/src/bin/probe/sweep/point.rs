//! The points of a sweep: by scenario and setting, what goes wrong in each, and how it is played.

use super::{
    Kind,
    after::Baseline,
    caller::{Deed, Planned},
    scenarios::{self, Scenario},
    security::{self, Armed},
    stage::{Ended, Stage, Trouble, What},
};
use crate::bench::{Bench, within};
use anyhow::{Context, Result, bail, ensure};
use std::{collections::BTreeMap, fmt};
use tlsgate::protocol::SecurityStatus;
use tlsgate_lab_control::ksecdd::{Completion, Fault, Function, Switches};

/// The setting that is no variant.
const USUAL: &str = "usual";

/// The handle's requests are cancelled before its clean-up, as the I/O manager does for a dying process.
const CANCELLED_FIRST: &str = "cancelled_before_cleanup";

/// Variants in which memory is asked for that is not wanted otherwise: for a larger output, and for a fresh async
/// context.
const MORE_MEMORY: [&str; 2] = ["room_demanded", "reinit_refused"];

/// Variants that leave a scenario without what it is about.
const HOPELESS: &str = "without_post_handshake";

/// Allocations beyond those of a run in which none fails: what another interleaving may need.
const MORE: u64 = 3;

/// Of allocations that fail at random, one in so many.
const ONE_IN: [u32; 4] = [4, 10, 30, 100];

/// How often each of these is drawn.
const DRAWS: usize = 3;

/// How calls complete.
const COMPLETIONS: [(&str, Completion); 3] = [
    ("inline", Completion::Inline),
    ("early", Completion::Early),
    ("late", Completion::Late),
];

/// A scenario under a setting.
pub struct Group {
    /// What goes wrong.
    pub kind: Kind,
    /// The scenario.
    pub scenario: &'static Scenario,
    /// How the stand-ins behave.
    pub setting: &'static str,
    number: usize,
}

/// One thing that goes wrong.
pub struct Point {
    scenario: &'static Scenario,
    setting: &'static str,
    wrong: Wrong,
}

enum Wrong {
    Allocation {
        completion: (&'static str, Completion),
        after: u64,
    },
    Allocations {
        completion: (&'static str, Completion),
        seed: u64,
        one_in: u32,
    },
    Call(Fault),
    Caller(Planned),
}

/// Every group of a kind.
pub fn groups(kind: Kind) -> Vec<Group> {
    let settings = match kind {
        Kind::Allocation => [USUAL].into_iter().chain(MORE_MEMORY).collect(),
        Kind::Security => {
            let variants = Switches::variants().into_iter().map(|variant| variant.0);
            [USUAL]
                .into_iter()
                .chain(variants.filter(|&name| name != HOPELESS))
                .collect()
        }
        Kind::Caller => vec![USUAL, CANCELLED_FIRST],
    };
    let each = scenarios::ALL
        .iter()
        .flat_map(|scenario| settings.iter().map(move |&setting| (scenario, setting)));
    let numbered = each.enumerate();
    numbered
        .map(|(number, (scenario, setting))| Group {
            kind,
            scenario,
            setting,
            number,
        })
        .collect()
}

impl Group {
    /// A scenario as it is.
    pub const fn plain(scenario: &'static Scenario) -> Self {
        Self {
            kind: Kind::Caller,
            scenario,
            setting: USUAL,
            number: 0,
        }
    }

    /// Whether its points may have these words in their names.
    pub fn may_have(&self, words: &[String]) -> bool {
        let others = scenarios::ALL.iter().map(|scenario| scenario.name);
        let settings = Switches::variants().into_iter().map(|variant| variant.0);
        let is_name = |word: &String| {
            others.clone().any(|name| name == word)
                || settings.clone().any(|name| name == word)
                || [USUAL, CANCELLED_FIRST].contains(&word.as_str())
        };
        words
            .iter()
            .filter(|word| is_name(word))
            .all(|word| word == self.scenario.name || word == self.setting)
    }

    /// Its points: all, or without what only all would have.
    pub async fn points(
        &self,
        bench: &mut Bench,
        full: bool,
        random: &mut fastrand::Rng,
    ) -> Result<Vec<Point>> {
        let wrongs = match self.kind {
            Kind::Allocation => self.allocations(bench, random).await?,
            Kind::Security => {
                let (_, calls) = self.whole(bench, Completion::Late).await?;
                let all = full && self.setting == USUAL;
                let faults = security::faults(&calls, all, self.number);
                faults.into_iter().map(Wrong::Call).collect()
            }
            Kind::Caller => {
                let steps = self.requests(bench).await?;
                let each = (1..=steps)
                    .flat_map(|step| Deed::ALONE.map(|deed| Wrong::Caller(Planned { step, deed })));
                each.collect()
            }
        };
        Ok(wrongs
            .into_iter()
            .map(|wrong| Point {
                scenario: self.scenario,
                setting: self.setting,
                wrong,
            })
            .collect())
    }

    async fn allocations(
        &self,
        bench: &mut Bench,
        random: &mut fastrand::Rng,
    ) -> Result<Vec<Wrong>> {
        let mut wrongs = Vec::new();
        for completion in COMPLETIONS {
            let (allocations, _) = self.whole(bench, completion.1).await?;
            wrongs.extend(
                (0..allocations + MORE).map(|after| Wrong::Allocation { completion, after }),
            );
            for one_in in ONE_IN {
                wrongs.extend((0..DRAWS).map(|_| Wrong::Allocations {
                    completion,
                    seed: random.u64(..),
                    one_in,
                }));
            }
        }
        Ok(wrongs)
    }

    /// Plays the scenario without trouble; how many allocations it needs, and calls of each function.
    async fn whole(
        &self,
        bench: &mut Bench,
        completion: Completion,
    ) -> Result<(u64, BTreeMap<Function, u64>)> {
        set(bench, self.setting, Some(completion), None)?;
        let before = (bench.lab.asked_for_memory()?, bench.lab.state()?.calls);
        let mut stage = Stage::new(bench, Trouble::None);
        let ended = within(self.scenario.play(&mut stage)).await;
        drop(stage);
        calm(bench)?;
        whole(ended?).with_context(|| format!("{} {}", self.scenario.name, self.setting))?;
        bench.empty().await?;
        let after = (bench.lab.asked_for_memory()?, bench.lab.state()?.calls);
        let made = |(function, count): (Function, u64)| {
            (function, count - before.1.get(&function).unwrap_or(&0))
        };
        Ok((after.0 - before.0, after.1.into_iter().map(made).collect()))
    }

    /// How many requests the scenario sends.
    pub async fn requests(&self, bench: &mut Bench) -> Result<usize> {
        let mut stage = Stage::new(bench, Trouble::None);
        let ended = within(self.scenario.play(&mut stage)).await;
        let steps = stage.steps;
        drop(stage);
        whole(ended?)?;
        bench.empty().await?;
        Ok(steps)
    }
}

impl Point {
    /// Whether all of these words are in its name.
    pub fn has(&self, words: &[String]) -> bool {
        let name = self.to_string();
        let own: Vec<&str> = name.split(' ').collect();
        words.iter().all(|word| own.contains(&word.as_str()))
    }

    /// Plays it. True if something did go wrong.
    pub async fn play(&self, bench: &mut Bench, baseline: &Baseline) -> Result<bool> {
        match self.wrong {
            Wrong::Allocation {
                completion, after, ..
            } => {
                set(bench, self.setting, Some(completion.1), None)?;
                bench
                    .lab
                    .kmdf(|switches| switches.fail_allocation_after = Some(after))?;
                self.starved(bench, baseline).await
            }
            Wrong::Allocations {
                completion,
                seed,
                one_in,
            } => {
                set(bench, self.setting, Some(completion.1), None)?;
                bench
                    .lab
                    .kmdf(|switches| switches.fail_one_in = Some((seed, one_in)))?;
                self.starved(bench, baseline).await
            }
            Wrong::Call(fault) => self.failing(bench, fault).await,
            Wrong::Caller(planned) => self.given_up(bench, planned).await,
        }
    }

    /// Without memory now and then. A leg may fail its session for want of it; all else is refused, and works
    /// when it is tried again.
    async fn starved(&self, bench: &mut Bench, baseline: &Baseline) -> Result<bool> {
        let before = bench.lab.report()?.allocations_refused;
        let mut stage = Stage::new(bench, Trouble::Memory);
        let ended = within(self.scenario.play(&mut stage)).await?;
        drop(stage);
        // The handle's end needs no memory.
        baseline.handle_gone(bench).await?;
        let refused = bench.lab.report()?.allocations_refused - before;
        match ended {
            Ok(()) => {}
            Err(Ended::Told(told)) => ensure!(
                matches!(
                    told.what,
                    What::Failed(SecurityStatus::SEC_E_INSUFFICIENT_MEMORY)
                ) && refused > 0,
                "{}",
                Ended::Told(told)
            ),
            Err(other) => bail!("{other}"),
        }
        Ok(refused > 0)
    }

    async fn failing(&self, bench: &mut Bench, fault: Fault) -> Result<bool> {
        set(bench, self.setting, None, Some(fault))?;
        let mut stage = Stage::new(bench, Trouble::Security(Armed::new(fault)));
        let ended = within(self.scenario.play(&mut stage)).await?;
        let is_hit = stage.is_hit();
        drop(stage);
        match ended {
            Ok(()) => Ok(is_hit || bench.lab.is_fault_taken()?),
            Err(Ended::Due) => Ok(true),
            Err(other) => bail!("{other}"),
        }
    }

    async fn given_up(&self, bench: &mut Bench, planned: Planned) -> Result<bool> {
        set(bench, self.setting, None, None)?;
        let mut stage = Stage::new(bench, Trouble::Caller(planned));
        let ended = within(self.scenario.play(&mut stage)).await?;
        drop(stage);
        match ended {
            Ok(()) => Ok(false),
            Err(Ended::Gone) => Ok(true),
            Err(other) => bail!("{other}"),
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.scenario.name, self.setting)?;
        match &self.wrong {
            Wrong::Allocation { completion, after } => {
                write!(f, "{} allocation {after}", completion.0)
            }
            Wrong::Allocations {
                completion,
                seed,
                one_in,
            } => write!(
                f,
                "{} allocations one-in-{one_in} seed {seed}",
                completion.0
            ),
            Wrong::Call(fault) => f.write_str(&security::words(fault)),
            Wrong::Caller(planned) => write!(f, "request {} {:?}", planned.step, planned.deed),
        }
    }
}

/// Nothing goes wrong any more. What a look-aside list has kept cannot: so none keeps anything.
pub fn calm(bench: &mut Bench) -> Result<()> {
    bench.lab.kmdf(|switches| {
        switches.lookaside_depth = 0;
        switches.fail_allocation_after = None;
        switches.fail_one_in = None;
        switches.cancel_before_cleanup = false;
    })?;
    bench.lab.ksecdd(|switches| {
        *switches = Switches {
            lost_callbacks_delivered: true,
            ..Switches::default()
        };
    })
}

/// Plays a scenario up to where its caller waits.
pub async fn wait(bench: &mut Bench, scenario: &Scenario, planned: Planned) -> Result<()> {
    let mut stage = Stage::new(bench, Trouble::Caller(planned));
    match scenario.play(&mut stage).await {
        Ok(()) | Err(Ended::Gone) => Ok(()),
        Err(other) => bail!("{other}"),
    }
}

fn whole(ended: Result<(), Ended>) -> Result<()> {
    ended.map_err(|ended| anyhow::anyhow!("without any fault: {ended}"))
}

fn set(
    bench: &mut Bench,
    setting: &str,
    completion: Option<Completion>,
    fault: Option<Fault>,
) -> Result<()> {
    let mut wanted = match setting {
        USUAL | CANCELLED_FIRST => Switches::default(),
        name => Switches::named(name).context("no such setting")?,
    };
    wanted.lost_callbacks_delivered = true;
    if let Some(completion) = completion {
        wanted.completion = completion;
    }
    wanted.faults.extend(fault);
    bench.lab.ksecdd(|switches| *switches = wanted)?;
    if setting == CANCELLED_FIRST {
        bench
            .lab
            .kmdf(|switches| switches.cancel_before_cleanup = true)?;
    }
    Ok(())
}
