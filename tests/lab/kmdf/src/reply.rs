//! What a driver gives its caller: no byte that nobody has written, and no address.
//!
//! Whoever completes a request with `Information` bytes has the I/O manager copy that many out of the
//! system buffer, whatever is in them ("Failure to Initialize Output Buffers" and "Disclosing kernel
//! addresses", Windows' documentation of driver security).

use crate::{
    arena, bind, blocks, driver,
    guard::{self, Noise},
    handle::Handle,
    noise::Listener,
    object::{self, lock},
    stop::stop,
};
use std::sync::Mutex;

static LISTENER: Mutex<Option<Listener>> = Mutex::new(None);

/// STOPs when there is something in a reply that must not be. `input` bytes of it came from the caller.
pub fn check(code: u32, reply: &[u8], input: usize, noise: Noise) {
    let unwritten = lock(&LISTENER)
        .get_or_insert_default()
        .unwritten(code, reply, input, noise)
        .or_else(|| guard::first_unwritten(reply));
    if let Some(offset) = unwritten {
        stop!(
            "reply-not-written",
            "of {} bytes to {code:#x}, at {offset}",
            reply.len()
        );
    }
    if let Some(address) = first_address(reply) {
        stop!(
            "address-in-reply",
            "of {} bytes to {code:#x}: {address:#x}",
            reply.len()
        );
    }
}

/// The address of a block of the driver's or an object's handle, wherever it stands, or one of its image
/// where a number of eight bytes would. Not looked for are numbers of the kernel's half of the address
/// space: nothing lies there in the lab, and a ciphertext has one every 128 KiB.
fn first_address(reply: &[u8]) -> Option<u64> {
    let (mut blocks, mut others) = (Vec::new(), Vec::new());
    for (offset, window) in reply.windows(8).enumerate() {
        let number = u64::from_le_bytes(window.try_into().unwrap_or_default());
        let Ok(address) = usize::try_from(number) else {
            continue;
        };
        if arena::has(address) {
            blocks.push(address);
        } else if is_handle(Handle(number)) || offset % 8 == 0 && is_image(address) {
            others.push(address);
        }
    }
    let block = blocks::first_within(&blocks).and_then(|index| blocks.get(index));
    block.or(others.first()).map(|&address| address as u64)
}

fn is_handle(number: Handle) -> bool {
    number.kind().is_some() && object::exists(number)
}

fn is_image(address: usize) -> bool {
    // Few numbers look so: the driver's object has its own lock.
    (1 << 32..1 << 47).contains(&address)
        && driver::current().is_some_and(|_| bind::driver_object().has(address))
}
