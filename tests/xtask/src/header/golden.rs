//! What the protocol's golden file holds: control codes, limits, sizes and offsets.

use anyhow::{Context, Result, bail};
use std::{fs, path::Path};

/// The golden file.
pub struct Golden {
    /// Name and control code of each IOCTL.
    pub ioctls: Vec<(String, u32)>,
    /// Name and value of each limit.
    pub limits: Vec<(String, usize)>,
    /// Each payload.
    pub structures: Vec<Structure>,
}

/// A payload's layout.
pub struct Structure {
    /// As Rust names it.
    pub name: String,
    /// Bytes.
    pub size: usize,
    /// Name and offset in bytes of each field.
    pub fields: Vec<(String, usize)>,
}

impl Golden {
    /// Reads it.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)?;
        let mut golden = Self {
            ioctls: Vec::new(),
            limits: Vec::new(),
            structures: Vec::new(),
        };
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["abi", _] => {}
                ["ioctl", name, code] => {
                    let digits = code.strip_prefix("0x").context("a code without 0x")?;
                    let code = u32::from_str_radix(digits, 16)?;
                    golden.ioctls.push((name.to_owned(), code));
                }
                ["limit", name, value] => golden.limits.push((name.to_owned(), value.parse()?)),
                ["struct", name, size] => golden.structures.push(Structure {
                    name: name.to_owned(),
                    size: size.parse()?,
                    fields: Vec::new(),
                }),
                [offset, _, field] => golden
                    .structures
                    .last_mut()
                    .context("a field without a structure")?
                    .fields
                    .push((field.to_owned(), offset.parse()?)),
                _ => bail!("the golden file says: {line}"),
            }
        }
        Ok(golden)
    }

    /// The size of a payload in bytes.
    pub fn size_of(&self, name: &str) -> Option<usize> {
        let structure = self.structures.iter().find(|it| it.name == name)?;
        Some(structure.size)
    }
}
