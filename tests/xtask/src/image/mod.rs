//! Checks the packaged driver: what it imports, that it cannot panic, how it is linked, what its code uses.

mod code;
mod header;
mod version;

use std::fs;

use anyhow::{Context, Result, bail};
use object::{
    LittleEndian as LE, pe,
    read::pe::{ImageThunkData, Import, PeFile64},
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

const PAGE: u32 = 0x1000;

/// What the checks look at.
struct Image {
    /// File and symbol of each import.
    imports: Vec<(String, String)>,
    header: header::Header,
    /// Name, address and characteristics of each section.
    sections: Vec<(String, u32, u32)>,
}

/// Checks `target/package/tlsgate.sys` and its link map.
pub fn package(layout: &Layout) -> Result<()> {
    let folder = layout.package();
    let read = |name: &str| {
        fs::read(folder.join(name)).with_context(|| format!("cannot read the package's {name}"))
    };
    let data = read("tlsgate.sys")?;
    let image = Image::parse(&data)?;
    let map = String::from_utf8(read("tlsgate.map")?)?;
    let imports = Imports::read(&layout.wdk().join("imports.csv"))?;
    let mut faults = image.import_faults(&imports);
    faults.extend(image.header.faults());
    faults.extend(image.section_faults());
    faults.extend(image.map_faults(&map));
    faults.extend(code::faults(&data)?);
    faults.extend(version::faults(&data, env!("CARGO_PKG_VERSION"))?);
    let home = std::env::var("HOME").context("no home folder")?;
    let folders = [&layout.root().display().to_string(), &home];
    faults.extend(path_faults(&data, &folders.map(String::as_str)));
    if !faults.is_empty() {
        bail!("tlsgate.sys must not ship:\n  {}", faults.join("\n  "));
    }
    Ok(())
}

impl Image {
    fn parse(data: &[u8]) -> Result<Self> {
        let file = PeFile64::parse(data)?;
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
            header: header::Header::read(&file, data)?,
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

    fn section_faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, address, flags) in &self.sections {
            if flags & pe::IMAGE_SCN_MEM_WRITE != 0 && flags & pe::IMAGE_SCN_MEM_EXECUTE != 0 {
                faults.push(format!("its section {name} can be written and executed"));
            }
            // HVCI gives each page of an image its own rights.
            if !address.is_multiple_of(PAGE) {
                faults.push(format!("its section {name} does not begin at a page"));
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
        if self.mapped_entry_point(map) != Some(self.header.entry_point) {
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

/// Paths of the machine that built it: they say where somebody lives, and make the image differ.
fn path_faults(data: &[u8], folders: &[&str]) -> Vec<String> {
    let usual = ["/home/", "/.cargo/", "/.rustup/", ":\\Users\\"];
    let has = |bytes: &[u8]| data.windows(bytes.len()).any(|window| window == bytes);
    usual
        .iter()
        .chain(folders)
        .filter(|folder| {
            let wide: Vec<u8> = folder.encode_utf16().flat_map(u16::to_le_bytes).collect();
            has(folder.as_bytes()) || has(&wide)
        })
        .map(|folder| format!("it has a path with {folder} inside"))
        .collect()
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
            header: header::Header {
                entry_point: 0x1140,
                ..header::Header::default()
            },
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
        assert!(image.section_faults().is_empty());
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
    fn sections_are_checked() {
        let mut image = sound();
        image
            .sections
            .push((".bad".to_owned(), 0x2000, CODE | pe::IMAGE_SCN_MEM_WRITE));
        image.sections.push((".retplne".to_owned(), 0x3000, 0));
        image.sections.push((".odd".to_owned(), 0x3800, CODE));
        assert_eq!(image.section_faults().len(), 3);
    }

    #[test]
    fn a_path_of_the_building_machine_is_a_fault() {
        let wide: Vec<u8> = "/build/x"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        for data in [&b"..../home/me/"[..], b"\0/build/x\0", &wide] {
            assert_eq!(path_faults(data, &["/build/x"]).len(), 1);
        }
        assert!(path_faults(b"tlsgate/driver/src", &["/build/x"]).is_empty());
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
        image.header.entry_point = 0x1150;
        assert_eq!(image.map_faults(MAP).len(), 1);
        assert_eq!(sound().map_faults("").len(), 1);
    }
}
