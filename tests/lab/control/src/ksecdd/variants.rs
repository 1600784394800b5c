//! The settings that everything must work under, by name.

use super::{
    CallbackThread, Completion, EmptyData, Extra, ExtraPointer, FailedOutput, Fragments, Latency,
    Missing, NoCertificate, NoProtocol, PostHandshake, Records, RequiresNotify, SniCredential,
    Switches, TokenUse,
};

/// The switch that is changed, the name of its new setting, the change.
type Change = (&'static str, &'static str, fn(&mut Switches));

/// For every switch each setting but its default; the first one is its second setting.
const CHANGES: &[Change] = &[
    ("completion", "completion_inline", |s| {
        s.completion = Completion::Inline;
    }),
    ("completion", "completion_early", |s| {
        s.completion = Completion::Early;
    }),
    ("completion", "completion_mixed", |s| {
        s.completion = Completion::Mixed(7);
    }),
    ("workers", "one_worker", |s| s.workers = 1),
    ("latency", "latency_exponential", |s| {
        s.latency = Latency::Exponential {
            mean: 1_000,
            seed: 7,
        };
    }),
    ("latency", "latency_uniform", |s| {
        s.latency = Latency::Uniform {
            least: 0,
            most: 3_000,
            seed: 7,
        };
    }),
    ("latency", "latency_heavy_tail", |s| {
        s.latency = Latency::HeavyTail {
            least: 100,
            most: 200_000,
            seed: 7,
        };
    }),
    ("latency", "latency_fixed", |s| {
        s.latency = Latency::Fixed(2_000);
    }),
    ("callback_thread", "callback_on_another_thread", |s| {
        s.callback_thread = CallbackThread::Other;
    }),
    ("callback_irql", "callback_at_dispatch", |s| {
        s.callback_irql = 2;
    }),
    ("callback_irql", "callback_at_apc", |s| s.callback_irql = 1),
    (
        "issue_in_callback_allowed",
        "issue_in_callback_allowed",
        |s| {
            s.issue_in_callback_allowed = true;
        },
    ),
    (
        "reinit_refused_in_callback",
        "reinit_refused_in_callback",
        |s| {
            s.reinit_refused_in_callback = true;
        },
    ),
    ("reinit_refused", "reinit_refused", |s| {
        s.reinit_refused = true;
    }),
    ("requires_notify", "requires_notify_when_set", |s| {
        s.requires_notify = RequiresNotify::WhenSet;
    }),
    ("token", "token_refused", |s| s.token = TokenUse::Refused),
    ("token", "token_in_worker", |s| s.token = TokenUse::InWorker),
    ("token", "token_ignored", |s| s.token = TokenUse::Ignored),
    ("machine_flag_applies", "machine_flag_applies", |s| {
        s.machine_flag_applies = true;
    }),
    ("sni_credential", "sni_credential_for_its_name", |s| {
        s.sni_credential = SniCredential::ItsNameOnly;
    }),
    ("records", "one_record_a_leg", |s| s.records = Records::One),
    ("fragments", "fragments_consumed", |s| {
        s.fragments = Fragments::Consumed;
    }),
    ("extra", "extra_late", |s| s.extra = Extra::Late),
    ("extra_pointer", "extra_without_pointer", |s| {
        s.extra_pointer = ExtraPointer::Absent;
    }),
    ("extra_pointer", "extra_with_pointer", |s| {
        s.extra_pointer = ExtraPointer::Given;
    }),
    ("missing", "missing_too_large", |s| {
        s.missing = Missing::TooLarge;
    }),
    ("missing", "missing_too_small", |s| {
        s.missing = Missing::TooSmall;
    }),
    ("missing", "missing_absent", |s| s.missing = Missing::Absent),
    ("alert_reported", "alert_not_reported", |s| {
        s.alert_reported = false;
    }),
    ("failed_output", "failed_output_as_given", |s| {
        s.failed_output = FailedOutput::AsGiven;
    }),
    ("least_room", "room_demanded", |s| s.least_room = 24 * 1024),
    ("failure_makes_context", "failure_makes_no_context", |s| {
        s.failure_makes_context = false;
    }),
    ("too_small_makes_context", "too_small_makes_context", |s| {
        s.too_small_makes_context = true;
    }),
    ("session_tickets", "without_session_tickets", |s| {
        s.session_tickets = false;
    }),
    ("renegotiate_extra", "renegotiate_without_extra", |s| {
        s.renegotiate_extra = false;
    }),
    ("post_handshake", "without_post_handshake", |s| {
        s.post_handshake = PostHandshake::Unsupported;
    }),
    ("empty_data", "empty_data_left_out", |s| {
        s.empty_data = EmptyData::LeftOut;
    }),
    ("out_of_band_alert", "without_out_of_band_alert", |s| {
        s.out_of_band_alert = false;
    }),
    ("no_certificate", "no_certificate_is_internal_error", |s| {
        s.no_certificate = NoCertificate::InternalError;
    }),
    ("no_protocol", "no_protocol_is_an_error", |s| {
        s.no_protocol = NoProtocol::Refused;
    }),
    (
        "certificate_check_result",
        "without_certificate_check_result",
        |s| {
            s.certificate_check_result = false;
        },
    ),
];

/// What no driver can make up for.
const HOPELESS: &str = "without_post_handshake";

impl Switches {
    /// The settings under which a driver that is right still works, by name: for every switch each
    /// setting but its default, then some together. Names that begin with `without_` take a feature
    /// away; a test of that feature has nothing to test under them.
    #[must_use]
    pub fn variants() -> Vec<(&'static str, Self)> {
        let mut variants: Vec<_> = CHANGES
            .iter()
            .map(|&(_, name, change)| (name, Self::default().changed(&[change])))
            .collect();
        variants.push(("everything_else", Self::everything_else()));
        variants.push((
            "one_record_late_and_mixed",
            Self::default().changed(&[
                |s| s.completion = Completion::Mixed(11),
                |s| s.records = Records::One,
                |s| s.fragments = Fragments::Consumed,
                |s| s.extra = Extra::Late,
                |s| s.callback_thread = CallbackThread::Other,
            ]),
        ));
        variants.push((
            "busy_security_subsystem",
            Self::default().changed(&[
                |s| s.workers = 2,
                |s| {
                    s.latency = Latency::HeavyTail {
                        least: 200,
                        most: 500_000,
                        seed: 11,
                    };
                },
                |s| s.reinit_refused_in_callback = true,
                |s| s.callback_irql = 1,
            ]),
        ));
        variants
    }

    /// [`Self::variants`] packed into few: round `n` has every switch at its `n`-th setting but the
    /// default, if it has so many, so that all rounds together have every setting of every switch but one.
    /// The last one takes features away, though not post-handshake messages: without them no TLS 1.3
    /// connection outlives its server's first ticket.
    #[must_use]
    pub fn rounds() -> Vec<(String, Self)> {
        let mut rounds: Vec<Vec<fn(&mut Self)>> = Vec::new();
        let (mut last, mut nth) = ("", 0);
        for &(switch, name, change) in CHANGES {
            nth = if switch == last { nth + 1 } else { 0 };
            last = switch;
            if !name.starts_with("without_") {
                if rounds.len() <= nth {
                    rounds.push(Vec::new());
                }
                rounds[nth].push(change);
            }
        }
        let without = CHANGES
            .iter()
            .filter(|change| change.1.starts_with("without_") && change.1 != HOPELESS)
            .map(|change| change.2)
            .collect();
        let named = (1..).map(|round| format!("round-{round}"));
        named
            .zip(rounds)
            .chain([("without".to_owned(), without)])
            .map(|(name, changes)| (name, Self::default().changed(&changes)))
            .collect()
    }

    /// The variant, or the round, of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let variants = Self::variants().into_iter();
        variants
            .map(|(name, switches)| (name.to_owned(), switches))
            .chain(Self::rounds())
            .find(|(other, _)| other == name)
            .map(|(_, switches)| switches)
    }

    /// Every switch at its second setting, but for those that take a feature away.
    fn everything_else() -> Self {
        let mut last = "";
        let mut seconds = Vec::new();
        for &(switch, name, change) in CHANGES {
            if switch != last && !name.starts_with("without_") {
                seconds.push(change);
            }
            last = switch;
        }
        Self::default().changed(&seconds)
    }

    fn changed(mut self, changes: &[fn(&mut Self)]) -> Self {
        for change in changes {
            change(&mut self);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ksecdd::{FACTS, SET_UP};
    use serde_json::{Map, Value};
    use std::collections::BTreeSet;

    fn fields(switches: &Switches) -> Map<String, Value> {
        match serde_json::to_value(switches).unwrap() {
            Value::Object(fields) => fields,
            other => panic!("{other}"),
        }
    }

    fn changed(switches: &Switches) -> BTreeSet<String> {
        let (before, after) = (fields(&Switches::default()), fields(switches));
        let changed = after
            .into_iter()
            .filter(|(name, value)| before[name] != *value);
        changed.map(|(name, _)| name).collect()
    }

    #[test]
    fn every_switch_has_its_fact_and_a_variant() {
        let all: BTreeSet<String> = fields(&Switches::default())
            .into_iter()
            .map(|it| it.0)
            .collect();
        let named: BTreeSet<String> = FACTS
            .iter()
            .map(|fact| fact.0)
            .chain(SET_UP)
            .map(str::to_owned)
            .collect();
        assert_eq!(all, named);
        let varied: BTreeSet<String> = CHANGES.iter().map(|change| change.0.to_owned()).collect();
        let facts: BTreeSet<String> = FACTS.iter().map(|fact| fact.0.to_owned()).collect();
        assert_eq!(varied, facts);
    }

    #[test]
    fn single_variants_change_the_switch_they_name_and_no_other() {
        let mut settings = BTreeSet::new();
        for (switch, name, change) in CHANGES {
            let variant = Switches::default().changed(&[*change]);
            assert_eq!(
                changed(&variant),
                BTreeSet::from([(*switch).to_owned()]),
                "{name}"
            );
            assert!(
                settings.insert(fields(&variant)[*switch].to_string() + switch),
                "{name} again"
            );
        }
        let names: BTreeSet<_> = Switches::variants()
            .iter()
            .map(|variant| variant.0)
            .collect();
        assert_eq!(names.len(), Switches::variants().len());
    }

    #[test]
    fn the_rounds_have_every_setting_of_every_switch() {
        let rounds = Switches::rounds();
        for (switch, name, change) in CHANGES.iter().filter(|change| change.1 != HOPELESS) {
            let setting = &fields(&Switches::default().changed(&[*change]))[*switch];
            assert!(
                rounds
                    .iter()
                    .any(|(_, switches)| fields(switches)[*switch] == *setting),
                "{name}"
            );
        }
        assert_eq!(rounds[0].1, Switches::everything_else());
        for (name, switches) in rounds {
            assert_eq!(Switches::named(&name), Some(switches));
        }
    }

    #[test]
    fn everything_else_takes_no_feature_away_and_leaves_nothing_else_as_it_was() {
        let all = changed(&Switches::everything_else());
        for (switch, name, _) in CHANGES {
            assert_eq!(
                all.contains(*switch),
                !name.starts_with("without_"),
                "{switch}"
            );
        }
    }
}
