//! The table of ids against a map: an id names what it was given for, until it is removed, and nothing ever
//! after.

use crate::steps;
use arbitrary::{Arbitrary, Unstructured};
use std::collections::HashMap;
use tlsgate_core::table::{Refused, Table};

#[derive(Arbitrary, Debug)]
enum Step {
    Insert,
    Get(Id),
    Change(Id),
    Replace(Id),
    Remove(Id),
    Drain,
}

/// An id that a caller might try.
#[derive(Arbitrary, Debug)]
enum Id {
    /// One that was given, now or once.
    Given(u8),
    /// One close to it: another generation, another place.
    Near(u8, u8),
    Any(u64),
}

/// What a table must do.
struct Model {
    values: HashMap<u64, u32>,
    /// Every id ever given.
    given: Vec<u64>,
    limit: usize,
    next: u32,
}

impl Model {
    fn id(&self, id: &Id) -> u64 {
        let given = |index: u8| {
            let index = usize::from(index).checked_rem(self.given.len());
            index.map_or(0, |index| self.given[index])
        };
        match *id {
            Id::Given(index) => given(index),
            Id::Near(index, bit) => given(index) ^ 1 << (bit % 64),
            Id::Any(id) => id,
        }
    }

    /// A value that no other is equal to.
    fn value(&mut self) -> u32 {
        self.next += 1;
        self.next
    }
}

/// Runs it.
pub fn run(bytes: &[u8]) {
    let mut bytes = Unstructured::new(bytes);
    let limit = usize::from(bytes.arbitrary::<u8>().unwrap_or(0) % 24);
    let mut table = Table::new(limit);
    let mut model = Model {
        values: HashMap::new(),
        given: Vec::new(),
        limit,
        next: 0,
    };
    steps(&mut bytes, |step| {
        perform(&step, &mut table, &mut model);
        assert_eq!(table.len(), model.values.len(), "{step:?}");
        assert_eq!(table.is_empty(), model.values.is_empty(), "{step:?}");
    });
    for (id, value) in &model.values {
        assert_eq!(table.get(*id), Some(value), "{id:#x}");
    }
}

fn perform(step: &Step, table: &mut Table<u32>, model: &mut Model) {
    match step {
        Step::Insert => {
            let value = model.value();
            let id = match table.insert(value) {
                Ok(id) => id.get(),
                Err(refused) => {
                    assert_eq!(refused, Refused::Full(value));
                    assert!(model.values.len() >= model.limit, "there is room");
                    return;
                }
            };
            assert!(model.values.len() < model.limit, "it is full");
            assert!(!model.given.contains(&id), "{id:#x} is given again");
            model.given.push(id);
            model.values.insert(id, value);
        }
        Step::Get(id) => {
            let id = model.id(id);
            assert_eq!(table.get(id), model.values.get(&id), "{id:#x}");
        }
        Step::Change(id) => {
            let (id, value) = (model.id(id), model.value());
            let place = table.get_mut(id);
            assert_eq!(place.as_deref(), model.values.get(&id), "{id:#x}");
            if let Some(place) = place {
                *place = value;
                model.values.insert(id, value);
            }
        }
        Step::Replace(id) => {
            let (id, value) = (model.id(id), model.value());
            let before = model.values.get(&id).copied();
            assert_eq!(table.replace(id, value), before.ok_or(value), "{id:#x}");
            if before.is_some() {
                model.values.insert(id, value);
            }
        }
        Step::Remove(id) => {
            let id = model.id(id);
            assert_eq!(table.remove(id), model.values.remove(&id), "{id:#x}");
        }
        Step::Drain => {
            // Nothing is taken in any more.
            model.limit = 0;
            let drained = table.drain();
            assert_eq!(drained.is_some(), !model.values.is_empty());
            let count = model.values.len();
            model.values.retain(|_, value| Some(*value) != drained);
            assert_eq!(count - model.values.len(), usize::from(drained.is_some()));
        }
    }
}
