//! The image's version resource, as the resource file that a linker takes: what a file's properties, `sigcheck` and a
//! debugger's `lmv` show.
//!
//! Made here because a resource compiler is another one on each host. The layouts are those of "Resource
//! File Formats", `VS_VERSIONINFO` and `VS_FIXEDFILEINFO` in Microsoft's documentation of menus and other
//! resources.

/// What there is to tell.
pub struct Version<'a> {
    /// Major, minor, patch, and 0.
    pub number: [u16; 4],
    /// The same as text.
    pub text: &'a str,
    pub description: &'a str,
    pub file: &'a str,
    pub product: &'a str,
}

/// American English, and UTF-16.
const LANGUAGE: u16 = 0x0409;
const CODE_PAGE: u16 = 1200;

const RT_VERSION: u16 = 16;
const VS_VERSION_INFO: u16 = 1;

/// `VFT_DRV` and `VFT2_DRV_SYSTEM`: a driver of no more particular kind.
const FILE_TYPE: u32 = 3;
const FILE_SUBTYPE: u32 = 7;
const VOS_NT_WINDOWS32: u32 = 0x0004_0004;
const VS_FFI_SIGNATURE: u32 = 0xFEEF_04BD;
const VS_FFI_STRUCVERSION: u32 = 0x0001_0000;

/// The resource file with this one resource.
pub fn resource_file(version: &Version<'_>) -> Vec<u8> {
    let mut file = resource(0, 0, 0, &[]);
    file.extend(resource(
        RT_VERSION,
        VS_VERSION_INFO,
        LANGUAGE,
        &version_info(version),
    ));
    file
}

/// One resource with its header, as the linker reads them; the first one of a file is an empty one.
fn resource(kind: u16, name: u16, language: u16, data: &[u8]) -> Vec<u8> {
    const HEADER: usize = 32;
    let mut bytes = Vec::new();
    for size in [data.len(), HEADER] {
        bytes.extend(u32::try_from(size).expect("a small resource").to_le_bytes());
    }
    for word in [0xFFFF, kind, 0xFFFF, name, 0, 0, 0, language, 0, 0, 0, 0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(data);
    pad(&mut bytes);
    bytes
}

fn version_info(version: &Version<'_>) -> Vec<u8> {
    let strings = [
        ("FileDescription", version.description),
        ("FileVersion", version.text),
        ("InternalName", version.file),
        ("OriginalFilename", version.file),
        ("ProductName", version.product),
        ("ProductVersion", version.text),
    ];
    let strings = strings.map(|(name, value)| {
        let value: Vec<u16> = value.encode_utf16().chain([0]).collect();
        block(name, &Value::Text(&value), &[])
    });
    let table = block(
        &format!("{LANGUAGE:04x}{CODE_PAGE:04x}"),
        &Value::Text(&[]),
        &strings,
    );
    let translation = [LANGUAGE.to_le_bytes(), CODE_PAGE.to_le_bytes()].concat();
    block(
        "VS_VERSION_INFO",
        &Value::Binary(&fixed_info(version.number)),
        &[
            block("StringFileInfo", &Value::Text(&[]), &[table]),
            block(
                "VarFileInfo",
                &Value::Text(&[]),
                &[block("Translation", &Value::Binary(&translation), &[])],
            ),
        ],
    )
}

fn fixed_info([major, minor, patch, build]: [u16; 4]) -> Vec<u8> {
    let high = u32::from(major) << 16 | u32::from(minor);
    let low = u32::from(patch) << 16 | u32::from(build);
    [
        VS_FFI_SIGNATURE,
        VS_FFI_STRUCVERSION,
        high,
        low,
        high,
        low,
        0, // no flags are valid
        0,
        VOS_NT_WINDOWS32,
        FILE_TYPE,
        FILE_SUBTYPE,
        0, // no date: the image depends on its sources alone
        0,
    ]
    .into_iter()
    .flat_map(u32::to_le_bytes)
    .collect()
}

enum Value<'a> {
    /// Counted in bytes.
    Binary(&'a [u8]),
    /// Counted in UTF-16 units.
    Text(&'a [u16]),
}

/// One of the nested structures that a version resource is of: lengths, kind, key, value, children.
fn block(key: &str, value: &Value<'_>, children: &[Vec<u8>]) -> Vec<u8> {
    let (count, kind, value) = match *value {
        Value::Binary(bytes) => (bytes.len(), 0, bytes.to_vec()),
        Value::Text(text) => {
            let bytes = text.iter().flat_map(|unit| unit.to_le_bytes());
            (text.len(), 1_u16, bytes.collect())
        }
    };
    let mut bytes = vec![0; 2];
    bytes.extend(u16::try_from(count).expect("a small value").to_le_bytes());
    bytes.extend(kind.to_le_bytes());
    bytes.extend(key.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
    pad(&mut bytes);
    bytes.extend(value);
    for child in children {
        pad(&mut bytes);
        bytes.extend(child);
    }
    let length = u16::try_from(bytes.len()).expect("a small block");
    bytes[..2].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// Everything begins at a multiple of four bytes.
fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}
