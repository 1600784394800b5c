//! The sweeps that the probe makes on the machine; after a STOP they go on with what comes next.

use crate::{
    plan::Plan,
    sites,
    tally::{Group, Tally},
};
use anyhow::{Context, Result};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tlsgate_e2e::Lab;
use tlsgate_lab_control::kmdf::Site;
use tlsgate_lab_machine::{Parameter, Running};

/// The probe, on the machine.
pub const PROBE: &str = r"C:\lab\probe.exe";

/// The driver's service.
pub const SERVICE: &str = "TlsGate";

/// How long a final status may go without its callback, in milliseconds: the shortest that can be set.
const LOST_CALLBACK: (&str, Parameter) = ("LostCallbackMs", Parameter::Number(100));

/// What goes wrong, and how much of the time each takes in percent.
const KINDS: [(&str, u32); 3] = [("allocation", 30), ("security", 40), ("caller", 15)];

/// Every kind.
pub fn all(plan: &Plan, tally: &mut Tally) -> Result<Lab> {
    let mut lab = lab()?;
    for (kind, percent) in KINDS {
        let end = Instant::now().checked_add(plan.share(percent));
        let mut done = 0;
        loop {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            let mut sweep = Sweep::start(&lab, kind, plan, done, left)?;
            match sweep.hear(tally) {
                Ok(()) => break,
                Err(error) => {
                    let at = sweep.at.as_deref().unwrap_or("the beginning");
                    // What the probe found afterwards it has told already.
                    let stopped = lab.machine().check().err();
                    if stopped.is_some() || sweep.at.is_none() || !sweep.has_told {
                        let error = stopped.unwrap_or(error);
                        tally.failure(format!("{kind}: {at}: {error:#}"));
                    }
                    if sweep.at.is_none() {
                        break;
                    }
                    done += sweep.turns + usize::from(!sweep.has_told);
                }
            }
            tally.give()?;
            drop(sweep);
            drop(lab);
            lab = self::lab()?;
        }
        tally.give()?;
    }
    Ok(lab)
}

/// A machine with the driver running.
pub fn lab() -> Result<Lab> {
    let lab = Lab::start(&mut |_| {})?;
    lab.uninstall()?;
    let (name, value) = LOST_CALLBACK;
    lab.machine().set_parameter(SERVICE, name, value)?;
    let installed = lab.install();
    lab.machine().clear_parameters(SERVICE)?;
    installed?;
    Ok(lab)
}

/// One run of the probe.
struct Sweep {
    probe: Running,
    /// The point it is at.
    at: Option<String>,
    /// Turns of groups that it has taken.
    turns: usize,
    kind: &'static str,
    /// The last point has left something, and the probe ends because of that.
    has_told: bool,
}

impl Sweep {
    fn start(
        lab: &Lab,
        kind: &'static str,
        plan: &Plan,
        done: usize,
        left: Option<Duration>,
    ) -> Result<Self> {
        let (seed, skip) = (plan.seed.to_string(), done.to_string());
        let seconds = left.map_or(u64::MAX, |left| left.as_secs()).to_string();
        let part = plan.part.to_string();
        let mut arguments = vec!["--thumbprint", lab.thumbprint(), "sweep", kind];
        arguments.extend(["--seed", &seed, "--skip", &skip, "--seconds", &seconds]);
        arguments.extend(["--part", &part]);
        if plan.full {
            arguments.push("--full");
        }
        arguments.extend(plan.words.iter().map(String::as_str));
        Ok(Self {
            probe: lab.machine().spawn(PROBE, &arguments)?,
            at: None,
            turns: 0,
            kind,
            has_told: false,
        })
    }

    /// Takes in what the probe says, to its end.
    fn hear(&mut self, tally: &mut Tally) -> Result<()> {
        loop {
            let line = self.probe.line()?;
            let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match word {
                "at" => self.at = Some(rest.to_owned()),
                "left" => self.has_told = true,
                "groups" => tally.there_are(self.kind, rest.parse()?),
                "failed" => tally.failure(format!("{}: {rest}", self.kind)),
                "group" => {
                    self.turns += 1;
                    let group: Group = serde_json::from_str(rest)?;
                    tally.group(group);
                }
                "sites" => {
                    let found: BTreeMap<String, Site> =
                        serde_json::from_str(rest).context("no sites")?;
                    tally.sites(sites::named(found)?);
                    return Ok(());
                }
                _ => {}
            }
        }
    }
}
