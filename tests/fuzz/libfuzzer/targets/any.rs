//! One binary for all targets, so that they are built and linked once: `TLSGATE_FUZZ_TARGET` names one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::{env, sync::LazyLock};
use tlsgate_fuzz::Target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = env::var("TLSGATE_FUZZ_TARGET").expect("TLSGATE_FUZZ_TARGET names a target");
    tlsgate_fuzz::target(&name).expect("a target of tlsgate_fuzz::TARGETS")
});

fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
