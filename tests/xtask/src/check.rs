//! Checks the packaged driver: what it imports, that it cannot panic, and how it is linked.

use std::fs;

use anyhow::{Context, Result, bail};
use object::{
    LittleEndian as LE, pe,
    read::pe::{ImageNtHeaders, ImageOptionalHeader, ImageThunkData, Import, PeFile64},
};

use crate::{imports::Imports, layout::Layout};

/// The SSPI functions that TlsGate is about: a driver without one of them does not do its work.
const REQUIRED: [&str; 9] = [
    "SspiCreateAsyncContext",
    "SspiSetAsyncNotifyCallback",
    "SspiReinitAsyncContext",
    "SspiGetAsyncCallStatus",
    "SspiFreeAsyncContext",
    "SspiAcquireCredentialsHandleAsyncW",
    "SspiAcceptSecurityContextAsync",
    "SspiDeleteSecurityContextAsync",
    "SspiFreeCredentialsHandleAsync",
];
/// What a link map has when the image can panic or end on a failed allocation. Names are mangled:
/// the lengths in front of the parts are the same in both of rustc's schemes.
const FORBIDDEN_SYMBOLS: [&str; 6] = [
    "4core9panicking",
    "5alloc18handle_alloc_error",
    "5alloc7raw_vec12handle_error",
    "rust_begin_unwind",
    "rust_alloc_error_handler",
    "__chkstk",
];

/// What the checks look at.
struct Image {
    /// File and symbol of each import.
    imports: Vec<(String, String)>,
    subsystem: u16,
    characteristics: u16,
    entry_point: u32,
    /// Name, address and characteristics of each section.
    sections: Vec<(String, u32, u32)>,
}

/// Checks `target/package/tlsgate.sys` and its link map.
pub fn package(layout: &Layout) -> Result<()> {
    let folder = layout.package();
    let read = |name: &str| {
        fs::read(folder.join(name)).with_context(|| format!("cannot read the package's {name}"))
    };
    let image = Image::parse(&read("tlsgate.sys")?)?;
    let map = String::from_utf8(read("tlsgate.map")?)?;
    let imports = Imports::read(&layout.wdk().join("imports.csv"))?;
    let mut faults = image.import_faults(&imports);
    faults.extend(image.header_faults());
    faults.extend(image.map_faults(&map));
    if !faults.is_empty() {
        bail!("tlsgate.sys must not ship:\n  {}", faults.join("\n  "));
    }
    Ok(())
}

impl Image {
    fn parse(data: &[u8]) -> Result<Self> {
        let file = PeFile64::parse(data)?;
        let optional = file.nt_headers().optional_header();
        let mut imports = Vec::new();
        if let Some(table) = file.import_table()? {
            let mut descriptors = table.descriptors()?;
            while let Some(descriptor) = descriptors.next()? {
                let name = String::from_utf8(table.name(descriptor.name.get(LE))?.to_vec())?;
                let mut thunks = table.thunks(descriptor.original_first_thunk.get(LE))?;
                while let Some(thunk) = thunks.next::<pe::ImageNtHeaders64>()? {
                    let symbol = match table.import::<pe::ImageNtHeaders64>(thunk)? {
                        Import::Ordinal(ordinal) => format!("#{ordinal}"),
                        Import::Name(_, name) => String::from_utf8(name.to_vec())?,
                    };
                    debug_assert!(thunk.raw() != 0, "the list ends before an empty thunk");
                    imports.push((name.clone(), symbol));
                }
            }
        }
        Ok(Self {
            imports,
            subsystem: optional.subsystem(),
            characteristics: optional.dll_characteristics(),
            entry_point: optional.address_of_entry_point(),
            sections: file
                .section_table()
                .iter()
                .map(|section| {
                    let name = String::from_utf8_lossy(section.raw_name()).into_owned();
                    (
                        name,
                        section.virtual_address.get(LE),
                        section.characteristics.get(LE),
                    )
                })
                .collect(),
        })
    }

    fn import_faults(&self, imports: &Imports) -> Vec<String> {
        let mut faults: Vec<String> = self
            .imports
            .iter()
            .filter_map(|(file, symbol)| imports.objection(symbol, file))
            .collect();
        for required in REQUIRED {
            let imported = self.imports.iter().any(|(file, symbol)| {
                symbol == required && file.eq_ignore_ascii_case("ksecdd.sys")
            });
            if !imported {
                faults.push(format!("it does not import ksecdd.sys!{required}"));
            }
        }
        faults
    }

    fn header_faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.subsystem != pe::IMAGE_SUBSYSTEM_NATIVE {
            faults.push(format!("its subsystem is {}, not native", self.subsystem));
        }
        for (flag, name) in [
            (pe::IMAGE_DLLCHARACTERISTICS_NX_COMPAT, "NX_COMPAT"),
            (pe::IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE, "DYNAMIC_BASE"),
            (
                pe::IMAGE_DLLCHARACTERISTICS_FORCE_INTEGRITY,
                "FORCE_INTEGRITY",
            ),
        ] {
            if self.characteristics & flag == 0 {
                faults.push(format!("it lacks {name}"));
            }
        }
        for (name, _, flags) in &self.sections {
            if flags & pe::IMAGE_SCN_MEM_WRITE != 0 && flags & pe::IMAGE_SCN_MEM_EXECUTE != 0 {
                faults.push(format!("its section {name} can be written and executed"));
            }
            if flags & (pe::IMAGE_SCN_MEM_READ | pe::IMAGE_SCN_MEM_EXECUTE) == 0 {
                faults.push(format!(
                    "its section {name} has no access: Windows refuses the image"
                ));
            }
        }
        faults
    }

    fn map_faults(&self, map: &str) -> Vec<String> {
        let mut faults: Vec<String> = map
            .lines()
            .filter(|line| FORBIDDEN_SYMBOLS.iter().any(|symbol| line.contains(symbol)))
            .filter_map(|line| line.split_whitespace().nth(1))
            .map(|symbol| format!("its link map has {symbol}"))
            .collect();
        faults.dedup();
        if self.mapped_entry_point(map) != Some(self.entry_point) {
            faults.push("its link map is of another image".to_owned());
        }
        faults
    }

    /// The entry point by the map's line ` entry point at        0001:00000140`.
    fn mapped_entry_point(&self, map: &str) -> Option<u32> {
        let place = map
            .lines()
            .find_map(|line| line.trim().strip_prefix("entry point at"))?;
        let (section, offset) = place.trim().split_once(':')?;
        let index = usize::from_str_radix(section, 16).ok()?.checked_sub(1)?;
        let (_, address, _) = self.sections.get(index)?;
        address.checked_add(u32::from_str_radix(offset, 16).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: u32 = pe::IMAGE_SCN_MEM_READ | pe::IMAGE_SCN_MEM_EXECUTE;
    const MAP: &str = " tlsgate\n\n\
        0001:00000000       DriverEntry                0000000180001000     tlsgate.o\n\
        entry point at        0001:00000140\n";

    fn sound() -> Image {
        Image {
            imports: REQUIRED
                .iter()
                .map(|&symbol| ("ksecdd.sys".to_owned(), symbol.to_owned()))
                .collect(),
            subsystem: pe::IMAGE_SUBSYSTEM_NATIVE,
            characteristics: pe::IMAGE_DLLCHARACTERISTICS_NX_COMPAT
                | pe::IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE
                | pe::IMAGE_DLLCHARACTERISTICS_FORCE_INTEGRITY,
            entry_point: 0x1140,
            sections: vec![(".text".to_owned(), 0x1000, CODE)],
        }
    }

    fn imports() -> Imports {
        Imports::read(&Layout::find().unwrap().wdk().join("imports.csv")).unwrap()
    }

    #[test]
    fn a_sound_image_passes() {
        let image = sound();
        assert!(image.import_faults(&imports()).is_empty());
        assert!(image.header_faults().is_empty());
        assert!(image.map_faults(MAP).is_empty());
    }

    #[test]
    fn imports_are_held_against_the_table() {
        for (file, symbol) in [
            ("ntoskrnl.exe", "KeBugCheckEx"),
            ("ntoskrnl.exe", "__chkstk"),
            ("ntoskrnl.exe", "ZwOpenKey"),
            ("ntoskrnl.exe", "#17"),
            ("kernel32.dll", "Sleep"),
        ] {
            let mut image = sound();
            image.imports.push((file.to_owned(), symbol.to_owned()));
            let faults = image.import_faults(&imports());
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert!(faults[0].contains(symbol));
        }
    }

    #[test]
    fn a_missing_sspi_function_is_a_fault() {
        let mut image = sound();
        image.imports.remove(0);
        let faults = image.import_faults(&imports());
        assert_eq!(
            faults,
            ["it does not import ksecdd.sys!SspiCreateAsyncContext"]
        );
    }

    #[test]
    fn headers_are_checked() {
        let mut image = sound();
        image.characteristics = 0;
        image.subsystem = pe::IMAGE_SUBSYSTEM_WINDOWS_CUI;
        image
            .sections
            .push((".bad".to_owned(), 0x2000, CODE | pe::IMAGE_SCN_MEM_WRITE));
        image.sections.push((".retplne".to_owned(), 0x3000, 0));
        assert_eq!(image.header_faults().len(), 6);
    }

    #[test]
    fn a_panic_in_the_map_is_a_fault() {
        for symbol in [
            "_RNvNtCskbiUwQtkzBm_4core9panicking18panic_bounds_check",
            "_ZN4core9panicking9panic_fmt17h0123456789abcdefE",
            "_ZN5alloc5alloc18handle_alloc_error17h0123456789abcdefE",
        ] {
            let map =
                format!("{MAP} 0001:0000024a       {symbol} 000000018000124a     tlsgate.o\n");
            assert_eq!(
                sound().map_faults(&map),
                [format!("its link map has {symbol}")]
            );
        }
    }

    #[test]
    fn a_map_of_another_image_is_a_fault() {
        let mut image = sound();
        image.entry_point = 0x1150;
        assert_eq!(image.map_faults(MAP).len(), 1);
        assert_eq!(sound().map_faults("").len(), 1);
    }
}
