//! Replaces a driver's imports from the kernel, as Driver Verifier does: the image in memory is
//! changed, the file is not.

use crate::{ffi::Out, kernel, stop::stop};
use std::ops::Range;
use windows_sys::Win32::System::Memory::{PAGE_READWRITE, VirtualProtect};

/// Offsets in a PE32+ image.
mod pe {
    pub const NEW_HEADER: usize = 0x3C;
    /// From the new header to the import directory's address.
    pub const IMPORTS: usize = 0x18 + 0x78;
    /// From the new header to the bytes that the image takes.
    pub const SIZE: usize = 0x18 + 0x38;
    pub const DESCRIPTOR: usize = 20;
    pub const DESCRIPTOR_NAME: usize = 12;
    pub const DESCRIPTOR_SLOTS: usize = 16;
    /// In front of the name in a hint/name entry.
    pub const HINT: usize = 2;
    pub const BY_ORDINAL: u64 = 1 << 63;
}

/// Replaces what [`kernel::replacement`] has in the image at `base`, and returns how many slots
/// that were.
pub fn imports(base: usize) -> usize {
    let header = base + word(base + pe::NEW_HEADER);
    let mut descriptor = base + word(header + pe::IMPORTS);
    let mut replaced = 0;
    while word(descriptor + pe::DESCRIPTOR_NAME) != 0 {
        let module = text(base + word(descriptor + pe::DESCRIPTOR_NAME));
        if module.eq_ignore_ascii_case("ntoskrnl.exe") || module.eq_ignore_ascii_case("hal.dll") {
            let names = base + word(descriptor);
            let slots = base + word(descriptor + pe::DESCRIPTOR_SLOTS);
            replaced += module_imports(base, names, slots);
        }
        descriptor += pe::DESCRIPTOR;
    }
    replaced
}

/// The addresses of the image at `base`.
pub fn range(base: usize) -> Range<usize> {
    let header = base + word(base + pe::NEW_HEADER);
    base..base + word(header + pe::SIZE)
}

fn module_imports(base: usize, names: usize, slots: usize) -> usize {
    let mut replaced = 0;
    for index in 0.. {
        let entry: u64 = read(names + 8 * index);
        if entry == 0 {
            break;
        }
        if entry & pe::BY_ORDINAL != 0 {
            stop!("unknown-import", "from the kernel by ordinal");
        }
        let Ok(offset) = usize::try_from(entry) else {
            continue;
        };
        let name = text(base + offset + pe::HINT);
        if let Some(replacement) = kernel::replacement(&name) {
            write(slots + 8 * index, replacement);
            replaced += 1;
        } else if !kernel::is_harmless(&name) {
            stop!("unknown-import", "the lab has no {name}");
        }
    }
    replaced
}

fn read<T: Copy + Default>(address: usize) -> T {
    Out::at(address).get().unwrap_or_default()
}

fn word(address: usize) -> usize {
    read::<u32>(address) as usize
}

fn text(address: usize) -> String {
    (address..)
        .map(read::<u8>)
        .take_while(|&byte| byte != 0)
        .map(char::from)
        .collect()
}

fn write(slot: usize, value: usize) {
    let mut protection = 0;
    // SAFETY: the slot belongs to the import table of a loaded image; nobody runs in it yet.
    unsafe { VirtualProtect(slot as *const _, 8, PAGE_READWRITE, &raw mut protection) };
    Out::at(slot).set(value);
    // SAFETY: puts back what was there.
    unsafe { VirtualProtect(slot as *const _, 8, protection, &raw mut protection) };
}
