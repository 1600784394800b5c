//! What tests can ask of the stand-in.

use crate::ksecdd::Ksecdd;
use anyhow::Result;
use std::{path::Path, sync::Arc};
use tlsgate_lab_control::ksecdd::{Answer, MODULE, Question};

/// Serves questions about `ksecdd`; the port's number goes into `folder`.
pub fn serve(ksecdd: &Arc<Ksecdd>, folder: &Path) -> Result<()> {
    let ksecdd = Arc::clone(ksecdd);
    tlsgate_lab_control::serve(folder, MODULE, move |question| {
        Ok(answer(&ksecdd, question))
    })
}

/// Answers one question.
fn answer(ksecdd: &Ksecdd, question: Question) -> Answer {
    match question {
        Question::State => Answer::State(ksecdd.state()),
        Question::Switches => Answer::Switches(ksecdd.switches()),
        Question::Set(switches) => Answer::Switches(ksecdd.set_switches(switches)),
        Question::Release(count) => Answer::Released(ksecdd.release(count)),
    }
}
