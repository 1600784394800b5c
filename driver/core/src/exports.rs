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
const ADDRESS_OF_NAMES: usize = 32;

/// Where in the image the export directory lies, from the image's first page.
#[must_use]
pub fn directory(header: &[u8; HEADER]) -> Option<Range<u32>> {
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
    (start != 0 && size <= LARGEST_DIRECTORY && end <= image).then_some(start..end)
}

/// Whether `name` is among the names of the export directory, whose bytes start at address `start`
/// of the image.
#[must_use]
pub fn has(directory: &[u8], start: u32, name: &[u8]) -> bool {
    find(directory, start, name).unwrap_or(false)
}

fn find(directory: &[u8], start: u32, name: &[u8]) -> Option<bool> {
    let place = |address: u32| usize::try_from(address.checked_sub(start)?).ok();
    let count = usize::try_from(u32_at(directory, NUMBER_OF_NAMES)?).ok()?;
    let names = directory.get(place(u32_at(directory, ADDRESS_OF_NAMES)?)?..)?;
    // As many as fit: the count is not believed further than the bytes go.
    for entry in names.chunks_exact(4).take(count) {
        let text = directory.get(place(u32_at(entry, 0)?)?..)?;
        if text
            .strip_prefix(name)
            .is_some_and(|rest| rest.first() == Some(&0))
        {
            return Some(true);
        }
    }
    Some(false)
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

    fn exports(names: &[&str]) -> Vec<u8> {
        let mut bytes = vec![0; 40 + 4 * names.len()];
        put(
            &mut bytes,
            NUMBER_OF_NAMES,
            u32::try_from(names.len()).unwrap(),
        );
        put(&mut bytes, ADDRESS_OF_NAMES, START + 40);
        for (index, name) in names.iter().enumerate() {
            let address = START + u32::try_from(bytes.len()).unwrap();
            put(&mut bytes, 40 + 4 * index, address);
            bytes.extend(name.bytes());
            bytes.push(0);
        }
        bytes
    }

    #[test]
    fn a_name_is_found_whole_or_not_at_all() {
        let bytes = exports(&["SealMessage", "SspiAsyncContextRequiresNotify", "Z"]);
        assert!(has(&bytes, START, b"SspiAsyncContextRequiresNotify"));
        for other in [
            &b"SspiAsyncContextRequires"[..],
            b"SspiAsyncContextRequiresNotifyX",
            b"Y",
        ] {
            assert!(!has(&bytes, START, other));
        }
    }

    #[test]
    fn a_directory_outside_the_image_is_refused() {
        assert_eq!(
            directory(&header(START, 100, 0x9000)),
            Some(START..START + 100)
        );
        for (start, size, image) in [
            (0, 100, 0x9000),
            (START, 0x5000, 0x9000),
            (u32::MAX, 2, u32::MAX),
            (1, 2 << 20, u32::MAX),
        ] {
            assert_eq!(directory(&header(start, size, image)), None);
        }
        let mut other = header(START, 100, 0x9000);
        put(&mut *other, 0x80, 0);
        assert_eq!(directory(&other), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), offset in any::<u32>(), start in any::<u32>()) {
            let _ = has(&bytes, start, b"x");
            let mut page = header(START, 100, 0x9000);
            put(&mut *page, PE_OFFSET, offset);
            for (place, byte) in page.iter_mut().skip(0x70).zip(&bytes) {
                *place = *byte;
            }
            let _ = directory(&page);
        }
    }
}
