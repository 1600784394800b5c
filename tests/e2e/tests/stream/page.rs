//! The page that describes the connection it came over, as HTTP brings it.

use anyhow::{Context, Result, ensure};
use std::{
    collections::BTreeMap,
    io::{Read, Write},
};

/// What the page says.
#[derive(Debug)]
pub struct Page(BTreeMap<String, String>);

impl Page {
    /// One fact.
    pub fn fact(&self, name: &str) -> Result<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .with_context(|| format!("no {name} in {self:?}"))
    }
}

/// Asks for the page and reads it to its last byte; the connection stays.
pub fn get(stream: &mut (impl Read + Write)) -> Result<Page> {
    get_with(stream, "")
}

/// The same with these further header lines, each with its end.
pub fn get_with(stream: &mut (impl Read + Write), headers: &str) -> Result<Page> {
    let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    stream
        .write_all(request.as_bytes())
        .context("sending the request")?;
    read(stream)
}

/// Reads the page that was asked for, to its last byte.
pub fn read(stream: &mut impl Read) -> Result<Page> {
    let mut bytes = Vec::new();
    let end = loop {
        more(stream, &mut bytes)?;
        if let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec())?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let length: usize = head
        .to_lowercase()
        .lines()
        .find_map(|line| {
            line.strip_prefix("content-length:")
                .map(|length| length.trim().parse())
        })
        .context("no content-length")??;
    while bytes.len() < end + length {
        more(stream, &mut bytes)?;
    }
    ensure!(bytes.len() == end + length, "more than one answer");
    let body = std::str::from_utf8(&bytes[end..])?;
    let facts = body.lines().filter_map(|line| line.trim().split_once("  "));
    Ok(Page(
        facts
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    ))
}

fn more(stream: &mut impl Read, bytes: &mut Vec<u8>) -> Result<()> {
    let mut chunk = [0; 4096];
    let read = stream.read(&mut chunk)?;
    ensure!(read > 0, "the answer ends after {} bytes", bytes.len());
    bytes.extend_from_slice(&chunk[..read]);
    Ok(())
}
