//! The headers of the driver's image: which protections it is linked for.

use anyhow::{Context, Result};
use object::{
    LittleEndian as LE, pe,
    read::pe::{ImageNtHeaders, ImageOptionalHeader, PeFile64},
};

/// What an image must have: "Driver security checklist" and "Driver compatibility with memory integrity
/// and VBS" in the documentation of Windows drivers.
const WANTED: [(u16, &str); 4] = [
    (pe::IMAGE_DLLCHARACTERISTICS_NX_COMPAT, "NX_COMPAT"),
    (pe::IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE, "DYNAMIC_BASE"),
    (
        pe::IMAGE_DLLCHARACTERISTICS_HIGH_ENTROPY_VA,
        "HIGH_ENTROPY_VA",
    ),
    (
        pe::IMAGE_DLLCHARACTERISTICS_FORCE_INTEGRITY,
        "FORCE_INTEGRITY",
    ),
];

/// `IMAGE_DEBUG_TYPE_EX_DLLCHARACTERISTICS`, and its bit for shadow stacks (the PE format).
const EXTENDED: u32 = 20;
const CET_COMPAT: u32 = 1;

/// The headers' part that matters.
#[derive(Clone)]
pub struct Header {
    pub subsystem: u16,
    pub characteristics: u16,
    pub entry_point: u32,
    pub section_alignment: u32,
    pub checksum: u32,
    /// What the checksum must be.
    pub sum: u32,
    /// Whether it says that it keeps to shadow stacks.
    pub cet: bool,
}

impl Header {
    /// Reads them.
    pub fn read(file: &PeFile64<'_>, data: &[u8]) -> Result<Self> {
        let optional = file.nt_headers().optional_header();
        let before = usize::try_from(file.dos_header().nt_headers_offset())?
            + size_of::<u32>()
            + size_of::<pe::ImageFileHeader>();
        Ok(Self {
            subsystem: optional.subsystem(),
            characteristics: optional.dll_characteristics(),
            entry_point: optional.address_of_entry_point(),
            section_alignment: optional.section_alignment(),
            checksum: optional.check_sum(),
            sum: checksum(data, before + CHECKSUM)?,
            cet: extended_characteristics(file, data)? & CET_COMPAT != 0,
        })
    }

    /// What is wrong with them.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.subsystem != pe::IMAGE_SUBSYSTEM_NATIVE {
            faults.push(format!("its subsystem is {}, not native", self.subsystem));
        }
        let lacking = WANTED
            .iter()
            .filter(|(flag, _)| self.characteristics & flag == 0);
        faults.extend(lacking.map(|(_, name)| format!("it lacks {name}")));
        if self.section_alignment == 0 || !self.section_alignment.is_multiple_of(super::PAGE) {
            faults.push("its sections are not aligned to pages".to_owned());
        }
        if self.checksum != self.sum {
            faults.push(format!(
                "its checksum is 0x{:X}, not 0x{:X}",
                self.checksum, self.sum
            ));
        }
        if !self.cet {
            faults.push("it does not say that it keeps to shadow stacks (CET)".to_owned());
        }
        faults
    }
}

/// Where the optional header has the checksum, in bytes (the PE format).
const CHECKSUM: usize = 64;

/// The checksum of an image: its 16-bit words added with the carry, without the field itself, and its length.
fn checksum(data: &[u8], field: usize) -> Result<u32> {
    let words = data.chunks(2).enumerate().map(|(index, word)| {
        let is_field = (field..field + 4).contains(&(index * 2));
        let high = word.get(1).copied().unwrap_or(0);
        if is_field {
            0
        } else {
            u32::from(u16::from_le_bytes([word[0], high]))
        }
    });
    let sum = words.fold(0_u32, |sum, word| {
        let sum = sum + word;
        (sum & 0xFFFF) + (sum >> 16)
    });
    Ok(sum + u32::try_from(data.len())?)
}

/// The bits of the debug directory's entry of that kind, 0 where there is none.
fn extended_characteristics(file: &PeFile64<'_>, data: &[u8]) -> Result<u32> {
    let Some(directory) = file.data_directory(pe::IMAGE_DIRECTORY_ENTRY_DEBUG) else {
        return Ok(0);
    };
    let entries = directory.data(data, &file.section_table())?;
    let entries = object::pod::slice_from_all_bytes::<pe::ImageDebugDirectory>(entries)
        .ok()
        .context("the debug directory is cut")?;
    let Some(entry) = entries.iter().find(|entry| entry.typ.get(LE) == EXTENDED) else {
        return Ok(0);
    };
    let place = usize::try_from(entry.pointer_to_raw_data.get(LE))?;
    let bytes = data
        .get(place..)
        .and_then(|rest| rest.first_chunk())
        .context("the debug directory points outside")?;
    Ok(u32::from_le_bytes(*bytes))
}

#[cfg(test)]
impl Default for Header {
    fn default() -> Self {
        Self {
            subsystem: pe::IMAGE_SUBSYSTEM_NATIVE,
            characteristics: WANTED.iter().fold(0, |all, (flag, _)| all | flag),
            entry_point: 0,
            section_alignment: super::PAGE,
            checksum: 7,
            sum: 7,
            cet: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protection_is_demanded() {
        assert!(Header::default().faults().is_empty());
        let bad = Header {
            subsystem: pe::IMAGE_SUBSYSTEM_WINDOWS_CUI,
            characteristics: 0,
            section_alignment: 0x200,
            checksum: 8,
            cet: false,
            ..Header::default()
        };
        assert_eq!(bad.faults().len(), 8, "{:?}", bad.faults());
    }

    #[test]
    fn the_checksum_is_of_words_with_carry_and_of_the_length() {
        assert_eq!(checksum(&[0xFF, 0xFF, 2, 0], 100).unwrap(), 2 + 4);
        assert_eq!(checksum(&[1, 0, 9, 9, 9, 9, 5], 2).unwrap(), 6 + 7);
    }
}
