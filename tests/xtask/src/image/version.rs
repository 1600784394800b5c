//! The image's version resource: there, and of this version.

use anyhow::{Context, Result};
use object::{
    LittleEndian as LE, pe,
    read::pe::{PeFile64, ResourceDirectoryEntryData},
};

/// `VS_FIXEDFILEINFO` begins with it.
const SIGNATURE: [u8; 4] = 0xFEEF_04BD_u32.to_le_bytes();

/// The faults of an image's version resource, which must be of this version.
pub fn faults(data: &[u8], version: &str) -> Result<Vec<String>> {
    let file = PeFile64::parse(data)?;
    let Some(resource) = version_resource(&file, data)? else {
        return Ok(vec!["it has no version resource".to_owned()]);
    };
    Ok(resource_faults(resource, version))
}

fn resource_faults(resource: &[u8], version: &str) -> Vec<String> {
    let mut faults = Vec::new();
    match number(resource) {
        Some(number) if number == format!("{version}.0") => {}
        other => faults.push(format!("its version is {other:?}, not {version}.0")),
    }
    for text in ["TlsGate", "tlsgate.sys", version] {
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        if !resource.windows(wide.len()).any(|window| window == wide) {
            faults.push(format!("its version resource does not name {text}"));
        }
    }
    faults
}

/// The number of the file, as Windows reads it.
fn number(resource: &[u8]) -> Option<String> {
    let place = resource.windows(4).position(|bytes| bytes == SIGNATURE)?;
    let word = |index: usize| -> Option<u16> {
        let bytes = resource.get(place + index..)?.first_chunk()?;
        Some(u16::from_le_bytes(*bytes))
    };
    // The high half of each of the two numbers comes second.
    Some(format!(
        "{}.{}.{}.{}",
        word(10)?,
        word(8)?,
        word(14)?,
        word(12)?
    ))
}

/// The first resource of that kind, whatever its name and language.
fn version_resource<'data>(
    file: &PeFile64<'data>,
    data: &'data [u8],
) -> Result<Option<&'data [u8]>> {
    let sections = file.section_table();
    let Some(directory) = file.data_directory(pe::IMAGE_DIRECTORY_ENTRY_RESOURCE) else {
        return Ok(None);
    };
    let resources = object::read::pe::ResourceDirectory::new(directory.data(data, &sections)?);
    let root = resources.root()?;
    let Some(kind) = root
        .entries
        .iter()
        .find(|entry| entry.name_or_id().id() == Some(pe::RT_VERSION))
    else {
        return Ok(None);
    };
    let mut found = kind.data(resources)?;
    loop {
        match found {
            ResourceDirectoryEntryData::Table(table) => {
                let entry = table
                    .entries
                    .first()
                    .context("an empty table of resources")?;
                found = entry.data(resources)?;
            }
            ResourceDirectoryEntryData::Data(entry) => {
                let address = entry.offset_to_data.get(LE);
                let length = usize::try_from(entry.size.get(LE))?;
                let bytes = sections
                    .pe_data_at(data, address)
                    .and_then(|bytes| bytes.get(..length))
                    .context("the version resource points outside")?;
                return Ok(Some(bytes));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(version: [u16; 4]) -> Vec<u8> {
        let mut bytes: Vec<u8> = "TlsGate tlsgate.sys 1.2.3"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        bytes.extend(SIGNATURE);
        bytes.extend([0; 4]);
        let [major, minor, patch, build] = version;
        bytes.extend(
            [minor, major, build, patch]
                .map(u16::to_le_bytes)
                .as_flattened(),
        );
        bytes
    }

    #[test]
    fn the_version_must_be_this_one() {
        assert!(resource_faults(&resource([1, 2, 3, 0]), "1.2.3").is_empty());
        assert_eq!(resource_faults(&resource([1, 2, 4, 0]), "1.2.3").len(), 1);
        assert_eq!(resource_faults(b"", "1.2.3").len(), 4);
    }
}
