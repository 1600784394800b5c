//! What must never happen in a run: broken rules and crashes.

/// Parts of a line that Wine or a stand-in writes when something broke.
const SIGNS: [&str; 3] = ["STOP ", "unimplemented function", "Unhandled"];

/// The lines of a log that tell of a broken rule or a crash.
pub fn in_log(log: &str) -> Vec<&str> {
    log.lines()
        .filter(|line| SIGNS.iter().any(|sign| line.contains(sign)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sign_is_found() {
        let log = "0024:err:x all is well\n\
                   STOP double-completion: request 3\n\
                   wine: Call from 0x1 to unimplemented function ntoskrnl.exe.KeX, aborting\n\
                   wine: Unhandled page fault on read access\n\
                   STOPPED the service\n";
        let found = in_log(log);
        assert_eq!(found.len(), 3, "{found:?}");
    }
}
