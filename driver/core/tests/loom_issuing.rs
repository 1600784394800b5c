//! Interleavings of admission: pushes, issuers, operations that are given up, handles that are closed, and
//! the end of the threads. Every operation ends once, no more are inside than may be, and nobody sleeps on
//! work.

mod kernel;
mod watched;

use kernel::Semaphore;
use loom::{
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};
use std::sync::Mutex as Book;
use tlsgate_core::{
    issuing::Issuing,
    queue::{Lane, Limits, Queue},
    ticket::{Abandoned, Begin, Ticket},
    word::Word,
};
use watched::{Watched, explore};

const LIMITS: Limits = Limits {
    lanes: 2,
    registered: 4,
    registered_per_lane: 3,
    inside: 1,
    inside_least: 1,
    inside_per_lane: 1,
    issuers: 2,
};

struct Operation {
    lane: Lane,
    name: char,
    ticket: Arc<Ticket<Watched>>,
    /// It has been inside.
    is_answered: bool,
}

struct Desk {
    limits: Limits,
    queue: Mutex<Queue<Operation>>,
    work: Semaphore,
    stopping: Watched,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Where an operation's answer comes from.
    answers: Answers,
    /// Released for each operation that has ended.
    ended: Semaphore,
    /// Kept by the test, not by what is tested: the checker need not look at it.
    book: Book<Record>,
}

/// Where an operation's answer comes from, and what it leads to.
#[derive(Clone, Copy, PartialEq)]
enum Answers {
    /// From the call itself: another step.
    Inline,
    /// From a thread of ksecdd's: the end, there.
    Late,
}

/// What has happened.
#[derive(Default)]
struct Record {
    inside: Vec<Lane>,
    /// In the order in which they were let in.
    admitted: String,
    ended: String,
}

impl Issuing for Desk {
    type Word = Watched;
    type Operation = Operation;
    type Thread = JoinHandle<()>;

    fn queue<R>(&self, act: impl FnOnce(&mut Queue<Operation>) -> R) -> R {
        act(&mut self.queue.lock().unwrap())
    }
    fn now(&self) -> u64 {
        0
    }
    fn stopping(&self) -> &Watched {
        &self.stopping
    }
    fn release_one(&self) {
        self.work.release(1);
    }
    fn release_all(&self) {
        self.work.release(self.limits.issuers);
    }
    fn wait(&self) {
        self.work.wait();
    }
    fn next_thread(&self) -> Option<JoinHandle<()>> {
        self.threads.lock().unwrap().pop()
    }
    fn join(&self, thread: JoinHandle<()>) {
        thread.join().unwrap();
    }
}

impl Desk {
    fn open(limits: Limits, answers: Answers) -> Arc<Self> {
        let desk = Arc::new(Self {
            limits,
            queue: Mutex::new(Queue::new(limits)),
            work: Semaphore::default(),
            stopping: Word::new(0),
            threads: Mutex::new(Vec::new()),
            answers,
            ended: Semaphore::default(),
            book: Book::default(),
        });
        for _ in 0..limits.issuers {
            let issuer = Arc::clone(&desk);
            let thread = thread::spawn(move || {
                issuer.serve(|operation| Self::step(&issuer, operation));
            });
            desk.threads.lock().unwrap().push(thread);
        }
        desk
    }

    fn lane(&self, operations: usize) -> Lane {
        self.queue(|queue| {
            let lane = queue.open_lane().unwrap();
            (0..operations).for_each(|_| queue.register(lane).unwrap());
            lane
        })
    }

    /// Gives what the operation's request has in common with it.
    fn submit_new(&self, lane: Lane, name: char) -> Arc<Ticket<Watched>> {
        let ticket = Arc::new(Ticket::new());
        let operation = Operation {
            lane,
            name,
            ticket: Arc::clone(&ticket),
            is_answered: false,
        };
        assert!(self.submit(lane, operation).is_ok(), "no room");
        ticket
    }

    /// An issuer's step.
    fn step(desk: &Arc<Self>, mut operation: Operation) {
        if operation.is_answered {
            return desk.end(&operation);
        }
        desk.admit(&operation);
        if operation.ticket.begin() == Begin::Abandoned {
            return desk.end(&operation);
        }
        match desk.answers {
            Answers::Inline => {
                let _was_orphan = operation.ticket.returned();
                operation.is_answered = true;
                assert!(desk.go_on(operation).is_ok(), "no room");
            }
            Answers::Late => {
                let desk = Arc::clone(desk);
                let _detached = thread::spawn(move || {
                    let _was_orphan = operation.ticket.returned();
                    desk.end(&operation);
                });
            }
        }
    }

    fn admit(&self, operation: &Operation) {
        let mut book = self.book.lock().unwrap();
        book.admitted.push(operation.name);
        book.inside.push(operation.lane);
        let own = book.inside.iter().filter(|lane| **lane == operation.lane);
        assert!(
            own.count() <= self.limits.inside_per_lane,
            "more than its share"
        );
        assert!(book.inside.len() <= self.limits.inside, "too many inside");
    }

    fn end(&self, operation: &Operation) {
        {
            let mut book = self.book.lock().unwrap();
            let own = book.inside.iter().position(|lane| *lane == operation.lane);
            book.inside.swap_remove(own.unwrap());
            book.ended.push(operation.name);
        }
        self.forget(operation.lane, true);
        self.ended.release(1);
    }

    /// Sleeps until so many have ended: for ever if an issuer sleeps on work.
    fn wait_for(&self, operations: usize) {
        (0..operations).for_each(|_| self.ended.wait());
    }

    /// Everything is over: checks the record against the names of what was submitted.
    fn close(&self, names: &str) {
        self.stop();
        self.queue(|queue| {
            assert_eq!(
                (queue.waiting(), queue.inside()),
                (0, 0),
                "something is left"
            );
            assert_eq!(queue.lanes(), 0, "a closed lane is left");
        });
        let book = self.book.lock().unwrap();
        let mut ended: Vec<char> = book.ended.chars().collect();
        ended.sort_unstable();
        assert_eq!(ended, names.chars().collect::<Vec<_>>(), "each once");
    }
}

/// Two handles push while two issuers work; each is closed when it has pushed.
#[test]
fn pushes_of_two_handles_and_two_issuers() {
    explore(Some(2), || {
        let desk = Desk::open(LIMITS, Answers::Inline);
        let lane = desk.lane(1);
        let other = {
            let (desk, lane) = (Arc::clone(&desk), desk.lane(1));
            thread::spawn(move || {
                let _wanted = desk.submit_new(lane, 'b');
                desk.queue(|queue| queue.close_lane(lane));
            })
        };
        let _wanted = desk.submit_new(lane, 'a');
        desk.queue(|queue| queue.close_lane(lane));
        other.join().unwrap();
        desk.wait_for(2);
        desk.close("ab");
    });
}

/// The second operation's turn comes when the first has ended, on whichever thread.
#[test]
fn an_answer_on_another_thread_lets_the_next_one_in() {
    explore(Some(2), || {
        let one = Limits {
            issuers: 1,
            ..LIMITS
        };
        let desk = Desk::open(one, Answers::Late);
        let lane = desk.lane(2);
        for name in ['a', 'b'] {
            let _wanted = desk.submit_new(lane, name);
        }
        desk.queue(|queue| queue.close_lane(lane));
        desk.wait_for(2);
        desk.close("ab");
    });
}

/// Two may be inside at a time, one a handle.
#[test]
fn a_handle_has_no_more_than_its_share_inside() {
    explore(Some(2), || {
        let limits = Limits {
            inside: 2,
            inside_least: 1,
            ..LIMITS
        };
        let desk = Desk::open(limits, Answers::Inline);
        let lane = desk.lane(2);
        for name in ['a', 'b'] {
            let _wanted = desk.submit_new(lane, name);
        }
        desk.queue(|queue| queue.close_lane(lane));
        desk.close("ab");
    });
}

/// An operation is given up, and its handle closed, whatever has become of it.
#[test]
fn a_cancellation_and_a_closed_handle_against_the_issuer() {
    explore(Some(3), || {
        let one = Limits {
            issuers: 1,
            ..LIMITS
        };
        let desk = Desk::open(one, Answers::Inline);
        let lane = desk.lane(2);
        let unwanted = desk.submit_new(lane, 'a');
        let canceller = {
            let desk = Arc::clone(&desk);
            thread::spawn(move || {
                let place = unwanted.abandon();
                let book = desk.book.lock().unwrap();
                assert!(
                    place == Abandoned::Waiting || book.admitted.contains('a'),
                    "an orphan that was never inside"
                );
            })
        };
        let _wanted = desk.submit_new(lane, 'b');
        desk.queue(|queue| queue.close_lane(lane));
        assert!(desk.queue(|queue| queue.register(lane)).is_err(), "closed");
        canceller.join().unwrap();
        desk.wait_for(2);
        desk.close("ab");
    });
}

/// A handle's operation waits for one turn of another that has many, whenever it comes.
#[test]
fn a_handle_waits_no_more_than_a_turn() {
    explore(Some(3), || {
        let one = Limits {
            issuers: 1,
            ..LIMITS
        };
        let desk = Desk::open(one, Answers::Inline);
        let (many, few) = (desk.lane(3), desk.lane(1));
        let other = {
            let desk = Arc::clone(&desk);
            thread::spawn(move || {
                let _wanted = desk.submit_new(few, 'z');
                let before = desk.book.lock().unwrap().admitted.len();
                desk.queue(|queue| queue.close_lane(few));
                before
            })
        };
        for name in ['a', 'b', 'c'] {
            let _wanted = desk.submit_new(many, name);
        }
        desk.queue(|queue| queue.close_lane(many));
        let before = other.join().unwrap();
        desk.close("abcz");
        let turn = desk.book.lock().unwrap().admitted.find('z').unwrap();
        assert!(turn <= before + 1, "overtaken more than once");
    });
}

/// The threads end though nothing was ever pushed, and not before what was pushed has ended: even what came
/// when an issuer had just looked.
#[test]
fn the_end_against_the_last_operations() {
    explore(Some(3), || {
        let desk = Desk::open(LIMITS, Answers::Inline);
        desk.close("");
    });
    explore(Some(3), || {
        let one = Limits {
            issuers: 1,
            ..LIMITS
        };
        let desk = Desk::open(one, Answers::Inline);
        let lane = desk.lane(2);
        for name in ['a', 'b'] {
            let _wanted = desk.submit_new(lane, name);
        }
        desk.queue(|queue| queue.close_lane(lane));
        desk.close("ab");
    });
}
