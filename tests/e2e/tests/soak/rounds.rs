//! The run: everything is started and made as large as it will be; then load and rest by turns.

use crate::{
    fleet::Fleet,
    flood, honest, hostile,
    judge::Judge,
    outgoing,
    pki::Pki,
    plan::Plan,
    tally::Tally,
    watch::Watch,
    weather::Weather,
    world::{Wanted, World, dial},
};
use anyhow::{Context, Result, anyhow, ensure};
use fastrand::Rng;
use openssl::ssl::SslVersion;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tlsgate_e2e::{Lab, Server};
use tlsgate_lab_control::ksecdd::Completion;
use tlsgate_lab_machine::wait_until;

/// How long there is load between two rests.
const ROUND: Duration = Duration::from_secs(20);

/// The part of a round after which a server is killed.
const DOOM: f32 = 0.7;

/// How often everything is looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Connections of each kind of server and client at once, at the most: more than there are threads.
const AT_ONCE: usize = 64;

/// All connections that there ever are at once.
pub const MOST_AT_ONCE: usize = 2 * (flood::MOST + AT_ONCE) + 8 * AT_ONCE;

/// Threads with honest clients of the driver's servers, with clients that the driver's clients carry, and with
/// hostile ones.
const THREADS: [usize; 3] = [6, 3, 5];

/// How long a thread pauses between two connections, at the most, in milliseconds.
const PAUSE: u64 = 60;

/// How long each step of the warm-up may take: the host may be busy.
const WARM: Duration = Duration::from_mins(3);

/// The whole run, and its verdict.
pub fn run(plan: &Plan) -> Result<()> {
    println!("seed {}, {} s", plan.seed, plan.length.as_secs());
    let lab = Lab::start(&mut |_| {})?;
    let pki = Pki::of(&lab)?;
    let tally = Arc::new(Tally::default());
    let (mut fleet, at, thumbprints) = Fleet::start(&lab, &pki, &tally, plan)?;
    let world = World::new(&at, &pki, Arc::clone(&tally), thumbprints)?;
    let mut watch = Watch::start(&lab, &fleet)?;
    let mut rng = Rng::with_seed(plan.seed);

    warm_up(&lab, &world, &mut watch, &mut rng).context("the warm-up")?;
    let mut judge = Judge::new(plan.clone(), Arc::clone(&tally), watch.settled(None)?);
    // What was counted so far took long because it was held back.
    tally.clear();
    let began = Instant::now();
    while began.elapsed() < plan.length && !plan.is_stopped() {
        let round = Round {
            plan,
            lab: &lab,
            world: &world,
            length: ROUND.min(plan.length.saturating_sub(began.elapsed())),
            is_on: AtomicBool::new(true),
        };
        let played = round.play(&mut fleet, &mut watch, &mut judge, &mut rng);
        if let Err(error) = played {
            // A broken rule is the better explanation.
            let error = lab.machine().check().err().unwrap_or(error);
            judge.broken(&error);
            judge.report()?;
            println!("{}", fleet.complaints());
            return Err(error);
        }
        judge.report()?;
    }
    judge.verdict();
    watch.stop()?;
    let complaints = fleet.complaints();
    // It is unloaded, which is when the stand-ins look for leaks.
    let ended = fleet.stop().and_then(|()| {
        let gone = lab.uninstall();
        // A broken rule is the better explanation.
        lab.machine().check().and(gone)
    });
    if let Err(error) = &ended {
        judge.broken(error);
    }
    judge.report()?;
    println!("{}", judge.summary());
    ended?;
    judge.passed().inspect_err(|_| println!("{complaints}"))
}

/// As many connections at once as there will ever be: tables stay as large as they had to be.
fn warm_up(lab: &Lab, world: &World, watch: &mut Watch, rng: &mut Rng) -> Result<()> {
    lab.complete(Completion::Held)?;
    let mut sockets = Vec::new();
    for (server, count) in [
        (world.at.page, flood::MOST + AT_ONCE),
        (world.at.strict, flood::MOST + AT_ONCE),
        (world.at.echo, AT_ONCE),
        (world.at.mutual, AT_ONCE),
        (world.at.names, AT_ONCE),
    ] {
        sockets.extend(flood::open(server, count, rng, false, &|| true)?);
    }
    for client in [
        world.at.to_host,
        world.at.to_demanding,
        world.at.to_hostile,
        world.at.to_driver,
    ] {
        for _ in 0..AT_ONCE {
            sockets.push(dial(client)?);
        }
    }
    wait_until("the crowd", WARM, || {
        let requests = watch.sample()?.alive.driver.requests;
        // What strict servers and impatient clients have given up by now is none any more.
        Ok((requests >= flood::MOST + 6 * AT_ONCE).then_some(()))
    })?;
    lab.complete(Completion::Late)?;
    lab.release(None)?;
    wait_until("the crowd's handshakes", WARM, || {
        let alive = watch.sample()?.alive;
        Ok((alive.driver.requests == 0 && alive.ksecdd.in_flight == 0).then_some(()))
    })?;
    drop(sockets);
    // Each way of working once.
    for _ in 0..20 {
        honest::visit(world, rng);
        outgoing::visit(world, rng);
    }
    Ok(())
}

/// Load, and the rest that follows.
struct Round<'a> {
    plan: &'a Plan,
    lab: &'a Lab,
    world: &'a World,
    length: Duration,
    is_on: AtomicBool,
}

impl Round<'_> {
    fn play(
        self,
        fleet: &mut Fleet,
        watch: &mut Watch,
        judge: &mut Judge,
        rng: &mut Rng,
    ) -> Result<()> {
        let weather = Weather::of_round(self.lab, rng)?;
        let before = self.world.tally.tried();
        let doomed = Server::start(self.lab, "")?;
        let changes = thread::scope(|scope| {
            let wanted = || self.is_on.load(Ordering::Relaxed);
            let mut loads: Vec<thread::ScopedJoinHandle<Result<()>>> = Vec::new();
            let acts: [fn(&World, &mut Rng); 3] = [honest::visit, outgoing::visit, hostile::visit];
            for (act, threads) in acts.into_iter().zip(THREADS) {
                for _ in 0..threads {
                    let mut rng = rng.fork();
                    loads.push(scope.spawn(move || {
                        while wanted() {
                            act(self.world, &mut rng);
                            thread::sleep(Duration::from_millis(rng.u64(..PAUSE)));
                        }
                        Ok(())
                    }));
                }
            }
            let mut floods = rng.fork();
            loads.push(scope.spawn(move || {
                while wanted() {
                    flood::flood(self.world, &mut floods, &wanted)?;
                }
                Ok(())
            }));
            let mut slow = rng.fork();
            loads.push(scope.spawn(move || {
                while wanted() {
                    hostile::too_slow(self.world, &mut slow, &wanted);
                }
                Ok(())
            }));
            let mut skies = rng.fork();
            let weather = &weather;
            let changing = scope.spawn(move || weather.change(self.lab, &mut skies, &wanted));

            let accompanied = self.accompany(doomed, fleet, watch, judge, rng);
            self.is_on.store(false, Ordering::Relaxed);
            for load in loads {
                load.join().map_err(|_| anyhow!("a panic"))??;
            }
            let changes = changing.join().map_err(|_| anyhow!("a panic"))??;
            accompanied?;
            Ok::<_, anyhow::Error>(changes)
        })?;
        let connections = self.world.tally.tried() - before;
        let rest = watch.settled(Some(judge.first()))?;
        judge.rested(weather.name, changes, connections, rest);
        self.lab.machine().check()
    }

    /// What this thread does meanwhile: it looks, has certificates replaced, and kills a server with
    /// connections on it.
    fn accompany(
        &self,
        doomed: Server,
        fleet: &mut Fleet,
        watch: &mut Watch,
        judge: &mut Judge,
        rng: &mut Rng,
    ) -> Result<()> {
        let began = Instant::now();
        let mut doomed = Some(doomed);
        while began.elapsed() < self.length && !self.plan.is_stopped() {
            thread::sleep(LOOK.min(self.length.saturating_sub(began.elapsed())));
            judge.looked(watch.sample()?);
            self.lab.machine().check()?;
            fleet.forget_lines();
            if began.elapsed() > self.length.mul_f32(DOOM)
                && let Some(server) = doomed.take()
            {
                self.kill(server, rng)?;
                fleet.renew(&self.world.tally)?;
            }
        }
        if let Some(server) = doomed {
            self.kill(server, rng)?;
        }
        Ok(())
    }

    /// A server dies with connections at every stage.
    fn kill(&self, server: Server, rng: &mut Rng) -> Result<()> {
        let half = flood::open(server.address(), AT_ONCE, rng, true, &|| true)?;
        // They do not know the certificate.
        let shaken: Vec<_> = (0..5)
            .map(|_| dial(server.address()))
            .map(|socket| {
                let wanted = Wanted::plain("before its server is killed", SslVersion::TLS1_3);
                socket.and_then(|socket| self.world.connect(&wanted, socket))
            })
            .collect();
        let count = half.len() + shaken.len();
        server.kill()?;
        self.world
            .tally
            .hostile("server killed with connections", count as u64);
        ensure!(count > AT_ONCE, "{count} connections to the doomed server");
        Ok(())
    }
}
