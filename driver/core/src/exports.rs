//! Whether a module that is loaded exports a function: a bounded look at its export directory.
//!
//! Some functions of the SSPI family are declared, but not in every `ksecdd.sys`; a static import of
//! one keeps the whole driver from loading (msquic's issue 3305). The layout is that of Microsoft's
//! "PE Format". Nothing is read but the image's first page and its export directory.

use core::ops::Range;

/// The part of an image that is looked at first.
pub const HEADER: usize = 4096;

/// Where the DOS header says where the PE header is.
const PE_OFFSET: usize = 0x3C;
/// `PE\0\0`.
const PE_SIGNATURE: u32 = 0x0000_4550;
/// From the PE header to the optional header.
const OPTIONAL: usize = 24;
/// The optional header of a 64-bit image.
const PE32_PLUS: u16 = 0x020B;
/// In the optional header.
const SIZE_OF_IMAGE: usize = 56;
/// In the optional header: address and size of the export directory.
const EXPORT_DIRECTORY: usize = 112;
/// Far more than ksecdd.sys has.
const LARGEST_DIRECTORY: u32 = 1024 * 1024;
/// In the export directory.
const NUMBER_OF_NAMES: usize = 24;
/// In the export directory.
const ADDRESS_OF_FUNCTIONS: usize = 28;
/// In the export directory.
const ADDRESS_OF_NAMES: usize = 32;
/// In the export directory: for each name, the number of its function.
const ADDRESS_OF_ORDINALS: usize = 36;

/// What of an image is needed to find its exports; addresses count from its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exports {
    /// Where the export directory lies.
    pub directory: Range<u32>,
    /// Bytes of the image.
    pub image: u32,
}

/// Where in an image the export directory lies, from the image's first page.
#[must_use]
pub fn exports(header: &[u8; HEADER]) -> Option<Exports> {
    let pe = usize::try_from(u32_at(header, PE_OFFSET)?).ok()?;
    if u32_at(header, pe)? != PE_SIGNATURE {
        return None;
    }
    let optional = pe.checked_add(OPTIONAL)?;
    if u16_at(header, optional)? != PE32_PLUS {
        return None;
    }
    let image = u32_at(header, optional.checked_add(SIZE_OF_IMAGE)?)?;
    let entry = optional.checked_add(EXPORT_DIRECTORY)?;
    let start = u32_at(header, entry)?;
    let size = u32_at(header, entry.checked_add(4)?)?;
    let end = start.checked_add(size)?;
    (start != 0 && size <= LARGEST_DIRECTORY && end <= image).then_some(Exports {
        directory: start..end,
        image,
    })
}

impl Exports {
    /// The address of the function `name`, given the directory's bytes. `None` when it is not there, or
    /// forwarded to another module.
    #[must_use]
    pub fn find(&self, directory: &[u8], name: &[u8]) -> Option<u32> {
        let table = |field| self.at(directory, u32_at(directory, field)?);
        let count = usize::try_from(u32_at(directory, NUMBER_OF_NAMES)?).ok()?;
        // As many as fit: the count is not believed further than the bytes go.
        let index = table(ADDRESS_OF_NAMES)?
            .chunks_exact(4)
            .take(count)
            .position(|entry| self.is_named(directory, entry, name))?;
        let ordinal = u16_at(table(ADDRESS_OF_ORDINALS)?, index.checked_mul(2)?)?;
        let place = usize::from(ordinal).checked_mul(4)?;
        let address = u32_at(table(ADDRESS_OF_FUNCTIONS)?, place)?;
        // An address inside the directory is that of a forwarder's name.
        (address < self.image && !self.directory.contains(&address)).then_some(address)
    }

    fn is_named(&self, directory: &[u8], entry: &[u8], name: &[u8]) -> bool {
        u32_at(entry, 0)
            .and_then(|address| self.at(directory, address))
            .and_then(|text| text.strip_prefix(name))
            .is_some_and(|rest| rest.first() == Some(&0))
    }

    /// The directory's bytes from an address on.
    fn at<'a>(&self, directory: &'a [u8], address: u32) -> Option<&'a [u8]> {
        let offset = address.checked_sub(self.directory.start)?;
        directory.get(usize::try_from(offset).ok()?..)
    }
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(offset..)?.first_chunk()?))
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(offset..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{boxed::Box, vec, vec::Vec};

    const START: u32 = 0x5000;

    fn put(bytes: &mut [u8], offset: usize, value: u32) {
        bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn header(start: u32, size: u32, image: u32) -> Box<[u8; HEADER]> {
        let mut header = Box::new([0; HEADER]);
        put(&mut *header, PE_OFFSET, 0x80);
        put(&mut *header, 0x80, PE_SIGNATURE);
        put(&mut *header, 0x80 + OPTIONAL, u32::from(PE32_PLUS));
        put(&mut *header, 0x80 + OPTIONAL + SIZE_OF_IMAGE, image);
        put(&mut *header, 0x80 + OPTIONAL + EXPORT_DIRECTORY, start);
        put(&mut *header, 0x80 + OPTIONAL + EXPORT_DIRECTORY + 4, size);
        header
    }

    /// A directory at `START` whose functions are at 16, 32, ... in the reverse order of their names.
    fn module(names: &[&str]) -> (Exports, Vec<u8>) {
        let count = names.len();
        let (functions, ordinals) = (40 + 4 * count, 40 + 8 * count);
        let mut bytes = vec![0; ordinals + 2 * count];
        put(&mut bytes, NUMBER_OF_NAMES, u32::try_from(count).unwrap());
        for (field, offset) in [
            (ADDRESS_OF_NAMES, 40),
            (ADDRESS_OF_FUNCTIONS, functions),
            (ADDRESS_OF_ORDINALS, ordinals),
        ] {
            put(&mut bytes, field, START + u32::try_from(offset).unwrap());
        }
        for (index, name) in names.iter().enumerate() {
            let address = START + u32::try_from(bytes.len()).unwrap();
            put(&mut bytes, 40 + 4 * index, address);
            put(
                &mut bytes,
                functions + 4 * index,
                16 * u32::try_from(index + 1).unwrap(),
            );
            let ordinal = u16::try_from(count - 1 - index).unwrap();
            bytes[ordinals + 2 * index..][..2].copy_from_slice(&ordinal.to_le_bytes());
            bytes.extend(name.bytes());
            bytes.push(0);
        }
        let end = START + u32::try_from(bytes.len()).unwrap();
        let exports = Exports {
            directory: START..end,
            image: 0x10_0000,
        };
        (exports, bytes)
    }

    #[test]
    fn a_function_is_found_by_its_whole_name_and_no_other() {
        let (exports, bytes) =
            module(&["SspiCreateAsyncContext", "SspiAsyncContextRequiresNotify"]);
        let find = |name: &str| exports.find(&bytes, name.as_bytes());
        assert_eq!(find("SspiCreateAsyncContext"), Some(32));
        assert_eq!(find("SspiAsyncContextRequiresNotify"), Some(16));
        for other in ["SspiAsyncContextRequires", "RequiresNotify", ""] {
            assert_eq!(find(other), None, "{other}");
        }
        assert_eq!(module(&[]).0.find(&module(&[]).1, b"a"), None);
    }

    #[test]
    fn a_forwarder_and_an_address_outside_the_image_are_no_function() {
        let (mut exports, mut bytes) = module(&["a"]);
        assert_eq!(exports.find(&bytes, b"a"), Some(16));
        put(&mut bytes, 44, START + 1);
        assert_eq!(exports.find(&bytes, b"a"), None, "a forwarder");
        put(&mut bytes, 44, 16);
        exports.image = 16;
        assert_eq!(exports.find(&bytes, b"a"), None, "outside");
    }

    #[test]
    fn a_directory_outside_its_image_is_none() {
        let found = exports(&header(START, 0x100, 0x10_000));
        assert_eq!(found.map(|it| it.directory), Some(START..START + 0x100));
        for (start, size, image) in [
            (0, 0x100, 0x10_000),
            (START, 0x100, START),
            (u32::MAX, 2, u32::MAX),
            (START, LARGEST_DIRECTORY + 1, u32::MAX),
            (START, 0x100, START + 0xFF),
        ] {
            assert_eq!(exports(&header(start, size, image)), None);
        }
        // To its last byte, and as large as any may be.
        let found = exports(&header(START, 1 << 20, START + (1 << 20)));
        assert!(found.is_some());
    }

    proptest! {
        #[test]
        fn no_first_page_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), offset in any::<u32>()) {
            let mut page = header(START, 100, 0x9000);
            put(&mut *page, PE_OFFSET, offset);
            for (place, byte) in page.iter_mut().skip(0x70).zip(&bytes) {
                *place = *byte;
            }
            let _ = exports(&page);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256), start in any::<u32>()) {
            let exports = Exports { directory: start..start.saturating_add(256), image: u32::MAX };
            let _ = exports.find(&bytes, b"a");
        }

        #[test]
        fn no_change_of_a_good_directory_makes_it_panic(place in any::<prop::sample::Index>(), value in any::<u32>()) {
            let (exports, mut bytes) = module(&["a", "b", "c"]);
            let place = place.index(bytes.len() - 4);
            put(&mut bytes, place, value);
            let _ = exports.find(&bytes, b"c");
        }
    }
}
