//! The driver's machine code: it uses no register that the kernel does not save for it.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use iced_x86::{Decoder, DecoderOptions, InstructionInfoFactory, Mnemonic, Register};
use object::{LittleEndian as LE, pe, read::pe::PeFile64};

/// The faults of an image's executable sections.
pub fn faults(data: &[u8]) -> Result<Vec<String>> {
    let file = PeFile64::parse(data)?;
    let mut faults = Vec::new();
    for section in file.section_table().iter() {
        if section.characteristics.get(LE) & pe::IMAGE_SCN_MEM_EXECUTE == 0 {
            continue;
        }
        // What follows up to the section's end in the file is filling.
        let length = usize::try_from(section.virtual_size.get(LE))?;
        let code = section
            .pe_data(data)
            .ok()
            .and_then(|code| code.get(..length))
            .context("a section is cut")?;
        faults.extend(code_faults(
            code,
            u64::from(section.virtual_address.get(LE)),
        ));
    }
    Ok(faults)
}

/// One line for each kind of fault in the code at this address.
fn code_faults(code: &[u8], address: u64) -> BTreeSet<String> {
    let mut info = InstructionInfoFactory::new();
    let decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    let mut faults = BTreeSet::new();
    for instruction in decoder {
        if instruction.is_invalid() {
            faults.insert("its code has bytes that are no instruction".to_owned());
        }
        let registers = info.info(&instruction).used_registers().iter();
        let kinds = registers.filter_map(|used| foreign(used.register()));
        let kinds = kinds.chain(of_the_unit(&instruction));
        faults.extend(kinds.map(|kind| format!("its code uses {kind}")));
    }
    faults
}

/// Instructions of the x87 unit that name no register of it.
fn of_the_unit(instruction: &iced_x86::Instruction) -> Option<&'static str> {
    let is_its_own = matches!(
        instruction.mnemonic(),
        Mnemonic::Emms | Mnemonic::Fninit | Mnemonic::Fxsave | Mnemonic::Fxrstor | Mnemonic::Wait
    );
    is_its_own.then_some("the x87 unit's state")
}

/// What kernel code must save before it may use it ("Floating-point support and 64-bit operations in
/// drivers", "Using extended processor features in Windows drivers"). The xmm registers are free.
fn foreign(register: Register) -> Option<&'static str> {
    if register.is_st() {
        Some("x87 registers")
    } else if register.is_mm() {
        Some("MMX registers")
    } else if register.is_ymm() || register.is_zmm() || register.is_k() {
        // An instruction of AVX clears what is above the register it names.
        Some("AVX registers")
    } else if register.is_tmm() {
        Some("AMX registers")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_foreign_register_is_found() {
        for (code, kind) in [
            (&[0xD9, 0xC0][..], "x87 registers"),         // fld st(0)
            (&[0x0F, 0xEF, 0xC0], "MMX registers"),       // pxor mm0, mm0
            (&[0xC5, 0xFC, 0x57, 0xC0], "AVX registers"), // vxorps ymm0, ymm0, ymm0
            (&[0x62, 0xF1, 0x7C, 0x48, 0x57, 0xC0], "AVX registers"), // vxorps zmm0, ...
            (&[0x0F, 0x77], "the x87 unit's state"),      // emms
        ] {
            let faults = code_faults(code, 0x1000);
            assert!(
                faults.contains(&format!("its code uses {kind}")),
                "{kind}: {faults:?}"
            );
        }
    }

    #[test]
    fn general_and_xmm_registers_are_free() {
        // mov rax, rcx; xorps xmm0, xmm0; ret
        let code = [0x48, 0x89, 0xC8, 0x0F, 0x57, 0xC0, 0xC3];
        assert!(code_faults(&code, 0x1000).is_empty());
    }

    #[test]
    fn what_is_no_code_is_told() {
        // 06 is no instruction in 64-bit mode.
        assert_eq!(code_faults(&[0x06], 0x1000).len(), 1);
    }
}
