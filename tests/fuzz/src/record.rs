//! The look at the front of the stream: against RFC 8446's words, and no byte that comes later changes what
//! was said before it.

use arbitrary::Unstructured;
use tlsgate_core::{
    leg::{Admission, admit},
    record::{Alert, Front, Place, front},
    session::Phase,
};
use tlsgate_protocol::SecurityStatus;

/// Runs it.
pub fn run(bytes: &[u8]) {
    let mut bytes = Unstructured::new(bytes);
    let place = match bytes.arbitrary::<bool>() {
        Ok(true) => Place::Later,
        _ => Place::First,
    };
    let grow = usize::from(bytes.arbitrary::<u16>().unwrap_or(0));
    let mut stream = bytes.take_rest().to_vec();
    // Most inputs are too short for the records that they announce.
    stream.resize(stream.len() + grow, 0x5A);
    let found = front(&stream, place);
    assert_eq!(found, expected(&stream, place));
    prefixes_agree(&stream, place, found);
    admission_agrees(&stream, place, found);
}

/// By section 5.1 of RFC 8446, and 6.2.3 of RFC 5246 for the longest record.
fn expected(stream: &[u8], place: Place) -> Front {
    let refused = |description| {
        Front::Refused(Alert {
            level: 2,
            description,
        })
    };
    let (kinds, longest) = match place {
        Place::First => (22..=22, (1 << 14) + 256),
        Place::Later => (20..=23, (1 << 14) + 2048),
    };
    let is_wrong =
        |at: usize, good: &dyn Fn(u8) -> bool| stream.get(at).is_some_and(|it| !good(*it));
    if is_wrong(0, &|kind| kinds.contains(&kind)) {
        return refused(10);
    }
    if is_wrong(1, &|major| major == 3) {
        return refused(70);
    }
    if stream.len() < 5 {
        return Front::Partial(5 - stream.len());
    }
    let length = usize::from(stream[3]) * 256 + usize::from(stream[4]);
    if length > longest {
        return refused(22);
    }
    if length == 0 && stream[0] != 23 {
        return refused(50);
    }
    if stream.len() >= 5 + length {
        Front::Whole(5 + length)
    } else {
        Front::Partial(5 + length - stream.len())
    }
}

/// What was said of the first bytes is true of all.
fn prefixes_agree(stream: &[u8], place: Place, found: Front) {
    let cuts = (0..stream.len().min(8)).chain([stream.len() / 2, stream.len().saturating_sub(1)]);
    for cut in cuts {
        match (front(&stream[..cut], place), found) {
            (Front::Partial(missing), Front::Whole(whole)) => assert!(cut + missing <= whole),
            (Front::Partial(missing), Front::Partial(more)) => {
                assert!(missing >= 1 && cut + missing <= stream.len() + more);
            }
            (Front::Partial(missing), Front::Refused(_)) => assert!(missing >= 1),
            (before, after) => assert_eq!(before, after, "at {cut}"),
        }
    }
}

/// A leg calls ksecdd for a whole record alone.
fn admission_agrees(stream: &[u8], place: Place, found: Front) {
    match (admit(stream, place), found) {
        (Admission::Call, Front::Whole(_)) => {}
        (Admission::Wait(outcome), Front::Partial(missing)) => {
            assert_eq!(outcome.status, SecurityStatus::SEC_E_INCOMPLETE_MESSAGE);
            assert_eq!((outcome.consumed, outcome.missing), (0, missing));
            assert_eq!((outcome.produced, outcome.becomes), (0, None));
        }
        (Admission::Refuse(outcome, alert), Front::Refused(due)) => {
            assert!(outcome.status.is_error());
            assert_eq!((alert, outcome.alert), (due, Some(due)));
            assert_eq!(outcome.becomes, Some(Phase::Failed));
            assert_eq!(alert.record()[5..], [alert.level, alert.description]);
        }
        other => panic!("{other:?}"),
    }
}
