//! The scenarios, against a driver that is none: what they measure here says nothing of the driver's
//! speed, but that they measure.

mod fake;

use fake::Fake;
use std::{sync::atomic::Ordering::SeqCst, time::Duration};
use tlsgate_bench::{Effort, Results, SCENARIOS, Site, run};

const LITTLE: Effort = Effort {
    rounds: 2,
    turn: Duration::from_millis(20),
    sessions: 300,
    seed: 1,
};

fn site() -> Site {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let name = "site.test".to_owned();
    let parameters = rcgen::CertificateParams::new(vec![name.clone()]).unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    Site {
        name,
        certificate: certificate.der().to_vec(),
        root: certificate.der().to_vec(),
        key: key.serialize_der(),
    }
}

fn value(results: &Results, name: &str) -> f64 {
    let row = results.rows.iter().find(|row| row.name == name);
    row.unwrap_or_else(|| panic!("no row {name:?} in {results:#?}"))
        .value
}

fn measured(fake: &Fake, site: &Site, name: &str, effort: Effort) -> Results {
    let results = run(fake, site, name, effort).unwrap();
    assert!(!results.rows.is_empty() && !results.notes.is_empty());
    for row in &results.rows {
        println!(
            "{} = {} {} ± {:?} {:?}",
            row.name, row.value, row.unit, row.spread, row.bound
        );
        assert!(row.value.is_finite() && row.value >= 0.0, "{row:?}");
    }
    let points = results.plots.iter().flat_map(|plot| &plot.series);
    for series in points {
        assert!(!series.points.is_empty(), "{series:?}");
        assert!(
            series
                .points
                .iter()
                .all(|(x, y)| x.is_finite() && y.is_finite())
        );
    }
    results
}

/// How often a figure that other work on the machine spoils is measured.
const TRIES: u32 = 5;

#[test]
fn handshakes_are_made_on_both_sides() {
    let site = site();
    let results = measured(&Fake::new(site.clone()), &site, "handshakes", LITTLE);
    for what in ["full TLS 1.3", "resumed TLS 1.3", "full TLS 1.2"] {
        let ratio = value(&results, &format!("{what} handshakes, driver to rustls"));
        assert!((0.1..10.0).contains(&ratio), "{what}: {ratio}");
    }
}

#[test]
fn a_leg_that_fails_is_no_figure() {
    let site = site();
    for scenario in SCENARIOS {
        let fake = Fake::new(site.clone());
        fake.fails_each.store(1, SeqCst);
        let error = run(&fake, &site, scenario.name, LITTLE).unwrap_err();
        let error = format!("{error:#}");
        assert!(
            error.contains("SEC_E_INTERNAL_ERROR"),
            "{}: {error}",
            scenario.name
        );
    }
    assert!(run(&Fake::new(site.clone()), &site, "none", LITTLE).is_err());
}

#[test]
fn the_drivers_time_is_told_from_the_engines() {
    let site = site();
    let results = measured(&Fake::new(site.clone()), &site, "cost", LITTLE);
    // Two legs and a closing, of a microsecond each, and fifty of the engine's.
    let own = "the driver's own code over a full handshake";
    for own in [own.to_owned(), format!("{own}, one at a time")] {
        let micros = value(&results, &own);
        assert!((micros - 3.0).abs() < 0.01, "{own}: {micros}");
    }
    let share = value(&results, "the driver's own code, of ksecdd's time");
    assert!((share - 2.0).abs() < 0.01, "{share} %");
    let share = value(
        &results,
        "the driver's own code, of the engine's time, one at a time",
    );
    let engine = value(
        &results,
        "the engine's time over a full handshake, one at a time",
    );
    assert!(
        (share / (300.0 / engine) - 1.0).abs() < 0.5,
        "{share} % of {engine}"
    );
}

#[test]
fn records_come_out_whole() {
    let site = site();
    let results = measured(&Fake::new(site.clone()), &site, "records", LITTLE);
    for what in ["SEAL of 16 KiB", "UNSEAL of 1 MiB"] {
        let ratio = value(&results, &format!("{what}, driver to rustls"));
        assert!((0.01..10.0).contains(&ratio), "{what}: {ratio}");
    }
}

#[test]
fn memory_is_that_of_what_is_in_flight() {
    let site = site();
    let results = measured(&Fake::new(site.clone()), &site, "memory", LITTLE);
    let first = "driver's memory of a leg in flight, 4 KiB of input, the first ones";
    assert!((value(&results, first) - 5.0 - 100.0 / 1024.0).abs() < 0.01);
    assert!((value(&results, "driver's memory of an idle session") - 100.0).abs() < 0.01);
}

#[test]
fn what_grows_with_the_sessions_shows() {
    let site = site();
    let name = "the driver's time of a leg at 300 open sessions, to that at 10";
    let flat = measured(&Fake::new(site.clone()), &site, "crowd", LITTLE);
    assert!((value(&flat, name) - 1.0).abs() < 0.01);
    let mut fake = Fake::new(site.clone());
    fake.grows = true;
    let steep = measured(&fake, &site, "crowd", LITTLE);
    // A microsecond and a half, and ten nanoseconds a session.
    assert!(
        (1.5..4.0).contains(&value(&steep, name)),
        "{}",
        value(&steep, name)
    );
}

#[test]
fn a_slow_engine_is_used_by_few_legs_and_by_many() {
    let site = site();
    let name = "slow engine's throughput used by 4 legs in flight and more, the median";
    // The machine may have other work, so each try is longer; a worker counted wrong makes half as much, or once and a half.
    let results = (1..=TRIES)
        .map(|attempt| Effort {
            turn: Duration::from_millis(50) * attempt,
            sessions: 256,
            ..LITTLE
        })
        .map(|effort| measured(&Fake::new(site.clone()), &site, "load", effort))
        .find(|results| (0.6..1.4).contains(&value(results, name)))
        .expect("a try without other work");
    let most = value(
        &results,
        "most legs in flight at once, by the driver's count",
    );
    assert!((250.0..=256.0).contains(&most), "{most}");
}

#[test]
fn a_flood_on_one_queue_shows() {
    let site = site();
    let effort = Effort {
        rounds: 1,
        sessions: 100,
        turn: Duration::from_millis(50),
        ..LITTLE
    };
    let results = measured(&Fake::new(site.clone()), &site, "flood", effort);
    // The fake has one queue for all: a hundred legs are before each.
    let name = "p99 of a good client's legs under a flood, to that without";
    assert!(value(&results, name) > 3.0, "{}", value(&results, name));
}
