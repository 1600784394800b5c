//! An event's payload against a vector: what fits is there as it was given, and what does not leaves nothing.

use crate::steps;
use arbitrary::{Arbitrary, Unstructured};
use tlsgate_core::event::{Listening, PAYLOAD, Payload, TEXT, Value};

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    Number(u64),
    Status(i32),
    Text(&'a str),
    Wants(u8, u64, u8, u64, u64),
}

/// Runs it.
pub fn run(bytes: &[u8]) {
    let (mut payload, mut model) = (Payload::new(), Vec::new());
    steps(&mut Unstructured::new(bytes), |step: Step<'_>| {
        let (value, due) = match step {
            Step::Number(number) => (Value::Number(number), number.to_le_bytes().to_vec()),
            Step::Status(status) => (Value::Status(status), status.to_le_bytes().to_vec()),
            Step::Text(text) => (Value::Text(text), counted(text)),
            Step::Wants(level, keyword, most, any, all) => {
                let listening = Listening {
                    level: most,
                    any,
                    all,
                };
                let due = is_wanted(listening, level, keyword);
                assert_eq!(listening.wants(level, keyword), due);
                return;
            }
        };
        let fits = model.len() + due.len() <= PAYLOAD;
        assert_eq!(payload.add(value), fits, "{value:?} behind {}", model.len());
        if fits {
            model.extend(due);
        }
        assert_eq!(payload.bytes(), model);
    });
}

/// As many whole characters as may be, behind their length.
fn counted(text: &str) -> Vec<u8> {
    let mut cut = String::new();
    for character in text.chars() {
        if cut.len() + character.len_utf8() > TEXT {
            break;
        }
        cut.push(character);
    }
    let length = u16::try_from(cut.len()).expect("a short text");
    [length.to_le_bytes().as_slice(), cut.as_bytes()].concat()
}

/// The documentation of `EnableTraceEx2`, bit by bit.
fn is_wanted(listening: Listening, level: u8, keyword: u64) -> bool {
    let bits = |mask: u64| (0..64).filter(move |bit| mask >> bit & 1 == 1);
    let has = |bit: u64| keyword >> bit & 1 == 1;
    let any = listening.any == 0 || bits(listening.any).any(has);
    let all = bits(listening.all).all(has);
    (listening.level == 0 || level <= listening.level) && (keyword == 0 || any && all)
}
