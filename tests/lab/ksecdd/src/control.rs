//! What tests can ask of the stand-in.

use crate::ksecdd::Ksecdd;
use anyhow::{Result, bail};
use std::{path::Path, sync::Arc};
use tlsgate_lab_control::ksecdd::{Answer, MODULE, Question};

/// Serves questions about `ksecdd`; the port's number goes into `folder`.
pub fn serve(ksecdd: &Arc<Ksecdd>, folder: &Path) -> Result<()> {
    let ksecdd = Arc::clone(ksecdd);
    tlsgate_lab_control::serve(folder, MODULE, move |question| answer(&ksecdd, question))
}

/// Answers one question.
fn answer(ksecdd: &Arc<Ksecdd>, question: Question) -> Result<Answer> {
    Ok(match question {
        Question::State => Answer::State(ksecdd.state()),
        Question::Switches => Answer::Switches((*ksecdd.switches()).clone()),
        Question::Set(switches) => {
            if let Some(fault) = switches.faults.iter().find(|fault| !fault.fits()) {
                bail!("a fault that cannot be: {fault:?}");
            }
            Answer::Switches(ksecdd.set_switches(switches))
        }
        Question::Release(count) => Answer::Released(ksecdd.release(count)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::tests::{arguments::AcquireMemory, driver::Driver};
    use tlsgate_lab_control::{
        Remote,
        ksecdd::{Completion, Effect, Fault, Function, Switches},
    };

    #[test]
    fn a_test_asks_and_switches_over_the_wire() {
        let folder = std::env::temp_dir().join(format!("ksecdd-control-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let driver = Driver::completing(Completion::Late);
        serve(&driver.ksecdd, &folder).unwrap();
        let mut remote = Remote::connect(&folder, MODULE).unwrap();
        let held = Switches {
            completion: Completion::Held,
            ..Switches::default()
        };
        let before: Answer = remote.ask(&Question::Set(held.clone())).unwrap();
        assert_eq!(before, Answer::Switches(Switches::default()));
        assert_eq!(
            remote.ask::<_, Answer>(&Question::Switches).unwrap(),
            Answer::Switches(held)
        );
        let (call, mut asked) = (driver.async_call(), AcquireMemory::new());
        assert_eq!(asked.issue(&driver, &call), Ok(0));
        let Answer::State(state) = remote.ask(&Question::State).unwrap() else {
            panic!("not a state")
        };
        assert_eq!((state.held, state.in_flight, state.credentials), (1, 1, 0));
        let released: Answer = remote.ask(&Question::Release(None)).unwrap();
        assert_eq!(released, Answer::Released(1));
        assert_eq!(call.wait().status, 0);
        let impossible = Fault {
            function: Function::SealMessage,
            nth: 1,
            effect: Effect::Never,
        };
        let refused = remote.ask::<_, Answer>(&Question::Set(Switches {
            faults: vec![impossible],
            ..Switches::default()
        }));
        assert!(refused.is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
